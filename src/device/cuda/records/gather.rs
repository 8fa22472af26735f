//! Records of `kernels/gather.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, SLICE, THREADS, Task, Work, product, slices};
use bytemuck::{Pod, Zeroable};

/// Rows that a thread takes of a tile.
const ROWS_A_THREAD: usize = 4;

/// Rows of a gather's tile: all threads are busy in a full slice.
pub fn rows_per_tile(channels: u32, storage: Storage) -> u32 {
    let lanes = (SLICE.min(channels as usize) / storage.vector()).next_power_of_two();
    (ROWS_A_THREAD * THREADS / lanes) as u32
}

/// One input of a gather.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Edge {
    /// In the arena of values.
    pub value: u64,
    /// `(2, channels)` scales and shifts in the arena of floats.
    pub coefficients: u64,
}

/// `output = sum_e scale_e * x_e + shift_e`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct GatherTask {
    /// `(rows, channels)` values.
    pub output: u64,
    /// In the list of edges.
    pub first_edge: u32,
    /// How many.
    pub edges: u32,
    /// Pixels of all images.
    pub rows: u32,
    /// Padded channels.
    pub channels: u32,
    /// See [`rows_per_tile`].
    pub rows_per_tile: u32,
    /// 0.
    pub reserved: u32,
}

impl Task for GatherTask {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.rows.div_ceil(self.rows_per_tile)) * slices(self.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let (values, edges) = (product([self.rows, self.channels]), f64::from(self.edges));
        Work { bytes: (edges + 1.0) * values * lists.storage.bytes() as f64, flops: 2.0 * edges * values }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "gather" };
        check.channels(self.channels)?;
        let floats = u64::from(self.rows) * u64::from(self.channels);
        check.edges(lists, self.first_edge, self.edges, (floats, self.channels))?;
        check.region("output", self.output, floats, extents.values)
    }
}

/// Channel sums of a gather's gradient and of its products with the inputs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SumsTask {
    /// `(rows, channels)` values.
    pub gradient: u64,
    /// `(tiles of rows, 1 + edges, channels)` floats.
    pub partials: u64,
    /// In the list of edges.
    pub first_edge: u32,
    /// How many.
    pub edges: u32,
    /// Pixels of all images.
    pub rows: u32,
    /// Padded channels.
    pub channels: u32,
    /// See [`rows_per_tile`].
    pub rows_per_tile: u32,
    /// 0.
    pub reserved: u32,
}

impl SumsTask {
    /// Tiles of rows, each with its own partial sums.
    pub fn groups(&self) -> u32 {
        self.rows.div_ceil(self.rows_per_tile)
    }
}

impl Task for SumsTask {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.groups()) * slices(self.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let (values, edges) = (product([self.rows, self.channels]), f64::from(self.edges));
        let partials = product([self.groups(), 1 + self.edges, self.channels]);
        let bytes = (edges + 1.0) * values * lists.storage.bytes() as f64 + 4.0 * partials;
        Work { bytes, flops: (1.0 + 2.0 * edges) * values }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "gather sums" };
        let channels = u64::from(self.channels);
        check.channels(self.channels)?;
        check.edges(lists, self.first_edge, self.edges, (u64::from(self.rows) * channels, self.channels))?;
        check.region("gradient", self.gradient, u64::from(self.rows) * channels, extents.values)?;
        let partials = u64::from(self.groups()) * (1 + u64::from(self.edges)) * channels;
        check.region("partial sums", self.partials, partials, extents.floats)
    }
}
