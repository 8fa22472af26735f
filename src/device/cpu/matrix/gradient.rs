//! The gradients of a linear layer's weight and bias.

use super::super::layout::panel_widths;
use super::super::simd::{Kernel, Simd};
use super::packed::{Packed, depth_blocks};
use super::product::{accumulate, load, store};
use super::{Vectorise, View, ViewMut, vectorise};

/// Memory for packed panels, kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Panels(pub(super) Packed);

/// Whether a sum starts anew, whatever its memory holds, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// `to = ...`
    Fresh,
    /// `to += ...`
    Continued,
}

/// The sum over rows of `dy^T x`: dy (rows, outputs), x (rows, inputs), dweight (outputs, inputs).
///
/// # Panics
/// If the shapes do not fit.
pub fn transposed_product(dy: View, x: View, sum: Sum, dweight: &mut ViewMut, panels: &mut Panels) {
    assert_eq!((dy.cols, x.cols, dy.rows), (dweight.rows, dweight.cols, x.rows));
    if dweight.rows == 0 || dweight.cols == 0 {
        return;
    }
    if dy.rows == 0 {
        if sum == Sum::Fresh {
            (0..dweight.rows).for_each(|row| dweight.row_mut(row).fill(0.0));
        }
        return;
    }
    let packed = &mut panels.0;
    for block in depth_blocks(dy.rows) {
        let dy = dy.rows(block.clone());
        let x = x.rows(block.clone());
        let panels = match is_panel(x, packed) {
            true => x.data.as_ptr(),
            false => {
                packed.set(x);
                packed.panels.as_ptr()
            }
        };
        // The kernel's pointers reach as far as these.
        let _ = (dy.row(dy.rows - 1), dweight.row_mut(dweight.rows - 1));
        let kernel = TransposedProduct {
            rows: dy.rows,
            outputs: dweight.rows,
            inputs: dweight.cols,
            dy: dy.data.as_ptr(),
            dy_stride: dy.stride,
            panels,
            fresh: sum == Sum::Fresh && block.start == 0,
            dweight: dweight.data.as_mut_ptr(),
            dweight_stride: dweight.stride,
        };
        // SAFETY: a packed matrix is made for an instruction set that is available; the sizes fit what lies behind the
        // pointers, `row` and `row_mut` having checked the last rows.
        unsafe { packed.set.run(kernel) }
    }
}

/// Whether packing would copy the matrix as it is: its rows are adjacent and fill one panel.
fn is_panel(x: View, packed: &Packed) -> bool {
    let lanes = packed.set.lanes();
    x.stride == x.cols && x.cols.is_multiple_of(lanes) && panel_widths(x.cols / lanes).count() == 1
}

/// The sum over the rows: the gradient of a bias.
///
/// # Panics
/// If the shapes do not fit.
pub fn column_sums(dy: View, sum: Sum, sums: &mut [f32]) {
    assert_eq!(dy.cols, sums.len());
    if sum == Sum::Fresh {
        sums.fill(0.0);
    }
    vectorise(ColumnSums { dy, sums });
}

#[derive(Clone, Copy)]
struct TransposedProduct {
    rows: usize,
    outputs: usize,
    inputs: usize,
    dy: *const f32,
    dy_stride: usize,
    panels: *const f32,
    fresh: bool,
    dweight: *mut f32,
    dweight_stride: usize,
}

impl Kernel for TransposedProduct {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut block = 0;
        for width in panel_widths(self.inputs.div_ceil(S::LANES)) {
            // SAFETY: panels lie one after the other, each (rows, width vectors); the caller vouches for the rest.
            unsafe {
                let panel = self.panels.add(block * self.rows * S::LANES);
                match width {
                    3 => self.three_outputs::<S, 3>(panel, block * S::LANES),
                    2 => self.six_outputs::<S, 2>(panel, block * S::LANES),
                    _ => self.six_outputs::<S, 1>(panel, block * S::LANES),
                }
            }
            block += width;
        }
    }
}

impl TransposedProduct {
    #[inline(always)]
    unsafe fn three_outputs<S: Simd, const W: usize>(&self, panel: *const f32, column: usize) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.outputs / 3 * 3;
            for output in (0..whole).step_by(3) {
                self.tile::<S, 3, W>(output, panel, column);
            }
            match self.outputs - whole {
                2 => self.tile::<S, 2, W>(whole, panel, column),
                1 => self.tile::<S, 1, W>(whole, panel, column),
                _ => {}
            }
        }
    }

    #[inline(always)]
    unsafe fn six_outputs<S: Simd, const W: usize>(&self, panel: *const f32, column: usize) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.outputs / 6 * 6;
            for output in (0..whole).step_by(6) {
                self.tile::<S, 6, W>(output, panel, column);
            }
            match self.outputs - whole {
                5 => self.tile::<S, 5, W>(whole, panel, column),
                4 => self.tile::<S, 4, W>(whole, panel, column),
                3 => self.tile::<S, 3, W>(whole, panel, column),
                2 => self.tile::<S, 2, W>(whole, panel, column),
                1 => self.tile::<S, 1, W>(whole, panel, column),
                _ => {}
            }
        }
    }

    /// `R` outputs by `W` vectors of inputs.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(&self, output: usize, panel: *const f32, column: usize) {
        // SAFETY: the caller's.
        unsafe {
            let to = self.dweight.add(output * self.dweight_stride + column);
            let inside = self.inputs - column;
            let mut tile = [[S::zero(); W]; R];
            if !self.fresh {
                for (r, values) in tile.iter_mut().enumerate() {
                    for (w, value) in values.iter_mut().enumerate() {
                        *value = load::<S>(to.add(r * self.dweight_stride + w * S::LANES), inside - w * S::LANES);
                    }
                }
            }
            accumulate::<S, R, W>(&mut tile, [self.dy.add(output), panel], [1, self.dy_stride], self.rows);
            for (r, values) in tile.into_iter().enumerate() {
                for (w, value) in values.into_iter().enumerate() {
                    store::<S>(to.add(r * self.dweight_stride + w * S::LANES), value, inside - w * S::LANES);
                }
            }
        }
    }
}

struct ColumnSums<'a> {
    dy: View<'a>,
    sums: &'a mut [f32],
}

impl Vectorise for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (blocks, rest) = self.sums.as_chunks_mut::<COLUMNS>();
        let whole = blocks.len() * COLUMNS;
        for (index, sums) in blocks.iter_mut().enumerate() {
            add_columns(self.dy, index * COLUMNS, sums);
        }
        let (blocks, rest) = rest.as_chunks_mut::<8>();
        let more = blocks.len() * 8;
        for (index, sums) in blocks.iter_mut().enumerate() {
            add_columns(self.dy, whole + index * 8, sums);
        }
        for row in 0..self.dy.rows {
            let values = &self.dy.row(row)[whole + more..];
            for (sum, value) in rest.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
}

/// Columns whose sums stay in registers.
const COLUMNS: usize = 32;

#[inline(always)]
fn add_columns<const N: usize>(dy: View, column: usize, sums: &mut [f32; N]) {
    let mut total = *sums;
    for row in 0..dy.rows {
        let values = &dy.row(row)[column..column + N];
        for (sum, value) in total.iter_mut().zip(values) {
            *sum += value;
        }
    }
    *sums = total;
}
