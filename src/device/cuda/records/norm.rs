//! Records of `kernels/normalise.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, NONE, Task, Work, product, slices};
use bytemuck::{Pod, Zeroable};

/// A gather that reads an output.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Reader {
    /// `(2, channels)` floats, written: weight * (scale, shift).
    pub coefficients: u64,
    /// Parameter whose sigmoid is the weight, or [`NONE`].
    pub logit: u64,
    /// The weight where there is no logit.
    pub weight: f32,
    /// 0.
    pub reserved: u32,
}

/// An output's batch norm, and all gathers that read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct NormTask {
    /// `(tiles of rows, 2, channels)` floats.
    pub moments: u64,
    /// `(4, channels)` floats, written: scale, shift, mean, 1 / deviation.
    pub norm: u64,
    /// `(channels)` parameters; [`NONE`]: there is no batch norm.
    pub gamma: u64,
    /// `(channels)` parameters.
    pub beta: u64,
    /// `(channels)` parameters.
    pub running_mean: u64,
    /// `(channels)` parameters.
    pub running_variance: u64,
    /// Pixels of all images.
    pub rows: u32,
    /// Rows of a tile of moments.
    pub rows_per_tile: u32,
    /// Padded channels.
    pub channels: u32,
    /// In the list of readers.
    pub first_reader: u32,
    /// How many.
    pub readers: u32,
    /// 0.
    pub reserved: u32,
}

impl Task for NormTask {
    fn tiles(&self, _: Storage) -> u64 {
        slices(self.channels)
    }

    fn work(&self, _: &Lists) -> Work {
        let vectors = 2 * self.rows.div_ceil(self.rows_per_tile) + 4 + 6 + 2 * self.readers;
        Work { bytes: 4.0 * product([vectors, self.channels]), flops: product([vectors, self.channels]) }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "batch norm" };
        check.channels(self.channels)?;
        for reader in check.list("readers", self.first_reader, self.readers, &lists.readers)? {
            let floats = 2 * u64::from(self.channels);
            check.region("reader's coefficients", reader.coefficients, floats, extents.floats)?;
            check.logit(reader.logit, extents)?;
        }
        if self.gamma == NONE {
            return Ok(());
        }
        let channels = u64::from(self.channels);
        let tiles = u64::from(self.rows.div_ceil(self.rows_per_tile));
        check.region("moments", self.moments, tiles * 2 * channels, extents.floats)?;
        check.region("norm", self.norm, 4 * channels, extents.floats)?;
        for (what, offset) in [("gamma", self.gamma), ("beta", self.beta)] {
            check.region(what, offset, channels, extents.parameters)?;
        }
        check.region("running mean", self.running_mean, channels, extents.parameters)?;
        check.region("running variance", self.running_variance, channels, extents.parameters)
    }
}

/// A gather that read an output, in the backward.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Consumer {
    /// `(groups, stride)` floats: channel sums of its gradient.
    pub sums: u64,
    /// The same of the gradient times the output.
    pub products: u64,
    /// `(2, channels)` floats, written: its gradient's coefficients in the gather that forms the output's.
    pub coefficients: u64,
    /// Parameter whose sigmoid is the weight, or [`NONE`].
    pub logit: u64,
    /// Partial sums.
    pub groups: u32,
    /// Floats from one to the next.
    pub stride: u32,
    /// The weight where there is no logit.
    pub weight: f32,
    /// 0.
    pub reserved: u32,
}

/// The backward of an output's batch norm.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct GradientTask {
    /// `(4, channels)` floats.
    pub norm: u64,
    /// `(channels)` parameters; [`NONE`]: there is no batch norm.
    pub gamma: u64,
    /// `(channels)` parameters.
    pub beta: u64,
    /// `(2, channels)` floats, written: coefficients of the raw output in its own gradient.
    pub own: u64,
    /// Pixels of all images.
    pub rows: u32,
    /// Padded channels.
    pub channels: u32,
    /// In the list of consumers.
    pub first_consumer: u32,
    /// How many.
    pub consumers: u32,
}

impl Task for GradientTask {
    fn tiles(&self, _: Storage) -> u64 {
        1
    }

    fn work(&self, lists: &Lists) -> Work {
        let consumers = lists.consumers.iter().skip(self.first_consumer as usize).take(self.consumers as usize);
        let vectors = 4 + 2 + 4 + consumers.map(|consumer| 2 * consumer.groups + 2).sum::<u32>();
        Work { bytes: 4.0 * product([vectors, self.channels]), flops: product([vectors, self.channels]) }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "output gradient" };
        check.channels(self.channels)?;
        let channels = u64::from(self.channels);
        for consumer in check.list("consumers", self.first_consumer, self.consumers, &lists.consumers)? {
            let groups = u64::from(consumer.groups.max(1) - 1) * u64::from(consumer.stride) + channels;
            check.region("consumer's sums", consumer.sums, groups, extents.floats)?;
            check.region("consumer's products", consumer.products, groups, extents.floats)?;
            check.region("consumer's coefficients", consumer.coefficients, 2 * channels, extents.floats)?;
            check.logit(consumer.logit, extents)?;
        }
        if self.gamma == NONE {
            return Ok(());
        }
        check.region("norm", self.norm, 4 * channels, extents.floats)?;
        check.region("own coefficients", self.own, 2 * channels, extents.floats)?;
        check.region("gamma", self.gamma, channels, extents.parameters)?;
        check.region("beta", self.beta, channels, extents.parameters)
    }
}
