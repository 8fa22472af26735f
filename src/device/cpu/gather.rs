//! The weighted sum of planes with batch norm folded in, and its backward.
//!
//! Forward: `relu(shift + sum_e scale_e * x_e)`, where `scale_e = weight_e * a_e` and `shift = sum_e weight_e * b_e` hold
//! the edge weight and the producer's batch norm `a x + b`. Backward: the gradient behind the ReLU, its channel sums,
//! and for every input the channel sums of its product with `x - mean`: they give the gradients of edge weights and batch
//! norms without another pass. The mean is taken off before the sum, since after it little may be left of the digits.

use super::simd::{Kernel, Simd};

/// One input of a gather, at the plane at hand.
#[derive(Clone, Copy)]
pub(crate) struct Plane {
    /// Contiguous vectors.
    pub values: *const f32,
    /// One vector.
    pub scale: *const f32,
    /// One vector: what the backward takes off the values.
    pub mean: *const f32,
}

/// Inputs that one pass can take with their scales in registers.
const PASS: usize = 4;

/// `to = shift + sum_e scale_e * x_e`, then ReLU if asked for. All pointers but the coefficients' must be valid for
/// `vectors` vectors, and the target must overlap nothing else.
pub(crate) struct Gather<'a> {
    /// The inputs.
    pub planes: &'a [Plane],
    /// One vector.
    pub shift: *const f32,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Where the result goes.
    pub to: *mut f32,
    /// How many.
    pub vectors: usize,
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut rest = self.planes;
        // SAFETY: the caller's.
        unsafe {
            let mut start = Some(S::load(self.shift));
            loop {
                let pass = &rest[..rest.len().min(PASS)];
                rest = &rest[pass.len()..];
                let relu = self.relu && rest.is_empty();
                match pass.len() {
                    4 => self.pass::<S, 4>(pass, start, relu),
                    3 => self.pass::<S, 3>(pass, start, relu),
                    2 => self.pass::<S, 2>(pass, start, relu),
                    1 => self.pass::<S, 1>(pass, start, relu),
                    _ => self.pass::<S, 0>(pass, start, relu),
                }
                if rest.is_empty() {
                    return;
                }
                start = None;
            }
        }
    }
}

impl Gather<'_> {
    /// One pass over the target: from `start`, or on top of what earlier passes left.
    #[inline(always)]
    unsafe fn pass<S: Simd, const N: usize>(&self, planes: &[Plane], start: Option<S::Vector>, relu: bool) {
        // SAFETY: the caller's; the slice has N planes.
        unsafe {
            let mut scales = [S::zero(); N];
            let mut from = [std::ptr::null::<f32>(); N];
            for n in 0..N {
                scales[n] = S::load(planes[n].scale);
                from[n] = planes[n].values;
            }
            for offset in (0..self.vectors * S::LANES).step_by(S::LANES) {
                let to = self.to.add(offset);
                let mut sum = match start {
                    Some(shift) => shift,
                    None => S::load(to),
                };
                for n in 0..N {
                    sum = S::mul_add(S::load(from[n].add(offset)), scales[n], sum);
                }
                S::store(to, if relu { S::relu(sum) } else { sum });
            }
        }
    }
}

/// The sums that the backward of a gather leaves: those of its gradient, and of the gradient's product with every input
/// less its mean. Pointers as of [`Gather`].
pub(crate) struct GradientSums<'a> {
    /// The inputs.
    pub planes: &'a [Plane],
    /// Gradient of the gather's result before its ReLU.
    pub gradient: *const f32,
    /// How many.
    pub vectors: usize,
    /// One vector: the channel sums of the gradient are added here.
    pub sums: *mut f32,
    /// One vector for every input, `stride` floats apart: the channel sums of the products are added here.
    pub products: *mut f32,
    /// See `products`.
    pub stride: usize,
}

impl Kernel for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let mut products = self.products;
            for (number, pass) in self.planes.chunks(PASS).enumerate() {
                match (number, pass.len()) {
                    (0, 4) => self.pass::<S, 4, true>(pass, products),
                    (0, 3) => self.pass::<S, 3, true>(pass, products),
                    (0, 2) => self.pass::<S, 2, true>(pass, products),
                    (0, _) => self.pass::<S, 1, true>(pass, products),
                    (_, 4) => self.pass::<S, 4, false>(pass, products),
                    (_, 3) => self.pass::<S, 3, false>(pass, products),
                    (_, 2) => self.pass::<S, 2, false>(pass, products),
                    _ => self.pass::<S, 1, false>(pass, products),
                }
                products = products.add(pass.len() * self.stride);
            }
        }
    }
}

impl GradientSums<'_> {
    /// The products with `N` inputs and, with the `FIRST` ones, the plain sums. Even and odd pixels are summed apart, so
    /// that an addition need not wait for the one before it.
    #[inline(always)]
    unsafe fn pass<S: Simd, const N: usize, const FIRST: bool>(&self, planes: &[Plane], products: *mut f32) {
        // SAFETY: the caller's; the slice has N planes.
        unsafe {
            let mut means = [S::zero(); N];
            let mut from = [std::ptr::null::<f32>(); N];
            for n in 0..N {
                means[n] = S::load(planes[n].mean);
                from[n] = planes[n].values;
            }
            let (mut even, mut odd) = (Sums::<S, N>::zero(), Sums::<S, N>::zero());
            for pair in 0..self.vectors / 2 {
                even.take::<FIRST>(self.gradient, &from, &means, 2 * pair * S::LANES);
                odd.take::<FIRST>(self.gradient, &from, &means, (2 * pair + 1) * S::LANES);
            }
            if self.vectors % 2 == 1 {
                even.take::<FIRST>(self.gradient, &from, &means, (self.vectors - 1) * S::LANES);
            }
            for n in 0..N {
                let at = products.add(n * self.stride);
                S::store(at, S::add(S::load(at), S::add(even.products[n], odd.products[n])));
            }
            if FIRST {
                S::store(self.sums, S::add(S::load(self.sums), S::add(even.plain, odd.plain)));
            }
        }
    }
}

/// Sums in registers.
struct Sums<S: Simd, const N: usize> {
    plain: S::Vector,
    products: [S::Vector; N],
}

impl<S: Simd, const N: usize> Sums<S, N> {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for the instruction set.
        let zero = unsafe { S::zero() };
        Sums { plain: zero, products: [zero; N] }
    }

    #[inline(always)]
    unsafe fn take<const FIRST: bool>(
        &mut self,
        gradient: *const f32,
        inputs: &[*const f32; N],
        means: &[S::Vector; N],
        offset: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let value = S::load(gradient.add(offset));
            if FIRST {
                self.plain = S::add(self.plain, value);
            }
            for n in 0..N {
                let centred = S::sub(S::load(inputs[n].add(offset)), means[n]);
                self.products[n] = S::mul_add(centred, value, self.products[n]);
            }
        }
    }
}
