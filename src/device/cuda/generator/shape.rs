//! What the device must know of a generator: its widths, and where each of its layers lies in the host's parameters.

use super::area::padded;

/// A linear layer in the host's vector of parameters: weight (outputs, inputs), bias (outputs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearPlace {
    /// First element of the weight.
    pub weight: usize,
    /// First element of the bias.
    pub bias: usize,
    /// Columns of the weight.
    pub inputs: usize,
    /// Rows of the weight.
    pub outputs: usize,
}

/// The layers of a round of message passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundPlaces {
    /// The message network. The columns of the first layer: the states' difference, the marks of edges from and into the
    /// new node, then where nodes are numbered -1 at the source's number and +1 at the destination's.
    pub message: [LinearPlace; 2],
    /// The attention gate's network, with the same inputs.
    pub gate: Option<[LinearPlace; 2]>,
    /// The GRU's layers for what is received and for the state, each with the gates r, z, n.
    pub gru: [LinearPlace; 2],
}

/// A graph generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GranShape {
    /// Nodes of a graph.
    pub nodes: usize,
    /// Operators of a node; 0: none.
    pub operators: usize,
    /// Width of the states.
    pub hidden: usize,
    /// Components of the mixture of Bernoullis.
    pub mixtures: usize,
    /// Width of the attention gate's hidden layer.
    pub attention: Option<usize>,
    /// Whether a node's number enters: one-hot behind the linear map of its row, and on edges.
    pub numbered: bool,
    /// Whether the mean that gives the mixture weights has the pair of the new node with itself.
    pub self_pair: bool,
    /// Length of the host's vector of parameters.
    pub parameters: usize,
    /// The linear map of a node's row that starts its state.
    pub input: LinearPlace,
    /// Rounds of message passing.
    pub rounds: Vec<RoundPlaces>,
    /// The heads theta, alpha and, where there are operators, theirs.
    pub heads: Vec<[LinearPlace; 3]>,
}

/// Widths with their padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    pub hidden: usize,
    /// 0 without a gate.
    pub attention: usize,
    /// Of a node's row.
    pub rows: usize,
    /// Of a node's number one-hot; 0 where nodes are not numbered.
    pub numbers: usize,
}

impl Widths {
    pub fn new(shape: &GranShape) -> Self {
        Widths {
            hidden: padded(shape.hidden),
            attention: shape.attention.map_or(0, padded),
            rows: padded(shape.nodes),
            numbers: if shape.numbered { padded(shape.nodes) } else { 0 },
        }
    }

    /// First layers of the edge networks.
    pub fn edge(&self) -> usize {
        self.hidden + self.attention
    }

    /// Everything that a round computes of a state: first layers, then the GRU's gates.
    pub fn projected(&self) -> usize {
        self.edge() + 3 * self.hidden
    }

    /// What a node receives. Without a gate it has the node's degree behind it, in a padded column.
    pub fn received(&self) -> usize {
        if self.attention > 0 { self.hidden } else { self.hidden + padded(1) }
    }

    /// What the initial states are made of: row, number, one.
    pub fn initial(&self) -> usize {
        self.rows + self.numbers + padded(1)
    }

    /// A node's features: the initial ones, then the number of any node.
    pub fn features(&self) -> usize {
        self.initial() + self.numbers
    }
}
