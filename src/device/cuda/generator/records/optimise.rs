//! Records of `kernels/adam.cu`.

use super::super::batch::{Capacity, Lists};
use super::{Part, Record, TableRecord, counted, part, rows};
use crate::device::cuda::records::THREADS;
use bytemuck::{Pod, Zeroable};

/// A sum of partial gradients, see `kernels/adam.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct SumTask {
    /// Of the first split.
    pub partials: u64,
    /// The sum.
    pub gradient: u64,
    /// Elements.
    pub floats: u32,
    /// Elements from split to split.
    pub stride: u32,
    /// The [`Count`] that is split.
    pub live: u32,
    /// The most of it.
    pub most: u32,
    /// Length of a split.
    pub split: u32,
    /// Columns of a row.
    pub columns: u32,
    /// Columns with a gradient.
    pub used: u32,
    /// 0.
    pub reserved: u32,
}

impl TableRecord for SumTask {
    fn blocks(&self) -> u64 {
        u64::from(self.floats).div_ceil(4 * THREADS as u64)
    }

    fn parts(&self) -> Vec<Part> {
        let splits = self.most.div_ceil(self.split);
        vec![
            rows("partial sums", self.partials, [splits, self.floats, self.stride]),
            part("gradient", self.gradient, self.floats.into()),
        ]
    }

    fn most(&self) -> Capacity {
        counted(self.live, self.most)
    }
}

/// Adam on a range of the arena, see `kernels/adam.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct AdamTask {
    /// First parameter.
    pub parameters: u64,
    /// Their gradient.
    pub gradient: u64,
    /// First moments.
    pub first: u64,
    /// Second moments.
    pub second: u64,
    /// How many.
    pub floats: u64,
    /// What is kept of first and second moments.
    pub keep: [f32; 2],
    /// What is taken of the gradient and its square.
    pub take: [f32; 2],
}

impl Record for AdamTask {
    const IMAGE: &'static str = "adam";
    const NAME: &'static str = "adam";

    fn blocks(&self) -> u64 {
        self.floats.div_ceil(4 * THREADS as u64)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        vec![
            part("parameters", self.parameters, self.floats),
            part("gradient", self.gradient, self.floats),
            part("first moments", self.first, self.floats),
            part("second moments", self.second, self.floats),
        ]
    }

    fn most(&self) -> Capacity {
        Capacity::default()
    }

    fn with_lists(self, _: Lists) -> Self {
        self
    }
}
