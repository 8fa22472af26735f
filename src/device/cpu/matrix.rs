//! Dense row-major f32 matrices and the three products a linear layer needs, for one thread.
//!
//! With `x` (rows, inputs), `weight` (outputs, inputs) as PyTorch stores it and `y` (rows, outputs):
//!
//! | | product | multiply-adds |
//! |---|---|---|
//! | [`linear`] | `y = x weight^T + start` | rows * inputs * outputs |
//! | [`linear_input_gradient`] | `dx = dy weight + start` | the same |
//! | [`linear_weight_gradient`] | `dweight += dy^T x` | the same |
//!
//! All three are one blocked product: the right factor is packed into panels of [`PANEL`] columns, the left one is read
//! in place, and a tile of [`TILE`] rows by one panel stays in registers. An element's value depends on nothing but its
//! own row, its own column and the instruction set: not on the other rows of the matrix.

use std::ops::Range;

/// Columns of a packed panel: two AVX2 vectors.
const PANEL: usize = 16;
/// Rows of a register tile: 12 accumulators of the 16 AVX2 registers.
const TILE: usize = 6;
/// Depth of a block, so that the packed panels stay in the second-level cache.
const DEPTH: usize = 256;

/// Work compiled once for the baseline processor and once for wide vectors; [`vectorise`] chooses when it runs.
///
/// The implementation and everything it calls must be `#[inline(always)]` to be compiled for wide vectors at all.
pub trait Vectorise {
    /// What the work returns.
    type Output;
    /// The work. `FMA` says whether `f32::mul_add` is one instruction here.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Runs the work with the widest vectors this processor has.
pub fn vectorise<W: Vectorise>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { run_avx2(work) };
    }
    portable(work)
}

/// The work for the baseline processor; every AArch64 has fused multiply-add.
fn portable<W: Vectorise>(work: W) -> W::Output {
    if cfg!(target_arch = "aarch64") { work.run::<true>() } else { work.run::<false>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Vectorise>(work: W) -> W::Output {
    work.run::<true>()
}

/// A matrix that owns its elements and keeps its memory when it is reshaped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// Gives the matrix this shape; its elements are unspecified until written. Allocates only when it grows beyond
    /// what it ever was.
    pub fn reshape(&mut self, rows: usize, cols: usize) {
        self.rows = rows;
        self.cols = cols;
        self.data.resize(rows * cols, 0.0);
    }

    /// Gives the matrix this shape, all zeros.
    pub fn reshape_zeroed(&mut self, rows: usize, cols: usize) {
        self.reshape(rows, cols);
        self.data.fill(0.0);
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
        &self.data
    }

    /// All elements, row after row.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// One row.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// The whole matrix.
    pub fn view(&self) -> View<'_> {
        View::new(&self.data, self.rows, self.cols)
    }

    /// The whole matrix.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut::new(&mut self.data, self.rows, self.cols)
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

    #[inline(always)]
    fn row(&self, row: usize) -> &'a [f32] {
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

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing: the output is overwritten.
    Zero,
    /// This row, to every row of the output.
    Bias(&'a [f32]),
    /// What the output holds.
    Output,
}

/// Memory for packed panels, kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Panels(Vec<f32>);

/// `y = x weight^T + start`: x (rows, inputs), weight (outputs, inputs), y (rows, outputs).
pub fn linear(x: View, weight: View, start: Start, y: &mut ViewMut, panels: &mut Panels) {
    assert_eq!((x.rows, weight.rows, x.cols), (y.rows, y.cols, weight.cols));
    vectorise(Product::<false, true> { left: x, right: weight, start, out: y, panels });
}

/// `dx = dy weight + start`: dy (rows, outputs), weight (outputs, inputs), dx (rows, inputs).
pub fn linear_input_gradient(dy: View, weight: View, start: Start, dx: &mut ViewMut, panels: &mut Panels) {
    assert_eq!((dy.rows, weight.cols, dy.cols), (dx.rows, dx.cols, weight.rows));
    vectorise(Product::<false, false> { left: dy, right: weight, start, out: dx, panels });
}

/// `dweight += dy^T x`: dy (rows, outputs), x (rows, inputs), dweight (outputs, inputs).
pub fn linear_weight_gradient(dy: View, x: View, dweight: &mut ViewMut, panels: &mut Panels) {
    assert_eq!((dy.cols, x.cols, dy.rows), (dweight.rows, dweight.cols, x.rows));
    vectorise(Product::<true, false> { left: dy, right: x, start: Start::Output, out: dweight, panels });
}

/// `sums += ` the sum over the rows: the gradient of a bias.
pub fn add_column_sums(dy: View, sums: &mut [f32]) {
    assert_eq!(dy.cols, sums.len());
    vectorise(ColumnSums { dy, sums });
}

struct ColumnSums<'a> {
    dy: View<'a>,
    sums: &'a mut [f32],
}

