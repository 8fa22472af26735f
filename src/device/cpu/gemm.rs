//! Matrix products in registers: the pointwise convolution, its gradients, and every other dense layer.
//!
//! One operand is packed in panels of one to three vectors ([`panel_widths`]); the others are addressed by a row stride
//! and a segment stride (a segment being a run of neighbouring columns), so that the same code reads channel-blocked
//! activations, plain row-major matrices and the windows of a dense convolution. A register tile has twelve accumulators
//! (eight where a panel is one vector wide): two vectors by six rows leave three of AVX2's sixteen registers for what is
//! loaded, and ask for eight loads in twelve multiply-adds, less than the two per cycle that a core can do.

use super::layout::{padded, panel_widths};
use super::moments::{ColumnMoments, Moments};
use super::simd::{Kernel, Simd};

/// A matrix whose element (row, column) lies at `row * row_stride + column / length * segment_stride + column % length`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<P> {
    /// The first element.
    pub start: P,
    /// Floats from one row to the next.
    pub row_stride: usize,
    /// Floats from one segment of columns to the next.
    pub segment_stride: usize,
}

/// The columns of a [`Strided`] matrix that is summed over, or whose columns are the rows of a gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments {
    /// How many.
    pub count: usize,
    /// Columns in each.
    pub length: usize,
}

impl Segments {
    /// Channel blocks of `S`.
    #[inline(always)]
    pub(crate) fn blocks<S: Simd>(count: usize) -> Self {
        Segments { count, length: S::LANES }
    }

    /// Columns in all.
    #[inline(always)]
    pub(crate) fn columns(self) -> usize {
        self.count * self.length
    }
}

/// `c = a * b`, optionally with the moments of `c`'s columns: batch norm's statistics come out of the product's registers.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// `a`'s columns, and `b`'s rows that are used.
    pub depth: Segments,
    /// Blocks of `b`'s and `c`'s columns.
    pub column_blocks: usize,
    /// `(rows, depth)`
    pub a: Strided<*const f32>,
    /// `(depth, columns)`, in panels whose rows are padded to whole vectors.
    pub b: *const f32,
    /// `(rows, columns)`; its segments are blocks.
    pub c: Strided<*mut f32>,
    /// See there.
    pub moments: Option<Moments>,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for Product {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let b_rows = padded(self.depth.columns(), S::LANES);
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                let b = self.b.add(block * S::LANES * b_rows);
                match width {
                    3 => self.panel::<S, 4, 3>(b, block),
                    2 => self.panel::<S, 6, 2>(b, block),
                    _ => self.panel::<S, 8, 1>(b, block),
                }
                block += width;
            }
        }
    }
}

impl Product {
    /// All rows of a panel of `W` vectors, `R` at a time.
    #[inline(always)]
    unsafe fn panel<S: Simd, const R: usize, const W: usize>(&self, b: *const f32, block: usize) {
        // SAFETY: the caller's.
        unsafe {
            let mut columns = ColumnMoments::<S, W>::new(self.moments, block);
            if let Some(moments) = self.moments.filter(|moments| moments.first) {
                let [shift] = multiply::<S, 1, W>(self.a.start, &self.a, b, self.depth);
                columns.set_shift(moments, block, shift);
            }
            let mut row = 0;
            while row + R <= self.rows {
                self.tile::<S, R, W>(b, block, row, &mut columns);
                row += R;
            }
            if self.rows - row >= 4 {
                self.tile::<S, 4, W>(b, block, row, &mut columns);
                row += 4;
            }
            match self.rows - row {
                1 => self.tile::<S, 1, W>(b, block, row, &mut columns),
                2 => self.tile::<S, 2, W>(b, block, row, &mut columns),
                3 => self.tile::<S, 3, W>(b, block, row, &mut columns),
                _ => {}
            }
            columns.add_to(self.moments, block);
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(
        &self,
        b: *const f32,
        block: usize,
        row: usize,
        columns: &mut ColumnMoments<S, W>,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let a = self.a.start.add(row * self.a.row_stride);
            let tile = multiply::<S, R, W>(a, &self.a, b, self.depth);
            let c = self.c.start.add(row * self.c.row_stride + block * self.c.segment_stride);
            for (r, values) in tile.iter().enumerate() {
                for (w, &value) in values.iter().enumerate() {
                    S::store(c.add(r * self.c.row_stride + w * self.c.segment_stride), value);
                }
            }
            if self.moments.is_some() {
                tile.into_iter().for_each(|values| columns.take(values));
            }
        }
    }
}

/// `R` rows of `a` times a panel of `W` vectors. A segment's length is a variable on purpose: unrolled, the loop keeps
/// more loads in flight than there are registers, and the accumulators go to the stack.
#[inline(always)]
unsafe fn multiply<S: Simd, const R: usize, const W: usize>(
    a: *const f32,
    strides: &Strided<*const f32>,
    b: *const f32,
    depth: Segments,
) -> [[S::Vector; W]; R] {
    // SAFETY: the caller's.
    unsafe {
        let mut tile = [[S::zero(); W]; R];
        let (mut a, mut b) = (a, b);
        let row_stride = strides.row_stride;
        for _ in 0..depth.count {
            for k in 0..depth.length {
                let mut vectors = [S::zero(); W];
                for (w, vector) in vectors.iter_mut().enumerate() {
                    *vector = S::load(b.add(w * S::LANES));
                }
                b = b.add(W * S::LANES);
                for (r, values) in tile.iter_mut().enumerate() {
                    let scalar = S::splat(*a.add(r * row_stride + k));
                    for (value, &vector) in values.iter_mut().zip(&vectors) {
                        *value = S::mul_add(scalar, vector, *value);
                    }
                }
            }
            a = a.add(strides.segment_stride);
        }
        tile
    }
}

/// `c += transpose(a) * b`: the gradient of a weight matrix from its layer's inputs and the gradient of its outputs.
#[derive(Clone, Copy)]
pub(crate) struct WeightGradient {
    /// Rows of `a` and `b`.
    pub rows: usize,
    /// `a`'s columns, and `c`'s rows that are added to. A segment's length is a multiple of four, or of three.
    pub depth: Segments,
    /// Blocks of `b`'s and `c`'s columns.
    pub column_blocks: usize,
    /// `(rows, depth)`
    pub a: Strided<*const f32>,
    /// `(rows, columns)`; its segments are blocks.
    pub b: Strided<*const f32>,
    /// `(depth, columns)`, in panels whose rows are padded to whole vectors; added to.
    pub c: *mut f32,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for WeightGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match self.depth.length.is_multiple_of(4) {
                true => self.panels::<S, 4>(),
                false => self.panels::<S, 3>(),
            }
        }
    }
}

