//! How many networks are run together on a CUDA device.

use super::OracleError;
use super::engine::CudaEngine;
use crate::device::cuda::Network;
use crate::net::Plan;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What became of each network; `None`: stopped.
type Ran<T> = Result<Option<Vec<T>>, OracleError>;

/// As many as is configured, or as the device's memory holds.
pub(super) struct Together {
    configured: Option<usize>,
    /// What running out of memory has shown to be too many.
    too_many: AtomicUsize,
}

impl Together {
    /// `configured` 0: what the memory allows.
    pub(super) fn new(configured: usize) -> Self {
        Together { configured: Some(configured).filter(|&most| most > 0), too_many: AtomicUsize::new(usize::MAX) }
    }

    /// How many of these networks, from the first on, are best run together on batches of so many images.
    pub(super) fn count(&self, engine: &CudaEngine, plans: impl Iterator<Item = Plan>, batch: usize) -> usize {
        let most = self.configured.unwrap_or(usize::MAX).min(self.too_many.load(Ordering::Relaxed).div_ceil(2));
        let mut plans: Vec<Plan> = plans.take(most).collect();
        if let Some((first, others)) = plans.split_first() {
            let together = 1 + others.iter().take_while(|other| Network::go_together(first, other)).count();
            plans.truncate(together);
        }
        if self.configured.is_some() {
            return plans.len();
        }
        // What the driver has against it, running them will say.
        engine.fitting(&plans, batch).unwrap_or(1)
    }

    /// Runs networks together, in halves where the device has not the memory for all. `None`: stopped.
    ///
    /// # Errors
    /// Those of `run`.
    pub(super) fn run<M, T>(&self, members: &[M], run: &dyn Fn(&[M]) -> Ran<T>) -> Ran<T> {
        match run(members) {
            Err(OracleError::Device(error)) if error.is_out_of_memory() && members.len() > 1 => {
                self.too_many.fetch_min(members.len(), Ordering::Relaxed);
                let (first, second) = members.split_at(members.len().div_ceil(2));
                let Some(mut all) = self.run(first, run)? else { return Ok(None) };
                let Some(rest) = self.run(second, run)? else { return Ok(None) };
                all.extend(rest);
                Ok(Some(all))
            }
            other => other,
        }
    }
}
