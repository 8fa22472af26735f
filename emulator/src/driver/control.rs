//! The emulator's own functions: errors in words, counters, and faults on purpose.
//!
//! A program finds them in the library it loaded as `libcuda.so`; none is part of CUDA.

use std::ffi::{c_char, c_int};

use super::{status::Status, text};
use crate::device::device;

/// Copies `text` and a zero byte into a buffer, cut to its size; returns the bytes needed for all of it.
///
/// # Safety
/// `buffer` is null or valid for writing `capacity` bytes.
unsafe fn copy_text(text: &str, buffer: *mut c_char, capacity: usize) -> usize {
    if !buffer.is_null() && capacity > 0 {
        let kept = text.len().min(capacity - 1);
        // SAFETY: `kept` + 1 bytes are within the capacity.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, kept);
            buffer.add(kept).write(0);
        }
    }
    text.len() + 1
}

/// The last error in words; empty where there was none. Returns the bytes it needs, its final zero included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn emulator_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    // SAFETY: the caller's contract.
    unsafe { copy_text(&device().message, buffer, capacity) }
}

/// The counters of `kernel` as a JSON object, or of all kernels by name where it is null. Returns the bytes it needs, its final zero included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn emulator_counters_json(kernel: *const c_char, buffer: *mut c_char, capacity: usize) -> usize {
    // SAFETY: the caller's contract.
    let json = unsafe { device().counters.json(text(kernel).ok()) };
    // SAFETY: the caller's contract.
    unsafe { copy_text(&json, buffer, capacity) }
}

/// Forgets all counts.
#[unsafe(no_mangle)]
pub extern "C" fn emulator_reset_counters() {
    device().counters.0.clear();
}

/// Sets the bytes of device memory; what is allocated stays.
#[unsafe(no_mangle)]
pub extern "C" fn emulator_set_memory(bytes: usize) {
    device().memory.set_capacity(bytes);
}

/// Loses the device after `launches` more launches; a negative number takes it back.
#[unsafe(no_mangle)]
pub extern "C" fn emulator_lose_device_after(launches: i64) {
    device().lose_after(u64::try_from(launches).ok());
}

/// Takes back the error that ended the device, and any loss that was planned. Memory and handles stay.
#[unsafe(no_mangle)]
pub extern "C" fn emulator_revive() {
    device().reset();
}

/// Forbids (or allows again, as unwritten) the access of kernels to `bytes` bytes, e.g. to the gaps of an arena. Returns a `CUresult`.
#[unsafe(no_mangle)]
pub extern "C" fn emulator_forbid(address: u64, bytes: usize, forbidden: c_int) -> c_int {
    match device().memory.forbid(address, bytes, forbidden != 0) {
        Ok(()) => Status::SUCCESS.0,
        Err(_) => Status::INVALID_VALUE.0,
    }
}
