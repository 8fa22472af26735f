//! A RandWire node: gather, ReLU, depthwise 3x3 and pointwise 1x1 in one sweep over the batch.
//!
//! The gather's result and the depthwise outputs never leave the cache; the backward forms them again, which is cheaper
//! than a trip to memory and halves what a training step keeps.

use super::super::depthwise::{Convolution, Depthwise, DepthwiseGradient, InputGradient, Output};
use super::super::gemm::{Product, Segments, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::tile::{Images, Inputs, OutputGradient, RawOutput, Scratch, Statistics, Tile, rows_of};

/// The forward of a node on one group.
pub(crate) struct NodeForward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    /// The pointwise convolution.
    pub output: RawOutput,
    pub convolution: Depthwise,
    /// `[block][9][lane]`
    pub depthwise: *const f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for NodeForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let scratch = self.scratch;
        let (input, pixels) = (self.inputs.layout, self.output.layout.pixels());
        let gathered = scratch.gathered.as_mut_ptr();
        for tile in self.images.tiles(&self.output.layout) {
            let rows = tile.images * pixels;
            // SAFETY: scratch and operands have the sizes of the layouts; tiles of different groups are disjoint.
            unsafe {
                for block in 0..input.blocks {
                    for part in tile.tiles(&input) {
                        self.inputs.gather_tile::<S>(&mut scratch.planes, part, block, gathered);
                        let row = block * rows + (part.first - tile.first) * pixels;
                        S::call(Convolution {
                            shape: self.convolution,
                            images: part.images,
                            input: gathered,
                            zeros: scratch.zeros.as_ptr(),
                            weight: self.depthwise.add(block * 9 * S::LANES),
                            output: scratch.rows.as_mut_ptr().add(row * S::LANES),
                        });
                    }
                }
                let a = rows_of::<_, S>(scratch.rows.as_ptr(), rows);
                self.output.multiply::<S>(tile, a, input.blocks);
            }
        }
    }
}

/// The backward of a node on one group.
pub(crate) struct NodeBackward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    pub output: Layout,
    pub gradient: OutputGradient<'a>,
    pub convolution: Depthwise,
    /// `[block][9][lane]`
    pub depthwise: *const f32,
    /// `(out, in)` in panels: the transpose.
    pub pointwise_transposed: *const f32,
    /// Where the gradient before the ReLU goes, in the inputs' layout. May be the output's own memory: a tile's output is
    /// read before its gradient is written.
    pub to: *mut f32,
    /// Gradients of the weights, added to.
    pub depthwise_gradient: *mut f32,
    pub pointwise_gradient: *mut f32,
    pub statistics: Statistics,
    pub scratch: &'a mut Scratch,
}

impl Kernel for NodeBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let output = self.output;
        for tile in self.images.tiles(&output) {
            let rows = tile.images * output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; tiles of different groups are disjoint.
            unsafe {
                let outputs = self.scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs);
                S::call(Product {
                    rows,
                    depth: Segments::blocks::<S>(output.blocks),
                    column_blocks: self.inputs.layout.blocks,
                    a: rows_of::<_, S>(outputs.cast_const(), rows),
                    b: self.pointwise_transposed,
                    c: rows_of::<_, S>(self.scratch.rows_gradient.as_mut_ptr(), rows),
                    moments: None,
                });
                for block in 0..self.inputs.layout.blocks {
                    for part in tile.tiles(&self.inputs.layout) {
                        let row = block * rows + (part.first - tile.first) * output.pixels();
                        self.depthwise::<S>(part, block, row);
                    }
                }
                S::call(WeightGradient {
                    rows,
                    depth: Segments::blocks::<S>(self.inputs.layout.blocks),
                    column_blocks: output.blocks,
                    a: rows_of::<_, S>(self.scratch.rows.as_ptr(), rows),
                    b: rows_of::<_, S>(outputs.cast_const(), rows),
                    c: self.pointwise_gradient,
                });
            }
        }
    }
}

impl NodeBackward<'_> {
    /// Forms one block of some images' pointwise inputs again, at `row` of the tile, and takes their gradient back through
    /// the depthwise convolution and the ReLU.
    #[inline(always)]
    unsafe fn depthwise<S: Simd>(&mut self, part: Tile, block: usize, row: usize) {
        let (shape, images) = (self.convolution, part.images);
        let Scratch { gathered, zeros, rows, rows_gradient, planes, .. } = &mut *self.scratch;
        // SAFETY: the caller's.
        unsafe {
            let (input, zeros) = (gathered.as_mut_ptr(), zeros.as_ptr());
            let planes = self.inputs.gather_tile::<S>(planes, part, block, input);
            let weight = self.depthwise.add(block * 9 * S::LANES);
            let output = rows.as_mut_ptr().add(row * S::LANES);
            S::call(Convolution { shape, images, input, zeros, weight, output });
            let gradient = rows_gradient.as_ptr().add(row * S::LANES);
            let to = self.depthwise_gradient.add(block * 9 * S::LANES);
            S::call(DepthwiseGradient { shape, images, input, zeros, gradient, to });
            let to = self.to.add(self.inputs.layout.plane(part.first, block, part.batch));
            let output = Output { to, gate: input };
            S::call(InputGradient { shape, images, gradient, zeros, weight, output });
            self.statistics.add::<S>(planes, block, to, images * self.inputs.layout.pixels());
        }
    }
}
