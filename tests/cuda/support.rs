//! The device under test, and numbers for it.

use graphpnas_fast::device::cuda::Device;
use graphpnas_fast::random::{Purpose, Stream, StreamKey};
use rand::RngExt;
use std::io::Write;
use std::ops::Deref;
use std::sync::{Arc, Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held for reading by all tests, for writing by one that counts what the device does.
static IN_USE: RwLock<()> = RwLock::new(());

/// The device under test, for as long as a test has it.
pub struct Tested<G> {
    device: Arc<Device>,
    _in_use: G,
}

impl<G> Deref for Tested<G> {
    type Target = Arc<Device>;

    fn deref(&self) -> &Arc<Device> {
        &self.device
    }
}

/// The device, or `None` with a message where none is to be tested.
///
/// # Panics
/// If one is to be tested and cannot be opened.
pub fn device() -> Option<Tested<RwLockReadGuard<'static, ()>>> {
    let _in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    Some(Tested { device: open()?, _in_use })
}

/// The same, while no other test uses it.
pub fn device_alone() -> Option<Tested<RwLockWriteGuard<'static, ()>>> {
    let _in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
    Some(Tested { device: open()?, _in_use })
}

fn open() -> Option<Arc<Device>> {
    if std::env::var_os("GRAPHPNAS_TEST_CUDA").is_none() {
        static SAID: Once = Once::new();
        // Straight to stderr: the test harness swallows what passing tests print.
        let message = "skipped: the tests of the CUDA kernels, because GRAPHPNAS_TEST_CUDA is not set";
        SAID.call_once(|| drop(writeln!(std::io::stderr(), "{message}")));
        return None;
    }
    Some(Device::open(0).unwrap_or_else(|error| panic!("GRAPHPNAS_TEST_CUDA is set, but {error}")))
}

/// Numbers of about unit size from a seed.
pub struct Numbers(Stream);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(StreamKey { seed, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream())
    }

    /// About normally distributed.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.0.random::<f32>()).sum::<f32>() - 6.0
    }
}
