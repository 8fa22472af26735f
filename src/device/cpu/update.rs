//! The optimiser's step on all tensors, and how long the gradient is.

use super::network::Step;
use super::optimise::Sgd;
use super::program::Program;
use super::simd::InstructionSet;

/// The optimiser's step on all tensors, and their transposes. Distinct tensors are distinct memory.
pub(super) struct Update<'a> {
    pub program: &'a Program,
    pub set: InstructionSet,
    pub parameters: *mut f32,
    pub momentum: *mut f32,
    pub gradients: *const f32,
    pub transposed: *mut f32,
    /// `(tensors)`: the sum of squares of each one's gradient.
    pub squares: *mut f64,
    pub groups: usize,
    pub step: Step<'a>,
}

// SAFETY: see the type.
unsafe impl Sync for Update<'_> {}

impl Update<'_> {
    fn trained(&self, tensor: usize) -> bool {
        self.program.plan.parameters[tensor].role.trained()
    }

    /// Notes the sum of squares of a tensor's gradient.
    ///
    /// # Safety
    /// Nobody else uses this tensor.
    pub unsafe fn square(&self, tensor: usize) {
        let slot = self.program.parameters.slots[tensor];
        let stride = self.program.parameters.floats;
        let mut squares = 0.0;
        if self.trained(tensor) {
            for at in slot.offset..slot.offset + slot.floats {
                // SAFETY: the slot lies in the gradients of every group.
                let gradient: f32 =
                    (0..self.groups).map(|group| unsafe { *self.gradients.add(group * stride + at) }).sum();
                squares += f64::from(gradient).powi(2);
            }
        }
        // SAFETY: there is one for every tensor.
        unsafe { *self.squares.add(tensor) = squares };
    }

    /// # Safety
    /// Nobody else uses this tensor.
    pub unsafe fn run(&self, tensor: usize, gradient_scale: f32) {
        let slot = self.program.parameters.slots[tensor];
        if !self.trained(tensor) {
            return;
        }
        // SAFETY: the slot lies in every arena; the set is available.
        unsafe {
            let parameters = self.parameters.add(slot.offset);
            self.set.run(Sgd {
                floats: slot.floats,
                parameters,
                momentum: self.momentum.add(slot.offset),
                gradients: self.gradients.add(slot.offset),
                groups: self.groups,
                group_stride: self.program.parameters.floats,
                gradient_scale,
                rate: self.step.learning_rate,
                momentum_share: self.step.momentum,
                nesterov: self.step.nesterov,
                decay: self.step.weight_decay,
            });
            if let Some(offset) = slot.transposed {
                let from = std::slice::from_raw_parts(parameters, slot.floats);
                let to = std::slice::from_raw_parts_mut(self.transposed.add(offset), slot.floats);
                self.program.parameters.transpose_slot(slot, from, to);
            }
        }
    }
}

/// What a gradient of these sums of squares is multiplied with, so that it is no longer than `longest`; as PyTorch's
/// `clip_grad_norm_`.
pub(super) fn clipped(squares: &[f64], longest: f64) -> f32 {
    (longest / (squares.iter().sum::<f64>().sqrt() + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use crate::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
    use crate::graph::Dag;
    use crate::net::{EnasShape, ImageShape, LayerOperator, Plan, Pooling, Weights, enas};

    const IMAGES: usize = 12;

    fn plan() -> Plan {
        let operators = [LayerOperator::Convolution(3), LayerOperator::Separable(5), LayerOperator::Pool(Pooling::Max)];
        let shape = EnasShape { image: ImageShape { channels: 3, height: 8, width: 8 }, channels: 5, classes: 3 };
        enas(&operators, &Dag::new(3, &[[0, 2]]).unwrap(), &shape)
    }

    /// Weights before and after a step at rate 1, and its gradient.
    fn step(gradient_clip: Option<f64>, threads: usize) -> [Weights; 3] {
        let plan = plan();
        let mut network = Network::new(&plan, NetworkOptions { batch: IMAGES, threads, set: InstructionSet::best() });
        let mut weights = network.weights();
        for tensor in weights.tensors.iter_mut().filter(|tensor| tensor.name.ends_with("weight")) {
            tensor.data.iter_mut().enumerate().for_each(|(at, value)| *value += (at * 37 % 101) as f32 / 101.0 - 0.5);
        }
        network.load(&weights);
        let pixels: Vec<f32> = (0..IMAGES * 8 * 8 * 3).map(|at| (at * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        let labels: Vec<u16> = (0..IMAGES as u16).map(|image| image % 3).collect();
        let step = Step {
            learning_rate: 1.0,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            gradient_clip,
            label_smoothing: 0.0,
            dropout: None,
        };
        network.train(Batch { pixels: &pixels, labels: &labels }, step);
        [weights, network.weights(), network.gradients()]
    }

    fn trained(weights: &Weights) -> Vec<f32> {
        let trained = |name: &str| !name.contains("running");
        weights.tensors.iter().filter(|tensor| trained(&tensor.name)).flat_map(|tensor| tensor.data.clone()).collect()
    }

    #[test]
    fn steps_are_as_long_as_the_limit_and_keep_their_direction() {
        let [before, after, gradient] = step(None, 1).map(|weights| trained(&weights));
        let length = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(length > 0.01, "{length}");
        for (limit, factor) in [(0.5 * length, 0.5), (0.1 * length, 0.1), (2.0 * length, 1.0)] {
            let [_, clipped, same] = step(Some(limit), 1).map(|weights| trained(&weights));
            assert_eq!(same, gradient);
            for ((from, to), g) in before.iter().zip(&clipped).zip(&gradient) {
                let expected = f64::from(*from) - factor * f64::from(*g);
                assert!((f64::from(*to) - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{limit}: {to} {expected}");
            }
            assert!(factor < 1.0 || clipped == after, "a short gradient stays as it is");
        }
    }

    #[test]
    fn threads_change_nothing() {
        assert_eq!(step(Some(0.01), 1), step(Some(0.01), 3));
    }
}
