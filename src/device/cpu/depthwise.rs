//! Depthwise 3x3 convolution (padding 1) of one channel block of some images, and its gradients.
//!
//! Planes are contiguous, `(images, height, width, lanes)`, and have no border: a window's row outside the image is read
//! from a row of zeros, and what it would read left or right of the image is left out. Weights are `(9, lanes)`. Windows
//! are taken two neighbours at a time, so that they share what they load.

use super::simd::{Kernel, Simd};

/// Shapes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise {
    /// Rows of the input.
    pub input_height: usize,
    /// Columns of the input.
    pub input_width: usize,
    /// Rows of the output.
    pub height: usize,
    /// Columns of the output.
    pub width: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl Depthwise {
    /// The convolution whose output is the gradient of this one's input, stride 1.
    fn transposed(self) -> Self {
        Depthwise {
            input_height: self.height,
            input_width: self.width,
            height: self.input_height,
            width: self.input_width,
            stride: 1,
        }
    }

    /// The input's rows that the windows of output row `y` cover.
    #[inline(always)]
    unsafe fn rows<S: Simd>(&self, input: *const f32, zeros: *const f32, y: usize) -> [*const f32; 3] {
        std::array::from_fn(|i| match (y * self.stride + i).checked_sub(1) {
            // SAFETY: the row lies in the plane.
            Some(row) if row < self.input_height => unsafe { input.add(row * self.input_width * S::LANES) },
            _ => zeros,
        })
    }

    /// Walks a row's windows, two at a time.
    #[inline(always)]
    unsafe fn walk<S: Simd, const STRIDE: usize>(&self, visitor: &mut impl Visitor<S>) {
        let width = self.width;
        let cut = STRIDE * (width - 1) + 1 >= self.input_width;
        // SAFETY: the caller's; the windows at the edges are told so.
        unsafe {
            match (width, cut) {
                (1, true) => return visitor.windows::<1, STRIDE, true, true>(0),
                (1, false) => return visitor.windows::<1, STRIDE, true, false>(0),
                (2, true) => return visitor.windows::<2, STRIDE, true, true>(0),
                _ => visitor.windows::<2, STRIDE, true, false>(0),
            }
            let whole = if cut { width - 1 } else { width };
            let mut x = 2;
            while x + 2 <= whole {
                visitor.windows::<2, STRIDE, false, false>(x);
                x += 2;
            }
            match (width - x, cut) {
                (2, _) => visitor.windows::<2, STRIDE, false, true>(x),
                (1, true) => visitor.windows::<1, STRIDE, false, true>(x),
                (1, false) => visitor.windows::<1, STRIDE, false, false>(x),
                _ => {}
            }
        }
    }
}

/// What is done with the windows of one row of the output.
trait Visitor<S: Simd> {
    /// `C` neighbouring windows, the first that of output column `x`; `LEFT` and `RIGHT`: the first (last) column of the
    /// first (last) window lies outside the image.
    unsafe fn windows<const C: usize, const STRIDE: usize, const LEFT: bool, const RIGHT: bool>(&mut self, x: usize);
}

/// Calls `take(i, j, c, value)` for what window `c` reads under tap `(i, j)`, a load for each value.
#[inline(always)]
unsafe fn taps<S: Simd, const C: usize, const STRIDE: usize, const LEFT: bool, const RIGHT: bool>(
    rows: &[*const f32; 3],
    x: usize,
    taker: &mut impl Taker<S>,
) {
    let columns = STRIDE * (C - 1) + 3;
    for (i, row) in rows.iter().enumerate() {
        for j in usize::from(LEFT)..columns - usize::from(RIGHT) {
            // SAFETY: the caller's: column `STRIDE x + j - 1` lies in the image.
            unsafe {
                let value = S::load(row.add((STRIDE * x + j - 1) * S::LANES));
                for c in 0..C {
                    if j >= STRIDE * c && j - STRIDE * c < 3 {
                        taker.take(3 * i + j - STRIDE * c, c, value);
                    }
                }
            }
        }
    }
}

/// See [`taps`].
trait Taker<S: Simd> {
    unsafe fn take(&mut self, tap: usize, window: usize, value: S::Vector);
}

/// What becomes of a convolution's results.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    /// Contiguous vectors.
    pub to: *mut f32,
    /// In the same order: a result is 0 where this is not above 0. Null: all results stay.
    pub gate: *const f32,
}

impl Output {
    #[inline(always)]
    unsafe fn store<S: Simd, const GATED: bool>(&self, at: usize, value: S::Vector) {
        // SAFETY: the caller's.
        unsafe {
            let value = match GATED {
                true => S::where_positive(S::load(self.gate.add(at * S::LANES)), value),
                false => value,
            };
            S::store(self.to.add(at * S::LANES), value);
        }
    }

