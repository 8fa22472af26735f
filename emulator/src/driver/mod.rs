//! The CUDA driver interface, as far as programs built on cudarc use it, and the emulator's own functions.
//!
//! Work is done when it is submitted: streams and events order nothing that is not in order already. Handles are numbers looked up in the
//! device's tables, so a wrong one is an error and not a wild pointer.

// The contract of each function is that of the CUDA Driver API's function of the same name: pointers are valid for what it writes or reads there.
#![allow(non_snake_case, clippy::missing_safety_doc)]

mod context;
mod control;
mod event;
mod function;
mod graph;
mod memory;
mod module;
pub(crate) mod status;
mod stream;

pub use context::*;
pub use control::*;
pub use event::*;
pub use function::*;
pub use graph::*;
pub use memory::*;
pub use module::*;
pub use status::{cuGetErrorName, cuGetErrorString};
pub use stream::*;

use std::ffi::{CStr, c_char, c_int};

use crate::device::{Device, device};
use status::{Answer, Status};

/// Calls `f` with the device, unless it is lost.
fn with(f: impl FnOnce(&mut Device) -> Answer) -> c_int {
    let mut device = device();
    let answer = match device.lost {
        Some(status) => Err(status),
        None => f(&mut device),
    };
    answer.map_or_else(|status| status.0, |()| Status::SUCCESS.0)
}

/// Writes a result.
///
/// # Safety
/// `to` is null or valid for writing a `T`.
unsafe fn put<T>(to: *mut T, value: T) -> Answer {
    if to.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: not null, hence valid by the contract above.
    unsafe { to.write(value) };
    Ok(())
}

/// Reads a name.
///
/// # Safety
/// `name` is null or points to text that ends with a zero byte.
unsafe fn text<'a>(name: *const c_char) -> Answer<&'a str> {
    if name.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: not null, hence valid by the contract above.
    unsafe { CStr::from_ptr(name) }.to_str().map_err(|_| Status::INVALID_VALUE)
}
