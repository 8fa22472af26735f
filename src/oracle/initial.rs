//! Initial weights.

use crate::net::{ParameterShape, Plan, Role, Tensor, Weights};
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;

/// Initial weights of a network: convolutions uniform in +-sqrt(6 / fan_in) (He et al. 2015, for ReLU), the fully
/// connected layer in +-1 / sqrt(fan_in), its bias and the edge logits 0, batch norms the identity. The stream is that of
/// the candidate.
pub(super) fn initial_weights(plan: &Plan, seed: u64, candidate: u64) -> Weights {
    let mut stream = StreamKey { seed, purpose: Purpose::NetworkInitialise, candidate, epoch: 0 }.stream();
    Weights { tensors: plan.parameters.iter().map(|parameter| initial_tensor(parameter, &mut stream)).collect() }
}

/// The initial values of one tensor.
pub(super) fn initial_tensor(parameter: &ParameterShape, stream: &mut Stream) -> Tensor {
    let data = initial_data(parameter, stream);
    Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
}

fn initial_data(parameter: &ParameterShape, stream: &mut Stream) -> Vec<f32> {
    let count = parameter.dimensions.iter().product();
    match parameter.role {
        Role::Weight => {
            let fan_in: usize = parameter.dimensions[1..].iter().product();
            let gain = if parameter.dimensions.len() == 4 { 6.0 } else { 1.0 };
            let bound = (gain / fan_in as f32).sqrt();
            (0..count).map(|_| stream.random_range(-bound..bound)).collect()
        }
        Role::Gamma | Role::RunningVariance => vec![1.0; count],
        Role::Bias | Role::EdgeLogits | Role::Beta | Role::RunningMean => vec![0.0; count],
    }
}