impl Vectorise for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in 0..self.dy.rows {
            for (sum, value) in self.sums.iter_mut().zip(self.dy.row(row)) {
                *sum += value;
            }
        }
    }
}

/// `out = left right + start`, where `LEFT` and `RIGHT` say whether that factor is given transposed.
struct Product<'a, 'o, const LEFT: bool, const RIGHT: bool> {
    left: View<'a>,
    right: View<'a>,
    start: Start<'a>,
    out: &'a mut ViewMut<'o>,
    panels: &'a mut Panels,
}

impl<const LEFT: bool, const RIGHT: bool> Vectorise for Product<'_, '_, LEFT, RIGHT> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let depth = if LEFT { self.left.rows } else { self.left.cols };
        // An empty product still has to write its start.
        let blocks = depth.div_ceil(DEPTH).max(1);
        for block in 0..blocks {
            let range = block * DEPTH..depth.min((block + 1) * DEPTH);
            self.pack(range.clone());
            self.block::<FMA>(range);
            self.start = Start::Output;
        }
    }
}

impl<const LEFT: bool, const RIGHT: bool> Product<'_, '_, LEFT, RIGHT> {
    /// Packs rows `depth` of the right factor: panel after panel, each (depth, PANEL), padded with zeros.
    #[inline(always)]
    fn pack(&mut self, depth: Range<usize>) {
        let count = self.out.cols.div_ceil(PANEL);
        self.panels.0.resize(count * depth.len() * PANEL, 0.0);
        if depth.is_empty() {
            return;
        }
        for (panel, packed) in self.panels.0.chunks_exact_mut(depth.len() * PANEL).enumerate() {
            let columns = panel * PANEL..self.out.cols.min((panel + 1) * PANEL);
            if columns.len() < PANEL {
                packed.fill(0.0);
            }
            if RIGHT {
                for (lane, column) in columns.enumerate() {
                    let row = &self.right.row(column)[depth.clone()];
                    for (to, value) in packed.chunks_exact_mut(PANEL).zip(row) {
                        to[lane] = *value;
                    }
                }
            } else {
                for (to, row) in packed.chunks_exact_mut(PANEL).zip(depth.clone()) {
                    to[..columns.len()].copy_from_slice(&self.right.row(row)[columns.clone()]);
                }
            }
        }
    }

    /// Adds the product over one block of the depth.
    #[inline(always)]
    fn block<const FMA: bool>(&mut self, depth: Range<usize>) {
        let mut row = 0;
        while row + TILE <= self.out.rows {
            self.rows::<FMA, TILE>(row, depth.clone());
            row += TILE;
        }
        match self.out.rows - row {
            0 => {}
            1 => self.rows::<FMA, 1>(row, depth),
            2 => self.rows::<FMA, 2>(row, depth),
            3 => self.rows::<FMA, 3>(row, depth),
            4 => self.rows::<FMA, 4>(row, depth),
            _ => self.rows::<FMA, 5>(row, depth),
        }
    }

