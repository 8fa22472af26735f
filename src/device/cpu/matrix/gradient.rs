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
        let (panels, panel_stride) = match is_read_in_place(x, dy.cols, packed) {
            true => (x.data.as_ptr(), Some(x.stride)),
            false => {
                packed.set(x);
                (packed.panels.as_ptr(), None)
            }
        };
        // The kernel's pointers reach as far as these.
        let _ = (dy.row(dy.rows - 1), x.row(x.rows - 1), dweight.row_mut(dweight.rows - 1));
        let kernel = TransposedProduct {
            rows: dy.rows,
            outputs: dweight.rows,
            inputs: dweight.cols,
            dy: dy.data.as_ptr(),
            dy_stride: dy.stride,
            panels,
            panel_stride,
            fresh: sum == Sum::Fresh && block.start == 0,
            dweight: dweight.data.as_mut_ptr(),
            dweight_stride: dweight.stride,
        };
        // SAFETY: a packed matrix is made for an instruction set that is available; the sizes fit what lies behind the
        // pointers, `row` and `row_mut` having checked the last rows.
        unsafe { packed.set.run(kernel) }
    }
}

/// Outputs up to which a panel is read too few times to be worth a copy of adjacent rows.
const FEW_OUTPUTS: usize = 32;

/// Whether x is better read as it lies than packed: whole vectors, in one panel or each read a few times.
fn is_read_in_place(x: View, outputs: usize, packed: &Packed) -> bool {
    let lanes = packed.set.lanes();
    let few = outputs <= FEW_OUTPUTS || panel_widths(x.cols / lanes).count() == 1;
    x.cols.is_multiple_of(lanes) && few
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
    /// Floats from row to row of x where it is not packed.
    panel_stride: Option<usize>,
    fresh: bool,
    dweight: *mut f32,
    dweight_stride: usize,
}

/// Some columns of x.
#[derive(Clone, Copy)]
struct Panel {
    start: *const f32,
    /// Floats from row to row.
    stride: usize,
    /// First column.
    column: usize,
}

impl Kernel for TransposedProduct {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut block = 0;
        for width in panel_widths(self.inputs.div_ceil(S::LANES)) {
            let column = block * S::LANES;
            let (first, stride) = match self.panel_stride {
                Some(stride) => (column, stride),
                None => (column * self.rows, width * S::LANES),
            };
            // SAFETY: panels lie side by side, or packed one after the other, each (rows, width vectors); the caller
            // vouches for the rest.
            unsafe {
                let panel = Panel { start: self.panels.add(first), stride, column };
                match width {
                    3 => self.three_outputs::<S, 3>(panel),
                    2 => self.six_outputs::<S, 2>(panel),
                    _ => self.six_outputs::<S, 1>(panel),
                }
            }
            block += width;
        }
    }
}

impl TransposedProduct {
    #[inline(always)]
    unsafe fn three_outputs<S: Simd, const W: usize>(&self, panel: Panel) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.outputs / 3 * 3;
            for output in (0..whole).step_by(3) {
                self.tile::<S, 3, W>(output, panel);
            }
            match self.outputs - whole {
                2 => self.tile::<S, 2, W>(whole, panel),
                1 => self.tile::<S, 1, W>(whole, panel),
                _ => {}
            }
        }
    }

    #[inline(always)]
    unsafe fn six_outputs<S: Simd, const W: usize>(&self, panel: Panel) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.outputs / 6 * 6;
            for output in (0..whole).step_by(6) {
                self.tile::<S, 6, W>(output, panel);
            }
            match self.outputs - whole {
                5 => self.tile::<S, 5, W>(whole, panel),
                4 => self.tile::<S, 4, W>(whole, panel),
                3 => self.tile::<S, 3, W>(whole, panel),
                2 => self.tile::<S, 2, W>(whole, panel),
                1 => self.tile::<S, 1, W>(whole, panel),
                _ => {}
            }
        }
    }

    /// `R` outputs by `W` vectors of inputs.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(&self, output: usize, panel: Panel) {
        // SAFETY: the caller's.
        unsafe {
            let to = self.dweight.add(output * self.dweight_stride + panel.column);
            let inside = self.inputs - panel.column;
            let mut tile = [[S::zero(); W]; R];
            if !self.fresh {
                for (r, values) in tile.iter_mut().enumerate() {
                    for (w, value) in values.iter_mut().enumerate() {
                        *value = load::<S>(to.add(r * self.dweight_stride + w * S::LANES), inside - w * S::LANES);
                    }
                }
            }
            let strides = [1, self.dy_stride, panel.stride];
            accumulate::<S, R, W>(&mut tile, [self.dy.add(output), panel.start], strides, self.rows);
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
        let mut rest = self.sums;
        let mut column = 0;
        while rest.len() >= 32 {
            rest = add_columns::<32>(self.dy, &mut column, rest);
        }
        if rest.len() >= 24 {
            rest = add_columns::<24>(self.dy, &mut column, rest);
        }
        while rest.len() >= 8 {
            rest = add_columns::<8>(self.dy, &mut column, rest);
        }
        for row in 0..self.dy.rows {
            let values = &self.dy.row(row)[column..];
            for (sum, value) in rest.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
}

/// The sums of the next `N` columns, which stay in registers. Returns those of the columns behind them.
#[inline(always)]
fn add_columns<'a, const N: usize>(dy: View, column: &mut usize, sums: &'a mut [f32]) -> &'a mut [f32] {
    let (sums, rest) = sums.split_at_mut(N);
    let mut total = [0.0; N];
    total.copy_from_slice(sums);
    for row in 0..dy.rows {
        let values = &dy.data[row * dy.stride + *column..][..N];
        for (sum, value) in total.iter_mut().zip(values) {
            *sum += value;
        }
    }
    sums.copy_from_slice(&total);
    *column += N;
    rest
}
