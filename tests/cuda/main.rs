//! The CUDA kernels and networks against f64 references and the CPU, and the tool on a CUDA device.
//!
//! They run where `GRAPHPNAS_TEST_CUDA` is set, on device 0 of whatever libcuda the loader finds: a GPU's, or the emulated
//! device's (`.ci/run` puts it on LD_LIBRARY_PATH). Otherwise each says that it is skipped.

mod bytes;
mod device;
mod generator;
mod kernels;
mod memory;
mod network;
mod operators;
mod supernet;
mod support;
mod tool;
mod training;
