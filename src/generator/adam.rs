//! The Adam optimiser (Kingma and Ba 2015) with PyTorch's defaults: no decay, betas 0.9 and 0.999, epsilon 1e-8.

use crate::device::cpu::gang::Gang;
use crate::device::cpu::matrix::{Vectorise, vectorise};

pub(super) const BETA1: f64 = 0.9;
pub(super) const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Parameters of a task for a thread.
pub(super) const PIECE: usize = 8192;

/// Moments of every parameter.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    learning_rate: f64,
    steps: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    pub fn new(parameters: usize, learning_rate: f64) -> Self {
        Adam { learning_rate, steps: 0, first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// One step: `p -= rate * m' / (sqrt(v') + epsilon)`, m' and v' being the moments without their starting bias.
    /// `gradient` may be longer than the parameters.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], gang: &mut Gang) {
        self.steps += 1;
        let rate = (self.learning_rate / (1.0 - BETA1.powi(self.steps))) as f32;
        let scale = (1.0 - BETA2.powi(self.steps)).sqrt().recip() as f32;
        let Adam { first, second, .. } = self;
        gang.for_each_piece([parameters, first, second], PIECE, |start, [parameters, first, second]| {
            let gradient = &gradient[start..][..parameters.len()];
            vectorise(Update { parameters, gradient, first, second, rate, scale });
        });
    }
}

struct Update<'a> {
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    rate: f32,
    scale: f32,
}

impl Vectorise for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (keep1, keep2) = (BETA1 as f32, BETA2 as f32);
        let (take1, take2) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32);
        let moments = self.first.iter_mut().zip(self.second);
        for ((p, g), (m, v)) in self.parameters.iter_mut().zip(self.gradient).zip(moments) {
            *m = keep1 * *m + take1 * g;
            *v = keep2 * *v + take2 * g * g;
            *p -= self.rate * *m / (v.sqrt() * self.scale + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_in_f64() {
        let mut p = [1.0f32, -2.0, 3.0];
        let mut exact = [1.0f64, -2.0, 3.0];
        let (mut m, mut v) = ([0.0f64; 3], [0.0f64; 3]);
        let mut adam = Adam::new(3, 0.1);
        for (t, g) in [[0.5, -1.0, 0.0], [0.25, 2.0, 1e-3], [-1.0, 0.1, 0.0]].into_iter().enumerate() {
            adam.step(&mut p, &g.map(|g| g as f32), &mut Gang::new(1));
            for i in 0..3 {
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let t = t as i32 + 1;
                exact[i] -= 0.1 * (m[i] / (1.0 - 0.9f64.powi(t))) / ((v[i] / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
                assert!((f64::from(p[i]) - exact[i]).abs() <= 1e-5, "{p:?} instead of {exact:?}");
            }
        }
    }
}
