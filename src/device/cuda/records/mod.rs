//! What the kernels read: one record for each task, laid out as in `kernels/*.cu`. Offsets are in elements of the arena
//! they point into; every record checks that what it points at lies in its arena and on 16 bytes.

mod classifier;
mod convolution;
mod depthwise;
mod gather;
mod join;
mod norm;
mod optimise;
mod pooling;
mod product;
mod separable;
mod table;
mod windows;

pub use classifier::{BiasGradient, ClassifierTask, HeadGradient, Loss, Pool, Unpool};
pub use convolution::{Convolution, ConvolutionInput, ConvolutionTask, ConvolutionWeight};
pub use depthwise::{DepthwiseBackward, DepthwiseShape, DepthwiseTask};
pub use gather::{Edge, GatherTask, SumsTask, rows_per_tile};
pub use join::{Join, JoinBack, JoinEdge, JoinTask};
pub use norm::{Consumer, GradientTask, NormTask, Reader};
pub use optimise::{ClipTask, Settings, SquareTask, TensorTask};
pub use pooling::{PoolingBackward, PoolingTask};
pub use product::{
    FullyConnected, FullyConnectedGradient, InputGradient, MOMENT_ROWS, Pointwise, ProductTask, WeightGradient,
};
pub use separable::{SeparableTask, SeparableWeight};
pub use table::{Extents, Item, Lists, Table, Tables};
pub use windows::{AugmentedWindows, Chosen, WindowsTask, window_depth};

use super::storage::Storage;
use bytemuck::Pod;
use thiserror::Error;

/// Threads of every kernel but the products.
pub const THREADS: usize = 256;

/// Channels that a block works on where channels are independent.
pub const SLICE: usize = 32;

/// Channels are padded with zeros to a multiple of this.
pub const PADDING: usize = 8;

/// No offset.
pub const NONE: u64 = u64::MAX;

/// Channels with padding.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(PADDING)
}

/// A record that points outside its arena, or at an address that vectors cannot be loaded from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{record}: {what} at {offset} and {length} long is not in 0..{extent} or not on 16 bytes")]
pub struct BadTask {
    /// Kind of record.
    pub record: &'static str,
    /// Which of its parts.
    pub what: &'static str,
    /// Where it lies.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// The arena's length.
    pub extent: u64,
}

/// What something takes at least: everything read and written once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Bytes.
    pub bytes: f64,
    /// Floating-point operations; a multiply-add is two.
    pub flops: f64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.bytes += other.bytes;
        self.flops += other.flops;
    }
}

/// A product of sizes.
fn product<const N: usize>(sizes: [u32; N]) -> f64 {
    sizes.into_iter().map(f64::from).product()
}

/// A record of a grouped launch.
pub trait Task: Pod {
    /// Number of blocks that work on it.
    fn tiles(&self, storage: Storage) -> u64;

    /// What it takes at least, a checked task.
    fn work(&self, lists: &Lists) -> Work;

    /// Checks everything it points at.
    ///
    /// # Errors
    /// The first part that lies outside its arena.
    fn check(&self, lists: &Lists) -> Result<(), BadTask>;
}

/// Checks the parts of one record.
struct Checker {
    record: &'static str,
}

impl Checker {
    /// That a part lies in its arena, on a multiple of [`PADDING`] elements.
    fn region(&self, what: &'static str, offset: u64, length: u64, extent: usize) -> Result<(), BadTask> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= extent as u64);
        match fits && offset.is_multiple_of(PADDING as u64) {
            true => Ok(()),
            false => Err(BadTask { record: self.record, what, offset, length, extent: extent as u64 }),
        }
    }

    /// The same of a part that may be missing.
    fn optional(&self, what: &'static str, offset: u64, length: u64, extent: usize) -> Result<(), BadTask> {
        if offset == NONE { Ok(()) } else { self.region(what, offset, length, extent) }
    }

    /// That numbers which are read one by one lie in their arena.
    fn numbers(&self, what: &'static str, offset: u64, length: u64, extent: usize) -> Result<(), BadTask> {
        let before = offset % PADDING as u64;
        self.region(what, offset - before, before.saturating_add(length), extent)
    }

    /// The records of a list that a task names.
    fn list<'a, T>(&self, what: &'static str, first: u32, count: u32, list: &'a [T]) -> Result<&'a [T], BadTask> {
        list.get(first as usize..).and_then(|rest| rest.get(..count as usize)).ok_or(BadTask {
            record: self.record,
            what,
            offset: first.into(),
            length: count.into(),
            extent: list.len() as u64,
        })
    }

    /// That the inputs of a gather, of so many elements and channels, lie in their arenas.
    fn edges(&self, lists: &Lists, first: u32, count: u32, (elements, channels): (u64, u32)) -> Result<(), BadTask> {
        for edge in self.list("edges", first, count, &lists.edges)? {
            self.region("input", edge.value, elements, lists.extents.values)?;
            self.region("input's coefficients", edge.coefficients, 2 * u64::from(channels), lists.extents.floats)?;
        }
        Ok(())
    }

    /// That a logit is a parameter, if there is one.
    fn logit(&self, logit: u64, extents: &Extents) -> Result<(), BadTask> {
        match logit {
            NONE => Ok(()),
            at => self.numbers("logit", at, 1, extents.parameters),
        }
    }

    /// That a number of channels is padded.
    fn channels(&self, channels: u32) -> Result<(), BadTask> {
        self.region("padded channels", u64::from(channels), 0, usize::MAX)
    }
}

/// Slices of a value.
fn slices(channels: u32) -> u64 {
    u64::from(channels).div_ceil(SLICE as u64)
}
