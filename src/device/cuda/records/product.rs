//! Records of `kernels/product.cu`: one layout, four uses that differ in the arenas they point into.

use super::super::storage::Storage;
use super::{BadTask, Checker, Extents, Lists, NONE, Task, Work, product};
use bytemuck::{Pod, Zeroable};

/// Rows and columns of a block of the result.
const BLOCK: u32 = 64;

/// Rows whose moments are summed together.
pub const MOMENT_ROWS: u32 = BLOCK;

/// `C (rows, columns)` from a sum over `depth`; which way the operands lie is the kernel's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ProductTask {
    /// Left operand.
    pub a: u64,
    /// Right operand.
    pub b: u64,
    /// Result.
    pub c: u64,
    /// `(tiles of rows, 2, columns)` floats, or [`NONE`]: sums of the result and of squared deviations from the tile's mean.
    pub moments: u64,
    /// Rows of the result.
    pub rows: u32,
    /// Columns of the result.
    pub columns: u32,
    /// Length of the sum.
    pub depth: u32,
    /// Gradients of weights: length of the part of the sum that each partial result holds.
    pub split: u32,
}

impl ProductTask {
    /// Partial results of a weight's gradient.
    pub fn splits(&self) -> u32 {
        self.depth.div_ceil(self.split)
    }

    fn blocks(&self) -> u64 {
        u64::from(self.rows.div_ceil(BLOCK)) * u64::from(self.columns.div_ceil(BLOCK))
    }

    /// With operands and result of so many bytes an element.
    fn work_of(&self, bytes: [usize; 3]) -> Work {
        let copies = [1, 1, if self.split == 0 { 1 } else { u64::from(self.splits()) }];
        let values = self.sizes().into_iter().zip(copies).zip(bytes);
        let values: f64 = values.map(|((elements, copies), bytes)| (elements * copies) as f64 * bytes as f64).sum();
        let moments = match self.moments {
            NONE => 0.0,
            _ => 8.0 * product([self.rows.div_ceil(BLOCK), self.columns]),
        };
        Work { bytes: values + moments, flops: 2.0 * product([self.rows, self.columns, self.depth]) }
    }

    /// Elements of left operand, right operand and result.
    fn sizes(&self) -> [u64; 3] {
        let (rows, columns, depth) = (u64::from(self.rows), u64::from(self.columns), u64::from(self.depth));
        [rows * depth, columns * depth, rows * columns]
    }

    /// Checks the gradient of a weight, whose operands lie in an arena of `operands` elements.
    fn partials(&self, record: &'static str, operands: usize, extents: Extents) -> Result<(), BadTask> {
        let check = Checker { record };
        check.channels(self.rows)?;
        let partials = u64::from(self.splits()) * self.sizes()[2];
        check.region("partial sums", self.c, partials, extents.floats)?;
        self.regions(record, [operands, operands, extents.floats], extents.floats)
    }

    fn regions(&self, record: &'static str, [a, b, c]: [usize; 3], floats: usize) -> Result<(), BadTask> {
        let check = Checker { record };
        check.channels(self.columns)?;
        let sizes = self.sizes();
        check.region("left operand", self.a, sizes[0], a)?;
        check.region("right operand", self.b, sizes[1], b)?;
        check.region("result", self.c, sizes[2], c)?;
        match self.moments {
            NONE => Ok(()),
            at => {
                let tiles = u64::from(self.rows.div_ceil(BLOCK));
                check.region("moments", at, tiles * 2 * u64::from(self.columns), floats)
            }
        }
    }
}

/// Forward: values times weights, to values. `depth` is a number of padded channels.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Pointwise(pub ProductTask);

impl Task for Pointwise {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.blocks()
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of([lists.storage.bytes(); 3])
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        Checker { record: "pointwise" }.channels(self.0.depth)?;
        self.0.regions("pointwise", [extents.values, extents.parameters, extents.values], extents.floats)
    }
}

/// Gradient of the left operand: values times weights, to values.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct InputGradient(pub ProductTask);

impl Task for InputGradient {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.blocks()
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of([lists.storage.bytes(); 3])
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        Checker { record: "input gradient" }.channels(self.0.depth)?;
        self.0.regions("input gradient", [extents.values, extents.parameters, extents.values], extents.floats)
    }
}

/// Gradient of the weight: values times values, to partial sums in floats. `depth` is a number of rows.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct WeightGradient(pub ProductTask);

impl Task for WeightGradient {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.blocks() * u64::from(self.0.splits())
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of([lists.storage.bytes(), lists.storage.bytes(), 4])
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.partials("weight gradient", lists.extents.values, lists.extents)
    }
}

/// The classifier's products with its weight, a parameter: features to logits, or the logits' gradient to that of the
/// features, all floats.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FullyConnected(pub ProductTask);

impl Task for FullyConnected {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.blocks()
    }

    fn work(&self, _: &Lists) -> Work {
        self.0.work_of([4; 3])
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let Extents { floats, parameters, .. } = lists.extents;
        Checker { record: "fully connected" }.channels(self.0.depth)?;
        self.0.regions("fully connected", [floats, parameters, floats], floats)
    }
}

/// Gradient of the classifier's weight: the logits' gradient times features, to partial sums, all floats.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FullyConnectedGradient(pub ProductTask);

impl Task for FullyConnectedGradient {
    fn tiles(&self, _: Storage) -> u64 {
        self.0.blocks() * u64::from(self.0.splits())
    }

    fn work(&self, _: &Lists) -> Work {
        self.0.work_of([4; 3])
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.partials("fully connected gradient", lists.extents.floats, lists.extents)
    }
}
