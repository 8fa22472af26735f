//! The weights that the networks of a space share: one tensor for every parameter's name.

use super::initial::initial_tensor;
use crate::net::{ParameterShape, Plan, Role, Tensor, Weights, weights_to_safetensors};
use crate::random::{Purpose, StreamKey};
use safetensors::SafeTensors;
use std::collections::{HashMap, HashSet};

/// Begins the names of the optimiser's tensors in a file.
const MOMENTUM: &str = "momentum.";

/// In a file's metadata: epochs that are done, and their mean losses.
const LOSSES: &str = "losses";

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
        let values = self.parameters.iter().map(|shared| shared.value.clone());
        let momentum = self.parameters.iter().map(|Shared { value, momentum, .. }| Tensor {
            name: format!("{MOMENTUM}{}", value.name),
            dimensions: value.dimensions.clone(),
            data: momentum.clone(),
        });
        let losses: Vec<String> = losses.iter().map(f64::to_string).collect();
        let metadata = [(LOSSES.to_string(), losses.join(" "))];
        weights_to_safetensors(&Weights { tensors: values.chain(momentum).collect() }, &metadata)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote into weights of the same parameters, and returns the losses. `None`:
    /// the file is another one's, or damaged.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Vec<f64>> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let losses = header.metadata().as_ref()?.get(LOSSES)?;
        let losses: Vec<f64> = losses.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let file = SafeTensors::deserialize(bytes).ok()?;
        let mut read = self.clone();
        for Shared { value, momentum, .. } in &mut read.parameters {
            let momentum_name = format!("{MOMENTUM}{}", value.name);
            for (name, data) in [(value.name.clone(), &mut value.data), (momentum_name, momentum)] {
                let view = file.tensor(&name).ok().filter(|view| view.shape() == value.dimensions)?;
                let (elements, rest) = view.data().as_chunks::<4>();
                if elements.len() != data.len() || !rest.is_empty() {
                    return None;
                }
                data.iter_mut().zip(elements).for_each(|(to, &bytes)| *to = f32::from_le_bytes(bytes));
            }
        }
        *self = read;
        Some(losses)
    }
}
