//! `out = left right + start` in registers.

use super::super::layout::panel_widths;
use super::super::simd::{Kernel, Simd};
use super::packed::{Factor, depth_blocks};
use super::{View, ViewMut};
use std::ops::Range;

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

/// Steps of the depth that are written out one after the other where registers are left for what they load: with panels
/// of three vectors none are, and the accumulators would go to the stack.
const UNROLL: usize = 4;

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

/// `out = left right + start`: left (rows, depth), right (depth, columns), out (rows, columns).
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply<'a>(left: View, right: impl Into<Factor<'a>>, start: Start, out: &mut ViewMut) {
    run(left, right.into(), start, false, out);
}

/// `out = max(left right + start, 0)`, as [`multiply`].
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply_rectified<'a>(left: View, right: impl Into<Factor<'a>>, start: Start, out: &mut ViewMut) {
    run(left, right.into(), start, true, out);
}

fn run(left: View, right: Factor, start: Start, rectified: bool, out: &mut ViewMut) {
    assert_eq!((left.rows, left.cols, right.columns), (out.rows, right.depth, out.cols));
    if out.rows == 0 || out.cols == 0 {
        return;
    }
    // The kernel's pointers reach as far as these.
    let _ = (left.row(left.rows - 1), out.row_mut(out.rows - 1));
    if let (Some(stride), Some(last)) = (right.stride, right.depth.checked_sub(1)) {
        let _ = &right.data[last * stride..][..right.columns];
    }
    let start = match start {
        Start::Zero => First::Zero,
        Start::Output => First::Output,
        Start::Bias(bias) => {
            assert_eq!(bias.len(), out.cols);
            First::Bias(bias.as_ptr())
        }
    };
    let kernel = Multiply {
        rows: out.rows,
        columns: out.cols,
        depth: left.cols,
        left: left.data.as_ptr(),
        left_stride: left.stride,
        panels: right.data.as_ptr(),
        panel_stride: right.stride,
        start,
        rectified,
        out: out.data.as_mut_ptr(),
        out_stride: out.stride,
    };
    // SAFETY: a right factor is made for an instruction set that is available, in place of whole vectors; rows, columns
    // and depth fit what lies behind the pointers, whose last rows were checked.
    unsafe { right.set.run(kernel) }
}

/// [`Start`] for the kernel.
#[derive(Clone, Copy)]
enum First {
    Zero,
    Bias(*const f32),
    Output,
}

#[derive(Clone, Copy)]
struct Multiply {
    rows: usize,
    columns: usize,
    depth: usize,
    left: *const f32,
    left_stride: usize,
    panels: *const f32,
    /// Floats from row to row where the right factor is not packed.
    panel_stride: Option<usize>,
    start: First,
    rectified: bool,
    out: *mut f32,
    out_stride: usize,
}

/// A panel and the part of the depth that is multiplied.
#[derive(Clone)]
struct Part {
    panel: *const f32,
    /// Floats from one step of the depth to the next.
    panel_stride: usize,
    /// First column.
    column: usize,
    depth: Range<usize>,
    start: First,
}

impl Kernel for Multiply {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let blocks = self.columns.div_ceil(S::LANES);
        for depth in depth_blocks(self.depth) {
            let start = if depth.start == 0 { self.start } else { First::Output };
            let mut block = 0;
            for width in panel_widths(blocks) {
                let (first, panel_stride) = match self.panel_stride {
                    Some(stride) => (block * S::LANES + depth.start * stride, stride),
                    None => ((block * self.depth + depth.start * width) * S::LANES, width * S::LANES),
                };
                // SAFETY: panels lie side by side, or packed one after the other, each (depth, width vectors); the caller
                // vouches for the rest.
                unsafe {
                    let panel = self.panels.add(first);
                    let part = Part { panel, panel_stride, column: block * S::LANES, depth: depth.clone(), start };
                    match width {
                        3 => self.three_rows::<S, 3>(part),
                        2 => self.six_rows::<S, 2>(part),
                        _ => self.six_rows::<S, 1>(part),
                    }
                }
                block += width;
            }
        }
    }
}

