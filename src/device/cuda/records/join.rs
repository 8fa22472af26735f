//! Records of `kernels/join.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, NONE, Task, Work, product, slices};
use bytemuck::{Pod, Zeroable};

/// A range of a value's channels, activated, for a range of the result's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct JoinEdge {
    /// `(rows, leading)` values.
    pub value: u64,
    /// `(2, leading)` floats: scale and shift; [`NONE`]: it is read as it is.
    pub norm: u64,
    /// Padded channels of the value.
    pub leading: u32,
    /// First channel that is read.
    pub from: u32,
    /// Channel of the result that it is for.
    pub to: u32,
    /// How many channels.
    pub count: u32,
    /// 1: a ReLU follows the batch norm.
    pub relu: u32,
    /// 0.
    pub reserved: u32,
}

/// `output = sum_e range_e(act_e(x_e))`, or the gradient of a value from those of what joined it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct JoinTask {
    /// `(rows, channels)` values.
    pub output: u64,
    /// `(tiles of rows, 2, channels)` floats. [`Join`]: moments, [`NONE`] where they are not wanted; [`JoinBack`]: sums of the
    /// gradient and of its product with the value.
    pub sums: u64,
    /// [`JoinBack`]: `(rows, channels)` values, read where there is a norm.
    pub value: u64,
    /// [`JoinBack`]: `(2, channels)` floats of the value; [`NONE`]: no batch norm, no ReLU and no sums.
    pub norm: u64,
    /// In the list of joins.
    pub first_edge: u32,
    /// How many.
    pub edges: u32,
    /// Pixels of all images.
    pub rows: u32,
    /// Padded channels.
    pub channels: u32,
    /// See [`rows_per_tile`](super::rows_per_tile).
    pub rows_per_tile: u32,
    /// [`JoinBack`]: 1: the value passes a ReLU.
    pub relu: u32,
}

impl JoinTask {
    fn tiles(&self) -> u32 {
        self.rows.div_ceil(self.rows_per_tile)
    }

    fn edges<'a>(&self, record: &'static str, lists: &'a Lists) -> Result<&'a [JoinEdge], BadTask> {
        Checker { record }.list("joins", self.first_edge, self.edges, &lists.joins)
    }

    fn check(&self, record: &'static str, lists: &Lists) -> Result<(), BadTask> {
        let (extents, check) = (&lists.extents, Checker { record });
        check.channels(self.channels)?;
        let (rows, channels) = (u64::from(self.rows), u64::from(self.channels));
        for edge in self.edges(record, lists)? {
            check.channels(edge.leading)?;
            check.region("input", edge.value, rows * u64::from(edge.leading), extents.values)?;
            check.optional("input's norm", edge.norm, 2 * u64::from(edge.leading), extents.floats)?;
            for (what, first, all) in [
                ("channels that are read", edge.from, edge.leading),
                ("channels of the result", edge.to, self.channels),
            ] {
                if u64::from(first) + u64::from(edge.count) > u64::from(all) {
                    let (offset, length, extent) = (first.into(), edge.count.into(), all.into());
                    return Err(BadTask { record, what, offset, length, extent });
                }
            }
        }
        check.region("output", self.output, rows * channels, extents.values)
    }

    /// Bytes of the inputs and of a number of values as large as the output, and of sums where they are wanted.
    fn work_of(&self, record: &'static str, lists: &Lists, (values, sums): (u32, bool)) -> Work {
        let counts = self.edges(record, lists).map_or(0, |edges| edges.iter().map(|edge| edge.count).sum());
        let elements = product([self.rows, counts]) + product([self.rows, self.channels, values]);
        let sums = if sums { 8.0 * product([self.tiles(), self.channels]) } else { 0.0 };
        Work { bytes: elements * lists.storage.bytes() as f64 + sums, flops: 3.0 * elements }
    }
}

/// Forward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Join(pub JoinTask);

impl Task for Join {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.0.tiles()) * slices(self.0.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_of("join", lists, (1, self.0.sums != NONE))
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check("join", lists)?;
        let moments = u64::from(self.0.tiles()) * 2 * u64::from(self.0.channels);
        Checker { record: "join" }.optional("moments", self.0.sums, moments, lists.extents.floats)
    }
}

/// Backward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct JoinBack(pub JoinTask);

impl Task for JoinBack {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.0.tiles()) * slices(self.0.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let normalised = self.0.norm != NONE;
        self.0.work_of("join back", lists, (1 + u32::from(normalised), normalised))
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let (task, extents, check) = (self.0, &lists.extents, Checker { record: "join back" });
        task.check("join back", lists)?;
        if task.norm == NONE {
            return Ok(());
        }
        let (rows, channels) = (u64::from(task.rows), u64::from(task.channels));
        check.region("value", task.value, rows * channels, extents.values)?;
        check.region("norm", task.norm, 2 * channels, extents.floats)?;
        check.region("sums", task.sums, u64::from(task.tiles()) * 2 * channels, extents.floats)
    }
}
