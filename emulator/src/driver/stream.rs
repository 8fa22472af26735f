//! Streams and their capture.

use std::{ffi::c_int, sync::Arc};

use super::{
    put,
    status::{Answer, Status},
    with,
};
use crate::device::{Capture, Device, Handle};

/// `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`; 0 is the default stream.
const BUILT_IN: [Handle; 3] = [0, 1, 2];

fn known(device: &Device, stream: Handle) -> Answer {
    if BUILT_IN.contains(&stream) || device.streams.contains_key(&stream) {
        Ok(())
    } else {
        Err(Status::INVALID_HANDLE)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: u32) -> c_int {
    with(|device| {
        let handle = device.handle();
        device.streams.insert(handle, Capture::None);
        // SAFETY: the caller's contract.
        unsafe { put(stream, handle) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut Handle, flags: u32, _priority: c_int) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { cuStreamCreate(stream, flags) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_int {
    with(|device| device.streams.remove(&stream).map(drop).ok_or(Status::INVALID_HANDLE))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> c_int {
    with(|device| {
        known(device, stream)?;
        match device.recorder(stream) {
            Some(_) => {
                device.refuse(Status::STREAM_CAPTURE_UNSUPPORTED, "cuStreamSynchronize: the stream is being captured")
            }
            None => Ok(()),
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> c_int {
    with(|device| known(device, stream))
}

/// Waiting for an event recorded in a capture makes the stream part of that capture.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> c_int {
    with(|device| {
        known(device, stream)?;
        let origin = device.events.get(&event).ok_or(Status::INVALID_HANDLE)?.capture;
        if let (Some(origin), None) = (origin, device.recorder(stream))
            && matches!(device.streams.get(&origin), Some(Capture::Recording(_)))
        {
            device.streams.insert(stream, Capture::Joined(origin));
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: Handle, _mode: c_int) -> c_int {
    with(|device| match device.streams.get_mut(&stream) {
        Some(capture @ Capture::None) => {
            *capture = Capture::Recording(Vec::new());
            Ok(())
        }
        Some(_) => Err(Status::ILLEGAL_STATE),
        None if BUILT_IN.contains(&stream) => device
            .refuse(Status::STREAM_CAPTURE_UNSUPPORTED, "cuStreamBeginCapture: the default stream cannot be captured"),
        None => Err(Status::INVALID_HANDLE),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) -> c_int {
    with(|device| {
        let capture = device.streams.get_mut(&stream).ok_or(Status::INVALID_HANDLE)?;
        let Capture::Recording(work) = std::mem::take(capture) else {
            return device.refuse(Status::ILLEGAL_STATE, "cuStreamEndCapture: the stream is not being captured");
        };
        for capture in device.streams.values_mut() {
            if matches!(capture, Capture::Joined(origin) if *origin == stream) {
                *capture = Capture::None;
            }
        }
        let handle = device.handle();
        device.graphs.insert(handle, Arc::new(work));
        // SAFETY: the caller's contract.
        unsafe { put(graph, handle) }
    })
}

/// `CU_STREAM_CAPTURE_STATUS_NONE` or `ACTIVE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: *mut c_int) -> c_int {
    with(|device| {
        known(device, stream)?;
        let capturing = device.recorder(stream).is_some();
        // SAFETY: the caller's contract.
        unsafe { put(status, capturing.into()) }
    })
}
