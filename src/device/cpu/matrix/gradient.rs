//! The gradients of a linear layer's weight and bias.

use super::super::layout::panel_widths;
use super::super::simd::{Kernel, Simd};
use super::packed::{Packed, depth_blocks};
use super::product::{accumulate, load, store};
use super::{Vectorise, View, ViewMut, vectorise};

/// Memory for packed panels, kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Panels(pub(super) Packed);

/// `dweight += dy^T x`: dy (rows, outputs), x (rows, inputs), dweight (outputs, inputs).
///
/// # Panics
/// If the shapes do not fit.
pub fn add_transposed_product(dy: View, x: View, dweight: &mut ViewMut, panels: &mut Panels) {
    assert_eq!((dy.cols, x.cols, dy.rows), (dweight.rows, dweight.cols, x.rows));
    if dy.rows == 0 || dweight.rows == 0 || dweight.cols == 0 {
        return;
    }
    let packed = &mut panels.0;
    for block in depth_blocks(dy.rows) {
        let dy = dy.rows(block.clone());
        packed.set(x.rows(block));
        // The kernel's pointers reach as far as these.
        let _ = (dy.row(dy.rows - 1), dweight.row_mut(dweight.rows - 1));
        let kernel = TransposedProduct {
            rows: dy.rows,
            outputs: dweight.rows,
            inputs: dweight.cols,
            dy: dy.data.as_ptr(),
            dy_stride: dy.stride,
            panels: packed.panels.as_ptr(),
            dweight: dweight.data.as_mut_ptr(),
            dweight_stride: dweight.stride,
        };
        // SAFETY: a packed matrix is made for an instruction set that is available; the sizes fit what lies behind the
        // pointers, `row` and `row_mut` having checked the last rows.
        unsafe { packed.set.run(kernel) }
    }
}

/// `sums += ` the sum over the rows: the gradient of a bias.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_column_sums(dy: View, sums: &mut [f32]) {
    assert_eq!(dy.cols, sums.len());
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
            for (r, values) in tile.iter_mut().enumerate() {
                for (w, value) in values.iter_mut().enumerate() {
                    *value = load::<S>(to.add(r * self.dweight_stride + w * S::LANES), inside - w * S::LANES);
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
        for row in 0..self.dy.rows {
            for (sum, value) in self.sums.iter_mut().zip(self.dy.row(row)) {
                *sum += value;
            }
        }
    }
}
