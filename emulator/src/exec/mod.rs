//! Running kernels: a warp executes one decoded instruction for all its lanes at a time; warps of a block take turns at barriers.

mod access;
mod atomics;
mod barriers;
mod block;
mod collective;
mod convert;
mod copies;
pub mod fault;
mod float;
mod half;
mod integer;
mod launch;
mod matrix;
mod rounding;
pub mod rows;
mod shared;
mod step;
mod warp;

pub use launch::{Checks, Launch, LaunchError, launch};
