//! The weighted sum of planes with batch norm folded in, and its backward.
//!
//! Forward: `relu(shift + sum_e scale_e * x_e)`, where `scale_e = weight_e * a_e` and `shift = sum_e weight_e * b_e` hold
//! the edge weight and the producer's batch norm `a x + b`. Backward: the gradient behind the ReLU, its channel sums,
//! and for every input the channel sums of its product with the input: they give the gradients of edge weights and batch
//! norms without another pass.

use super::simd::{Kernel, Simd};

/// One input of a gather, at the plane at hand.
#[derive(Clone, Copy)]
pub(crate) struct Plane {
    /// Contiguous vectors.
    pub values: *const f32,
    /// One vector.
    pub scale: *const f32,
}

/// Where a gather's result goes: `rows` rows of `width` vectors, `row_stride` floats apart.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The first vector.
    pub start: *mut f32,
    /// Rows.
    pub rows: usize,
    /// Vectors in a row.
    pub width: usize,
    /// Floats from one row to the next.
    pub row_stride: usize,
}

/// Inputs that one pass can take with their scales in registers.
const PASS: usize = 4;

/// `target = shift + sum_e scale_e * x_e`, then ReLU if asked for. The planes are contiguous in the target's order. All
/// pointers must be valid for the target's shape, and the target must overlap nothing else.
pub(crate) struct Gather<'a> {
    /// The inputs.
    pub planes: &'a [Plane],
    /// One vector.
    pub shift: *const f32,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Where the result goes.
    pub target: Target,
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Gather { planes, shift, relu, target } = self;
        // SAFETY: the caller's.
        unsafe {
            let mut done = 0;
            loop {
                let pass = &planes[done..planes.len().min(done + PASS)];
                let last = done + pass.len() == planes.len();
                let start = if done == 0 { Some(S::load(shift)) } else { None };
                match pass.len() {
                    4 => gather_pass::<S, 4>(pass, start, relu && last, target),
                    3 => gather_pass::<S, 3>(pass, start, relu && last, target),
                    2 => gather_pass::<S, 2>(pass, start, relu && last, target),
                    1 => gather_pass::<S, 1>(pass, start, relu && last, target),
                    _ => gather_pass::<S, 0>(pass, start, relu && last, target),
                }
                done += pass.len();
                if last {
                    return;
                }
            }
        }
    }
}

/// One pass over the target: from `start`, or on top of what earlier passes left.
#[inline(always)]
unsafe fn gather_pass<S: Simd, const N: usize>(planes: &[Plane], start: Option<S::Vector>, relu: bool, target: Target) {
    // SAFETY: the caller's; the slice has N planes.
    unsafe {
        let mut scales = [S::zero(); N];
        let mut from = [std::ptr::null::<f32>(); N];
        for n in 0..N {
            scales[n] = S::load(planes[n].scale);
            from[n] = planes[n].values;
        }
        let mut offset = 0;
        for row in 0..target.rows {
            let to = target.start.add(row * target.row_stride);
            for x in 0..target.width {
                let to = to.add(x * S::LANES);
                let mut sum = match start {
                    Some(shift) => shift,
                    None => S::load(to),
                };
                for n in 0..N {
                    sum = S::mul_add(S::load(from[n].add(offset)), scales[n], sum);
                }
                S::store(to, if relu { S::relu(sum) } else { sum });
                offset += S::LANES;
            }
        }
    }
}

/// The backward of one plane of a gather: the gradient before the ReLU, its channel sums, and the channel sums of its
/// product with every input. Pointers as of [`Gather`].
pub(crate) struct GatherBackward<'a> {
    /// The inputs.
    pub planes: &'a [Plane],
    /// Gradient of the gather's result, contiguous.
    pub gradient: *const f32,
    /// The gather's result with ReLU, as `rows` rows `gate_stride` floats apart; null without ReLU.
    pub gate: *const f32,
    /// See `gate`.
    pub gate_stride: usize,
    /// Rows.
    pub rows: usize,
    /// Vectors in a row.
    pub width: usize,
    /// Gradient before the ReLU, contiguous. May be the same memory as `gradient`.
    pub to: *mut f32,
    /// One vector: the channel sums of `to` are added here.
    pub sums: *mut f32,
    /// One vector for every input, `product_stride` floats apart: the channel sums of `to` times the input are added.
    pub products: *mut f32,
    /// See `products`.
    pub product_stride: usize,
}

impl Kernel for GatherBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            self.masked::<S>();
            let mut done = 0;
            while done < self.planes.len() {
                let pass = &self.planes[done..self.planes.len().min(done + PASS)];
                let products = self.products.add(done * self.product_stride);
                match pass.len() {
                    4 => self.products::<S, 4>(pass, products),
                    3 => self.products::<S, 3>(pass, products),
                    2 => self.products::<S, 2>(pass, products),
                    _ => self.products::<S, 1>(pass, products),
                }
                done += pass.len();
            }
        }
    }
}

impl GatherBackward<'_> {
    #[inline(always)]
    unsafe fn masked<S: Simd>(&self) {
        // SAFETY: the caller's.
        unsafe {
            let mut sum = S::zero();
            let mut offset = 0;
            for row in 0..self.rows {
                for x in 0..self.width {
                    let mut value = S::load(self.gradient.add(offset));
                    if !self.gate.is_null() {
                        let gate = S::load(self.gate.add(row * self.gate_stride + x * S::LANES));
                        value = S::where_positive(gate, value);
                    }
                    S::store(self.to.add(offset), value);
                    sum = S::add(sum, value);
                    offset += S::LANES;
                }
            }
            S::store(self.sums, S::add(S::load(self.sums), sum));
        }
    }

    #[inline(always)]
    unsafe fn products<S: Simd, const N: usize>(&self, planes: &[Plane], products: *mut f32) {
        // SAFETY: the caller's; the slice has N planes.
        unsafe {
            let mut from = [std::ptr::null::<f32>(); N];
            for n in 0..N {
                from[n] = planes[n].values;
            }
            let mut sums = [S::zero(); N];
            for i in 0..self.rows * self.width {
                let value = S::load(self.to.add(i * S::LANES));
                for n in 0..N {
                    sums[n] = S::mul_add(S::load(from[n].add(i * S::LANES)), value, sums[n]);
                }
            }
            for (n, sum) in sums.into_iter().enumerate() {
                let at = products.add(n * self.product_stride);
                S::store(at, S::add(S::load(at), sum));
            }
        }
    }
}

/// Surrounds with a border of one zero pixel by copying `height` rows of `width` vectors into the inner part of a plane
/// whose border is zero already.
///
/// # Safety
/// `to` holds `(height + 2) * (width + 2)` vectors.
#[inline(always)]
pub(crate) unsafe fn copy_into_border<S: Simd>(from: *const f32, to: *mut f32, height: usize, width: usize) {
    // SAFETY: the caller's.
    unsafe {
        for y in 0..height {
            let to = to.add(((y + 1) * (width + 2) + 1) * S::LANES);
            std::ptr::copy_nonoverlapping(from.add(y * width * S::LANES), to, width * S::LANES);
        }
    }
}
