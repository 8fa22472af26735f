//! Records of `kernels/dense.cu`.

use super::super::batch::Capacity;
use super::{BLOCK, Part, TableRecord, counted, part, rows};
use crate::device::cuda::records::NONE;
use bytemuck::{Pod, Zeroable};

/// A product: of `dense`, `dense_input` or `dense_weight`, see `kernels/dense.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct DenseTask {
    /// Left operand.
    pub a: u64,
    /// Right operand.
    pub b: u64,
    /// Result.
    pub c: u64,
    /// What is added to the rows, or where `dense_weight` leaves column sums of the left operand, or [`NONE`].
    pub bias: u64,
    /// `dense_input`: where it is positive the result stays; or [`NONE`].
    pub mask: u64,
    /// Elements from row to row.
    pub a_pitch: u32,
    /// Elements from row to row.
    pub b_pitch: u32,
    /// Elements from row to row; `dense_weight` has none between.
    pub c_pitch: u32,
    /// Elements from row to row.
    pub mask_pitch: u32,
    /// Rows of the result, at most.
    pub rows: u32,
    /// Columns of the result.
    pub columns: u32,
    /// Length of the sum; `dense_weight`: at most.
    pub depth: u32,
    /// The [`Count`] that bounds the rows, or `dense_weight`'s depth.
    pub live: u32,
    /// Columns that the bias is for.
    pub bias_columns: u32,
    /// List of the row of a table of biases for every row, or [`NO_LIST`].
    pub bias_rows: u32,
    /// `dense_weight`: length of a partial sum.
    pub split: u32,
    /// [`DenseTask::RECTIFY`], [`DenseTask::ACCUMULATE`].
    pub flags: u32,
}

impl DenseTask {
    /// `dense`: with a ReLU.
    pub const RECTIFY: u32 = 1;
    /// `dense_input`: added to what is there.
    pub const ACCUMULATE: u32 = 2;

    /// Both operands, the right one of this shape, and the result.
    fn operands(&self, right: [u32; 2]) -> Vec<Part> {
        vec![
            rows("left operand", self.a, [self.rows, self.depth, self.a_pitch]),
            rows("right operand", self.b, [right[0], right[1], self.b_pitch]),
            rows("result", self.c, [self.rows, self.columns, self.c_pitch]),
        ]
    }

    fn block_count(&self) -> u64 {
        u64::from(self.rows).div_ceil(BLOCK) * u64::from(self.columns).div_ceil(BLOCK)
    }
}

/// Forward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Dense(pub DenseTask);

impl TableRecord for Dense {
    fn blocks(&self) -> u64 {
        self.0.block_count()
    }

    fn parts(&self) -> Vec<Part> {
        let DenseTask { columns, depth, .. } = self.0;
        let mut parts = self.0.operands([columns, depth]);
        if self.0.bias != NONE {
            parts.push(part("bias", self.0.bias, self.0.bias_columns.into()));
        }
        parts
    }

    fn most(&self) -> Capacity {
        counted(self.0.live, self.0.rows)
    }
}

/// Gradient of the left operand, and products of weights.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct DenseInput(pub DenseTask);

impl TableRecord for DenseInput {
    fn blocks(&self) -> u64 {
        self.0.block_count()
    }

    fn parts(&self) -> Vec<Part> {
        let DenseTask { rows: r, columns, depth, .. } = self.0;
        let mut parts = self.0.operands([depth, columns]);
        if self.0.mask != NONE {
            parts.push(rows("mask", self.0.mask, [r, columns, self.0.mask_pitch]));
        }
        parts
    }

    fn most(&self) -> Capacity {
        counted(self.0.live, self.0.rows)
    }
}

/// Gradient of a weight and its bias, in partial sums.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct DenseWeight(pub DenseTask);

impl DenseWeight {
    /// Partial sums, at most.
    pub fn splits(&self) -> u32 {
        self.0.depth.div_ceil(self.0.split)
    }
}

impl TableRecord for DenseWeight {
    fn blocks(&self) -> u64 {
        self.0.block_count() * u64::from(self.splits())
    }

    fn parts(&self) -> Vec<Part> {
        let DenseTask { rows: r, columns, depth, .. } = self.0;
        let splits = u64::from(self.splits());
        let mut parts = vec![
            rows("left operand", self.0.a, [depth, r, self.0.a_pitch]),
            rows("right operand", self.0.b, [depth, columns, self.0.b_pitch]),
            part("partial sums", self.0.c, splits * u64::from(r) * u64::from(columns)),
        ];
        if self.0.bias != NONE {
            parts.push(part("bias", self.0.bias, splits * u64::from(r)));
        }
        parts
    }

    fn most(&self) -> Capacity {
        counted(self.0.live, self.0.depth)
    }
}
