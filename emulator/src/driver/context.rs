//! Initialisation, the device's properties, and its one context.

use std::ffi::{c_char, c_int, c_void};

use super::{
    put,
    status::{Answer, Status},
    with,
};

/// The one context.
const CONTEXT: *mut c_void = 64 as *mut c_void;
const NAME: &[u8] = b"Emulated CUDA device\0";
/// Versions as the driver writes them: 13.0.
const VERSION: c_int = 13000;

/// Dynamic shared memory a kernel may ask for without saying so first.
pub const DEFAULT_SHARED: usize = 48 << 10;
/// Shared memory a kernel may have at most, as on compute capability 8.0.
pub const MAX_SHARED: usize = 163 << 10;
/// Threads of a block.
pub const MAX_THREADS: u32 = 1024;

/// `CUdevice_attribute` and its value; the shape of a compute capability 8.0 device.
const ATTRIBUTES: [(c_int, c_int); 30] = [
    (1, MAX_THREADS as c_int),
    (2, 1024),
    (3, 1024),
    (4, 64),
    (5, 0x7FFF_FFFF),
    (6, 65535),
    (7, 65535),
    (8, DEFAULT_SHARED as c_int),
    (9, 65536),
    (10, 32),
    (11, 0x7FFF_FFFF),
    (12, 65536),
    (13, 1_410_000),
    (15, 1),
    (16, 108),
    (31, 1),
    (36, 1_215_000),
    (37, 5120),
    (38, 40 << 20),
    (39, 2048),
    (40, 3),
    (41, 1),
    (75, 8),
    (76, 0),
    (81, (MAX_SHARED + 1024) as c_int),
    (82, 65536),
    (95, 1),
    (97, MAX_SHARED as c_int),
    (106, 32),
    (115, 1),
];

fn known(ordinal: c_int) -> Answer {
    if ordinal == 0 { Ok(()) } else { Err(Status::INVALID_DEVICE) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(_flags: u32) -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| unsafe { put(version, VERSION) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| unsafe { put(count, 1) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| known(ordinal).and_then(|()| unsafe { put(device, ordinal) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, ordinal: c_int) -> c_int {
    with(|_| {
        known(ordinal)?;
        let length = usize::try_from(length).map_err(|_| Status::INVALID_VALUE)?;
        if name.is_null() || length == 0 {
            return Err(Status::INVALID_VALUE);
        }
        let kept = NAME.len().min(length);
        // SAFETY: the caller provides `length` bytes, of which at most that many are written.
        unsafe {
            std::ptr::copy_nonoverlapping(NAME.as_ptr().cast(), name, kept);
            name.add(kept - 1).write(0);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], ordinal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| known(ordinal).and_then(|()| unsafe { put(uuid, *b"emulated device\0") }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], ordinal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cuDeviceGetUuid(uuid, ordinal) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, ordinal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|device| known(ordinal).and_then(|()| unsafe { put(bytes, device.memory.capacity()) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, ordinal: c_int) -> c_int {
    with(|_| {
        known(ordinal)?;
        let found = ATTRIBUTES.iter().find(|entry| entry.0 == attribute).map_or(0, |entry| entry.1);
        // SAFETY: the caller's contract.
        unsafe { put(value, found) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, ordinal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| known(ordinal).and_then(|()| unsafe { put(context, CONTEXT) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(_ordinal: c_int) -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(_context: *mut c_void) -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut c_void) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| unsafe { put(context, CONTEXT) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(ordinal: *mut c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| unsafe { put(ordinal, 0) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetFlags(_flags: u32) -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> c_int {
    // SAFETY: the caller's contract.
    with(|_| unsafe { put(least, 0).and_then(|()| put(greatest, 0)) })
}

/// The stack and queue sizes mean nothing here.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetLimit(_limit: c_int, _value: usize) -> c_int {
    with(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_int {
    // SAFETY: the caller's contract.
    with(|device| unsafe {
        put(free, device.memory.free_bytes())?;
        put(total, device.memory.capacity())
    })
}