    #[inline(always)]
    unsafe fn skip<S: Simd, const GATED: bool>(&mut self, vectors: usize) {
        // SAFETY: the caller's.
        unsafe {
            self.to = self.to.add(vectors * S::LANES);
            if GATED {
                self.gate = self.gate.add(vectors * S::LANES);
            }
        }
    }
}

/// `output[y][x] = sum_ij weight[i][j] * input[stride y + i - 1][stride x + j - 1]`.
#[derive(Clone, Copy)]
pub(crate) struct Convolution {
    pub shape: Depthwise,
    pub images: usize,
    pub input: *const f32,
    /// A row of zeros, as wide as the input.
    pub zeros: *const f32,
    pub weight: *const f32,
    pub output: *mut f32,
}

/// The pointers must be valid for the shapes given; the output overlaps nothing else.
impl Kernel for Convolution {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let weight = std::array::from_fn(|k| S::load(self.weight.add(k * S::LANES)));
            let output = Output { to: self.output, gate: std::ptr::null() };
            match self.shape.stride {
                1 => self.sweep::<S, 1, false>(weight, output),
                _ => self.sweep::<S, 2, false>(weight, output),
            }
        }
    }
}

impl Convolution {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const STRIDE: usize, const GATED: bool>(&self, weight: [S::Vector; 9], output: Output) {
        let Convolution { shape, images, zeros, .. } = *self;
        let mut row = ConvolutionRow::<S, GATED> { rows: [zeros; 3], weight, output };
        for image in 0..images {
            // SAFETY: the caller's.
            unsafe {
                let input = self.input.add(image * shape.input_height * shape.input_width * S::LANES);
                for y in 0..shape.height {
                    row.rows = shape.rows::<S>(input, zeros, y);
                    shape.walk::<S, STRIDE>(&mut row);
                    row.output.skip::<S, GATED>(shape.width);
                }
            }
        }
    }
}

struct ConvolutionRow<S: Simd, const GATED: bool> {
    rows: [*const f32; 3],
    weight: [S::Vector; 9],
    output: Output,
}

impl<S: Simd, const GATED: bool> Visitor<S> for ConvolutionRow<S, GATED> {
    #[inline(always)]
    unsafe fn windows<const C: usize, const STRIDE: usize, const LEFT: bool, const RIGHT: bool>(&mut self, x: usize) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = Sums::<S, C> { weight: &self.weight, sums: [S::zero(); C] };
            taps::<S, C, STRIDE, LEFT, RIGHT>(&self.rows, x, &mut sums);
            for (c, sum) in sums.sums.into_iter().enumerate() {
                self.output.store::<S, GATED>(x + c, sum);
            }
        }
    }
}

struct Sums<'a, S: Simd, const C: usize> {
    weight: &'a [S::Vector; 9],
    sums: [S::Vector; C],
}

impl<S: Simd, const C: usize> Taker<S> for Sums<'_, S, C> {
    #[inline(always)]
    unsafe fn take(&mut self, tap: usize, window: usize, value: S::Vector) {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { self.sums[window] = S::mul_add(value, self.weight[tap], self.sums[window]) }
    }
}

/// The gradient of the input before the ReLU that made it.
#[derive(Clone, Copy)]
pub(crate) struct InputGradient {
    pub shape: Depthwise,
    pub images: usize,
    /// Gradient of the output.
    pub gradient: *const f32,
    /// A row of zeros, as wide as the output.
    pub zeros: *const f32,
    pub weight: *const f32,
    /// Where it goes, and the convolution's input as its gate.
    pub output: Output,
}

/// The pointers must be valid for the shapes given; the output overlaps nothing else.
impl Kernel for InputGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let weight = std::array::from_fn(|k| S::load(self.weight.add((8 - k) * S::LANES)));
            if self.shape.stride == 1 {
                let InputGradient { shape, images, gradient, zeros, output, .. } = self;
                let shape = shape.transposed();
                let convolution =
                    Convolution { shape, images, input: gradient, zeros, weight: self.weight, output: output.to };
                return convolution.sweep::<S, 1, true>(weight, output);
            }
            let mut output = self.output;
            let plane = self.shape.input_height * self.shape.input_width;
            for image in 0..self.images {
                let gradient = self.gradient.add(image * self.shape.height * self.shape.width * S::LANES);
                self.scatter_by_two::<S>(gradient, output);
                output.skip::<S, true>(plane);
            }
        }
    }
}

