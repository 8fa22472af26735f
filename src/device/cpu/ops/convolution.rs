//! Dense convolution of the sum of activated inputs. A tile's inputs get a border and stay in the cache; pixels of 1x1
//! windows are read as rows of a matrix.

use super::super::gemm::{Product, Segments, Strided, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::super::windows::{Dilate, Enclose, Grid, WindowProduct, WindowRows, WindowWeightGradient};
use super::sources::{Sources, ValueGradient};
use super::tile::{Images, RawOutput, Scratch, Tile, rows_of};

/// The forward on one group.
pub(crate) struct ConvolutionForward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub grid: Grid,
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

/// Gathers all blocks of a tile of the inputs and gives them a border.
#[inline(always)]
unsafe fn enclosed<S: Simd>(inputs: &Sources, grid: Grid, tile: Tile, scratch: &mut Scratch) -> WindowRows {
    let (images, blocks) = (tile.images, inputs.layout.blocks);
    let bordered = scratch.bordered.as_mut_ptr();
    let floats = images * grid.bordered_pixels() * S::LANES;
    for block in 0..blocks {
        // SAFETY: the caller's: scratch holds a tile with its border.
        unsafe {
            let to = bordered.add(block * floats);
            if grid.is_pointwise() {
                inputs.gather::<S>(tile, block, to);
                continue;
            }
            let from = scratch.gathered.as_mut_ptr();
            inputs.gather::<S>(tile, block, from);
            S::call(Enclose { grid, planes: images, from, to, border: 0.0 });
        }
    }
    WindowRows { grid, images, blocks, start: bordered }
}

/// `c = windows * b`
#[inline(always)]
unsafe fn multiply<S: Simd>(product: WindowProduct) {
    let WindowProduct { a, b, column_blocks, c, moments } = product;
    // SAFETY: the caller's.
    unsafe {
        if !a.grid.is_pointwise() {
            return S::call(product);
        }
        let rows = a.images * a.grid.outputs();
        let (depth, a) = (Segments::blocks::<S>(a.blocks), rows_of::<_, S>(a.start, rows));
        S::call(Product { rows, depth, column_blocks, a, b, c, moments });
    }
}

/// The images of a part of an output tile, as the rows of a matrix of the whole tile.
#[inline(always)]
unsafe fn part_rows<P, S: Simd>(start: P, layout: &Layout, tile: Tile) -> Strided<P> {
    rows_of::<_, S>(start, tile.images * layout.pixels())
}

impl Kernel for ConvolutionForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.output.layout;
        for tile in self.images.tiles(&layout) {
            for part in tile.tiles(&self.inputs.layout) {
                // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
                unsafe {
                    let a = enclosed::<S>(&self.inputs, self.grid, part, self.scratch);
                    let first = (part.first - tile.first) * layout.pixels() * S::LANES;
                    let to = self.output.to.add(layout.plane(tile.first, 0, tile.batch) + first);
                    multiply::<S>(WindowProduct {
                        a,
                        b: self.output.weight,
                        column_blocks: layout.blocks,
                        c: part_rows::<_, S>(to, &layout, tile),
                        moments: self.output.moments(part.first == self.images.start),
                    });
                }
            }
        }
    }
}

/// The backward on one group.
pub(crate) struct ConvolutionBackward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub grid: Grid,
    pub output: Layout,
    pub gradient: ValueGradient<'a>,
    /// The transpose, taps in reverse order.
    pub weight_transposed: *const f32,
    /// Added to.
    pub weight_gradient: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for ConvolutionBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for tile in self.images.tiles(&self.output) {
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = self.scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs);
                for part in tile.tiles(&self.inputs.layout) {
                    let first = (part.first - tile.first) * self.output.pixels() * S::LANES;
                    let rows = part_rows::<_, S>(outputs.add(first).cast_const(), &self.output, tile);
                    let a = enclosed::<S>(&self.inputs, self.grid, part, self.scratch);
                    Backward { a, gradient: rows, output: self.output }.weight::<S>(self.weight_gradient);
                    let to = self.inputs.gradient(part, 0);
                    let bordered = self.scratch.bordered_gradient.as_mut_ptr();
                    Backward { a, gradient: rows, output: self.output }.input::<S>(
                        self.weight_transposed,
                        bordered,
                        to,
                    );
                    let floats = part.images * self.inputs.layout.pixels() * S::LANES;
                    for block in 0..self.inputs.layout.blocks {
                        self.inputs.add_sums::<S>(part, block, to.add(block * floats));
                    }
                }
            }
        }
    }
}

/// Some images' inputs and the gradient of their outputs.
struct Backward {
    a: WindowRows,
    gradient: Strided<*const f32>,
    output: Layout,
}

impl Backward {
    #[inline(always)]
    unsafe fn weight<S: Simd>(&self, c: *mut f32) {
        let (a, b, column_blocks) = (self.a, self.gradient, self.output.blocks);
        // SAFETY: the caller's.
        unsafe {
            if !a.grid.is_pointwise() {
                return S::call(WindowWeightGradient { a, b, column_blocks, c });
            }
            let rows = a.images * a.grid.outputs();
            let (depth, a) = (Segments::blocks::<S>(a.blocks), rows_of::<_, S>(a.start, rows));
            S::call(WeightGradient { rows, depth, column_blocks, a, b, c });
        }
    }

    /// The gradient of the inputs, contiguous, from the outputs' in planes with border.
    #[inline(always)]
    unsafe fn input<S: Simd>(&self, weight: *const f32, bordered: *mut f32, to: *mut f32) {
        let (grid, images) = (self.a.grid, self.a.images);
        let transposed = grid.transposed();
        // SAFETY: the caller's.
        unsafe {
            let rows = images * grid.input.0 * grid.input.1;
            let c = rows_of::<_, S>(to, rows);
            if grid.is_pointwise() {
                let depth = Segments::blocks::<S>(self.output.blocks);
                let (a, column_blocks) = (self.gradient, self.a.blocks);
                return S::call(Product { rows, depth, column_blocks, a, b: weight, c, moments: None });
            }
            let floats = images * transposed.bordered_pixels() * S::LANES;
            for block in 0..self.output.blocks {
                let from = self.gradient.start.add(block * self.gradient.segment_stride);
                S::call(Dilate { grid, planes: images, from, to: bordered.add(block * floats) });
            }
            let a = WindowRows { grid: transposed, images, blocks: self.output.blocks, start: bordered };
            S::call(WindowProduct { a, b: weight, column_blocks: self.a.blocks, c, moments: None });
        }
    }
}
