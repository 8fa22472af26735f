//! Matrix products in registers: the pointwise convolution, its gradients, and every other dense layer.
//!
//! One operand is packed in panels of one to three vectors ([`panel_widths`]); the others are addressed by a row stride
//! and a block stride (a block being `LANES` columns), so that the same code reads channel-blocked activations and plain
//! row-major matrices. A register tile is four rows by up to three vectors: twelve accumulators, three vectors of the
//! packed operand and one broadcast fill the sixteen registers of AVX2.

use super::layout::panel_widths;
use super::simd::{Kernel, Simd};

/// Rows of a register tile.
const TILE: usize = 4;

/// A matrix whose element (row, column) lies at `row * row_stride + column / LANES * block_stride + column % LANES`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<P> {
    /// The first element.
    pub start: P,
    /// Floats from one row to the next.
    pub row_stride: usize,
    /// Floats from one block of columns to the next.
    pub block_stride: usize,
}

/// `c = a * b`, optionally with the column sums of `c` and of its squares added up: batch norm's statistics come out of
/// the product's registers.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// Blocks of `a`'s columns, and of `b`'s rows.
    pub depth_blocks: usize,
    /// Blocks of `b`'s and `c`'s columns.
    pub column_blocks: usize,
    /// `(rows, depth)`
    pub a: Strided<*const f32>,
    /// `(depth, columns)`, in panels.
    pub b: *const f32,
    /// `(rows, columns)`
    pub c: Strided<*mut f32>,
    /// `(columns)`: where the column sums are added, and those of the squares; null for none.
    pub sums: *mut f32,
    /// See `sums`.
    pub squares: *mut f32,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for Product {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let depth = self.depth_blocks * S::LANES;
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                let b = self.b.add(block * S::LANES * depth);
                match width {
                    3 => self.panel::<S, 3>(b, block),
                    2 => self.panel::<S, 2>(b, block),
                    _ => self.panel::<S, 1>(b, block),
                }
                block += width;
            }
        }
    }
}

impl Product {
    #[inline(always)]
    unsafe fn panel<S: Simd, const W: usize>(&self, b: *const f32, block: usize) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[S::zero(); 2]; W];
            let mut row = 0;
            while row + TILE <= self.rows {
                self.tile::<S, TILE, W>(b, block, row, &mut sums);
                row += TILE;
            }
            match self.rows - row {
                3 => self.tile::<S, 3, W>(b, block, row, &mut sums),
                2 => self.tile::<S, 2, W>(b, block, row, &mut sums),
                1 => self.tile::<S, 1, W>(b, block, row, &mut sums),
                _ => {}
            }
            if !self.sums.is_null() {
                for (w, [sum, square]) in sums.into_iter().enumerate() {
                    let at = (block + w) * S::LANES;
                    S::store(self.sums.add(at), S::add(S::load(self.sums.add(at)), sum));
                    S::store(self.squares.add(at), S::add(S::load(self.squares.add(at)), square));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(
        &self,
        b: *const f32,
        block: usize,
        row: usize,
        sums: &mut [[S::Vector; 2]; W],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let a = self.a.start.add(row * self.a.row_stride);
            let tile = multiply::<S, R, W>(a, &self.a, b, self.depth_blocks);
            let c = self.c.start.add(row * self.c.row_stride + block * self.c.block_stride);
            for (r, values) in tile.iter().enumerate() {
                for (w, &value) in values.iter().enumerate() {
                    S::store(c.add(r * self.c.row_stride + w * self.c.block_stride), value);
                }
            }
            if !self.sums.is_null() {
                for values in tile {
                    for (w, value) in values.into_iter().enumerate() {
                        sums[w][0] = S::add(sums[w][0], value);
                        sums[w][1] = S::mul_add(value, value, sums[w][1]);
                    }
                }
            }
        }
    }
}

