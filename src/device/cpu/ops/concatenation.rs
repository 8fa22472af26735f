//! The channels of activated inputs one after the other. Where an input does not begin at a block of the output, its
//! channels move to other lanes.

use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::sources::{Source, ValueGradient};
use super::tile::{Images, Scratch, Tile};

/// Where an input's channels begin, and how many they are.
#[derive(Clone, Copy)]
struct Channels {
    first: usize,
    count: usize,
}

/// The inputs with their channels.
fn parts(sources: &[Source]) -> impl Iterator<Item = (&Source, Channels)> {
    let mut first = 0;
    sources.iter().map(move |source| {
        let count = source.read.channels;
        first += count;
        (source, Channels { first: first - count, count })
    })
}

/// A matrix of blocks: `[block][row][lane]`.
#[derive(Clone, Copy)]
struct Blocks {
    start: *mut f32,
    rows: usize,
}

impl Blocks {
    /// Copies one channel of all rows.
    #[inline(always)]
    unsafe fn copy_channel<S: Simd>(self, channel: usize, to: Blocks, to_channel: usize) {
        let at = |blocks: Blocks, channel: usize| channel / S::LANES * blocks.rows * S::LANES + channel % S::LANES;
        // SAFETY: the caller's.
        unsafe {
            let (from, to) = (self.start.add(at(self, channel)), to.start.add(at(to, to_channel)));
            for row in (0..self.rows * S::LANES).step_by(S::LANES) {
                *to.add(row) = *from.add(row);
            }
        }
    }

    #[inline(always)]
    unsafe fn block<S: Simd>(self, block: usize) -> *mut f32 {
        // SAFETY: the caller's.
        unsafe { self.start.add(block * self.rows * S::LANES) }
    }
}

/// The forward on one group.
pub(crate) struct ConcatenationForward<'a> {
    pub images: Images,
    pub sources: &'a [Source],
    pub output: Layout,
    /// The whole batch, blocked.
    pub to: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for ConcatenationForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.output;
        for tile in self.images.tiles(&layout) {
            // SAFETY: operands and target hold a batch of their layouts; groups are disjoint.
            unsafe {
                let start = self.to.add(layout.plane(tile.first, 0, tile.batch));
                let to = Blocks { start, rows: tile.images * layout.pixels() };
                // Padding lanes of the last block are read as zeros.
                let last = to.block::<S>(layout.blocks - 1);
                std::slice::from_raw_parts_mut(last, to.rows * S::LANES).fill(0.0);
                for (source, channels) in parts(self.sources) {
                    let scratch = Blocks { start: self.scratch.gathered.as_mut_ptr(), rows: to.rows };
                    place::<S>((source, channels), tile, scratch, to);
                }
            }
        }
    }
}

/// Writes an input's channels where they belong.
#[inline(always)]
unsafe fn place<S: Simd>((source, channels): (&Source, Channels), tile: Tile, scratch: Blocks, to: Blocks) {
    for block in 0..source.read.blocks {
        let lanes = S::LANES.min(channels.count - block * S::LANES);
        let first = channels.first + block * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            if first.is_multiple_of(S::LANES) && lanes == S::LANES {
                source.activate::<S>((tile, block), false, to.block::<S>(first / S::LANES));
                continue;
            }
            source.activate::<S>((tile, block), false, scratch.start);
            for lane in 0..lanes {
                scratch.copy_channel::<S>(lane, to, first + lane);
            }
        }
    }
}

/// The backward on one group: every input gets its channels of the gradient.
pub(crate) struct ConcatenationBackward<'a> {
    pub images: Images,
    pub sources: &'a [Source],
    pub output: Layout,
    pub gradient: ValueGradient<'a>,
    pub scratch: &'a mut Scratch,
}

impl Kernel for ConcatenationBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for tile in self.images.tiles(&self.output) {
            let rows = tile.images * self.output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = Blocks { start: self.scratch.outputs_gradient.as_mut_ptr(), rows };
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs.start);
                for (source, channels) in parts(self.sources) {
                    let start = source.gradient.add(source.read.plane(tile.first, 0, tile.batch));
                    let to = Blocks { start, rows };
                    for block in 0..source.read.blocks {
                        let lanes = S::LANES.min(channels.count - block * S::LANES);
                        std::slice::from_raw_parts_mut(to.block::<S>(block), rows * S::LANES).fill(0.0);
                        for lane in 0..lanes {
                            let channel = block * S::LANES + lane;
                            outputs.copy_channel::<S>(channels.first + channel, to, channel);
                        }
                        source.add_sums::<S>((tile, block), to.block::<S>(block).cast_const());
                    }
                }
            }
        }
    }
}
