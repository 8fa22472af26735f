//! Records of `kernels/optimise.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, THREADS, Task, Work, product};
use bytemuck::{Pod, Zeroable};

/// What changes from step to step.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Settings {
    /// Of SGD.
    pub learning_rate: f32,
    /// Of SGD, without Nesterov.
    pub momentum: f32,
    /// L2 penalty.
    pub weight_decay: f32,
    /// Share of the target spread over all classes.
    pub label_smoothing: f32,
    /// What all gradients are multiplied with until the optimiser divides by it: f16 has no small numbers.
    pub loss_scale: f32,
    /// 0.
    pub reserved: [f32; 3],
}

/// One tensor for the optimiser.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TensorTask {
    /// In the arenas of parameters, momentum, gradients and weights.
    pub offset: u64,
    /// `(splits, floats)` floats.
    pub partials: u64,
    /// Elements.
    pub floats: u32,
    /// Partial sums; 0: the gradient is in the arena of gradients.
    pub splits: u32,
}

impl Task for TensorTask {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.floats).div_ceil(4 * THREADS as u64)
    }

    fn work(&self, lists: &Lists) -> Work {
        let rounded = if lists.storage == Storage::F32 { 0 } else { lists.storage.bytes() };
        // Parameter and momentum read and written; the gradient written and, without partial sums, read.
        let bytes = 16 + 4 * (self.splits as usize).max(1) + 4 + rounded;
        Work { bytes: bytes as f64 * f64::from(self.floats), flops: product([4 + self.splits, self.floats]) }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "tensor" };
        check.channels(self.floats)?;
        check.region("tensor", self.offset, u64::from(self.floats), extents.parameters)?;
        match self.splits {
            0 => Ok(()),
            splits => {
                let floats = u64::from(splits) * u64::from(self.floats);
                check.region("partial gradients", self.partials, floats, extents.floats)
            }
        }
    }
}
