//! Depthwise 3x3 convolution of one plane (one channel block of one image), and its gradients.
//!
//! The input plane is surrounded by a border of one zero pixel: `(height + 2, width + 2, lanes)`. Weights are
//! `(9, lanes)`.

use super::simd::Simd;

/// Shapes of one plane's convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise {
    /// Rows of the input, without border.
    pub input_height: usize,
    /// Columns of the input, without border.
    pub input_width: usize,
    /// Rows of the output.
    pub height: usize,
    /// Columns of the output.
    pub width: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl Depthwise {
    /// Floats in a row of the bordered input.
    #[inline(always)]
    fn bordered_row<S: Simd>(&self) -> usize {
        (self.input_width + 2) * S::LANES
    }

    /// `output[y][x] = sum_ij weight[i][j] * input[stride y + i][stride x + j]`, the output contiguous.
    ///
    /// # Safety
    /// `input` is a bordered plane, `output` holds `height * width` vectors, `weight` nine; the processor has `S`.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(&self, input: *const f32, weight: *const f32, output: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let mut taps = [S::zero(); 9];
            for (k, tap) in taps.iter_mut().enumerate() {
                *tap = S::load(weight.add(k * S::LANES));
            }
            match self.stride {
                1 => self.sweep::<S>(input, &taps, output),
                _ => {
                    let row = self.bordered_row::<S>();
                    for y in 0..self.height {
                        for x in 0..self.width {
                            let from = input.add(self.stride * (y * row + x * S::LANES));
                            let [sum] = columns::<S, 1>(from, row, &taps);
                            S::store(output.add((y * self.width + x) * S::LANES), sum);
                        }
                    }
                }
            }
        }
    }

    /// The stride-1 convolution, two columns at a time so that neighbours share their loads.
    #[inline(always)]
    unsafe fn sweep<S: Simd>(&self, input: *const f32, taps: &[S::Vector; 9], output: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let row = self.bordered_row::<S>();
            let mut to = output;
            for y in 0..self.height {
                let mut from = input.add(y * row);
                for _ in 0..self.width / 2 {
                    let [left, right] = columns::<S, 2>(from, row, taps);
                    S::store(to, left);
                    S::store(to.add(S::LANES), right);
                    from = from.add(2 * S::LANES);
                    to = to.add(2 * S::LANES);
                }
                if self.width % 2 == 1 {
                    let [last] = columns::<S, 1>(from, row, taps);
                    S::store(to, last);
                    to = to.add(S::LANES);
                }
            }
        }
    }

    /// The gradient of the input: `(input_height, input_width)` vectors, contiguous.
    ///
    /// # Safety
    /// `gradient` is the output's gradient with a border of one zero pixel, `(height + 2, width + 2)` vectors; `to` holds
    /// the input's plane; the processor has `S`.
    #[inline(always)]
    pub(crate) unsafe fn input_gradient<S: Simd>(&self, gradient: *const f32, weight: *const f32, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let mut taps = [S::zero(); 9];
            for (k, tap) in taps.iter_mut().enumerate() {
                *tap = S::load(weight.add((8 - k) * S::LANES));
            }
            match self.stride {
                1 => self.sweep::<S>(gradient, &taps, to),
                _ => self.scatter_by_two::<S>(gradient, weight, to),
            }
        }
    }

    /// The gradient of the input for stride 2: each output pixel and its right, lower and diagonal neighbours meet in a
    /// block of two by two input pixels.
    #[inline(always)]
    unsafe fn scatter_by_two<S: Simd>(&self, gradient: *const f32, weight: *const f32, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let tap = |i: usize, j: usize| S::load(weight.add((3 * i + j) * S::LANES));
            let row = (self.width + 2) * S::LANES;
            for y in 0..self.height {
                for x in 0..self.width {
                    let at = gradient.add((y + 1) * row + (x + 1) * S::LANES);
                    let (here, right) = (S::load(at), S::load(at.add(S::LANES)));
                    let (below, diagonal) = (S::load(at.add(row)), S::load(at.add(row + S::LANES)));
                    let (odd_row, odd_column) = (2 * y + 1 < self.input_height, 2 * x + 1 < self.input_width);
                    let out = to.add((2 * y * self.input_width + 2 * x) * S::LANES);
                    S::store(out, S::mul(tap(1, 1), here));
                    if odd_column {
                        let value = S::mul_add(tap(1, 0), right, S::mul(tap(1, 2), here));
                        S::store(out.add(S::LANES), value);
                    }
                    let out = out.add(self.input_width * S::LANES);
                    if odd_row {
                        S::store(out, S::mul_add(tap(0, 1), below, S::mul(tap(2, 1), here)));
                    }
                    if odd_row && odd_column {
                        let value = S::mul_add(tap(2, 0), right, S::mul(tap(2, 2), here));
                        let value = S::mul_add(tap(0, 0), diagonal, S::mul_add(tap(0, 2), below, value));
                        S::store(out.add(S::LANES), value);
                    }
                }
            }
        }
    }

    /// Adds to the gradient of the weights.
    ///
    /// # Safety
    /// `input` is a bordered plane, `gradient` the output's gradient with a border, `to` holds nine vectors; the
    /// processor has `S`.
    #[inline(always)]
    pub(crate) unsafe fn weight_gradient<S: Simd>(&self, input: *const f32, gradient: *const f32, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let row = self.bordered_row::<S>();
            let gradient_row = (self.width + 2) * S::LANES;
            let mut sums = [S::zero(); 9];
            for y in 0..self.height {
                for x in 0..self.width {
                    let value = S::load(gradient.add((y + 1) * gradient_row + (x + 1) * S::LANES));
                    let from = input.add(self.stride * (y * row + x * S::LANES));
                    for (k, sum) in sums.iter_mut().enumerate() {
                        *sum = S::mul_add(S::load(from.add(k / 3 * row + k % 3 * S::LANES)), value, *sum);
                    }
                }
            }
            for (k, sum) in sums.into_iter().enumerate() {
                let at = to.add(k * S::LANES);
                S::store(at, S::add(S::load(at), sum));
            }
        }
    }
}

/// `C` neighbouring outputs of a stride-1 convolution whose first window starts at `from`.
#[inline(always)]
unsafe fn columns<S: Simd, const C: usize>(from: *const f32, row: usize, taps: &[S::Vector; 9]) -> [S::Vector; C] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [S::zero(); C];
        for i in 0..3 {
            for j in 0..C + 2 {
                let value = S::load(from.add(i * row + j * S::LANES));
                for (c, sum) in sums.iter_mut().enumerate() {
                    if j >= c && j - c < 3 {
                        *sum = S::mul_add(value, taps[3 * i + j - c], *sum);
                    }
                }
            }
        }
        sums
    }
}
