//! The CPU: fused kernels over channel-blocked activations.
//!
//! [`Network`] runs a plan. Images are split into groups of fixed size; threads take groups, and what groups have summed
//! is added up in their order, so results do not depend on the number of threads.

mod activate;
pub mod bench;
mod depthwise;
pub(crate) mod gang;
mod gather;
mod gemm;
mod layout;
pub mod matrix;
mod moments;
mod network;
mod normalise;
mod ops;
mod optimise;
mod parameters;
mod peak;
mod program;
mod simd;
mod statistics;
mod sweep;
mod update;
mod windows;

pub use network::{Batch, BatchResult, Network, NetworkOptions, Section, Step};
pub(crate) use normalise::RUNNING_SHARE;
pub use peak::{copy_rate, fma_peak};
pub use simd::InstructionSet;
