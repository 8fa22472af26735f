//! The sum of planes that are each normalised and passed through a ReLU by themselves, and its backward.
//!
//! Forward: `sum_e act_e(a_e x_e + b_e)` with `act` the ReLU or the identity. Backward: for every input the channel sums of
//! the gradient behind its ReLU and of that gradient's product with `x_e - mean`, from which batch norm's backward is
//! formed; whoever wrote the input applies its ReLU's gate to the gradients it reads ([`Gate`]).

use super::simd::{Kernel, Simd};

/// One input at the plane at hand.
#[derive(Clone, Copy)]
pub(crate) struct Term {
    /// Contiguous vectors.
    pub values: *const f32,
    /// One vector each: `scale * x + shift`.
    pub scale: *const f32,
    pub shift: *const f32,
    /// One vector: what the backward takes off the values.
    pub mean: *const f32,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// `to = act(scale * x + shift)`, or added to what is there.
pub(crate) struct Activate {
    pub term: Term,
    pub add: bool,
    pub to: *mut f32,
    pub vectors: usize,
}

/// The pointers must be valid for so many vectors; the target overlaps nothing else.
impl Kernel for Activate {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match (self.term.relu, self.add) {
                (true, true) => self.pass::<S, true, true>(),
                (true, false) => self.pass::<S, true, false>(),
                (false, true) => self.pass::<S, false, true>(),
                (false, false) => self.pass::<S, false, false>(),
            }
        }
    }
}

impl Activate {
    #[inline(always)]
    unsafe fn pass<S: Simd, const RELU: bool, const ADD: bool>(&self) {
        // SAFETY: the caller's.
        unsafe {
            let (scale, shift) = (S::load(self.term.scale), S::load(self.term.shift));
            for at in (0..self.vectors * S::LANES).step_by(S::LANES) {
                let mut value = S::mul_add(S::load(self.term.values.add(at)), scale, shift);
                if RELU {
                    value = S::relu(value);
                }
                if ADD {
                    value = S::add(S::load(self.to.add(at)), value);
                }
                S::store(self.to.add(at), value);
            }
        }
    }
}

/// Adds up the channel sums of one input's gradient behind its ReLU.
pub(crate) struct TermSums {
    pub term: Term,
    /// Gradient of the sum.
    pub gradient: *const f32,
    pub vectors: usize,
    /// One vector each, added to: sums of the gradient, and of its product with the input less its mean.
    pub sums: *mut f32,
    pub products: *mut f32,
}

/// The pointers must be valid for so many vectors.
impl Kernel for TermSums {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match self.term.relu {
                true => self.pass::<S, true>(),
                false => self.pass::<S, false>(),
            }
        }
    }
}

impl TermSums {
    /// Even and odd pixels are summed apart, so that an addition need not wait for the one before it.
    #[inline(always)]
    unsafe fn pass<S: Simd, const RELU: bool>(&self) {
        // SAFETY: the caller's.
        unsafe {
            let (scale, shift, mean) = (S::load(self.term.scale), S::load(self.term.shift), S::load(self.term.mean));
            let (mut sums, mut products) = ([S::zero(); 2], [S::zero(); 2]);
            for vector in 0..self.vectors {
                let value = S::load(self.term.values.add(vector * S::LANES));
                let mut gradient = S::load(self.gradient.add(vector * S::LANES));
                if RELU {
                    gradient = S::where_positive(S::mul_add(value, scale, shift), gradient);
                }
                let odd = vector % 2;
                sums[odd] = S::add(sums[odd], gradient);
                products[odd] = S::mul_add(S::sub(value, mean), gradient, products[odd]);
            }
            for (to, [even, odd]) in [(self.sums, sums), (self.products, products)] {
                S::store(to, S::add(S::load(to), S::add(even, odd)));
            }
        }
    }
}

/// From the sum of its consumers' gradients the gradient of a raw value: `where(a x + b > 0, g) + of_value x + constant`.
/// The consumers' gradients are scaled already.
pub(crate) struct Gate {
    /// The raw value and its batch norm; contiguous vectors.
    pub term: Term,
    /// One vector each: batch norm's backward.
    pub of_value: *const f32,
    pub constant: *const f32,
    /// Contiguous vectors: consumers' gradients, then the gradient.
    pub to: *mut f32,
    pub vectors: usize,
}

/// The pointers must be valid for so many vectors.
impl Kernel for Gate {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let (scale, shift) = (S::load(self.term.scale), S::load(self.term.shift));
            let (of_value, constant) = (S::load(self.of_value), S::load(self.constant));
            for at in (0..self.vectors * S::LANES).step_by(S::LANES) {
                let value = S::load(self.term.values.add(at));
                let mut gradient = S::load(self.to.add(at));
                if self.term.relu {
                    gradient = S::where_positive(S::mul_add(value, scale, shift), gradient);
                }
                S::store(self.to.add(at), S::add(gradient, S::mul_add(value, of_value, constant)));
            }
        }
    }
}

/// Adds up the moments of some vectors, as of a product's columns.
pub(crate) struct VectorMoments {
    pub values: *const f32,
    pub vectors: usize,
    /// One vector each.
    pub shift: *mut f32,
    pub sums: *mut f32,
    pub squares: *mut f32,
    /// Whether nothing was summed yet: the first vector becomes the shift.
    pub first: bool,
}

/// The pointers must be valid for so many vectors, at least one.
impl Kernel for VectorMoments {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            if self.first {
                S::store(self.shift, S::load(self.values));
            }
            let shift = S::load(self.shift);
            let (mut sums, mut squares) = ([S::zero(); 2], [S::zero(); 2]);
            for vector in 0..self.vectors {
                let value = S::sub(S::load(self.values.add(vector * S::LANES)), shift);
                let odd = vector % 2;
                sums[odd] = S::add(sums[odd], value);
                squares[odd] = S::mul_add(value, value, squares[odd]);
            }
            for (to, [even, odd]) in [(self.sums, sums), (self.squares, squares)] {
                S::store(to, S::add(S::load(to), S::add(even, odd)));
            }
        }
    }
}
