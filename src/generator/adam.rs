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
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], gang: &mut Gang) {
        let (step, [first, second]) = self.begin();
        gang.for_each_piece([parameters, first, second], PIECE, |start, arrays| {
            step.update(arrays, std::iter::once(&gradient[start..]));
        });
    }

    /// Begins a step, which is to be [applied](AdamStep::update) to every parameter once, and gives both moments.
    pub fn begin(&mut self) -> (AdamStep, [&mut [f32]; 2]) {
        self.steps += 1;
        let rate = (self.learning_rate / (1.0 - BETA1.powi(self.steps))) as f32;
        let scale = (1.0 - BETA2.powi(self.steps)).sqrt().recip() as f32;
        (AdamStep { rate, scale }, [&mut self.first, &mut self.second])
    }
}

/// The step's factors.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamStep {
    rate: f32,
    scale: f32,
}

impl AdamStep {
    /// The step for some parameters with their moments. Their gradient is the sum of the given ones, which may be longer.
    pub fn update<'a>(self, arrays: [&mut [f32]; 3], gradients: impl Iterator<Item = &'a [f32]> + Clone) {
        vectorise(Update { step: self, arrays, gradients });
    }
}

/// Floats of the sum of the gradients that are kept at a time.
const BLOCK: usize = 256;

struct Update<'a, G> {
    step: AdamStep,
    arrays: [&'a mut [f32]; 3],
    gradients: G,
}

impl<'a, G: Iterator<Item = &'a [f32]> + Clone> Vectorise for Update<'_, G> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Update { step, arrays: [parameters, first, second], gradients } = self;
        let mut sum = [0.0; BLOCK];
        let moments = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK));
        for (block, (parameters, (first, second))) in parameters.chunks_mut(BLOCK).zip(moments).enumerate() {
            let range = block * BLOCK..block * BLOCK + parameters.len();
            let sum = &mut sum[..parameters.len()];
            let mut gradients = gradients.clone().map(|gradient| &gradient[range.clone()]);
            let given = match (gradients.next(), gradients.next()) {
                (Some(only), None) => only,
                (Some(a), Some(b)) => {
                    sum.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum = a + b);
                    for gradient in gradients {
                        sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                    }
                    sum
                }
                _ => sum,
            };
            step.block(parameters, given, [first, second]);
        }
    }
}

impl AdamStep {
    #[inline(always)]
    fn block(self, parameters: &mut [f32], gradient: &[f32], [first, second]: [&mut [f32]; 2]) {
        let (keep1, keep2) = (BETA1 as f32, BETA2 as f32);
        let (take1, take2) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32);
        let moments = first.iter_mut().zip(second);
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
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
