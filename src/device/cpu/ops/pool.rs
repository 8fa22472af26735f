//! Pooling of the sum of activated inputs.

use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::super::windows::{Crop, Enclose, Grid, PoolBackward, PoolForward, border};
use super::sources::{Sources, ValueGradient};
use super::tile::{Images, RawOutput, Scratch, Tile};
use crate::net::Pooling;

/// What is pooled, and how.
#[derive(Clone, Copy)]
pub(crate) struct PoolingPart {
    pub grid: Grid,
    pub pooling: Pooling,
}

impl PoolingPart {
    /// Gathers a block of some images and gives it a border.
    #[inline(always)]
    unsafe fn enclosed<S: Simd>(
        &self,
        inputs: &Sources,
        (part, block): (Tile, usize),
        scratch: &mut Scratch,
    ) -> *const f32 {
        let (from, to) = (scratch.gathered.as_mut_ptr(), scratch.bordered.as_mut_ptr());
        // SAFETY: the caller's.
        unsafe {
            inputs.gather::<S>(part, block, from);
            let (grid, planes) = (self.grid, part.images);
            S::call(Enclose { grid, planes, from, to, border: border(self.pooling) });
        }
        to
    }
}

/// The forward on one group.
pub(crate) struct PoolingForward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub pool: PoolingPart,
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

impl Kernel for PoolingForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.output.layout;
        let PoolingPart { grid, pooling } = self.pool;
        for tile in self.images.tiles(&layout) {
            for block in 0..layout.blocks {
                // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
                unsafe {
                    let to = self.output.to.add(layout.plane(tile.first, block, tile.batch));
                    for part in tile.tiles(&self.inputs.layout) {
                        let input = self.pool.enclosed::<S>(&self.inputs, (part, block), self.scratch);
                        let output = to.add((part.first - tile.first) * layout.pixels() * S::LANES);
                        S::call(PoolForward { grid, pooling, images: part.images, input, output });
                    }
                    self.output.add_moments::<S>(self.images, (tile, block));
                }
            }
        }
    }
}

/// The backward on one group.
pub(crate) struct PoolingBackward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub pool: PoolingPart,
    pub output: Layout,
    pub gradient: ValueGradient<'a>,
    pub scratch: &'a mut Scratch,
}

impl Kernel for PoolingBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let PoolingPart { grid, pooling } = self.pool;
        let (output, inputs) = (self.output, self.inputs);
        for tile in self.images.tiles(&output) {
            let rows = tile.images * output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = self.scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs);
                for block in 0..output.blocks {
                    for part in tile.tiles(&inputs.layout) {
                        let images = part.images;
                        let input = self.pool.enclosed::<S>(&inputs, (part, block), self.scratch);
                        let row = block * rows + (part.first - tile.first) * output.pixels();
                        let gradient = outputs.add(row * S::LANES).cast_const();
                        let bordered = self.scratch.bordered_gradient.as_mut_ptr();
                        S::call(PoolBackward { grid, pooling, images, input, gradient, to: bordered });
                        let to = inputs.gradient(part, block);
                        S::call(Crop { grid, images, from: bordered, to });
                        inputs.add_sums::<S>(part, block, to);
                    }
                }
            }
        }
    }
}
