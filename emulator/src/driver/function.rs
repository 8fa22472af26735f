//! Kernels: attributes and launches.

use std::{
    ffi::{c_int, c_void},
    sync::Arc,
};

use super::{
    context::{MAX_SHARED, MAX_THREADS},
    put,
    status::{Answer, Status},
    with,
};
use crate::{
    device::{Device, Function, Handle, Work},
    exec::Launch,
    program::Kernel,
};

/// `CUfunction_attribute`
const MAX_THREADS_PER_BLOCK: c_int = 0;
const STATIC_SHARED: c_int = 1;
const LOCAL: c_int = 3;
const MAX_DYNAMIC_SHARED: c_int = 8;
/// Greatest grid by axis.
const MAX_GRID: [u32; 3] = [0x7FFF_FFFF, 65535, 65535];
const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(value: *mut c_int, attribute: c_int, function: Handle) -> c_int {
    with(|device| {
        let Function { kernel, max_dynamic_shared } = device.functions.get(&function).ok_or(Status::INVALID_HANDLE)?;
        let found = match attribute {
            MAX_THREADS_PER_BLOCK => kernel.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS) as c_int,
            STATIC_SHARED => kernel.static_shared as c_int,
            LOCAL => kernel.local as c_int,
            MAX_DYNAMIC_SHARED => *max_dynamic_shared as c_int,
            _ => 0,
        };
        // SAFETY: the caller's contract.
        unsafe { put(value, found) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int) -> c_int {
    with(|device| {
        let entry = device.functions.get_mut(&function).ok_or(Status::INVALID_HANDLE)?;
        if attribute != MAX_DYNAMIC_SHARED {
            return Ok(());
        }
        let most = MAX_SHARED - entry.kernel.static_shared.min(MAX_SHARED);
        match usize::try_from(value) {
            Ok(bytes) if bytes <= most => {
                entry.max_dynamic_shared = bytes;
                Ok(())
            }
            _ => {
                let text = format!(
                    "kernel {}: {value} bytes of dynamic shared memory, at most {most} are there",
                    entry.kernel.name
                );
                device.refuse(Status::INVALID_VALUE, text)
            }
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetCacheConfig(_function: Handle, _config: c_int) -> c_int {
    with(|_| Ok(()))
}

/// Blocks a multiprocessor holds by threads and shared memory; registers are not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic_shared: usize,
) -> c_int {
    with(|device| {
        let kernel = &device.functions.get(&function).ok_or(Status::INVALID_HANDLE)?.kernel;
        let by_threads = 2048 / usize::try_from(threads).unwrap_or(0).max(32);
        let by_shared = (MAX_SHARED + 1024) / (kernel.static_shared + dynamic_shared + 1024);
        // SAFETY: the caller's contract.
        unsafe { put(blocks, by_threads.min(by_shared).min(32) as c_int) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic_shared: usize,
    _flags: u32,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic_shared) }
}

/// Copies the arguments into a parameter buffer.
///
/// # Safety
/// `arguments` points to one pointer for each parameter, each to an argument of the parameter's size.
unsafe fn parameters(device: &mut Device, kernel: &Kernel, arguments: *const *const u8) -> Answer<Vec<u8>> {
    let mut buffer = vec![0; kernel.parameter_bytes()];
    for (index, parameter) in kernel.parameters.iter().enumerate() {
        // SAFETY: the caller's contract.
        let argument = if arguments.is_null() { std::ptr::null() } else { unsafe { *arguments.add(index) } };
        if argument.is_null() {
            let text = format!("kernel {}: argument {index} of {} is missing", kernel.name, kernel.parameters.len());
            return device.refuse(Status::INVALID_VALUE, text);
        }
        let target = &mut buffer[parameter.offset..parameter.offset + parameter.size];
        // SAFETY: the argument has the parameter's size by the caller's contract, and so has the target.
        unsafe { std::ptr::copy_nonoverlapping(argument, target.as_mut_ptr(), parameter.size) };
    }
    Ok(buffer)
}

/// Refuses what no device could launch.
fn check_shape(device: &mut Device, function: Handle, request: &Launch) -> Answer<Arc<Kernel>> {
    let Function { kernel, max_dynamic_shared } = device.functions.get(&function).ok_or(Status::INVALID_HANDLE)?;
    let (kernel, most_dynamic) = (Arc::clone(kernel), *max_dynamic_shared);
    let name = &kernel.name;
    let threads = request.block.iter().map(|&axis| u64::from(axis)).product::<u64>();
    let most_threads = kernel.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS);
    let within =
        |shape: [u32; 3], most: [u32; 3]| shape.iter().zip(most).all(|(&axis, most)| (1..=most).contains(&axis));
    let static_shared = kernel.static_shared;
    let problem = if !within(request.grid, MAX_GRID) {
        format!("grid {:?} is not within {MAX_GRID:?}", request.grid)
    } else if !within(request.block, MAX_BLOCK) || threads > u64::from(most_threads) {
        format!("block {:?} has {threads} threads, at most {most_threads} are allowed", request.block)
    } else if request.dynamic_shared > most_dynamic {
        format!(
            "{} bytes of dynamic shared memory, at most {most_dynamic} were allowed with cuFuncSetAttribute",
            request.dynamic_shared
        )
    } else if static_shared + request.dynamic_shared > MAX_SHARED {
        format!("{} bytes of shared memory, the device has {MAX_SHARED}", static_shared + request.dynamic_shared)
    } else {
        return Ok(kernel);
    };
    device.refuse(Status::INVALID_VALUE, format!("kernel {name}: {problem}"))
}

// The argument list is the driver's.
#[allow(clippy::too_many_arguments)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    dynamic_shared: u32,
    stream: Handle,
    arguments: *const *const u8,
    extra: *const *const c_void,
) -> c_int {
    with(|device| {
        let mut request = Launch {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            dynamic_shared: dynamic_shared as usize,
            parameters: Vec::new(),
        };
        let kernel = check_shape(device, function, &request)?;
        if !extra.is_null() && arguments.is_null() {
            return device.refuse(Status::NOT_SUPPORTED, "cuLaunchKernel: arguments through `extra` are not supported");
        }
        // SAFETY: the caller's contract.
        request.parameters = unsafe { parameters(device, &kernel, arguments) }?;
        device.submit(stream, Work::Launch { kernel, request })
    })
}
