//! A RandWire node: gather, ReLU, depthwise 3x3 and pointwise 1x1 in one sweep over the batch.
//!
//! The gather's result and the depthwise outputs never leave the cache; the backward forms them again, which is cheaper
//! than a trip to memory and halves what a training step keeps.

use super::super::depthwise::Depthwise;
use super::super::gather::{GatherBackward, copy_into_border};
use super::super::gemm::{Product, Segments, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::tile::{Images, Inputs, OutputGradient, RawOutput, Scratch, Statistics, rows_of};

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
        let Scratch { bordered, rows: matrix, planes, .. } = self.scratch;
        clear_border::<S>(bordered, self.inputs.layout.height, self.inputs.layout.width);
        let pixels = self.output.layout.pixels();
        for tile in self.images.tiles(&self.output.layout) {
            let rows = tile.images * pixels;
            // SAFETY: scratch and operands have the sizes of the layouts; tiles of different groups are disjoint.
            unsafe {
                for block in 0..self.inputs.layout.blocks {
                    let weight = self.depthwise.add(block * 9 * S::LANES);
                    for image in 0..tile.images {
                        let at = (tile.first + image, block, tile.batch);
                        self.inputs.gather_bordered::<S>(planes, at, bordered.as_mut_ptr());
                        let to = matrix.as_mut_ptr().add((block * rows + image * pixels) * S::LANES);
                        self.convolution.forward::<S>(bordered.as_ptr(), weight, to);
                    }
                }
                let a = rows_of::<_, S>(matrix.as_ptr(), rows);
                self.output.multiply::<S>(tile, a, self.inputs.layout.blocks);
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
    unsafe fn run<S: Simd>(self) {
        let scratch = self.scratch;
        let (input, output) = (self.inputs.layout, self.output);
        clear_border::<S>(&mut scratch.bordered, input.height, input.width);
        clear_border::<S>(&mut scratch.bordered_gradient, output.height, output.width);
        let pixels = output.pixels();
        for tile in self.images.tiles(&output) {
            let rows = tile.images * pixels;
            // SAFETY: scratch and operands have the sizes of the layouts; tiles of different groups are disjoint.
            unsafe {
                let outputs = scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut scratch.planes, tile, outputs);
                let product = Product {
                    rows,
                    depth: Segments::blocks::<S>(output.blocks),
                    column_blocks: input.blocks,
                    a: rows_of::<_, S>(outputs.cast_const(), rows),
                    b: self.pointwise_transposed,
                    c: rows_of::<_, S>(scratch.rows_gradient.as_mut_ptr(), rows),
                    moments: None,
                };
                S::call(product);
                for block in 0..input.blocks {
                    let weight = self.depthwise.add(block * 9 * S::LANES);
                    let weight_gradient = self.depthwise_gradient.add(block * 9 * S::LANES);
                    for image in 0..tile.images {
                        let at = (tile.first + image, block, tile.batch);
                        let bordered = scratch.bordered.as_mut_ptr();
                        let planes = self.inputs.gather_bordered::<S>(&mut scratch.planes, at, bordered);
                        let row = (block * rows + image * pixels) * S::LANES;
                        self.convolution.forward::<S>(bordered, weight, scratch.rows.as_mut_ptr().add(row));
                        let bordered_gradient = scratch.bordered_gradient.as_mut_ptr();
                        let from = scratch.rows_gradient.as_ptr().add(row);
                        copy_into_border::<S>(from, bordered_gradient, output.height, output.width);
                        self.convolution.weight_gradient::<S>(bordered, bordered_gradient, weight_gradient);
                        let plane = scratch.plane.as_mut_ptr();
                        self.convolution.input_gradient::<S>(bordered_gradient, weight, plane);
                        let gate_stride = (input.width + 2) * S::LANES;
                        let backward = GatherBackward {
                            planes,
                            gradient: plane,
                            gate: bordered.add(gate_stride + S::LANES),
                            gate_stride,
                            rows: input.height,
                            width: input.width,
                            to: self.to.add(input.plane(at.0, block, tile.batch)),
                            sums: self.statistics.sums.add(block * S::LANES),
                            products: self.statistics.products.add(block * S::LANES),
                            product_stride: self.statistics.channels,
                        };
                        S::call(backward);
                    }
                }
                let gradient = WeightGradient {
                    rows,
                    depth: Segments::blocks::<S>(input.blocks),
                    column_blocks: output.blocks,
                    a: rows_of::<_, S>(scratch.rows.as_ptr(), rows),
                    b: rows_of::<_, S>(outputs.cast_const(), rows),
                    c: self.pointwise_gradient,
                };
                S::call(gradient);
            }
        }
    }
}

/// Zeroes a plane with a border: scratch serves planes of many sizes, so what was inside may be border now.
#[inline(always)]
fn clear_border<S: Simd>(plane: &mut [f32], height: usize, width: usize) {
    plane[..(height + 2) * (width + 2) * S::LANES].fill(0.0);
}