    /// `R` rows of the output, panel by panel.
    #[inline(always)]
    fn rows<const FMA: bool, const R: usize>(&mut self, row: usize, depth: Range<usize>) {
        let columns = self.out.cols;
        for panel in 0..columns.div_ceil(PANEL) {
            let first = panel * PANEL;
            let width = PANEL.min(columns - first);
            let mut tile = self.load::<R>(row, first, width);
            let packed = &self.panels.0[panel * depth.len() * PANEL..][..depth.len() * PANEL];
            if LEFT {
                let left = &self.left.data[depth.start.min(self.left.rows) * self.left.stride..];
                multiply_columns::<FMA, R>(left.get(row..).unwrap_or(&[]), self.left.stride, packed, &mut tile);
            } else {
                let left: [&[f32]; R] = std::array::from_fn(|r| &self.left.row(row + r)[depth.clone()]);
                multiply_rows::<FMA, R>(left, packed, &mut tile);
            }
            for (r, values) in tile.iter().enumerate() {
                copy(values, &mut self.out.row_mut(row + r)[first..first + width]);
            }
        }
    }

    #[inline(always)]
    fn load<const R: usize>(&mut self, row: usize, first: usize, width: usize) -> [[f32; PANEL]; R] {
        let mut tile = [[0.0; PANEL]; R];
        for (r, values) in tile.iter_mut().enumerate() {
            match self.start {
                Start::Zero => {}
                Start::Bias(bias) => copy(&bias[first..first + width], values),
                Start::Output => copy(&self.out.row_mut(row + r)[first..first + width], values),
            }
        }
        tile
    }
}

/// Copies as much as the shorter of the two holds; a whole panel row without a call.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    match (from.first_chunk::<PANEL>(), to.first_chunk_mut::<PANEL>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
    }
}

/// `tile += left panel`, the left factor given as rows.
#[inline(always)]
fn multiply_rows<const FMA: bool, const R: usize>(left: [&[f32]; R], panel: &[f32], tile: &mut [[f32; PANEL]; R]) {
    let depth = panel.len() / PANEL;
    let left = left.map(|row| &row[..depth]);
    let mut sums = *tile;
    for (step, right) in (0..depth).zip(panel.chunks_exact(PANEL)) {
        for r in 0..R {
            multiply_add::<FMA>(left[r][step], right, &mut sums[r]);
        }
    }
    *tile = sums;
}

/// `tile += left^T panel`, the left factor given as columns, `stride` elements apart.
#[inline(always)]
fn multiply_columns<const FMA: bool, const R: usize>(
    left: &[f32],
    stride: usize,
    panel: &[f32],
    tile: &mut [[f32; PANEL]; R],
) {
    let mut sums = *tile;
    for (step, right) in panel.chunks_exact(PANEL).enumerate() {
        let column = &left[step * stride..][..R];
        for r in 0..R {
            multiply_add::<FMA>(column[r], right, &mut sums[r]);
        }
    }
    *tile = sums;
}

