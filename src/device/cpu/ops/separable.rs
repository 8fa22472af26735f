//! Depthwise, then pointwise convolution of the sum of activated inputs.

use super::super::gemm::{Product, Segments, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::super::windows::{DepthwiseWindows, DepthwiseWindowsGradient, Dilate, Enclose, Grid};
use super::sources::{Sources, ValueGradient};
use super::tile::{Images, RawOutput, Scratch, Tile, rows_of};

/// The depthwise convolution.
#[derive(Clone, Copy)]
pub(crate) struct DepthwisePart {
    pub grid: Grid,
    /// `[block][tap][lane]`
    pub weight: *const f32,
}

impl DepthwisePart {
    /// Gathers a block of some images, gives it a border and convolves it.
    #[inline(always)]
    unsafe fn forward<S: Simd>(
        &self,
        inputs: &Sources,
        (part, block): (Tile, usize),
        (gathered, bordered): (*mut f32, *mut f32),
        output: *mut f32,
    ) {
        let (grid, images) = (self.grid, part.images);
        // SAFETY: the caller's.
        unsafe {
            inputs.gather::<S>(part, block, gathered);
            S::call(Enclose { grid, planes: images, from: gathered, to: bordered, border: 0.0 });
            let weight = self.block_weight::<S>(block);
            S::call(DepthwiseWindows { grid, images, input: bordered, weight, reversed: false, output });
        }
    }

    #[inline(always)]
    fn taps(&self) -> usize {
        self.grid.window.size * self.grid.window.size
    }

    #[inline(always)]
    unsafe fn block_weight<S: Simd>(&self, block: usize) -> *const f32 {
        // SAFETY: the caller's.
        unsafe { self.weight.add(block * self.taps() * S::LANES) }
    }
}

/// The forward on one group.
pub(crate) struct SeparableForward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub depthwise: DepthwisePart,
    /// The pointwise convolution.
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

impl Kernel for SeparableForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (layout, pixels) = (self.inputs.layout, self.output.layout.pixels());
        let Scratch { gathered, bordered, rows: matrix, .. } = self.scratch;
        for tile in self.images.tiles(&self.output.layout) {
            let rows = tile.images * pixels;
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                for block in 0..layout.blocks {
                    for part in tile.tiles(&layout) {
                        let row = block * rows + (part.first - tile.first) * pixels;
                        let to = matrix.as_mut_ptr().add(row * S::LANES);
                        let memory = (gathered.as_mut_ptr(), bordered.as_mut_ptr());
                        self.depthwise.forward::<S>(&self.inputs, (part, block), memory, to);
                    }
                }
                self.output.multiply::<S>(tile, rows_of::<_, S>(matrix.as_ptr(), rows), layout.blocks);
            }
        }
    }
}

/// The backward on one group.
pub(crate) struct SeparableBackward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub depthwise: DepthwisePart,
    pub output: Layout,
    pub gradient: ValueGradient<'a>,
    /// `(out, in)` in panels: the transpose.
    pub pointwise_transposed: *const f32,
    /// Gradients of the weights, added to.
    pub depthwise_gradient: *mut f32,
    pub pointwise_gradient: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for SeparableBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (output, blocks) = (self.output, self.inputs.layout.blocks);
        for tile in self.images.tiles(&output) {
            let rows = tile.images * output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = self.scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs);
                let gradient = rows_of::<_, S>(outputs.cast_const(), rows);
                S::call(Product {
                    rows,
                    depth: Segments::blocks::<S>(output.blocks),
                    column_blocks: blocks,
                    a: gradient,
                    b: self.pointwise_transposed,
                    c: rows_of::<_, S>(self.scratch.rows_gradient.as_mut_ptr(), rows),
                    moments: None,
                });
                for block in 0..blocks {
                    for part in tile.tiles(&self.inputs.layout) {
                        self.part::<S>((part, block), block * rows + (part.first - tile.first) * output.pixels());
                    }
                }
                S::call(WeightGradient {
                    rows,
                    depth: Segments::blocks::<S>(blocks),
                    column_blocks: output.blocks,
                    a: rows_of::<_, S>(self.scratch.rows.as_ptr(), rows),
                    b: gradient,
                    c: self.pointwise_gradient,
                });
            }
        }
    }
}

impl SeparableBackward<'_> {
    /// Forms one block of some images' pointwise inputs again, at `row` of the tile, and takes their gradient back through
    /// the depthwise convolution.
    #[inline(always)]
    unsafe fn part<S: Simd>(&mut self, (part, block): (Tile, usize), row: usize) {
        let (DepthwisePart { grid, .. }, images) = (self.depthwise, part.images);
        let Scratch { gathered, bordered, bordered_gradient, rows, rows_gradient, .. } = &mut *self.scratch;
        // SAFETY: the caller's.
        unsafe {
            let (input, output) = (bordered.as_mut_ptr(), rows.as_mut_ptr().add(row * S::LANES));
            self.depthwise.forward::<S>(&self.inputs, (part, block), (gathered.as_mut_ptr(), input), output);
            let gradient = rows_gradient.as_ptr().add(row * S::LANES);
            let to = self.depthwise_gradient.add(block * self.depthwise.taps() * S::LANES);
            S::call(DepthwiseWindowsGradient { grid, images, input, gradient, to });
            let dilated = bordered_gradient.as_mut_ptr();
            S::call(Dilate { grid, planes: images, from: gradient, to: dilated });
            let (weight, to) = (self.depthwise.block_weight::<S>(block), self.inputs.gradient(part, block));
            let grid = grid.transposed();
            S::call(DepthwiseWindows { grid, images, input: dilated, weight, reversed: true, output: to });
            self.inputs.add_sums::<S>(part, block, to);
        }
    }
}
