//! What the kernels read, laid out as in `kernels/*.cu`. Offsets are in elements of the arena of floats, or of that of
//! doubles where a record says so; every record names all that it points at, so that a launch can check it.

mod dense;
mod edges;
mod gate;
mod gru;
mod mixture;
mod optimise;
mod pairs;

pub use dense::{Dense, DenseInput, DenseTask, DenseWeight};
pub use edges::{EdgeGradientTask, EdgeSums, EdgeSumsGradient, EdgesGradient};
pub use gate::{Gate, GateGradient};
pub use gru::{Gru, GruGradient};
pub use mixture::{DrawRows, GraphLoss, MixtureTask, Score, ScoreGradient};
pub use optimise::{AdamTask, SumTask};
pub use pairs::{Differences, DifferencesGradient, Features};

use super::batch::{Capacity, Lists};
use crate::device::cuda::records::THREADS;
use bytemuck::Pod;

/// Nodes or edges of a block, and columns.
const TILE: [u64; 2] = [32, 32];
/// Rows and columns of a block of a product.
const BLOCK: u64 = 64;
/// Threads of the products.
pub(super) const PRODUCT_THREADS: usize = 128;
/// Nodes whose edge gradients make one partial sum.
pub const GRADIENT_NODES: usize = TILE[0] as usize;

/// No list.
pub const NO_LIST: u32 = u32::MAX;

/// Which of a batch's counts bounds what a record's kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Count {
    /// None does.
    All = 0,
    /// Nodes.
    Nodes = 1,
    /// Edges.
    Edges = 2,
    /// Prefixes.
    Prefixes = 3,
}

/// Something that a record points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub what: &'static str,
    /// First element.
    pub at: u64,
    /// Elements.
    pub length: u64,
    /// Whether it lies in the arena of doubles.
    pub double: bool,
}

/// A part in the arena of floats.
fn part(what: &'static str, at: u64, length: u64) -> Part {
    Part { what, at, length, double: false }
}

/// Rows in the arena of floats: `columns` of each, every `pitch` elements.
fn rows(what: &'static str, at: u64, [rows, columns, pitch]: [u32; 3]) -> Part {
    let length = if rows == 0 { 0 } else { u64::from(rows - 1) * u64::from(pitch) + u64::from(columns) };
    part(what, at, length)
}

/// A part in the arena of doubles.
fn doubles(what: &'static str, at: u64, length: u64) -> Part {
    Part { what, at, length, double: true }
}

/// Blocks of 32 rows and 32 columns.
fn tiles(rows: u32, columns: u32) -> u64 {
    u64::from(rows).div_ceil(TILE[0]) * u64::from(columns).div_ceil(TILE[1])
}

/// A record that a kernel takes as its argument.
pub trait Record: Pod {
    /// The file of kernels.
    const IMAGE: &'static str;
    /// The kernel.
    const NAME: &'static str;
    /// Threads of a block.
    const THREADS: usize = THREADS;

    /// Blocks for the most that it may be about.
    fn blocks(&self) -> u64;
    /// All that it points at, for batches of this capacity.
    fn parts(&self, capacity: Capacity) -> Vec<Part>;
    /// The most nodes, edges or prefixes, as the capacity must have them.
    fn most(&self) -> Capacity;
    /// With the places of the batch's lists.
    fn with_lists(self, lists: Lists) -> Self;
}

/// A record of a grouped launch.
pub trait TableRecord: Pod {
    /// Blocks for the most that it may be about.
    fn blocks(&self) -> u64;
    /// All that it points at.
    fn parts(&self) -> Vec<Part>;
    /// How many of what it counts there may be.
    fn most(&self) -> Capacity;
}

fn nodes(nodes: u32) -> Capacity {
    Capacity { nodes: nodes as usize, ..Capacity::default() }
}

/// The capacity that a count of at most `most` stands for.
fn counted(live: u32, most: u32) -> Capacity {
    let most = most as usize;
    match live {
        1 => Capacity { nodes: most, ..Capacity::default() },
        2 => Capacity { edges: most, ..Capacity::default() },
        3 => Capacity { prefixes: most, ..Capacity::default() },
        _ => Capacity::default(),
    }
}

/// Implements [`Record`] for a record with lists.
macro_rules! record {
    ($name:ident, $image:literal, $kernel:literal, $threads:expr) => {
        const IMAGE: &'static str = $image;
        const NAME: &'static str = $kernel;
        const THREADS: usize = $threads;

        fn with_lists(self, lists: Lists) -> Self {
            $name { lists, ..self }
        }
    };
}
use record;
