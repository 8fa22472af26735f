//! Where each tensor of the LSTM lies in the one vector of all parameters.

use super::super::GeneratorError;
use super::super::parameters::TensorSpec;
use crate::device::cpu::matrix::{View, ViewMut};
use crate::graph::MAX_NODES;
use crate::random::Stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Layers of the LSTM.
pub(super) const LAYERS: usize = 2;

/// One LSTM generator of graphs of `nodes` nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Nodes of a graph, 1 to [`MAX_NODES`].
    pub nodes: usize,
    /// Operators a node chooses from; 0: nodes have none.
    pub operators: usize,
    /// Width of the LSTM and of the embeddings.
    pub hidden: usize,
}

impl LstmConfig {
    /// Checks every number against its range.
    pub(super) fn validate(&self) -> Result<(), GeneratorError> {
        let limits = [("nodes", self.nodes, 1, MAX_NODES), ("rnn_hidden", self.hidden, 1, 4096)];
        let limits = limits.into_iter().chain([("operators", self.operators, 0, 255)]);
        for (name, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(GeneratorError::Setting { name, value, least, most });
            }
        }
        Ok(())
    }

    /// Columns of the heads: the operators, then a link from every node.
    pub(super) fn decisions(&self) -> usize {
        self.operators + self.nodes
    }
}

/// A weight (rows, hidden) in the parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    first: usize,
    rows: usize,
    hidden: usize,
}

impl Weight {
    fn range(&self) -> Range<usize> {
        self.first..self.first + self.rows * self.hidden
    }

    pub fn view<'a>(&self, parameters: &'a [f32]) -> View<'a> {
        View::new(&parameters[self.range()], self.rows, self.hidden)
    }

    pub fn view_mut<'a>(&self, gradient: &'a mut [f32]) -> ViewMut<'a> {
        ViewMut::new(&mut gradient[self.range()], self.rows, self.hidden)
    }

    pub fn row<'a>(&self, parameters: &'a [f32], row: usize) -> &'a [f32] {
        &parameters[self.range()][row * self.hidden..][..self.hidden]
    }

    pub fn row_mut<'a>(&self, gradient: &'a mut [f32], row: usize) -> &'a mut [f32] {
        &mut gradient[self.range()][row * self.hidden..][..self.hidden]
    }
}

/// The weights of an LSTM layer, the gates in PyTorch's order: input, forget, candidate, output.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerWeights {
    /// (4 hidden, hidden)
    pub input: Weight,
    /// (4 hidden, hidden)
    pub state: Weight,
}

/// All weights, and their tensors in the order of the checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub tensors: Vec<TensorSpec>,
    /// The first input (1, hidden).
    pub start: Weight,
    /// What an operator means as an input (operators, hidden).
    pub operator_embedding: Weight,
    /// What a link from a node means as an input (nodes, hidden).
    pub node_embedding: Weight,
    pub layers: [LayerWeights; LAYERS],
    /// Operators' logits, then links' (operators + nodes, hidden).
    pub heads: Weight,
}

impl Layout {
    /// The weights of this configuration, which must be valid.
    pub fn new(config: &LstmConfig) -> Self {
        let hidden = config.hidden;
        let mut tensors: Vec<TensorSpec> = Vec::new();
        let mut add = |name: String, rows: usize| {
            let first = tensors.last().map_or(0, |last| last.range().end);
            tensors.push(TensorSpec { name, dimensions: vec![rows, hidden], offset: first, fan_in: hidden });
            Weight { first, rows, hidden }
        };
        let start = add("start".into(), 1);
        let operator_embedding = add("operators".into(), config.operators);
        let node_embedding = add("nodes".into(), config.nodes);
        let layers = std::array::from_fn(|layer| LayerWeights {
            input: add(format!("lstm.{layer}.input"), 4 * hidden),
            state: add(format!("lstm.{layer}.state"), 4 * hidden),
        });
        let heads = add("heads".into(), config.decisions());
        Layout { tensors, start, operator_embedding, node_embedding, layers, heads }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.range().end)
    }

    /// Starting values, as PyTorch's LSTM has them: uniform in `+-1 / sqrt(hidden)`.
    pub fn initialise(&self, config: &LstmConfig, stream: &mut Stream) -> Vec<f32> {
        let bound = 1.0 / (config.hidden as f32).sqrt();
        (0..self.len()).map(|_| (2.0 * stream.random::<f32>() - 1.0) * bound).collect()
    }
}
