//! Devices run plans. All `unsafe` of the project lives below this module.

pub mod cpu;
pub mod cuda;
mod mapping;
pub mod reference;

pub use mapping::Mapping;
