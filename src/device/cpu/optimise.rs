//! The optimiser's step on one tensor.

use super::simd::{Kernel, Simd};

/// SGD with momentum as PyTorch's: `m = momentum * m + (gradient + decay * w)`, `w = w - rate * m`. The gradient is the
/// sum over groups, in their order.
pub(super) struct Sgd {
    /// Floats of the tensor, padded: whole vectors.
    pub floats: usize,
    pub parameters: *mut f32,
    pub momentum: *mut f32,
    /// The first group's gradient.
    pub gradients: *const f32,
    pub groups: usize,
    /// Floats from one group's gradient to the next.
    pub group_stride: usize,
    pub rate: f32,
    pub momentum_share: f32,
    pub decay: f32,
}

impl Kernel for Sgd {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller vouches for `floats` floats behind every pointer and that nobody else uses them.
        unsafe {
            let (rate, share, decay) = (S::splat(-self.rate), S::splat(self.momentum_share), S::splat(self.decay));
            for at in (0..self.floats).step_by(S::LANES) {
                let value = S::load(self.parameters.add(at));
                let mut gradient = S::load(self.gradients.add(at));
                for group in 1..self.groups {
                    gradient = S::add(gradient, S::load(self.gradients.add(group * self.group_stride + at)));
                }
                gradient = S::mul_add(decay, value, gradient);
                let momentum = S::mul_add(share, S::load(self.momentum.add(at)), gradient);
                S::store(self.momentum.add(at), momentum);
                S::store(self.parameters.add(at), S::mul_add(rate, momentum, value));
            }
        }
    }
}
