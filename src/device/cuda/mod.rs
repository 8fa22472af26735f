//! CUDA: the same plans as on the CPU, for a batch of candidates at a time.
//!
//! | layer | file | what it does |
//! |---|---|---|
//! | device | `device.rs` | finds the driver, opens a device, loads the images that `build.rs` compiled |
//! | records | `records/` | what the kernels read: one record for each task, checked against the arenas |
//! | launches | `launch.rs` | one typed launch for each kernel |
//! | program | `program/` | where everything of a batch of candidates lies, and which level it belongs to |
//! | schedule | `schedule/` | the launches of a step: as many for one candidate as for many of equal depth |
//! | images | `images.rs` | data sets that stay on a device, and the batches of a step |
//! | network | `network.rs` | loads weights, trains, evaluates |
//! | supernet | `network/supernet.rs` | parameters that networks share, one of which is trained in a step |
//! | self-test | `self_test.rs` | runs every kernel before a device is used, against the CPU |
//! | generator | `generator/` | the graph generator: fits and draws |
//!
//! Values are NHWC with channels padded to a multiple of 8, in f32, f16 or bf16; everything else is f32. No kernel adds
//! with atomics: results are the same from run to run.

mod device;
mod error;
pub mod generator;
mod images;
pub mod launch;
mod network;
mod parameters;
mod program;
pub mod records;
mod schedule;
mod self_test;
mod storage;

pub use device::{Buffer, Device, KernelTime, architectures, driver_is_emulated, has_kernels};
pub use error::CudaError;
pub use images::{Batches, ResidentBatch, ResidentImages};
pub use network::{Network, NetworkOptions, Step, Supernet};
pub use storage::Storage;
