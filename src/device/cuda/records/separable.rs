//! Record of `kernels/separable.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, THREADS, Task, Work, product, slices};
use bytemuck::{Pod, Zeroable};

/// Neighbouring outputs that a thread computes.
const RUN: u32 = 4;

/// A depthwise convolution of stride 1 that keeps rows and columns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SeparableTask {
    /// `(images, height, width, channels)` values.
    pub input: u64,
    /// The same shape. [`SeparableWeight`]: gradient of the output, read.
    pub output: u64,
    /// `(size * size, channels)` parameters.
    pub weight: u64,
    /// `(groups, size * size, channels)` floats, written by [`SeparableWeight`].
    pub weight_gradients: u64,
    /// Images of the batch.
    pub images: u32,
    /// Padded channels.
    pub channels: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// 3 or 5.
    pub size: u32,
    /// 1: with the taps the other way round, which takes the output's gradient to the input's.
    pub flipped: u32,
    /// Pixels of a partial gradient of the weight.
    pub rows_per_group: u32,
    /// 0.
    pub reserved: u32,
}

impl SeparableTask {
    fn rows(&self) -> u64 {
        [self.images, self.height, self.width].into_iter().map(u64::from).product()
    }

    /// Partial gradients of the weight.
    pub fn groups(&self) -> u64 {
        self.rows().div_ceil(self.rows_per_group.into())
    }

    fn work_with(&self, floats: f64, lists: &Lists) -> Work {
        let elements = self.rows() as f64 * f64::from(self.channels);
        Work {
            bytes: 2.0 * elements * lists.storage.bytes() as f64 + 4.0 * floats,
            flops: 2.0 * elements * product([self.size, self.size]),
        }
    }
}

impl Task for SeparableTask {
    fn tiles(&self, storage: Storage) -> u64 {
        let vectors = u64::from(self.channels) / storage.vector() as u64;
        let lines = u64::from(self.images) * u64::from(self.height) * u64::from(self.width.div_ceil(RUN));
        (lines * vectors).div_ceil(THREADS as u64)
    }

    fn work(&self, lists: &Lists) -> Work {
        self.work_with(product([self.size, self.size, self.channels]), lists)
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let (extents, check) = (&lists.extents, Checker { record: "separable" });
        check.channels(self.channels)?;
        if ![3, 5].contains(&self.size) {
            let (offset, length, extent) = (self.size.into(), 0, 5);
            return Err(BadTask { record: "separable", what: "size, 3 or 5,", offset, length, extent });
        }
        let elements = self.rows() * u64::from(self.channels);
        check.region("input", self.input, elements, extents.values)?;
        check.region("output", self.output, elements, extents.values)?;
        let weights = u64::from(self.size) * u64::from(self.size) * u64::from(self.channels);
        check.region("weight", self.weight, weights, extents.parameters)?;
        check.region("weight's gradients", self.weight_gradients, self.groups() * weights, extents.floats)
    }
}

/// The same task, for the gradient of the weight.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SeparableWeight(pub SeparableTask);

impl Task for SeparableWeight {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.groups() * slices(self.0.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let partials = self.0.groups() as f64 * product([self.0.size, self.0.size, self.0.channels]);
        self.0.work_with(partials, lists)
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check(lists)
    }
}
