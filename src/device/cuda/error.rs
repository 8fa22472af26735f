//! What can go wrong with a CUDA device.

use super::records::BadTask;
use super::storage::Storage;
use cudarc::driver::{DriverError, sys};
use thiserror::Error;

/// Why something could not be done on a CUDA device.
#[derive(Debug, Error)]
pub enum CudaError {
    /// No kernels in this binary.
    #[error("this binary has no CUDA kernels: nvcc was not found when it was built")]
    NoKernels,
    /// No driver on this machine.
    #[error("no NVIDIA driver on this machine: libcuda could not be loaded")]
    NoDriver,
    /// No device, or none of that number.
    #[error("no CUDA device {ordinal}: the driver reports {count}")]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// Devices there are.
        count: usize,
    },
    /// The driver refuses the kernels' image.
    #[error("the NVIDIA driver (CUDA {}.{}) does not take the kernels in {image}: it needs an update, or the device is older than compute capability 8.0", version / 1000, version % 1000 / 10)]
    ImageRefused {
        /// The file of kernels.
        image: &'static str,
        /// CUDA's version that the driver supports, 1000 * major + 10 * minor.
        version: i32,
    },
    /// A kernel that the images do not have.
    #[error("no kernel {0} in this binary")]
    NoKernel(String),
    /// Not enough memory on the device. Fewer candidates at a time may fit.
    #[error("the CUDA device has not {bytes} bytes left")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
    },
    /// A plan with something that the kernels do not do.
    #[error("a plan that the CUDA kernels do not run: {0}")]
    Plan(String),
    /// Networks of one batch that differ in what they must share.
    #[error("a batch of networks with {what} {first} and {other}: they must be equal")]
    Batch {
        /// What differs.
        what: &'static str,
        /// That of the first network.
        first: usize,
        /// That of another.
        other: usize,
    },
    /// A record that points outside the memory it is for.
    #[error(transparent)]
    Task(#[from] BadTask),
    /// A launch with memory shorter than its records were made for.
    #[error("{kernel}: {what} has {length} elements, {needed} needed")]
    Short {
        /// The kernel.
        kernel: &'static str,
        /// Which memory.
        what: &'static str,
        /// Its length.
        length: usize,
        /// What the records need.
        needed: usize,
    },
    /// The self-test found other numbers than the CPU's.
    #[error(
        "the CUDA device computes wrong numbers in {storage}: {what} is {distance:.1e} away from the CPU's, at most {bound:.0e} is allowed"
    )]
    SelfTest {
        /// Format of the values.
        storage: Storage,
        /// What differs.
        what: String,
        /// By how much, relative.
        distance: f64,
        /// By how much it may.
        bound: f64,
    },
    /// Anything else the driver reports.
    #[error("CUDA: {what}: {source}")]
    Driver {
        /// What was being done.
        what: &'static str,
        /// The driver's answer.
        source: DriverError,
    },
}

impl CudaError {
    /// Whether less at a time may help.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            CudaError::OutOfMemory { .. } => true,
            CudaError::Driver { source, .. } => source.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY,
            _ => false,
        }
    }

    /// For `map_err`: what was being done when the driver failed.
    pub(super) fn during(what: &'static str) -> impl Fn(DriverError) -> CudaError {
        move |source| CudaError::Driver { what, source }
    }

    /// For `map_err` of an allocation.
    pub(super) fn allocating(bytes: usize) -> impl Fn(DriverError) -> CudaError {
        move |source| match source.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfMemory { bytes },
            _ => CudaError::Driver { what: "allocating memory", source },
        }
    }
}