impl Multiply {
    #[inline(always)]
    unsafe fn three_rows<S: Simd, const W: usize>(&self, part: Part) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.rows / 3 * 3;
            for row in (0..whole).step_by(3) {
                self.tile::<S, 3, W>(row, &part);
            }
            match self.rows - whole {
                2 => self.tile::<S, 2, W>(whole, &part),
                1 => self.tile::<S, 1, W>(whole, &part),
                _ => {}
            }
        }
    }

    #[inline(always)]
    unsafe fn six_rows<S: Simd, const W: usize>(&self, part: Part) {
        // SAFETY: the caller's.
        unsafe {
            let whole = self.rows / 6 * 6;
            for row in (0..whole).step_by(6) {
                self.tile::<S, 6, W>(row, &part);
            }
            match self.rows - whole {
                5 => self.tile::<S, 5, W>(whole, &part),
                4 => self.tile::<S, 4, W>(whole, &part),
                3 => self.tile::<S, 3, W>(whole, &part),
                2 => self.tile::<S, 2, W>(whole, &part),
                1 => self.tile::<S, 1, W>(whole, &part),
                _ => {}
            }
        }
    }

    /// `R` rows by `W` vectors.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(&self, row: usize, part: &Part) {
        // SAFETY: the caller's.
        unsafe {
            let out = self.out.add(row * self.out_stride + part.column);
            let inside = self.columns - part.column;
            let mut tile = [[S::zero(); W]; R];
            match part.start {
                First::Zero => {}
                First::Bias(bias) => {
                    for w in 0..W {
                        let value = load::<S>(bias.add(part.column + w * S::LANES), inside - w * S::LANES);
                        tile.iter_mut().for_each(|values| values[w] = value);
                    }
                }
                First::Output => {
                    for (r, values) in tile.iter_mut().enumerate() {
                        for (w, value) in values.iter_mut().enumerate() {
                            let from = out.add(r * self.out_stride + w * S::LANES);
                            *value = load::<S>(from, inside - w * S::LANES);
                        }
                    }
                }
            }
            let left = self.left.add(row * self.left_stride + part.depth.start);
            let strides = [self.left_stride, 1, part.panel_stride];
            accumulate::<S, R, W>(&mut tile, [left, part.panel], strides, part.depth.len());
            let rectified = self.rectified && part.depth.end == self.depth;
            for (r, values) in tile.into_iter().enumerate() {
                for (w, value) in values.into_iter().enumerate() {
                    let value = if rectified { S::relu(value) } else { value };
                    store::<S>(out.add(r * self.out_stride + w * S::LANES), value, inside - w * S::LANES);
                }
            }
        }
    }
}

/// `tile += left panel`, one step of the depth after the other. Of the left factor, rows are `strides[0]` floats apart,
/// steps of the depth `strides[1]`; of the panel, steps of the depth `strides[2]`.
///
/// # Safety
/// `depth` steps lie behind both pointers.
#[inline(always)]
pub(super) unsafe fn accumulate<S: Simd, const R: usize, const W: usize>(
    tile: &mut [[S::Vector; W]; R],
    [left, panel]: [*const f32; 2],
    strides: [usize; 3],
    depth: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = *tile;
        let (mut left, mut panel) = (left, panel);
        let written_out = depth / UNROLL * UNROLL;
        for _ in 0..written_out / UNROLL {
            for k in 0..UNROLL {
                step::<S, R, W>(&mut sums, left.add(k * strides[1]), strides[0], panel.add(k * strides[2]));
            }
            left = left.add(UNROLL * strides[1]);
            panel = panel.add(UNROLL * strides[2]);
        }
        for k in 0..depth - written_out {
            step::<S, R, W>(&mut sums, left.add(k * strides[1]), strides[0], panel.add(k * strides[2]));
        }
        *tile = sums;
    }
}

#[inline(always)]
unsafe fn step<S: Simd, const R: usize, const W: usize>(
    sums: &mut [[S::Vector; W]; R],
    left: *const f32,
    stride: usize,
    panel: *const f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut vectors = [S::zero(); W];
        for (w, vector) in vectors.iter_mut().enumerate() {
            *vector = S::load(panel.add(w * S::LANES));
        }
        for (r, values) in sums.iter_mut().enumerate() {
            let factor = S::splat(*left.add(r * stride));
            for (value, &vector) in values.iter_mut().zip(&vectors) {
                *value = S::mul_add(factor, vector, *value);
            }
        }
    }
}

/// A vector of the first `inside` floats, zeros behind them.
///
/// # Safety
/// As many floats as that, or a vector's, lie at the pointer.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32, inside: usize) -> S::Vector {
    // SAFETY: the caller's; the buffer holds any vector.
    unsafe {
        if inside >= S::LANES {
            return S::load(from);
        }
        let mut buffer = [0.0; MOST_LANES];
        std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), inside);
        S::load(buffer.as_ptr())
    }
}

/// Writes the first `inside` floats of a vector.
///
/// # Safety
/// As many floats as that, or a vector's, lie at the pointer.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::Vector, inside: usize) {
    // SAFETY: the caller's; the buffer holds any vector.
    unsafe {
        if inside >= S::LANES {
            return S::store(to, value);
        }
        let mut buffer = [0.0; MOST_LANES];
        S::store(buffer.as_mut_ptr(), value);
        std::ptr::copy_nonoverlapping(buffer.as_ptr(), to, inside);
    }
}
