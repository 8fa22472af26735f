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
    /// Of SGD.
    pub momentum: f32,
    /// L2 penalty.
    pub weight_decay: f32,
    /// Share of the target spread over all classes.
    pub label_smoothing: f32,
    /// What all gradients are multiplied with until the optimiser divides by it: f16 has no small numbers.
    pub loss_scale: f32,
    /// Longest gradient of a network; 0: none is clipped.
    pub gradient_clip: f32,
    /// 1: the momentum is Nesterov's.
    pub nesterov: u32,
    /// 0.
    pub reserved: u32,
}

/// One tensor for the optimiser.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TensorTask {
    /// In the arenas of parameters, momentum, gradients and weights.
    pub offset: u64,
    /// `(splits, floats)` floats.
    pub partials: u64,
    /// `(tiles)` floats: sums of squares of the gradient, where gradients are clipped.
    pub squares: u64,
    /// One float of the network: what its gradient is multiplied with, where gradients are clipped.
    pub factor: u64,
    /// Elements.
    pub floats: u32,
    /// Partial sums; 0: the gradient is in the arena of gradients.
    pub splits: u32,
}

/// Elements of a tile of a tensor.
const TILE: u64 = 4 * THREADS as u64;

impl TensorTask {
    /// Tiles of a tensor of so many elements.
    pub fn tiles_of(floats: usize) -> usize {
        floats.div_ceil(TILE as usize)
    }
}

impl Task for TensorTask {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.floats).div_ceil(TILE)
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
        check.numbers("squares of the gradient", self.squares, self.tiles(lists.storage), extents.floats)?;
        check.numbers("factor of the gradient", self.factor, 1, extents.floats)?;
        match self.splits {
            0 => Ok(()),
            splits => {
                let floats = u64::from(splits) * u64::from(self.floats);
                check.region("partial gradients", self.partials, floats, extents.floats)
            }
        }
    }
}

/// The same, for the squares of a gradient that is to be clipped.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SquareTask(pub TensorTask);

impl Task for SquareTask {
    fn tiles(&self, storage: Storage) -> u64 {
        self.0.tiles(storage)
    }

    fn work(&self, _: &Lists) -> Work {
        let TensorTask { floats, splits, .. } = self.0;
        Work { bytes: product([4 * (splits.max(1) + 1), floats]), flops: product([2 + splits, floats]) }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check(lists)
    }
}

/// A network whose gradient is clipped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ClipTask {
    /// `(count)` floats: the squares of all its tensors.
    pub squares: u64,
    /// Where its factor goes.
    pub factor: u64,
    /// Tiles of all its tensors.
    pub count: u32,
    /// 0.
    pub reserved: u32,
}

impl Task for ClipTask {
    fn tiles(&self, _: Storage) -> u64 {
        1
    }

    fn work(&self, _: &Lists) -> Work {
        Work { bytes: product([4, self.count]), flops: f64::from(self.count) }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let check = Checker { record: "clipped network" };
        check.numbers("squares of the gradient", self.squares, self.count.into(), lists.extents.floats)?;
        check.numbers("factor of the gradient", self.factor, 1, lists.extents.floats)
    }
}
