//! The weights that the networks of a space share: one tensor for every parameter's name.

use super::TrainingState;
use super::initial::initial_tensor;
use crate::net::{ParameterShape, Plan, Role, Tensor, Weights};
use crate::random::{Purpose, StreamKey};
use std::collections::{HashMap, HashSet};

/// Shared weights and their optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharedWeights {
    parameters: Vec<Shared>,
    by_name: HashMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Shared {
    role: Role,
    value: Tensor,
    momentum: Vec<f32>,
}

impl SharedWeights {
    /// Fresh weights for all parameters of these plans; where two have one of the same name, it is the same.
    pub fn new(plans: &[Plan], seed: u64) -> Self {
        let mut shared = SharedWeights { parameters: Vec::new(), by_name: HashMap::new() };
        let mut stream = StreamKey { seed, purpose: Purpose::Supernet, candidate: 0, epoch: 0 }.stream();
        let mut known = HashSet::new();
        for parameter in plans.iter().flat_map(|plan| &plan.parameters) {
            if known.insert(parameter.name.as_str()) {
                let value = initial_tensor(parameter, &mut stream);
                let momentum = vec![0.0; value.data.len()];
                shared.by_name.insert(parameter.name.clone(), shared.parameters.len());
                shared.parameters.push(Shared { role: parameter.role, value, momentum });
            }
        }
        shared
    }

    fn get(&self, parameter: &ParameterShape) -> Option<&Shared> {
        let shared = self.parameters.get(*self.by_name.get(&parameter.name)?)?;
        (shared.value.dimensions == parameter.dimensions).then_some(shared)
    }

    /// Whether all of a network's parameters are among the shared ones.
    pub fn has(&self, plan: &Plan) -> bool {
        plan.parameters.iter().all(|parameter| self.get(parameter).is_some())
    }

    /// All weights and momenta.
    pub fn all(&self) -> (Weights, Weights) {
        let both = self
            .parameters
            .iter()
            .map(|Shared { value, momentum, .. }| (value.clone(), Tensor { data: momentum.clone(), ..value.clone() }));
        let (values, momentum) = both.unzip();
        (Weights { tensors: values }, Weights { tensors: momentum })
    }

    /// A network's weights and its optimiser's state. `None`: one of its parameters is not among the shared ones.
    pub fn of(&self, plan: &Plan) -> Option<(Weights, Weights)> {
        let mut weights = Weights { tensors: Vec::with_capacity(plan.parameters.len()) };
        let mut momentum = weights.clone();
        for parameter in &plan.parameters {
            let Shared { value, momentum: data, .. } = self.get(parameter)?;
            weights.tensors.push(value.clone());
            momentum.tensors.push(Tensor { data: data.clone(), ..value.clone() });
        }
        Some((weights, momentum))
    }

    /// Takes a network's weights and its optimiser's state back.
    pub fn take(&mut self, weights: Weights, momentum: Weights) {
        for (value, momentum) in weights.tensors.into_iter().zip(momentum.tensors) {
            let place = self.by_name.get(&value.name).and_then(|&place| self.parameters.get_mut(place));
            if let Some(shared) = place {
                shared.value = value;
                shared.momentum = momentum.data;
            }
        }
    }

    /// Trained elements.
    pub fn trained_parameters(&self) -> u64 {
        let trained = self.parameters.iter().filter(|shared| shared.role.trained());
        trained.map(|shared| shared.value.data.len() as u64).sum()
    }

    /// As a safetensors file, with the mean losses of the epochs that are done.
    pub fn to_bytes(&self, losses: &[f64]) -> Vec<u8> {
        let (weights, momentum) = self.all();
        TrainingState { weights, momentum, losses: losses.to_vec() }.encode(None)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote into weights of the same parameters, and returns the losses. `None`:
    /// the file is another one's, or damaged.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Vec<f64>> {
        let shapes = self.parameters.iter().map(|shared| (&shared.value.name[..], &shared.value.dimensions[..]));
        let TrainingState { weights, momentum, losses } = TrainingState::decode(bytes, None, shapes)?;
        self.take(weights, momentum);
        Some(losses)
    }
}