impl WeightGradient {
    /// All of `c`, `T` rows at a time.
    #[inline(always)]
    unsafe fn panels<S: Simd, const T: usize>(&self) {
        // SAFETY: the caller's.
        unsafe {
            let c_rows = padded(self.depth.columns(), S::LANES);
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                let b = self.b.start.add(block * self.b.segment_stride);
                let c = self.c.add(block * S::LANES * c_rows);
                for k in (0..self.depth.columns()).step_by(T) {
                    let segment = k / self.depth.length;
                    let a = self.a.start.add(segment * self.a.segment_stride + k % self.depth.length);
                    let c = c.add(k * width * S::LANES);
                    match width {
                        3 => self.tile::<S, T, 3>(a, b, c),
                        2 => self.tile::<S, T, 2>(a, b, c),
                        _ => self.tile::<S, T, 1>(a, b, c),
                    }
                }
                block += width;
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const T: usize, const W: usize>(&self, a: *const f32, b: *const f32, c: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let mut tile = [[S::zero(); W]; T];
            let (mut a, mut b) = (a, b);
            for _ in 0..self.rows {
                let mut vectors = [S::zero(); W];
                for (w, vector) in vectors.iter_mut().enumerate() {
                    *vector = S::load(b.add(w * self.b.segment_stride));
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

/// Repacks a dense convolution's weight `(in block, tap, lane; out)` as `(out block, tap, lane; in)` with the taps in
/// reverse order: the weight of the convolution that gives the gradient of its input. Sizes are blocks of `in` and of
/// `out` and the number of taps.
pub(crate) fn transpose_windows(
    from: &[f32],
    to: &mut [f32],
    (in_blocks, out_blocks, taps): (usize, usize, usize),
    lanes: usize,
) {
    let (from_rows, to_rows) = (in_blocks * taps * lanes, out_blocks * taps * lanes);
    let mut out_block = 0;
    for out_width in panel_widths(out_blocks) {
        let out_columns = out_width * lanes;
        let panel = &from[out_block * lanes * from_rows..][..out_columns * from_rows];
        let mut in_block = 0;
        for in_width in panel_widths(in_blocks) {
            let target = &mut to[in_block * lanes * to_rows..][..in_width * lanes * to_rows];
            for column in 0..out_columns {
                let (block, lane) = (out_block + column / lanes, column % lanes);
                for tap in 0..taps {
                    let row = (block * taps + taps - 1 - tap) * lanes + lane;
                    let line = &mut target[row * in_width * lanes..][..in_width * lanes];
                    for (place, value) in line.iter_mut().enumerate() {
                        let from_row = ((in_block + place / lanes) * taps + tap) * lanes + place % lanes;
                        *value = panel[from_row * out_columns + column];
                    }
                }
            }
            in_block += in_width;
        }
        out_block += out_width;
    }
}
