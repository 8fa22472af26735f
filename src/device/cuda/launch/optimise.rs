//! Launches of the optimiser.

use super::super::error::CudaError;
use super::super::records::{ClipTask, SquareTask, THREADS, Table, TensorTask, Work};
use super::super::storage::Storage;
use super::Argument::{Memory, U64};
use super::{Arenas, Call, Kernel};

impl Kernel {
    const SGD: Kernel = Kernel { image: "optimise", name: "sgd" };
    const SQUARE_GRADIENTS: Kernel = Kernel { image: "optimise", name: "square_gradients" };
    const CLIP_GRADIENTS: Kernel = Kernel { image: "optimise", name: "clip_gradients" };
    const ROUND: Kernel = Kernel { image: "optimise", name: "round" };
}

impl Arenas {
    /// SGD with momentum on all tensors. Where the settings clip gradients, [`square_gradients`](Self::square_gradients) and
    /// [`clip_gradients`](Self::clip_gradients) come before.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn sgd(&self, table: &Table<TensorTask>) -> Result<(), CudaError> {
        self.call(Kernel::SGD, table)?.run(&[
            Memory(self.settings.memory()),
            Memory(self.floats.memory()),
            Memory(self.parameters.memory()),
            Memory(self.momentum.memory()),
            Memory(self.gradients.memory()),
            Memory(self.weights.memory()),
        ])
    }

    /// Whole gradients of all tensors, and the sums of their squares.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn square_gradients(&self, table: &Table<SquareTask>) -> Result<(), CudaError> {
        self.plain(Kernel::SQUARE_GRADIENTS, table)?.run(&[
            Memory(self.settings.memory()),
            Memory(self.floats.memory()),
            Memory(self.gradients.memory()),
        ])
    }

    /// What every network's gradient is multiplied with, so that it is no longer than the settings allow.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn clip_gradients(&self, table: &Table<ClipTask>) -> Result<(), CudaError> {
        self.plain(Kernel::CLIP_GRADIENTS, table)?.run(&[Memory(self.settings.memory()), Memory(self.floats.memory())])
    }

    /// Rounds the parameters to the weights that products multiply with.
    ///
    /// # Errors
    /// The driver's.
    pub fn round(&self) -> Result<(), CudaError> {
        if self.storage == Storage::F32 {
            return Ok(());
        }
        let floats = self.parameters.length();
        let (kernel, storage) = (Kernel::ROUND, Some(self.storage));
        let needed = floats * self.storage.bytes();
        if self.weights.length() < needed {
            return Err(CudaError::Short {
                kernel: kernel.name,
                what: "weights",
                length: self.weights.length(),
                needed,
            });
        }
        let blocks = floats.div_ceil(4 * THREADS);
        let work = Work { bytes: (floats * (4 + self.storage.bytes())) as f64, flops: 0.0 };
        Call { device: self.device(), kernel, storage, blocks, threads: THREADS, table: None, work }.run(&[
            Memory(self.parameters.memory()),
            Memory(self.weights.memory()),
            U64(&(floats as u64)),
        ])
    }
}
