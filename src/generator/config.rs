//! The settings that define one graph generator.

use super::GeneratorError;
use crate::graph::MAX_NODES;
use crate::space::ComponentShape;
use serde::{Deserialize, Serialize};

/// How the numbers of nodes and edges enter the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputLayout {
    /// As the authors released it: a node's state starts as a linear map of its row to `hidden - nodes` numbers followed
    /// by its number, one-hot; an edge u -> v carries the two new-node marks, then a block with -1 at u and +1 at v, padded
    /// with zeros to `hidden`.
    Released,
    /// A node's state starts as a linear map of its row to `hidden` numbers; an edge carries the two new-node marks.
    Plain,
}

/// What is minimised for one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossScale {
    /// Edges: negative log-probability over `nodes (nodes + 1) / 2`; operators: half the mean over the nodes; edge
    /// operators: an eighth of the mean over the edges of a row, summed over the rows.
    Mean,
    /// The negative log-probability of the graph, operators included.
    Sum,
}

/// One generator of graphs of `nodes` nodes (method, section 2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GranConfig {
    /// Nodes of a graph, 1 to [`MAX_NODES`].
    pub nodes: usize,
    /// Operators a node chooses from; 0: nodes have none.
    pub operators: usize,
    /// Operators that a present edge chooses from; 0: edges have none.
    #[serde(default)]
    pub edge_operators: usize,
    /// Whether the states of existing nodes start from their operators and those of the edges into them, too.
    #[serde(default)]
    pub condition_on_operators: bool,
    /// Width of the node states.
    pub hidden: usize,
    /// Rounds of message passing, each with its own weights.
    pub layers: usize,
    /// Components of the mixture of Bernoullis.
    pub mixtures: usize,
    /// Hidden width of the attention gate on messages; `None`: no gate.
    pub attention: Option<usize>,
    /// How node numbers enter.
    pub input: InputLayout,
    /// Whether the mean that gives the mixture weights includes the pair of the new node with itself.
    pub alpha_self_pair: bool,
    /// What is minimised.
    pub loss: LossScale,
    /// What the last bias of the edge head starts at; `None`: like every other bias.
    pub last_theta_bias: Option<f32>,
}

/// Hidden width of the attention gate in the authors' released code.
pub const RELEASED_ATTENTION: usize = 128;

/// Limits of a configuration, wide enough for any sensible use; they bound what a checkpoint can make us allocate.
const LIMITS: [(&str, usize, usize); 6] = [
    ("nodes", 1, MAX_NODES),
    ("hidden", 1, 4096),
    ("layers", 0, 64),
    ("mixtures", 1, 1024),
    ("operators", 0, 255),
    ("edge_operators", 0, 255),
];

impl GranConfig {
    /// The authors' released generator. NAS-Bench-101's size is `nodes` 7, `operators` 5, `hidden` 24, `layers` 7 and
    /// `mixtures` 10, with attention.
    pub fn released(nodes: usize, operators: usize, hidden: usize) -> Self {
        GranConfig {
            nodes,
            operators,
            edge_operators: 0,
            condition_on_operators: false,
            hidden,
            layers: 7,
            mixtures: 10,
            attention: Some(RELEASED_ATTENTION),
            input: InputLayout::Released,
            alpha_self_pair: true,
            loss: LossScale::Mean,
            last_theta_bias: None,
        }
    }

    /// The generator of the benchmark workload: 32 nodes, 128 wide, 20 mixtures, 7 rounds.
    pub fn workload(attention: bool) -> Self {
        GranConfig {
            nodes: 32,
            operators: 0,
            edge_operators: 0,
            condition_on_operators: false,
            hidden: 128,
            layers: 7,
            mixtures: 20,
            attention: attention.then_some(128),
            input: InputLayout::Plain,
            alpha_self_pair: false,
            loss: LossScale::Sum,
            last_theta_bias: Some(-2.0),
        }
    }

    /// Checks every number against its range.
    pub(super) fn validate(&self) -> Result<(), GeneratorError> {
        let values = [self.nodes, self.hidden, self.layers, self.mixtures, self.operators, self.edge_operators];
        for ((name, least, most), value) in LIMITS.into_iter().zip(values) {
            if !(least..=most).contains(&value) {
                return Err(GeneratorError::Setting { name, value, least, most });
            }
        }
        if let Some(value) = self.attention
            && !(1..=4096).contains(&value)
        {
            return Err(GeneratorError::Setting { name: "attention", value, least: 1, most: 4096 });
        }
        if self.input == InputLayout::Released && self.hidden < self.nodes + 3 {
            return Err(GeneratorError::HiddenTooSmall { hidden: self.hidden, nodes: self.nodes });
        }
        Ok(())
    }

    /// The graphs it draws.
    pub(super) fn shape(&self) -> ComponentShape {
        let GranConfig { nodes, operators, edge_operators, .. } = *self;
        ComponentShape { nodes, operators, edge_operators }
    }

    /// Whether labels matter beside the rows and the operator that is decided.
    pub(super) fn reads_labels(&self) -> bool {
        self.condition_on_operators || self.edge_operators > 0
    }

    /// Columns of what a node's state starts from: its row and, if asked for, its operator and those of its row, one-hot.
    pub(super) fn input_columns(&self) -> usize {
        let labels = self.operators + self.nodes * self.edge_operators;
        self.nodes + if self.condition_on_operators { labels } else { 0 }
    }

    /// Width of the linear map that starts a node's state.
    pub(super) fn initial_width(&self) -> usize {
        match self.input {
            InputLayout::Released => self.hidden - self.nodes,
            InputLayout::Plain => self.hidden,
        }
    }

    /// Columns of an edge's features: the two marks, then the block of node numbers, then zeros.
    pub(super) fn edge_features(&self) -> usize {
        match self.input {
            InputLayout::Released => self.hidden,
            InputLayout::Plain => 2,
        }
    }

    /// Columns of the block of node numbers among an edge's features.
    pub(super) fn id_columns(&self) -> usize {
        match self.input {
            InputLayout::Released => self.nodes,
            InputLayout::Plain => 0,
        }
    }

    /// The first step that decides anything: row 0 has no entry, but node 0 may have an operator.
    pub(super) fn first_step(&self) -> usize {
        if self.operators > 0 { 0 } else { 1 }
    }
}
