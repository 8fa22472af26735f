//! The head's pointwise convolution of the mean of its inputs, without ReLU.

use super::super::gemm::{Product, Segments, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::classifier::HeadGradient;
use super::tile::{Images, Inputs, RawOutput, Scratch, Statistics, rows_of};

/// The forward on one group.
pub(crate) struct PointwiseForward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

impl Kernel for PointwiseForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Scratch { rows: matrix, planes, .. } = self.scratch;
        for tile in self.images.tiles(&self.output.layout) {
            let rows = tile.images * self.output.layout.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                for block in 0..self.inputs.layout.blocks {
                    let to = matrix.as_mut_ptr().add(block * rows * S::LANES);
                    self.inputs.gather_tile::<S>(planes, tile, block, to);
                }
                let a = rows_of::<_, S>(matrix.as_ptr(), rows);
                self.output.multiply::<S>(tile, a, self.inputs.layout.blocks);
            }
        }
    }
}

/// The backward on one group.
pub(crate) struct PointwiseBackward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    pub output: Layout,
    pub gradient: HeadGradient,
    /// `(out, in)` in panels: the transpose.
    pub weight_transposed: *const f32,
    /// Where the gradient of the gather goes, in the inputs' layout.
    pub to: *mut f32,
    /// Gradient of the weight, added to.
    pub weight_gradient: *mut f32,
    pub statistics: Statistics,
    pub scratch: &'a mut Scratch,
}

impl Kernel for PointwiseBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let scratch = self.scratch;
        let (input, output) = (self.inputs.layout, self.output);
        for tile in self.images.tiles(&output) {
            let rows = tile.images * output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(tile, &output, outputs);
                let to = self.to.add(input.plane(tile.first, 0, tile.batch));
                let product = Product {
                    rows,
                    depth: Segments::blocks::<S>(output.blocks),
                    column_blocks: input.blocks,
                    a: rows_of::<_, S>(outputs.cast_const(), rows),
                    b: self.weight_transposed,
                    c: rows_of::<_, S>(to, rows),
                    moments: None,
                };
                S::call(product);
                for block in 0..input.blocks {
                    let row = block * rows * S::LANES;
                    let gathered = scratch.rows.as_mut_ptr().add(row);
                    let planes = self.inputs.gather_tile::<S>(&mut scratch.planes, tile, block, gathered);
                    self.statistics.add::<S>(planes, block, to.add(row), rows);
                }
                let gradient = WeightGradient {
                    rows,
                    depth: Segments::blocks::<S>(input.blocks),
                    column_blocks: output.blocks,
                    a: rows_of::<_, S>(scratch.rows.as_ptr(), rows),
                    b: rows_of::<_, S>(outputs.cast_const(), rows),
                    c: self.weight_gradient,
                };
                S::call(gradient);
            }
        }
    }
}
