//! Allocation, copies and fills.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ffi::{c_int, c_void},
};

use super::{
    put,
    status::{Answer, Status},
    with,
};
use crate::device::{Capture, Device, Handle, Work};

/// Page-locked memory starts at a page.
const PAGE: usize = 4096;

fn allocate(device: &mut Device, stream: Handle, bytes: usize) -> Answer<u64> {
    if bytes == 0 {
        return Err(Status::INVALID_VALUE);
    }
    if device.recorder(stream).is_none() {
        return device.memory.allocate(bytes).or_else(|error| device.refuse(Status::OUT_OF_MEMORY, error.to_string()));
    }
    let base = device.memory.reserve(bytes).or_else(|error| device.refuse(Status::OUT_OF_MEMORY, error.to_string()))?;
    device.submit(stream, Work::Allocate { base, bytes })?;
    Ok(base)
}

/// What a capture forbids to calls that are not ordered by a stream.
fn outside_captures(device: &Device) -> Answer {
    let capturing = device.streams.values().any(|capture| matches!(capture, Capture::Recording(_)));
    if capturing { Err(Status::STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> c_int {
    // SAFETY: the caller's contract.
    with(|device| allocate(device, 0, bytes).and_then(|base| unsafe { put(address, base) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: the caller's contract.
    with(|device| allocate(device, stream, bytes).and_then(|base| unsafe { put(address, base) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(base: u64) -> c_int {
    with(|device| device.run(&Work::Free { base }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(base: u64, stream: Handle) -> c_int {
    with(|device| device.submit(stream, Work::Free { base }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(pointer: *mut *mut c_void, bytes: usize, _flags: u32) -> c_int {
    with(|device| {
        let layout = Layout::from_size_align(bytes.max(1), PAGE).map_err(|_| Status::INVALID_VALUE)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return Err(Status::OUT_OF_MEMORY);
        }
        device.host_memory.insert(memory as usize, layout);
        // SAFETY: the caller's contract.
        unsafe { put(pointer, memory.cast()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> c_int {
    with(|device| {
        let layout = device.host_memory.remove(&(pointer as usize)).ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the table says that this memory was allocated with this layout and not freed since.
        unsafe { dealloc(pointer.cast(), layout) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: Handle) -> c_int {
    with(|device| device.submit(stream, Work::CopyToDevice { to, from: from as usize, bytes }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> c_int {
    with(|device| {
        outside_captures(device)?;
        device.run(&Work::CopyToDevice { to, from: from as usize, bytes })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> c_int {
    with(|device| device.submit(stream, Work::CopyToHost { to: to as usize, from, bytes }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int {
    with(|device| {
        outside_captures(device)?;
        device.run(&Work::CopyToHost { to: to as usize, from, bytes })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    with(|device| device.submit(stream, Work::CopyOnDevice { to, from, bytes }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> c_int {
    with(|device| device.run(&Work::CopyOnDevice { to, from, bytes }))
}

fn fill(address: u64, pattern: &[u8], count: usize, stream: Handle) -> c_int {
    with(|device| {
        if !address.is_multiple_of(pattern.len() as u64) {
            return device.refuse(
                Status::INVALID_VALUE,
                format!("memset: {address:#x} is not a multiple of {} bytes", pattern.len()),
            );
        }
        device.submit(stream, Work::Fill { address, pattern: pattern.to_vec(), count })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(address: u64, value: u8, count: usize, stream: Handle) -> c_int {
    fill(address, &[value], count, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(address: u64, value: u8, count: usize) -> c_int {
    fill(address, &[value], count, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD16Async(address: u64, value: u16, count: usize, stream: Handle) -> c_int {
    fill(address, &value.to_le_bytes(), count, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32Async(address: u64, value: u32, count: usize, stream: Handle) -> c_int {
    fill(address, &value.to_le_bytes(), count, stream)
}
