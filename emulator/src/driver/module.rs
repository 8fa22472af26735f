//! Modules: an image is read once, its kernels lowered, its variables placed in device memory.

use std::{
    collections::HashMap,
    ffi::{c_char, c_int, c_void},
    sync::Arc,
};

use super::{
    context::DEFAULT_SHARED,
    put,
    status::{Answer, Status},
    text, with,
};
use crate::{
    device::{Device, Function, Handle, Module},
    fatbin::ptx_of,
    lower::lower,
    ptx::{self, syntax::Storage},
};

/// Reads a module.
///
/// # Safety
/// As [`ptx_of`].
unsafe fn load(device: &mut Device, image: *const c_char) -> Answer<Module> {
    // SAFETY: the caller's contract.
    let source = match unsafe { ptx_of(image) } {
        Ok(source) => source,
        Err(error) => return device.refuse(Status::INVALID_IMAGE, error.to_string()),
    };
    let parsed = match ptx::parse(source) {
        Ok(parsed) => parsed,
        Err(error) => return device.refuse(Status::INVALID_PTX, error.to_string()),
    };
    let mut variables = HashMap::new();
    for variable in parsed.variables.iter().filter(|v| matches!(v.storage, Storage::Global | Storage::Constant)) {
        let place = device.memory.allocate(variable.size.max(1));
        let base = place.or_else(|error| device.refuse(Status::OUT_OF_MEMORY, error.to_string()))?;
        let mut bytes = variable.initial.clone();
        bytes.resize(variable.size, 0);
        device.memory.write(base, &bytes).map_err(|_| Status::INVALID_IMAGE)?;
        variables.insert(variable.name.to_string(), (base, variable.size));
    }
    let symbols = variables.iter().map(|(name, place)| (name.clone(), place.0)).collect();
    let kernels = lower(&parsed, source, &symbols).into_iter();
    let kernels =
        kernels.map(|(name, kernel)| (name, kernel.map(Arc::new).map_err(|error| error.to_string()))).collect();
    Ok(Module { kernels, variables })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> c_int {
    with(|device| {
        if image.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's contract.
        let loaded = unsafe { load(device, image.cast()) }?;
        let handle = device.handle();
        device.modules.insert(handle, loaded);
        // SAFETY: the caller's contract.
        unsafe { put(module, handle) }
    })
}

/// The options concern the compiler of a real driver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    _count: u32,
    _options: *mut c_int,
    _values: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cuModuleLoadData(module, image) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> c_int {
    with(|device| {
        let module = device.modules.remove(&module).ok_or(Status::INVALID_HANDLE)?;
        for (base, _) in module.variables.values() {
            device.memory.free(*base);
        }
        Ok(())
    })
}

/// A kernel with an instruction the emulator does not know is refused here, with all such instructions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) -> c_int {
    with(|device| {
        // SAFETY: the caller's contract.
        let name = unsafe { text(name) }?;
        let module = device.modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        let kernel = match module.kernels.get(name) {
            Some(Ok(kernel)) => Arc::clone(kernel),
            Some(Err(reasons)) => {
                let reasons = reasons.clone();
                return device.refuse(Status::INVALID_PTX, reasons);
            }
            None => return device.refuse(Status::NOT_FOUND, format!("the module has no kernel `{name}`")),
        };
        let handle = device.handle();
        device.functions.insert(handle, Function { kernel, max_dynamic_shared: DEFAULT_SHARED });
        // SAFETY: the caller's contract.
        unsafe { put(function, handle) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut u64,
    bytes: *mut usize,
    module: Handle,
    name: *const c_char,
) -> c_int {
    with(|device| {
        // SAFETY: the caller's contract.
        let name = unsafe { text(name) }?;
        let module = device.modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        let Some(&(base, size)) = module.variables.get(name) else {
            return device.refuse(Status::NOT_FOUND, format!("the module has no variable `{name}`"));
        };
        // SAFETY: the caller's contract; either may be null.
        unsafe {
            if !address.is_null() {
                put(address, base)?;
            }
            if bytes.is_null() { Ok(()) } else { put(bytes, size) }
        }
    })
}
