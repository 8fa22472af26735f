//! The CPU.

pub mod matrix;
