//! Events. Times are the host's: they show how long emulation took.

use std::ffi::c_int;

use super::{put, status::Status, with};
use crate::device::{Event, Handle, Work};

/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: u32 = 2;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: u32) -> c_int {
    with(|device| {
        let handle = device.handle();
        device.events.insert(handle, Event { timed: flags & DISABLE_TIMING == 0, recorded: None, capture: None });
        // SAFETY: the caller's contract.
        unsafe { put(event, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> c_int {
    with(|device| device.events.remove(&event).map(drop).ok_or(Status::INVALID_HANDLE))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_int {
    with(|device| {
        let capture = device.recorder(stream);
        device.events.get_mut(&event).ok_or(Status::INVALID_HANDLE)?.capture = capture;
        device.submit(stream, Work::Record { event })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> c_int {
    with(|device| match device.events.contains_key(&event) {
        true => Ok(()),
        false => Err(Status::INVALID_HANDLE),
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> c_int {
    cuEventSynchronize(event)
}

/// Milliseconds from `start` to `end`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) -> c_int {
    with(|device| {
        let (Some(start), Some(end)) = (device.events.get(&start), device.events.get(&end)) else {
            return Err(Status::INVALID_HANDLE);
        };
        let (Some(from), Some(to), true) = (start.recorded, end.recorded, start.timed && end.timed) else {
            return device.refuse(
                Status::INVALID_HANDLE,
                "cuEventElapsedTime: an event was not recorded, or does not take times",
            );
        };
        let seconds =
            if to >= from { to.duration_since(from).as_secs_f64() } else { -from.duration_since(to).as_secs_f64() };
        // SAFETY: the caller's contract.
        unsafe { put(milliseconds, (seconds * 1e3) as f32) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: Handle, end: Handle) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cuEventElapsedTime(milliseconds, start, end) }
}