/// `R` rows of `a` times a panel of `W` vectors.
#[inline(always)]
unsafe fn multiply<S: Simd, const R: usize, const W: usize>(
    a: *const f32,
    strides: &Strided<*const f32>,
    b: *const f32,
    depth_blocks: usize,
) -> [[S::Vector; W]; R] {
    // SAFETY: the caller's.
    unsafe {
        let mut tile = [[S::zero(); W]; R];
        let (mut a, mut b) = (a, b);
        let row_stride = strides.row_stride;
        for _ in 0..depth_blocks {
            for k in 0..S::LANES {
                let mut vectors = [S::zero(); W];
                for (w, vector) in vectors.iter_mut().enumerate() {
                    *vector = S::load(b.add((k * W + w) * S::LANES));
                }
                for (r, values) in tile.iter_mut().enumerate() {
                    let scalar = S::splat(*a.add(r * row_stride + k));
                    for (value, &vector) in values.iter_mut().zip(&vectors) {
                        *value = S::mul_add(scalar, vector, *value);
                    }
                }
            }
            a = a.add(strides.block_stride);
            b = b.add(S::LANES * S::LANES * W);
        }
        tile
    }
}

/// `c += transpose(a) * b`: the gradient of a weight matrix from its layer's inputs and the gradient of its outputs.
#[derive(Clone, Copy)]
pub(crate) struct WeightGradient {
    /// Rows of `a` and `b`.
    pub rows: usize,
    /// Blocks of `a`'s columns, and of `c`'s rows.
    pub depth_blocks: usize,
    /// Blocks of `b`'s and `c`'s columns.
    pub column_blocks: usize,
    /// `(rows, depth)`
    pub a: Strided<*const f32>,
    /// `(rows, columns)`
    pub b: Strided<*const f32>,
    /// `(depth, columns)`, in panels; added to.
    pub c: *mut f32,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for WeightGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let depth = self.depth_blocks * S::LANES;
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                let b = self.b.start.add(block * self.b.block_stride);
                let c = self.c.add(block * S::LANES * depth);
                for k in (0..depth).step_by(TILE) {
                    let a = self.a.start.add(k / S::LANES * self.a.block_stride + k % S::LANES);
                    let c = c.add(k * width * S::LANES);
                    match width {
                        3 => self.tile::<S, 3>(a, b, c),
                        2 => self.tile::<S, 2>(a, b, c),
                        _ => self.tile::<S, 1>(a, b, c),
                    }
                }
                block += width;
            }
        }
    }
}

impl WeightGradient {
    #[inline(always)]
    unsafe fn tile<S: Simd, const W: usize>(&self, a: *const f32, b: *const f32, c: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let mut tile = [[S::zero(); W]; TILE];
            let (mut a, mut b) = (a, b);
            for _ in 0..self.rows {
                let mut vectors = [S::zero(); W];
                for (w, vector) in vectors.iter_mut().enumerate() {
                    *vector = S::load(b.add(w * self.b.block_stride));
                }
                for (k, values) in tile.iter_mut().enumerate() {
                    let scalar = S::splat(*a.add(k));
                    for (value, &vector) in values.iter_mut().zip(&vectors) {
                        *value = S::mul_add(scalar, vector, *value);
                    }
                }
                a = a.add(self.a.row_stride);
                b = b.add(self.b.row_stride);
            }
            for (k, values) in tile.into_iter().enumerate() {
                for (w, value) in values.into_iter().enumerate() {
                    let at = c.add((k * W + w) * S::LANES);
                    S::store(at, S::add(S::load(at), value));
                }
            }
        }
    }
}

/// Repacks a `(rows, columns)` matrix in panels as its transpose in panels. Sizes are in blocks of `lanes`.
pub(crate) fn transpose_panels(from: &[f32], to: &mut [f32], row_blocks: usize, column_blocks: usize, lanes: usize) {
    let rows = row_blocks * lanes;
    let columns = column_blocks * lanes;
    let mut column_block = 0;
    for width in panel_widths(column_blocks) {
        let panel = &from[column_block * lanes * rows..][..width * lanes * rows];
        let mut row_block = 0;
        for row_width in panel_widths(row_blocks) {
            let target = &mut to[row_block * lanes * columns..][..row_width * lanes * columns];
            for column in 0..width * lanes {
                let line = &mut target[(column_block * lanes + column) * row_width * lanes..][..row_width * lanes];
                for (row, value) in line.iter_mut().enumerate() {
                    *value = panel[(row_block * lanes + row) * width * lanes + column];
                }
            }
            row_block += row_width;
        }
        column_block += width;
    }
}