impl InputGradient {
    /// The gradient of one image's input for stride 2: each output pixel and its right, lower and diagonal neighbours meet
    /// in a block of two by two input pixels.
    #[inline(always)]
    unsafe fn scatter_by_two<S: Simd>(&self, gradient: *const f32, output: Output) {
        let Depthwise { input_height, input_width, height, width, .. } = self.shape;
        // SAFETY: the caller's.
        unsafe {
            let tap = |i: usize, j: usize| S::load(self.weight.add((3 * i + j) * S::LANES));
            for y in 0..height {
                let row = gradient.add(y * width * S::LANES);
                let row_below = if y + 1 < height { row.add(width * S::LANES) } else { self.zeros };
                for x in 0..width {
                    let at = x * S::LANES;
                    let (here, below) = (S::load(row.add(at)), S::load(row_below.add(at)));
                    let (right, diagonal) = match x + 1 < width {
                        true => (S::load(row.add(at + S::LANES)), S::load(row_below.add(at + S::LANES))),
                        false => (S::zero(), S::zero()),
                    };
                    let (odd_row, odd_column) = (2 * y + 1 < input_height, 2 * x + 1 < input_width);
                    let to = 2 * y * input_width + 2 * x;
                    output.store::<S, true>(to, S::mul(tap(1, 1), here));
                    if odd_column {
                        output.store::<S, true>(to + 1, S::mul_add(tap(1, 0), right, S::mul(tap(1, 2), here)));
                    }
                    let to = to + input_width;
                    if odd_row {
                        output.store::<S, true>(to, S::mul_add(tap(0, 1), below, S::mul(tap(2, 1), here)));
                    }
                    if odd_row && odd_column {
                        let value = S::mul_add(tap(2, 0), right, S::mul(tap(2, 2), here));
                        let value = S::mul_add(tap(0, 0), diagonal, S::mul_add(tap(0, 2), below, value));
                        output.store::<S, true>(to + 1, value);
                    }
                }
            }
        }
    }
}

/// The gradient of the weights, added to.
#[derive(Clone, Copy)]
pub(crate) struct DepthwiseGradient {
    pub shape: Depthwise,
    pub images: usize,
    pub input: *const f32,
    /// A row of zeros, as wide as the input.
    pub zeros: *const f32,
    /// Gradient of the output.
    pub gradient: *const f32,
    /// Nine vectors.
    pub to: *mut f32,
}

/// The pointers must be valid for the shapes given.
impl Kernel for DepthwiseGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let sums = match self.shape.stride {
                1 => self.sweep::<S, 1>(),
                _ => self.sweep::<S, 2>(),
            };
            for (k, sum) in sums.into_iter().enumerate() {
                let at = self.to.add(k * S::LANES);
                S::store(at, S::add(S::load(at), sum));
            }
        }
    }
}

impl DepthwiseGradient {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const STRIDE: usize>(&self) -> [S::Vector; 9] {
        let DepthwiseGradient { shape, images, zeros, gradient, .. } = *self;
        // SAFETY: the caller's.
        unsafe {
            let mut row = GradientRow::<S> { rows: [zeros; 3], gradient, sums: [S::zero(); 9] };
            for image in 0..images {
                let input = self.input.add(image * shape.input_height * shape.input_width * S::LANES);
                for y in 0..shape.height {
                    row.rows = shape.rows::<S>(input, zeros, y);
                    shape.walk::<S, STRIDE>(&mut row);
                    row.gradient = row.gradient.add(shape.width * S::LANES);
                }
            }
            row.sums
        }
    }
}

struct GradientRow<S: Simd> {
    rows: [*const f32; 3],
    gradient: *const f32,
    sums: [S::Vector; 9],
}

impl<S: Simd> Visitor<S> for GradientRow<S> {
    #[inline(always)]
    unsafe fn windows<const C: usize, const STRIDE: usize, const LEFT: bool, const RIGHT: bool>(&mut self, x: usize) {
        // SAFETY: the caller's.
        unsafe {
            let gradients = std::array::from_fn(|c| S::load(self.gradient.add((x + c) * S::LANES)));
            let mut products = Products::<S, C> { gradients, sums: &mut self.sums };
            taps::<S, C, STRIDE, LEFT, RIGHT>(&self.rows, x, &mut products);
        }
    }
}

struct Products<'a, S: Simd, const C: usize> {
    gradients: [S::Vector; C],
    sums: &'a mut [S::Vector; 9],
}

impl<S: Simd, const C: usize> Taker<S> for Products<'_, S, C> {
    #[inline(always)]
    unsafe fn take(&mut self, tap: usize, window: usize, value: S::Vector) {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { self.sums[tap] = S::mul_add(value, self.gradients[window], self.sums[tap]) }
    }
}
