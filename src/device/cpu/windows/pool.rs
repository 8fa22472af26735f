//! Pooling of one channel block of some images, forward and backward.

use super::super::simd::{Kernel, Simd};
use super::Grid;
use crate::net::Pooling;

/// What the border of a plane holds.
pub(crate) fn border(pooling: Pooling) -> f32 {
    match pooling {
        Pooling::Average => 0.0,
        Pooling::Max => f32::NEG_INFINITY,
    }
}

/// What every output pixel of some images has: where its window lies and one over the pixels of it that lie inside the
/// image.
struct Walk {
    grid: Grid,
}

impl Walk {
    /// Rows (or columns) of a window that lie inside.
    #[inline(always)]
    fn inside(&self, at: usize, size: usize) -> usize {
        let window = self.grid.window;
        let (first, border) = (window.stride * at + window.shift, window.border());
        (first + window.size).min(size + border).saturating_sub(first.max(border))
    }

    /// Calls `visit(offset in floats of the window in a plane with border, share)` for every output.
    #[inline(always)]
    fn each<S: Simd>(&self, images: usize, mut visit: impl FnMut(usize, f32)) {
        let ((rows, columns), (height, width)) = (self.grid.bordered(), self.grid.output);
        let window = self.grid.window;
        for image in 0..images {
            for y in 0..height {
                let row = image * rows + window.stride * y + window.shift;
                let inside = self.inside(y, self.grid.input.0);
                for x in 0..width {
                    let count = inside * self.inside(x, self.grid.input.1);
                    visit((row * columns + window.stride * x + window.shift) * S::LANES, 1.0 / count as f32);
                }
            }
        }
    }
}

/// The pooled planes.
pub(crate) struct PoolForward {
    pub grid: Grid,
    pub pooling: Pooling,
    pub images: usize,
    /// `(images)` planes whose border holds [`border`].
    pub input: *const f32,
    /// Contiguous planes.
    pub output: *mut f32,
}

/// The pointers must be valid for the shapes given; the output overlaps nothing else.
impl Kernel for PoolForward {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (size, pitch) = (self.grid.window.size, self.grid.bordered().1 * S::LANES);
        let mut to = self.output;
        Walk { grid: self.grid }.each::<S>(self.images, |offset, share| {
            // SAFETY: the caller's.
            unsafe {
                let from = self.input.add(offset);
                let value = match self.pooling {
                    Pooling::Max => largest::<S>(from, size, pitch),
                    Pooling::Average => {
                        let mut sum = S::zero();
                        for tap in 0..size * size {
                            sum = S::add(sum, S::load(from.add(tap / size * pitch + tap % size * S::LANES)));
                        }
                        S::mul(sum, S::splat(share))
                    }
                };
                S::store(to, value);
                to = to.add(S::LANES);
            }
        });
    }
}

#[inline(always)]
unsafe fn largest<S: Simd>(from: *const f32, size: usize, pitch: usize) -> S::Vector {
    // SAFETY: the caller's.
    unsafe {
        let mut largest = S::load(from);
        for tap in 1..size * size {
            largest = S::max(largest, S::load(from.add(tap / size * pitch + tap % size * S::LANES)));
        }
        largest
    }
}

/// The gradient of the input, in planes with border.
pub(crate) struct PoolBackward {
    pub grid: Grid,
    pub pooling: Pooling,
    pub images: usize,
    /// As of the forward; read for the largest only.
    pub input: *const f32,
    /// Gradient of the output: contiguous planes.
    pub gradient: *const f32,
    /// `(images)` planes with border, overwritten.
    pub to: *mut f32,
}

/// The pointers must be valid for the shapes given; the target overlaps nothing else.
impl Kernel for PoolBackward {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (size, pitch) = (self.grid.window.size, self.grid.bordered().1 * S::LANES);
        let floats = self.images * self.grid.bordered_pixels() * S::LANES;
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.to, floats).fill(0.0) };
        let mut gradient = self.gradient;
        Walk { grid: self.grid }.each::<S>(self.images, |offset, share| {
            // SAFETY: the caller's.
            unsafe {
                let (from, to) = (self.input.add(offset), self.to.add(offset));
                let mut rest = S::load(gradient);
                gradient = gradient.add(S::LANES);
                let largest = match self.pooling {
                    Pooling::Max => largest::<S>(from, size, pitch),
                    Pooling::Average => S::zero(),
                };
                let part = S::mul(rest, S::splat(share));
                for tap in 0..size * size {
                    let at = tap / size * pitch + tap % size * S::LANES;
                    let part = match self.pooling {
                        Pooling::Average => part,
                        // What the first largest takes leaves nothing for the others.
                        Pooling::Max => S::where_equal(S::load(from.add(at)), largest, rest),
                    };
                    if self.pooling == Pooling::Max {
                        rest = S::sub(rest, part);
                    }
                    S::store(to.add(at), S::add(S::load(to.add(at)), part));
                }
            }
        });
    }
}

/// Copies the inner part of planes with border to contiguous planes.
pub(crate) struct Crop {
    pub grid: Grid,
    pub images: usize,
    /// `(images)` planes with border.
    pub from: *const f32,
    /// Contiguous planes, overwritten.
    pub to: *mut f32,
}

/// The pointers must be valid for the shapes given; the target overlaps nothing else.
impl Kernel for Crop {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let ((rows, columns), (height, width)) = (self.grid.bordered(), self.grid.input);
        let border = self.grid.window.border();
        for image in 0..self.images {
            for y in 0..height {
                // SAFETY: the caller's.
                unsafe {
                    let from = self.from.add(((image * rows + y + border) * columns + border) * S::LANES);
                    let to = self.to.add((image * height + y) * width * S::LANES);
                    std::ptr::copy_nonoverlapping(from, to, width * S::LANES);
                }
            }
        }
    }
}
