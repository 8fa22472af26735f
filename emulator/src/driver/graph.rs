//! Graphs: the recorded work of a capture, run again in the order in which it was recorded.

use std::{ffi::c_int, sync::Arc};

use super::{put, status::Status, with};
use crate::device::Handle;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, _flags: u64) -> c_int {
    with(|device| {
        let work = Arc::clone(device.graphs.get(&graph).ok_or(Status::INVALID_HANDLE)?);
        let handle = device.handle();
        device.graphs.insert(handle, work);
        // SAFETY: the caller's contract.
        unsafe { put(executable, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphUpload(executable: Handle, _stream: Handle) -> c_int {
    with(|device| if device.graphs.contains_key(&executable) { Ok(()) } else { Err(Status::INVALID_HANDLE) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> c_int {
    with(|device| {
        let work = Arc::clone(device.graphs.get(&executable).ok_or(Status::INVALID_HANDLE)?);
        work.iter().try_for_each(|work| device.submit(stream, work.clone()))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(executable: Handle) -> c_int {
    cuGraphDestroy(executable)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> c_int {
    with(|device| device.graphs.remove(&graph).map(drop).ok_or(Status::INVALID_HANDLE))
}

/// Counts the nodes of a graph; the nodes themselves are not handed out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetNodes(graph: Handle, nodes: *mut Handle, count: *mut usize) -> c_int {
    with(|device| {
        let length = device.graphs.get(&graph).ok_or(Status::INVALID_HANDLE)?.len();
        if !nodes.is_null() {
            return Err(Status::NOT_SUPPORTED);
        }
        // SAFETY: the caller's contract.
        unsafe { put(count, length) }
    })
}