/// `sums += factor * right`
#[inline(always)]
fn multiply_add<const FMA: bool>(factor: f32, right: &[f32], sums: &mut [f32; PANEL]) {
    for (sum, value) in sums.iter_mut().zip(right) {
        *sum = if FMA { factor.mul_add(*value, *sum) } else { factor * value + *sum };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, StreamKey};
    use rand::RngExt;

    fn matrix(rows: usize, cols: usize, seed: u64) -> Matrix {
        let key = StreamKey { seed, purpose: Purpose::Synthetic, candidate: rows as u64, epoch: cols as u64 };
        let mut stream = key.stream();
        let data = (0..rows * cols).map(|_| stream.random::<f32>() - 0.5).collect();
        Matrix { rows, cols, data }
    }

    /// Compares with the product in f64; `left` and `right` give the elements of the two factors.
    fn check(
        out: &Matrix,
        depth: usize,
        term: impl Fn(usize, usize, usize) -> f64,
        start: impl Fn(usize, usize) -> f64,
    ) {
        for row in 0..out.rows() {
            for col in 0..out.cols() {
                let expected = start(row, col) + (0..depth).map(|k| term(row, col, k)).sum::<f64>();
                let got = f64::from(out.row(row)[col]);
                assert!((got - expected).abs() <= 1e-5, "[{row}, {col}]: {got} instead of {expected}");
            }
        }
    }

    const SHAPES: [[usize; 3]; 7] =
        [[1, 1, 1], [6, 16, 16], [7, 17, 5], [13, 300, 33], [300, 24, 10], [0, 5, 3], [5, 0, 18]];

    #[test]
    fn products_agree_with_the_definition_in_f64() {
        let at = |m: &Matrix, row: usize, col: usize| f64::from(m.row(row)[col]);
        let panels = &mut Panels::default();
        for [rows, inputs, outputs] in SHAPES {
            let (x, w, dy) = (matrix(rows, inputs, 1), matrix(outputs, inputs, 2), matrix(rows, outputs, 3));
            let bias = matrix(1, outputs, 4);

            let mut y = matrix(rows, outputs, 5);
            linear(x.view(), w.view(), Start::Bias(bias.data()), &mut y.view_mut(), panels);
            check(&y, inputs, |r, c, k| at(&x, r, k) * at(&w, c, k), |_, c| at(&bias, 0, c));
            linear(x.view(), w.view(), Start::Zero, &mut y.view_mut(), panels);
            check(&y, inputs, |r, c, k| at(&x, r, k) * at(&w, c, k), |_, _| 0.0);

            let before = matrix(rows, inputs, 6);
            let mut dx = before.clone();
            linear_input_gradient(dy.view(), w.view(), Start::Output, &mut dx.view_mut(), panels);
            check(&dx, outputs, |r, c, k| at(&dy, r, k) * at(&w, k, c), |r, c| at(&before, r, c));

            let before = matrix(outputs, inputs, 7);
            let mut dw = before.clone();
            linear_weight_gradient(dy.view(), x.view(), &mut dw.view_mut(), panels);
            check(&dw, rows, |r, c, k| at(&dy, k, r) * at(&x, k, c), |r, c| at(&before, r, c));
        }
    }

    #[test]
    fn views_of_columns_and_rows_leave_the_rest_alone() {
        let (x, w) = (matrix(9, 20, 1), matrix(8, 20, 2));
        let before = matrix(12, 11, 3);
        let mut y = before.clone();
        let mut part = y.view_mut().rows(2..11).columns(1..9);
        linear(x.view().columns(3..10), w.view().columns(13..20), Start::Zero, &mut part, &mut Panels::default());
        for row in 0..12 {
            for col in 0..11 {
                let inside = (2..11).contains(&row) && (1..9).contains(&col);
                let expected = match inside {
                    true => (0..7).map(|k| x.row(row - 2)[3 + k] * w.row(col - 1)[13 + k]).sum(),
                    false => before.row(row)[col],
                };
                assert!((y.row(row)[col] - expected).abs() <= 1e-5);
            }
        }
    }

    #[test]
    fn the_portable_path_agrees_with_the_vectorised_one() {
        let (x, w) = (matrix(31, 70, 1), matrix(45, 70, 2));
        let (mut fast, mut slow) = (matrix(31, 45, 3), matrix(31, 45, 4));
        let panels = &mut Panels::default();
        linear(x.view(), w.view(), Start::Zero, &mut fast.view_mut(), panels);
        let out = &mut slow.view_mut();
        let work = Product::<false, true> { left: x.view(), right: w.view(), start: Start::Zero, out, panels };
        work.run::<false>();
        for (a, b) in fast.data().iter().zip(slow.data()) {
            assert!((a - b).abs() <= 1e-5);
        }
    }

    #[test]
    fn column_sums_add_to_what_is_there() {
        let dy = matrix(5, 3, 1);
        let mut sums = [1.0; 3];
        add_column_sums(dy.view(), &mut sums);
        for (col, sum) in sums.iter().enumerate() {
            let expected = 1.0 + (0..5).map(|row| dy.row(row)[col]).sum::<f32>();
            assert!((sum - expected).abs() <= 1e-6);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (x, w) = (matrix(23, 300, 1), matrix(20, 300, 2));
        let (mut all, mut one) = (Matrix::default(), Matrix::default());
        all.reshape(23, 20);
        one.reshape(1, 20);
        let panels = &mut Panels::default();
        linear(x.view(), w.view(), Start::Zero, &mut all.view_mut(), panels);
        for row in 0..23 {
            linear(x.view().rows(row..row + 1), w.view(), Start::Zero, &mut one.view_mut(), panels);
            assert_eq!(one.row(0), all.row(row));
        }
    }
}
