//! The optimiser's step on one tensor.

use super::simd::{Kernel, Simd};

/// SGD with momentum as PyTorch's: `d = gradient + decay * w`, `m = momentum * m + d`, `w = w - rate * m`, or with
/// Nesterov's momentum `w = w - rate * (d + momentum * m)`. The gradient is the sum over groups, in their order, times
/// `gradient_scale`.
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
    pub gradient_scale: f32,
    pub rate: f32,
    pub momentum_share: f32,
    pub nesterov: bool,
    pub decay: f32,
}

impl Kernel for Sgd {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller vouches for `floats` floats behind every pointer and that nobody else uses them.
        unsafe {
            let (rate, share, decay) = (S::splat(-self.rate), S::splat(self.momentum_share), S::splat(self.decay));
            let scale = S::splat(self.gradient_scale);
            for at in (0..self.floats).step_by(S::LANES) {
                let value = S::load(self.parameters.add(at));
                let mut gradient = S::load(self.gradients.add(at));
                for group in 1..self.groups {
                    gradient = S::add(gradient, S::load(self.gradients.add(group * self.group_stride + at)));
                }
                gradient = S::mul_add(decay, value, S::mul(scale, gradient));
                let momentum = S::mul_add(share, S::load(self.momentum.add(at)), gradient);
                let step = if self.nesterov { S::mul_add(share, momentum, gradient) } else { momentum };
                S::store(self.momentum.add(at), momentum);
                S::store(self.parameters.add(at), S::mul_add(rate, step, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::InstructionSet;

    const FLOATS: usize = 16;

    /// Steps at rate 0.1 with momentum 0.9 from 1.0, with a gradient of two groups, 2.0 in all.
    fn steps(count: usize, decay: f32, nesterov: bool) -> Vec<f32> {
        let (mut parameters, mut momentum) = ([1.0f32; FLOATS], [0.0f32; FLOATS]);
        let gradients: Vec<f32> = [[1.5f32; FLOATS], [2.5; FLOATS]].concat();
        for _ in 0..count {
            let step = Sgd {
                floats: FLOATS,
                parameters: parameters.as_mut_ptr(),
                momentum: momentum.as_mut_ptr(),
                gradients: gradients.as_ptr(),
                groups: 2,
                group_stride: FLOATS,
                gradient_scale: 0.5,
                rate: 0.1,
                momentum_share: 0.9,
                nesterov,
                decay,
            };
            // SAFETY: every array has this many floats, and there are two groups; the set is this processor's best.
            unsafe { InstructionSet::best().run(step) };
        }
        parameters.into()
    }

    /// With a constant gradient g and momentum u, m is g (1 - u^k) / (1 - u) after k steps: sums of geometric series.
    #[test]
    fn constant_gradients_give_the_closed_form() {
        let (rate, gradient, share) = (0.1, 2.0, 0.9f64);
        for count in [1, 2, 7] {
            let n = count as f64;
            let momenta = gradient / (1.0 - share) * (n - share * (1.0 - share.powf(n)) / (1.0 - share));
            for (nesterov, moved) in [(false, momenta), (true, n * gradient + share * momenta)] {
                for value in steps(count, 0.0, nesterov) {
                    let expected = 1.0 - rate * moved;
                    let error = (f64::from(value) - expected).abs();
                    assert!(error <= 1e-5 * (1.0 + expected.abs()), "{count} {nesterov}: {value} {expected}");
                }
            }
        }
    }

    #[test]
    fn the_penalty_is_part_of_the_gradient_and_never_scaled() {
        for (nesterov, factor) in [(false, 1.0), (true, 1.9)] {
            for value in steps(1, 0.25, nesterov) {
                assert!((value - (1.0 - 0.1 * factor * 2.25)).abs() <= 1e-6, "{nesterov}: {value}");
            }
        }
    }
}
