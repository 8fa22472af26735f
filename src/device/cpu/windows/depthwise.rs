//! Depthwise convolution of one channel block of some images, and the gradient of its weight. The gradient of its input
//! is a convolution too: that of [`Grid::transposed`] with the taps reversed.

use super::super::simd::{Kernel, Simd};
use super::Grid;

/// Neighbouring windows that share what they load.
const TOGETHER: usize = 4;

/// `output[y][x] = sum_ij weight[i][j] * window(y, x)[i][j]`, sizes 1, 3 and 5.
#[derive(Clone, Copy)]
pub(crate) struct DepthwiseWindows {
    pub grid: Grid,
    pub images: usize,
    /// `(images)` planes with border.
    pub input: *const f32,
    /// `(size * size)` vectors.
    pub weight: *const f32,
    /// Whether the taps are taken in reverse order.
    pub reversed: bool,
    /// Contiguous planes.
    pub output: *mut f32,
}

/// The pointers must be valid for the shapes given; the output overlaps nothing else.
impl Kernel for DepthwiseWindows {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match (self.grid.window.size, self.grid.window.stride) {
                (5, 1) => self.sweep::<S, 5, 1>(),
                (5, _) => self.sweep::<S, 5, 2>(),
                (3, 1) => self.sweep::<S, 3, 1>(),
                (3, _) => self.sweep::<S, 3, 2>(),
                (_, 1) => self.sweep::<S, 1, 1>(),
                _ => self.sweep::<S, 1, 2>(),
            }
        }
    }
}

impl DepthwiseWindows {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const SIZE: usize, const STRIDE: usize>(&self) {
        let ((rows, columns), (height, width)) = (self.grid.bordered(), self.grid.output);
        let pitch = columns * S::LANES;
        let mut to = self.output;
        for image in 0..self.images {
            for y in 0..height {
                let row = image * rows + STRIDE * y + self.grid.window.shift;
                // SAFETY: the caller's.
                unsafe {
                    let mut from = self.input.add((row * columns + self.grid.window.shift) * S::LANES);
                    let mut x = 0;
                    while x + TOGETHER <= width {
                        let sums = self.windows::<S, SIZE, STRIDE, TOGETHER>(from, pitch);
                        for (c, sum) in sums.into_iter().enumerate() {
                            S::store(to.add(c * S::LANES), sum);
                        }
                        to = to.add(TOGETHER * S::LANES);
                        from = from.add(TOGETHER * STRIDE * S::LANES);
                        x += TOGETHER;
                    }
                    for _ in x..width {
                        let [sum] = self.windows::<S, SIZE, STRIDE, 1>(from, pitch);
                        S::store(to, sum);
                        to = to.add(S::LANES);
                        from = from.add(STRIDE * S::LANES);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn windows<S: Simd, const SIZE: usize, const STRIDE: usize, const C: usize>(
        &self,
        from: *const f32,
        pitch: usize,
    ) -> [S::Vector; C] {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [S::zero(); C];
            for i in 0..SIZE {
                let row = from.add(i * pitch);
                for column in 0..STRIDE * (C - 1) + SIZE {
                    let value = S::load(row.add(column * S::LANES));
                    for (c, sum) in sums.iter_mut().enumerate() {
                        if column >= STRIDE * c && column - STRIDE * c < SIZE {
                            let tap = i * SIZE + column - STRIDE * c;
                            let tap = if self.reversed { SIZE * SIZE - 1 - tap } else { tap };
                            *sum = S::mul_add(value, S::load(self.weight.add(tap * S::LANES)), *sum);
                        }
                    }
                }
            }
            sums
        }
    }
}

/// The gradient of the weight, added to.
#[derive(Clone, Copy)]
pub(crate) struct DepthwiseWindowsGradient {
    pub grid: Grid,
    pub images: usize,
    /// `(images)` planes with border.
    pub input: *const f32,
    /// Gradient of the output: contiguous planes.
    pub gradient: *const f32,
    /// `(size * size)` vectors.
    pub to: *mut f32,
}

/// The pointers must be valid for the shapes given.
impl Kernel for DepthwiseWindowsGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match self.grid.window.size {
                5 => self.rows::<S, 5>(),
                3 => self.rows::<S, 3>(),
                _ => self.rows::<S, 1>(),
            }
        }
    }
}

impl DepthwiseWindowsGradient {
    /// One row of taps after the other, so that its sums stay in registers.
    #[inline(always)]
    unsafe fn rows<S: Simd, const SIZE: usize>(&self) {
        let ((rows, columns), (height, width)) = (self.grid.bordered(), self.grid.output);
        let window = self.grid.window;
        for i in 0..SIZE {
            // SAFETY: the caller's.
            unsafe {
                let mut sums = [S::zero(); SIZE];
                let mut gradient = self.gradient;
                for image in 0..self.images {
                    for y in 0..height {
                        let row = image * rows + window.stride * y + window.shift + i;
                        let mut from = self.input.add((row * columns + window.shift) * S::LANES);
                        for _ in 0..width {
                            let value = S::load(gradient);
                            for (j, sum) in sums.iter_mut().enumerate() {
                                *sum = S::mul_add(S::load(from.add(j * S::LANES)), value, *sum);
                            }
                            gradient = gradient.add(S::LANES);
                            from = from.add(window.stride * S::LANES);
                        }
                    }
                }
                for (j, sum) in sums.into_iter().enumerate() {
                    let at = self.to.add((i * SIZE + j) * S::LANES);
                    S::store(at, S::add(S::load(at), sum));
                }
            }
        }
    }
}
