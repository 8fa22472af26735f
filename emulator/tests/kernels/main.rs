//! Kernels run on the emulator below the driver interface.

mod common;
mod instructions;
mod seeded_bugs;
mod vectors;
