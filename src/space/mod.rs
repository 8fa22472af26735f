//! What a legal architecture is, and how it is made of graphs.

mod architecture;
mod cell;
pub mod enas;
pub mod nasbench101;
pub mod nasbench201;
mod randwire;
mod table;

pub use architecture::{Architecture, MAX_STAGES, MAX_TEXT_BYTES, read_architecture};
pub use cell::{Cell, CellError, CellOperator, OperatorName};
pub use enas::{EnasSpace, MacroNetwork};
pub use nasbench101::NasBench101Space;
pub use nasbench201::NasBench201Space;
pub use randwire::RandWireSpace;
pub use table::TableSpace;

use crate::config::{ClassicalKind, Config, SpaceKind};
use crate::graph::{CanonicalKey, GraphError, LabelledGraph};
use crate::random::Stream;
use std::collections::HashSet;
use std::ops::Range;
use thiserror::Error;

/// Mutations that are tried before an architecture counts as unable to change.
const MUTATION_TRIES: usize = 100_000;

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
    #[error(
        "architecture: unknown space \"{0}\"; known: \"randwire\", \"enas\", \"nasbench101\", \"nasbench201\", \"table\""
    )]
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
    /// An architecture of another space.
    #[error("architecture: of the space {found}, but this space is {expected}")]
    OtherSpace {
        /// Its space.
        found: &'static str,
        /// The space that was asked.
        expected: &'static str,
    },
    /// A cell with too many vertices.
    #[error("architecture: a cell of {found} vertices, but space.vertices is {most}")]
    Vertices {
        /// Vertices of the cell.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A cell with too many edges.
    #[error("architecture: a cell of {found} edges after pruning, but there are at most {most}")]
    Edges {
        /// Edges of the pruned cell.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A cell without a path from its input to its output.
    #[error("architecture: no path leads from the cell's input to its output")]
    NoPath,
    /// Graphs of a number, or one with nodes or operators of a number, that the space has not.
    #[error("architecture: {0}")]
    Shape(String),
    /// An operator's number that the space does not have.
    #[error("architecture: an operator above {most}")]
    OperatorNumber {
        /// The largest.
        most: usize,
    },
    /// A graph that is no cell.
    #[error("architecture: {0}")]
    Cell(#[from] CellError),
    /// A cell that the table of the space lacks.
    #[error("architecture: the table {table} lacks the cell {cell}")]
    NotInTable {
        /// The file.
        table: String,
        /// The cell.
        cell: String,
    },
    /// The table of the space cannot be read.
    #[error("{0}")]
    Table(String),
    /// An explorer that draws nothing legal.
    #[error("no legal architecture in {0} draws of the explorer")]
    NoLegalDraw(usize),
    /// The space does not know this explorer.
    #[error("search.explorer: the space {space} has no explorer {kind:?}")]
    Explorer {
        /// The space.
        space: &'static str,
        /// The explorer.
        kind: ClassicalKind,
    },
    /// An architecture that cannot be edited into another one.
    #[error("architecture: no other legal architecture was found by {0} mutations")]
    NoMutation(usize),
    /// The space's graphs, or those of the explorer, cannot exist.
    #[error("{keys}: {source}")]
    Graph {
        /// The configuration keys that decide it.
        keys: &'static str,
        /// Why.
        source: GraphError,
    },
}

impl SpaceError {
    /// Whether graphs of the right shape made no legal architecture, as happens to a generator's draws.
    pub fn is_rejection(&self) -> bool {
        use SpaceError::{Edges, Graph, NoPath, NotInTable, OperatorNumber};
        matches!(self, NoPath | Edges { .. } | NotInTable { .. } | OperatorNumber { .. } | Graph { .. })
    }
}

/// One graph of an architecture, as a generator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentShape {
    /// Nodes of the graph.
    pub nodes: usize,
    /// Kinds of operators on its nodes; 0: nodes have none.
    pub operators: usize,
    /// Kinds of operators on its present edges; 0: edges have none.
    pub edge_operators: usize,
}

impl ComponentShape {
    /// Where the labels of a node lie among a graph's [`LabelledGraph::operators`]: row by row, each node's own operator,
    /// where nodes have them, then those of the possible edges into it, where edges have them.
    pub fn labels_of(&self, node: usize) -> Range<usize> {
        let (own, an_edge) = (usize::from(self.operators > 0), usize::from(self.edge_operators > 0));
        let start = own * node + an_edge * (node * node.saturating_sub(1) / 2);
        start..start + own + an_edge * node
    }

    /// Number of labels of a graph.
    pub fn labels(&self) -> usize {
        self.labels_of(self.nodes).start
    }

    /// Whether the graph's operators are all there and known. Where there are none, they are not looked at.
    pub fn has_operators_of(&self, graph: &LabelledGraph) -> bool {
        let labels = &graph.operators;
        let known = |node: usize| {
            let row = &labels[self.labels_of(node)];
            let (own, edges) = row.split_at(usize::from(self.operators > 0));
            own.iter().all(|&operator| usize::from(operator) < self.operators)
                && edges.iter().all(|&operator| usize::from(operator) < self.edge_operators)
        };
        self.labels() == 0 || labels.len() == self.labels() && (0..self.nodes).all(known)
    }
}

/// A search space: which architectures there are, and how they are put together from graphs.
pub trait Space: Send + Sync {
    /// Which space it is.
    fn kind(&self) -> SpaceKind;

    /// The graphs of an architecture, in order.
    fn components(&self) -> Vec<ComponentShape>;

    /// The architecture of these graphs, one a component; an error if it would not be legal.
    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError>;

    /// The graphs of a legal architecture, one a component. [`Space::assemble`] makes of them an architecture of the same
    /// key; the same architecture, unless the space has several forms of one.
    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError>;

    /// Whether the architecture belongs to the space; the error names the stage and the numbers.
    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError>;

    /// The key that a legal architecture shares with exactly those whose components are isomorphic to its own.
    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError>;

    /// A random legal architecture. The classical random graphs make every component an independent draw of theirs; what
    /// `uniform` and `full` are, the space says. An error where the space has no explorer of this kind.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError>;

    /// All legal architectures one edit away (an edge flipped, an operator changed), in a fixed order. No two of them have
    /// the same key, and none has the key of `architecture`.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError>;

    /// A legal architecture of another key that a mutation makes: one edit, uniformly, unless the space says otherwise.
    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError>;
}

/// The one graph of a space of cells, of so many nodes and operators.
fn only_graph(mut graphs: Vec<LabelledGraph>, nodes: usize, operators: usize) -> Result<LabelledGraph, SpaceError> {
    let count = graphs.len();
    let Some(graph) = graphs.pop().filter(|_| count == 1) else {
        return Err(SpaceError::Shape(format!("{count} graphs, but a cell is one")));
    };
    let (found, labelled) = (graph.dag.nodes(), graph.operators.len());
    if (found, labelled) != (nodes, operators) {
        let message = format!("{found} nodes with {labelled} operators, but this space has {nodes} with {operators}");
        return Err(SpaceError::Shape(message));
    }
    Ok(graph)
}

/// The architectures whose keys differ from one another and from that of `origin`, in the given order.
fn distinct(
    space: &dyn Space,
    origin: &Architecture,
    candidates: impl IntoIterator<Item = Architecture>,
) -> Result<Vec<Architecture>, SpaceError> {
    let mut known = HashSet::from([space.key(origin)?]);
    let mut found = Vec::new();
    for candidate in candidates {
        if known.insert(space.key(&candidate)?) {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Tries mutations until one makes an architecture of another key than `origin`; `None` is an illegal one.
fn first_other(
    space: &dyn Space,
    origin: &Architecture,
    mut mutation: impl FnMut() -> Option<Architecture>,
) -> Result<Architecture, SpaceError> {
    let own = space.key(origin)?;
    for _ in 0..MUTATION_TRIES {
        if let Some(candidate) = mutation()
            && space.key(&candidate)? != own
        {
            return Ok(candidate);
        }
    }
    Err(SpaceError::NoMutation(MUTATION_TRIES))
}

/// The space of a configuration.
pub fn space_of(config: &Config) -> Result<Box<dyn Space>, SpaceError> {
    match config.space.kind {
        SpaceKind::Randwire => Ok(Box::new(RandWireSpace::new(&config.space, &config.search)?)),
        SpaceKind::Enas => Ok(Box::new(EnasSpace::new(&config.space, &config.search))),
        SpaceKind::Nasbench101 => Ok(Box::new(NasBench101Space::new(&config.space, &config.search))),
        SpaceKind::Nasbench201 => Ok(Box::new(NasBench201Space { encoding: config.space.encoding })),
        SpaceKind::Table => Ok(Box::new(TableSpace::of(config)?)),
    }
}
