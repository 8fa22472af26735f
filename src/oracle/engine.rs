//! Where networks are trained and evaluated.

use crate::config::{DeviceChoice, Precision};
use crate::device::cuda::{CudaError, Device, Network, NetworkOptions, Storage, driver_is_emulated};
use crate::net::Plan;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Share of the device's free memory that a batch of networks may take; tables and captured steps need some, too.
const SHARE_OF_MEMORY: f64 = 0.85;

/// Set where tests want `auto` to take the emulated device.
const TEST: &str = "GRAPHPNAS_TEST_CUDA";

/// A device that is ready to train networks.
#[derive(Clone)]
pub enum Engine {
    /// The CPU; a network has so many threads, which change no result.
    Cpu {
        /// At least 1.
        threads: usize,
    },
    /// A CUDA device that has passed its self-test.
    Cuda(Arc<CudaEngine>),
}

/// A CUDA device for one batch of networks at a time.
pub struct CudaEngine {
    device: Arc<Device>,
    storage: Storage,
    in_use: Mutex<()>,
}

impl Engine {
    /// Opens the device of a configuration and lets it pass its self-test, and `also` what else runs on it. `auto` falls back to
    /// the CPU; the text says why, unless there just is no CUDA here. The tests' emulated device counts as none.
    ///
    /// # Errors
    /// An explicit CUDA device that cannot be used.
    pub fn open(
        choice: DeviceChoice,
        precision: Precision,
        threads: usize,
        also: impl Fn(&Arc<Device>) -> Result<(), CudaError>,
    ) -> Result<(Engine, Option<String>), CudaError> {
        let cpu = Engine::Cpu { threads };
        let number = match choice {
            DeviceChoice::Cpu => return Ok((cpu, None)),
            // Cargo lets the programs that it runs find the emulated driver, once that is built.
            DeviceChoice::Auto if driver_is_emulated() && std::env::var_os(TEST).is_none() => return Ok((cpu, None)),
            DeviceChoice::Auto => 0,
            DeviceChoice::Cuda(number) => number,
        };
        let opened = CudaEngine::open(number as usize, storage_of(precision));
        match opened.and_then(|engine| also(&engine.device).map(|()| engine)) {
            Ok(engine) => Ok((Engine::Cuda(Arc::new(engine)), None)),
            Err(error) if choice != DeviceChoice::Auto => Err(error),
            Err(CudaError::NoKernels | CudaError::NoDriver | CudaError::NoDevice { .. }) => Ok((cpu, None)),
            Err(error) => Ok((cpu, Some(format!("the CPU is used: {error}")))),
        }
    }
}

impl Engine {
    /// The CUDA device, if it is one.
    pub fn device(&self) -> Option<&Arc<Device>> {
        match self {
            Engine::Cpu { .. } => None,
            Engine::Cuda(engine) => Some(&engine.device),
        }
    }
}

fn storage_of(precision: Precision) -> Storage {
    match precision {
        Precision::F32 => Storage::F32,
        Precision::F16 => Storage::F16,
        Precision::Bf16 => Storage::Bf16,
    }
}

impl CudaEngine {
    fn open(number: usize, storage: Storage) -> Result<Self, CudaError> {
        let device = Device::open(number)?;
        device.self_test(storage)?;
        Ok(CudaEngine { device, storage, in_use: Mutex::new(()) })
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Format of values.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Waits until no other networks are on the device, and keeps them away.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        // A thread that panicked leaves nothing half done: its networks are gone with it.
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of these networks, taken from the front, the device's free memory holds together: halved until they fit,
    /// at least 1.
    ///
    /// # Errors
    /// The driver's; a plan that the kernels do not run.
    pub(super) fn fitting(&self, plans: &[Plan], batch: usize) -> Result<usize, CudaError> {
        let (free, _) = self.device.memory()?;
        let limit = (free as f64 * SHARE_OF_MEMORY) as usize;
        let options = NetworkOptions { batch, storage: self.storage };
        let mut count = plans.len();
        while count > 1 && Network::bytes(&plans[..count], options)? > limit {
            count = count.div_ceil(2);
        }
        Ok(count)
    }
}
