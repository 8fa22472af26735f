//! What can go wrong in a generator.

use crate::device::cuda::CudaError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a generator could not be made, fitted, stored or asked.
#[derive(Debug, Error)]
pub enum GeneratorError {
    /// A setting outside its range.
    #[error("generator.{name} is {value}, but must be {least} to {most}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// Smallest legal value.
        least: usize,
        /// Largest legal value.
        most: usize,
    },
    /// A node's state holds its number one-hot, which needs room.
    #[error("generator.hidden is {hidden}, but graphs of {nodes} nodes need at least {}", .nodes + 3)]
    HiddenTooSmall {
        /// Width of the states.
        hidden: usize,
        /// Nodes of a graph.
        nodes: usize,
    },
    /// An architecture with another number of graphs.
    #[error("an architecture has {found} graphs, but the generator draws {expected}")]
    Components {
        /// The generator's.
        expected: usize,
        /// The architecture's.
        found: usize,
    },
    /// A graph of another size.
    #[error("graph {component} has {found} nodes, but the generator draws {expected}")]
    Nodes {
        /// Which graph of the architecture, from 0.
        component: usize,
        /// The generator's.
        expected: usize,
        /// The graph's.
        found: usize,
    },
    /// Operators that the generator does not know.
    #[error("graph {component} must have one operator below {operators} on each of its {nodes} nodes")]
    Operators {
        /// Which graph of the architecture, from 0.
        component: usize,
        /// Number of operators.
        operators: usize,
        /// Number of nodes.
        nodes: usize,
    },
    /// Operators of nodes or edges that the generator does not know.
    #[error(
        "graph {component} must have one operator below {edge_operators} on each of its possible edges, row by row"
    )]
    EdgeOperators {
        /// Which graph of the architecture, from 0.
        component: usize,
        /// Number of operators of an edge.
        edge_operators: usize,
    },
    /// Not one weight a graph.
    #[error("{weights} weights for {graphs} architectures")]
    WeightCount {
        /// Number of weights.
        weights: usize,
        /// Number of architectures.
        graphs: usize,
    },
    /// A weight that is not a finite number.
    #[error("the weight of architecture {index} is {value}, not a finite number")]
    Weight {
        /// Which architecture of the buffer.
        index: usize,
        /// Its weight.
        value: f64,
    },
    /// A learning rate that is not a positive number.
    #[error("generator.learning_rate is {0}, but must be a positive number")]
    LearningRate(f64),
    /// The loss stopped being a number.
    #[error("the loss is {loss} in epoch {epoch}: try a smaller generator.learning_rate")]
    Diverged {
        /// The epoch, from 0.
        epoch: usize,
        /// The loss.
        loss: f64,
    },
    /// A file that could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Bytes that are not a checkpoint of this program.
    #[error("not a generator checkpoint: {0}")]
    Checkpoint(String),
    /// What a CUDA device reports.
    #[error(transparent)]
    Device(#[from] CudaError),
}
