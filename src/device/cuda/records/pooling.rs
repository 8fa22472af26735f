//! Record of `kernels/pooling.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, NONE, THREADS, Task, Work, product};
use bytemuck::{Pod, Zeroable};

/// Average or max pooling.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct PoolingTask {
    /// `(images, in height, in width, channels)` values.
    pub input: u64,
    /// `(images, height, width, channels)` values.
    pub output: u64,
    /// The same shape: which of a window is the largest; [`NONE`]: the average is taken.
    pub chosen: u64,
    /// Gradient of the input, which may lie where the input does.
    pub gradient: u64,
    /// Gradient of the output.
    pub output_gradient: u64,
    /// Images of the batch.
    pub images: u32,
    /// Padded channels.
    pub channels: u32,
    /// Rows of the input.
    pub in_height: u32,
    /// Columns of the input.
    pub in_width: u32,
    /// Rows of the output.
    pub height: u32,
    /// Columns of the output.
    pub width: u32,
    /// Rows and columns of a window.
    pub size: u32,
    /// 1 or 2.
    pub stride: u32,
    /// How far all windows are moved.
    pub shift: u32,
    /// 0.
    pub reserved: u32,
}

impl PoolingTask {
    /// Elements of the input and of the output.
    fn sizes(&self) -> [u64; 2] {
        let of =
            |height: u32, width: u32| [self.images, height, width, self.channels].into_iter().map(u64::from).product();
        [of(self.in_height, self.in_width), of(self.height, self.width)]
    }
}

impl Task for PoolingTask {
    fn tiles(&self, storage: Storage) -> u64 {
        (self.sizes()[1] / storage.vector() as u64).div_ceil(THREADS as u64)
    }

    fn work(&self, lists: &Lists) -> Work {
        let [inputs, outputs] = self.sizes();
        let values = inputs + outputs * if self.chosen == NONE { 1 } else { 2 };
        Work {
            bytes: values as f64 * lists.storage.bytes() as f64,
            flops: outputs as f64 * product([self.size, self.size]),
        }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let (values, check, [inputs, outputs]) = (lists.extents.values, Checker { record: "pooling" }, self.sizes());
        check.channels(self.channels)?;
        check.region("input", self.input, inputs, values)?;
        check.region("gradient", self.gradient, inputs, values)?;
        check.region("output", self.output, outputs, values)?;
        check.region("output's gradient", self.output_gradient, outputs, values)?;
        check.optional("places of the largest", self.chosen, outputs, values)
    }
}

/// The same task, for the backward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct PoolingBackward(pub PoolingTask);

impl Task for PoolingBackward {
    fn tiles(&self, storage: Storage) -> u64 {
        (self.0.sizes()[0] / storage.vector() as u64).div_ceil(THREADS as u64)
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work(lists)
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check(lists)
    }
}
