//! A network's tensors on the host, in PyTorch's names, shapes and order: what is exported, stored and loaded.

use super::Plan;

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// As in [`Plan::parameters`](super::Plan).
    pub name: String,
    /// Row-major dimensions.
    pub dimensions: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

/// All tensors of a plan, in the plan's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One for each of the plan's parameters, running statistics included.
    pub tensors: Vec<Tensor>,
}

impl Weights {
    /// Whether names and shapes are those of the plan.
    pub fn fits(&self, plan: &Plan) -> bool {
        self.tensors.len() == plan.parameters.len()
            && (self.tensors.iter().zip(&plan.parameters)).all(|(t, p)| {
                t.name == p.name
                    && t.dimensions == p.dimensions
                    && t.data.len() == p.dimensions.iter().product::<usize>()
            })
    }
}
