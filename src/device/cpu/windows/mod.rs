//! Square windows over planes with a border: dense and depthwise convolution and pooling, forward and backward.
//!
//! A plane is one channel block of one image, `(rows, columns, lanes)`. With a border wide enough no window needs a test
//! for the image's edge: the border holds what counts for nothing (0, or minus infinity where the largest is sought).

mod dense;
mod depthwise;
mod pool;

pub(crate) use dense::{WindowProduct, WindowRows, WindowWeightGradient};
pub(crate) use depthwise::{DepthwiseWindows, DepthwiseWindowsGradient};
pub(crate) use pool::{Crop, PoolBackward, PoolForward, border};

use super::simd::{Kernel, Simd};
use crate::net::Window;

/// The windows of an operation on planes of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub window: Window,
    /// Rows and columns of a plane without border.
    pub input: (usize, usize),
    /// Rows and columns of the output.
    pub output: (usize, usize),
}

impl Grid {
    /// Rows and columns of a plane with its border.
    #[inline(always)]
    pub(crate) fn bordered(&self) -> (usize, usize) {
        let Window { size, stride, shift } = self.window;
        let border = 2 * self.window.border();
        let last = |outputs: usize| stride * (outputs - 1) + shift + size;
        ((self.input.0 + border).max(last(self.output.0)), (self.input.1 + border).max(last(self.output.1)))
    }

    /// Vectors of a plane with its border.
    #[inline(always)]
    pub(crate) fn bordered_pixels(&self) -> usize {
        let (rows, columns) = self.bordered();
        rows * columns
    }

    /// Pixels of a plane of the output.
    #[inline(always)]
    pub(crate) fn outputs(&self) -> usize {
        self.output.0 * self.output.1
    }

    /// Whether windows are single pixels, read where they lie.
    #[inline(always)]
    pub(crate) fn is_pointwise(&self) -> bool {
        self.window == Window { size: 1, stride: 1, shift: 0 }
    }

    /// The windows that give the gradient of the input from the output's gradient, which lies in a plane with border
    /// ([`Dilate`]), and the taps in reverse order.
    #[inline(always)]
    pub(crate) fn transposed(&self) -> Grid {
        let window = Window { size: self.window.size, stride: 1, shift: 0 };
        // Even sizes are only pooled, which has its own backward.
        Grid { window, input: self.input, output: self.input }
    }
}

/// Copies contiguous planes into planes with a border.
pub(crate) struct Enclose {
    pub grid: Grid,
    pub planes: usize,
    /// `(planes, input rows, input columns)` vectors.
    pub from: *const f32,
    /// `(planes, bordered rows, bordered columns)` vectors.
    pub to: *mut f32,
    /// What the border holds.
    pub border: f32,
}

/// The pointers must be valid for the shapes given; the target overlaps nothing else.
impl Kernel for Enclose {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let ((rows, columns), (height, width)) = (self.grid.bordered(), self.grid.input);
        let border = self.grid.window.border();
        for plane in 0..self.planes {
            // SAFETY: the caller's.
            unsafe {
                let from = self.from.add(plane * height * width * S::LANES);
                let to = self.to.add(plane * rows * columns * S::LANES);
                std::slice::from_raw_parts_mut(to, rows * columns * S::LANES).fill(self.border);
                for y in 0..height {
                    let to = to.add(((y + border) * columns + border) * S::LANES);
                    std::ptr::copy_nonoverlapping(from.add(y * width * S::LANES), to, width * S::LANES);
                }
            }
        }
    }
}

/// Copies the gradients of outputs into planes of zeros from which [`Grid::transposed`] forms the gradient of the input:
/// output pixels lie `stride` apart, behind the border.
pub(crate) struct Dilate {
    /// The forward's.
    pub grid: Grid,
    pub planes: usize,
    /// `(planes, output rows, output columns)` vectors.
    pub from: *const f32,
    /// `(planes, bordered rows, bordered columns)` vectors of the transposed grid.
    pub to: *mut f32,
}

/// The pointers must be valid for the shapes given; the target overlaps nothing else.
impl Kernel for Dilate {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let ((rows, columns), (height, width)) = (self.grid.transposed().bordered(), self.grid.output);
        let Window { stride, shift, .. } = self.grid.window;
        let first = self.grid.window.border() + shift;
        for plane in 0..self.planes {
            // SAFETY: the caller's.
            unsafe {
                let from = self.from.add(plane * height * width * S::LANES);
                let to = self.to.add(plane * rows * columns * S::LANES);
                std::slice::from_raw_parts_mut(to, rows * columns * S::LANES).fill(0.0);
                for y in (0..height).take_while(|y| first + stride * y < rows) {
                    for x in (0..width).take_while(|x| first + stride * x < columns) {
                        let to = to.add(((first + stride * y) * columns + first + stride * x) * S::LANES);
                        S::store(to, S::load(from.add((y * width + x) * S::LANES)));
                    }
                }
            }
        }
    }
}
