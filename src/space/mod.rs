//! What a legal architecture is, and how it is made of graphs.

mod architecture;
mod randwire;

pub use architecture::{Architecture, MAX_STAGES, MAX_TEXT_BYTES, read_architecture};
pub use randwire::RandWireSpace;

use crate::config::{ClassicalKind, Config, SpaceKind};
use crate::graph::{CanonicalKey, GraphError, LabelledGraph};
use crate::random::Stream;
use thiserror::Error;

/// Why an architecture, or a space, was refused. Stages count from 0, as in the exchange format.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum SpaceError {
    /// An architecture's text is not the exchange format.
    #[error("architecture: {place}{problem}")]
    Text {
        /// Where, for instance `stages[1].edges[3]: `; empty for the text as a whole.
        place: String,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// An architecture's text is longer than any architecture.
    #[error("architecture: a text of {0} bytes, but at most {MAX_TEXT_BYTES} are read")]
    TextLength(usize),
    /// The `space` of an architecture's text is unknown.
    #[error("architecture: unknown space \"{0}\"; known: \"randwire\"")]
    UnknownSpace(String),
    /// The architecture has another number of graphs than the space.
    #[error("architecture: {found} stages, but this space has {expected}")]
    StageCount {
        /// Stages of the architecture.
        found: usize,
        /// Stages of the space.
        expected: usize,
    },
    /// A stage has another number of nodes than the space says.
    #[error("architecture: stages[{stage}] has {found} nodes, but this space has {expected}")]
    StageNodes {
        /// Which stage.
        stage: usize,
        /// Its nodes.
        found: usize,
        /// Nodes of a stage of the space.
        expected: usize,
    },
    /// A stage's graph comes with operators, which the space has not.
    #[error("architecture: stages[{stage}] has {found} operators, but this space has none")]
    Operators {
        /// Which stage.
        stage: usize,
        /// Number of its operators.
        found: usize,
    },
    /// The space cannot exist.
    #[error("[space] stages = {0}: a network has 1 to {MAX_STAGES}")]
    Stages(usize),
    /// The space's graphs, or those of the explorer, cannot exist.
    #[error("{keys}: {source}")]
    Graph {
        /// The configuration keys that decide it.
        keys: &'static str,
        /// Why.
        source: GraphError,
    },
}

/// One graph of an architecture, as a generator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentShape {
    /// Nodes of the graph.
    pub nodes: usize,
    /// Kinds of operators on its nodes; 0: nodes have none.
    pub operators: usize,
}

/// A search space: which architectures there are, and how they are put together from graphs.
pub trait Space: Send + Sync {
    /// Which space it is.
    fn kind(&self) -> SpaceKind;

    /// The graphs of an architecture, in order.
    fn components(&self) -> Vec<ComponentShape>;

    /// The architecture of these graphs, one a component; an error if it would not be legal.
    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError>;

    /// The graphs of a legal architecture, one a component: the inverse of [`Space::assemble`].
    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError>;

    /// Whether the architecture belongs to the space; the error names the stage and the numbers.
    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError>;

    /// The key that a legal architecture shares with exactly those whose components are isomorphic to its own.
    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError>;

    /// A random architecture, every component an independent draw of the classical random graph.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError>;
}

/// The space of a configuration.
pub fn space_of(config: &Config) -> Result<Box<dyn Space>, SpaceError> {
    match config.space.kind {
        SpaceKind::Randwire => Ok(Box::new(RandWireSpace::new(&config.space, &config.search)?)),
    }
}
