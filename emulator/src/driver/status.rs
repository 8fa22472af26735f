//! Result codes of the driver interface.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char, c_int},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::put;
use crate::device::device;

/// A `CUresult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub c_int);

/// The result of a call: an error is the code it returns.
pub type Answer<T = ()> = Result<T, Status>;

impl Status {
    pub const SUCCESS: Self = Self(0);
    pub const INVALID_VALUE: Self = Self(1);
    pub const OUT_OF_MEMORY: Self = Self(2);
    pub const DEVICE_UNAVAILABLE: Self = Self(46);
    pub const INVALID_DEVICE: Self = Self(101);
    pub const INVALID_IMAGE: Self = Self(200);
    pub const INVALID_PTX: Self = Self(218);
    pub const INVALID_HANDLE: Self = Self(400);
    pub const ILLEGAL_STATE: Self = Self(401);
    pub const NOT_FOUND: Self = Self(500);
    pub const NOT_READY: Self = Self(600);
    pub const ILLEGAL_ADDRESS: Self = Self(700);
    pub const LAUNCH_OUT_OF_RESOURCES: Self = Self(701);
    pub const MISALIGNED_ADDRESS: Self = Self(716);
    pub const LAUNCH_FAILED: Self = Self(719);
    pub const NOT_SUPPORTED: Self = Self(801);
    pub const STREAM_CAPTURE_UNSUPPORTED: Self = Self(900);

    const NAMES: [(Self, &'static CStr, &'static CStr); 17] = [
        (Self::SUCCESS, c"CUDA_SUCCESS", c"no error"),
        (Self::INVALID_VALUE, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
        (Self::OUT_OF_MEMORY, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
        (Self::DEVICE_UNAVAILABLE, c"CUDA_ERROR_DEVICE_UNAVAILABLE", c"the device is lost"),
        (Self::INVALID_DEVICE, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
        (Self::INVALID_IMAGE, c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid"),
        (Self::INVALID_PTX, c"CUDA_ERROR_INVALID_PTX", c"a PTX program could not be read"),
        (Self::INVALID_HANDLE, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
        (Self::ILLEGAL_STATE, c"CUDA_ERROR_ILLEGAL_STATE", c"the object is not in a state for this"),
        (Self::NOT_FOUND, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        (Self::NOT_READY, c"CUDA_ERROR_NOT_READY", c"device not ready"),
        (Self::ILLEGAL_ADDRESS, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered"),
        (
            Self::LAUNCH_OUT_OF_RESOURCES,
            c"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
            c"too many resources requested for launch",
        ),
        (Self::MISALIGNED_ADDRESS, c"CUDA_ERROR_MISALIGNED_ADDRESS", c"misaligned address"),
        (Self::LAUNCH_FAILED, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
        (Self::NOT_SUPPORTED, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported by the emulator"),
        (
            Self::STREAM_CAPTURE_UNSUPPORTED,
            c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
            c"operation not permitted when stream is capturing",
        ),
    ];

    fn names(self) -> Option<(&'static CStr, &'static CStr)> {
        Self::NAMES.iter().find(|entry| entry.0 == self).map(|&(_, name, text)| (name, text))
    }
}

/// Texts handed out: the interface lets the caller keep the pointer for ever, so they are kept for ever, each once.
static TEXTS: LazyLock<Mutex<HashMap<String, CString>>> = LazyLock::new(Mutex::default);

fn kept(text: &str) -> *const c_char {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let entry =
        texts.entry(text.to_string()).or_insert_with(|| CString::new(text.replace('\0', " ")).unwrap_or_default());
    entry.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(error: c_int, name: *mut *const c_char) -> c_int {
    let (text, status) = match Status(error).names() {
        Some((text, _)) => (text.as_ptr(), Status::SUCCESS),
        None => (std::ptr::null(), Status::INVALID_VALUE),
    };
    // SAFETY: the caller's contract.
    unsafe { put(name, text) }.map_or_else(|status| status.0, |()| status.0)
}

/// The text of a code; for the error that ended the device, what exactly was wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: c_int, text: *mut *const c_char) -> c_int {
    let device = device();
    let (pointer, status) = match Status(error).names() {
        Some(_) if device.lost == Some(Status(error)) => (kept(&device.message), Status::SUCCESS),
        Some((_, text)) => (text.as_ptr(), Status::SUCCESS),
        None => (std::ptr::null(), Status::INVALID_VALUE),
    };
    // SAFETY: the caller's contract.
    unsafe { put(text, pointer) }.map_or_else(|status| status.0, |()| status.0)
}
