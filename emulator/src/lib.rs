//! An emulated CUDA device for tests.
//!
//! Built as `libcuda.so`, it answers the driver calls of a program that knows nothing of it, takes the PTX out of the image the program loads
//! and runs every instruction on the CPU, checking each memory access, barrier and warp-wide instruction on the way. What it refuses, it refuses as
//! a device does, with an error that stays; what exactly was wrong is on standard error and in `emulator_last_error`. It counts what a profiler
//! would count, the same on every run. See the README beside this crate.
//!
//! The layers, each knowing only those before it: [`ptx`] reads text, [`program`] is the typed form, `lower` makes the one into the other, `exec`
//! runs it on [`memory`], `device` holds the state of the emulated machine and `driver` is the C interface.

mod config;
pub mod counters;
mod device;
mod driver;
pub mod exec;
mod fatbin;
pub mod lower;
pub mod memory;
pub mod program;
pub mod ptx;

pub use driver::*;

pub(crate) use exec::rows::lanes;
