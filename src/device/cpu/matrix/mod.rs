//! Dense row-major f32 matrices and the products a linear layer needs, for one thread.
//!
//! With `x` (rows, inputs), `weight` (outputs, inputs) as PyTorch stores it and `y` (rows, outputs):
//!
//! | | product | multiply-adds |
//! |---|---|---|
//! | [`multiply`] by the transposed weight | `y = x weight^T + start` | rows * inputs * outputs |
//! | [`multiply`] by the weight | `dx = dy weight + start` | the same |
//! | [`transposed_product`] | `dweight = dy^T x` or `+=` | the same |
//!
//! The right factor of [`multiply`] is [`Packed`] beforehand, once for all products with it, or read
//! [in place](Factor::in_place). An element of a product
//! depends on nothing but its own row, its own column and the instruction set: not on the other rows of the matrix.

mod gradient;
mod memory;
mod packed;
mod product;
#[cfg(test)]
mod tests;
mod vectorise;

pub use gradient::{Panels, Sum, column_sums, transposed_product};
pub use packed::{Factor, Packed};
pub use product::{Start, multiply, multiply_rectified};
pub use vectorise::{Vectorise, vectorise};

use memory::Memory;
use std::ops::Range;

/// A matrix that owns its elements and keeps its memory when it is reshaped.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    /// Elements, and behind them what the matrix had when it was larger.
    memory: Memory,
}

impl Matrix {
    /// Gives the matrix this shape; its elements are unspecified until written. Allocates only when it grows beyond
    /// what it ever was.
    pub fn reshape(&mut self, rows: usize, cols: usize) {
        self.rows = rows;
        self.cols = cols;
        self.memory.reserve(rows * cols);
    }

    /// Gives the matrix this shape, all zeros.
    pub fn reshape_zeroed(&mut self, rows: usize, cols: usize) {
        self.reshape(rows, cols);
        self.data_mut().fill(0.0);
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All elements, row after row.
    pub fn data(&self) -> &[f32] {
        &self.memory[..self.rows * self.cols]
    }

    /// All elements, row after row.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.memory[..self.rows * self.cols]
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[f32] {
        debug_assert!(row < self.rows);
        &self.memory[row * self.cols..(row + 1) * self.cols]
    }

    /// One row.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        debug_assert!(row < self.rows);
        &mut self.memory[row * self.cols..(row + 1) * self.cols]
    }

    /// `N` elements of a row. Cheaper than to cut the row, whose ends are checked too.
    #[inline(always)]
    pub fn take<const N: usize>(&self, row: usize, column: usize) -> [f32; N] {
        debug_assert!(row < self.rows && column + N <= self.cols);
        let mut values = [0.0; N];
        values.copy_from_slice(&self.memory[row * self.cols + column..][..N]);
        values
    }

    /// Writes `N` elements of a row.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, row: usize, column: usize, values: [f32; N]) {
        debug_assert!(row < self.rows && column + N <= self.cols);
        self.memory[row * self.cols + column..][..N].copy_from_slice(&values);
    }

    /// Adds to `N` elements of a row.
    #[inline(always)]
    pub fn add<const N: usize>(&mut self, row: usize, column: usize, values: [f32; N]) {
        debug_assert!(row < self.rows && column + N <= self.cols);
        let to = &mut self.memory[row * self.cols + column..][..N];
        to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
    }

    /// The whole matrix.
    pub fn view(&self) -> View<'_> {
        View::new(self.data(), self.rows, self.cols)
    }

    /// The whole matrix.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut::new(&mut self.memory[..self.rows * self.cols], self.rows, self.cols)
    }
}

/// A matrix that lies in somebody else's memory; rows are `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> View<'a> {
    /// Adjacent rows.
    ///
    /// # Panics
    /// If there are not `rows * cols` elements.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "{rows} rows of {cols}");
        View { data, rows, cols, stride: cols }
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// Some of the columns.
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.cols);
        View { data: self.data.get(range.start..).unwrap_or(&[]), cols: range.len(), ..self }
    }

    /// Some of the rows.
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows);
        View { data: self.data.get(range.start * self.stride..).unwrap_or(&[]), rows: range.len(), ..self }
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.stride..][..self.cols]
    }
}

/// As [`View`], writable.
#[derive(Debug)]
pub struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> ViewMut<'a> {
    /// Adjacent rows.
    ///
    /// # Panics
    /// If there are not `rows * cols` elements.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "{rows} rows of {cols}");
        ViewMut { data, rows, cols, stride: cols }
    }

    /// Some of the columns.
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.cols);
        ViewMut { data: self.data.get_mut(range.start..).unwrap_or_default(), cols: range.len(), ..self }
    }

    /// Some of the rows.
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows);
        ViewMut { data: self.data.get_mut(range.start * self.stride..).unwrap_or_default(), rows: range.len(), ..self }
    }

    #[inline(always)]
    fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.stride..][..self.cols]
    }
}
