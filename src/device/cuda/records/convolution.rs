//! Record of `kernels/convolution.cu`: one layout, three uses.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, MOMENT_ROWS, Task, Work};
use bytemuck::{Pod, Zeroable};

/// Rows and columns of a block of a result.
const BLOCK: u64 = 64;

/// A dense convolution with all its operands.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ConvolutionTask {
    /// `(images, in height, in width, in channels)` values.
    pub input: u64,
    /// The same shape: its gradient, which may lie where the input does.
    pub gradient: u64,
    /// `(images, height, width, channels)` values, written by the forward.
    pub output: u64,
    /// The same shape: its gradient.
    pub output_gradient: u64,
    /// `(channels, size * size, in channels)` parameters.
    pub weight: u64,
    /// `(splits, channels, size * size, in channels)` floats.
    pub weight_gradients: u64,
    /// `(tiles of rows, 2, channels)` floats, or [`NONE`](super::NONE).
    pub moments: u64,
    /// Images of the batch.
    pub images: u32,
    /// Padded channels of the input.
    pub in_channels: u32,
    /// Rows of the input.
    pub in_height: u32,
    /// Columns of the input.
    pub in_width: u32,
    /// Padded channels of the output.
    pub channels: u32,
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
    /// Pixels of the output that each partial gradient of the weight holds.
    pub split: u32,
    /// 0.
    pub reserved: u32,
}

impl ConvolutionTask {
    /// Pixels of the output in all images.
    pub fn rows(&self) -> u64 {
        [self.images, self.height, self.width].into_iter().map(u64::from).product()
    }

    /// Pixels of the input in all images.
    pub fn in_rows(&self) -> u64 {
        [self.images, self.in_height, self.in_width].into_iter().map(u64::from).product()
    }

    /// Columns of the weight.
    pub fn columns(&self) -> u64 {
        u64::from(self.size) * u64::from(self.size) * u64::from(self.in_channels)
    }

    /// Partial gradients of the weight.
    pub fn splits(&self) -> u64 {
        self.rows().div_ceil(self.split.into())
    }

    fn check(&self, record: &'static str, lists: &Lists) -> Result<(), BadTask> {
        let (extents, check) = (&lists.extents, Checker { record });
        check.channels(self.in_channels)?;
        check.channels(self.channels)?;
        let (inputs, outputs) = (self.in_rows() * u64::from(self.in_channels), self.rows() * u64::from(self.channels));
        check.region("input", self.input, inputs, extents.values)?;
        check.region("gradient", self.gradient, inputs, extents.values)?;
        check.region("output", self.output, outputs, extents.values)?;
        check.region("output's gradient", self.output_gradient, outputs, extents.values)?;
        let weights = u64::from(self.channels) * self.columns();
        check.region("weight", self.weight, weights, extents.parameters)?;
        check.region("weight's gradients", self.weight_gradients, self.splits() * weights, extents.floats)?;
        check.optional("moments", self.moments, self.moment_floats(), extents.floats)
    }

    /// Floats of the moments.
    pub fn moment_floats(&self) -> u64 {
        self.rows().div_ceil(MOMENT_ROWS.into()) * 2 * u64::from(self.channels)
    }

    /// Pixels of the input that windows lie on: windows smaller than their stride leave some out.
    fn rows_read(&self) -> u64 {
        self.in_rows().min(self.rows() * u64::from(self.size) * u64::from(self.size))
    }

    /// With so many pixels of the input, and so many bytes a weight.
    fn work_of(&self, lists: &Lists, in_rows: u64, (weight_bytes, moments): (u64, bool)) -> Work {
        let weights = u64::from(self.channels) * self.columns();
        let values = in_rows * u64::from(self.in_channels) + self.rows() * u64::from(self.channels);
        let floats = if moments { 4 * self.moment_floats() } else { 0 };
        Work {
            bytes: (values * lists.storage.bytes() as u64 + weights * weight_bytes + floats) as f64,
            flops: 2.0 * self.rows() as f64 * weights as f64,
        }
    }
}

fn blocks(rows: u64, columns: u64) -> u64 {
    rows.div_ceil(BLOCK) * columns.div_ceil(BLOCK)
}

/// Forward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Convolution(pub ConvolutionTask);

impl Task for Convolution {
    fn tiles(&self, _: Storage) -> u64 {
        blocks(self.0.rows(), self.0.channels.into())
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of(lists, self.0.rows_read(), (lists.storage.bytes() as u64, self.0.moments != super::NONE))
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check("convolution", lists)
    }
}

/// Gradient of the input.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ConvolutionInput(pub ConvolutionTask);

impl Task for ConvolutionInput {
    fn tiles(&self, _: Storage) -> u64 {
        blocks(self.0.in_rows(), self.0.in_channels.into())
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of(lists, self.0.in_rows(), (lists.storage.bytes() as u64, false))
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check("convolution's input gradient", lists)
    }
}

/// Gradient of the weight, to partial sums.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ConvolutionWeight(pub ConvolutionTask);

impl Task for ConvolutionWeight {
    fn tiles(&self, _: Storage) -> u64 {
        blocks(self.0.channels.into(), self.0.columns()) * self.0.splits()
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of(lists, self.0.rows_read(), (4 * self.0.splits(), false))
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check("convolution's weight gradient", lists)
    }
}
