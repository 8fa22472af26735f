//! A directed acyclic graph whose nodes are numbered in topological order.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest number of nodes a [`Dag`] can hold.
pub const MAX_NODES: usize = 128;

/// Why a graph was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GraphError {
    /// No nodes, or more than [`MAX_NODES`].
    #[error("a graph has 1 to {MAX_NODES} nodes, not {0}")]
    Size(usize),
    /// An edge that does not go from a lower to a higher node of the graph.
    #[error("edge [{from}, {to}] is not from a lower to a higher of the nodes 0..{nodes}")]
    Edge {
        /// The edge's start.
        from: usize,
        /// The edge's end.
        to: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// The same edge twice.
    #[error("edge [{0}, {1}] is given twice")]
    Duplicate(usize, usize),
}

/// A directed acyclic graph on at most [`MAX_NODES`] nodes. Every edge goes from a lower to a higher node, so the
/// graph is acyclic by construction and 0..nodes is a topological order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "EdgeList", into = "EdgeList")]
pub struct Dag {
    /// Row i: bit j is set when node j feeds node i (j < i).
    predecessors: Vec<u128>,
}

/// The exchange form: `{"nodes": 16, "edges": [[0, 3], ...]}`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeList {
    nodes: usize,
    edges: Vec<[usize; 2]>,
}

impl TryFrom<EdgeList> for Dag {
    type Error = GraphError;
    fn try_from(list: EdgeList) -> Result<Self, GraphError> {
        Dag::new(list.nodes, &list.edges)
    }
}

impl From<Dag> for EdgeList {
    fn from(dag: Dag) -> Self {
        EdgeList { nodes: dag.nodes(), edges: dag.edges().collect() }
    }
}

impl Dag {
    /// The graph with these edges, each `[from, to]` with `from < to`.
    pub fn new(nodes: usize, edges: &[[usize; 2]]) -> Result<Self, GraphError> {
        let mut dag = Dag::without_edges(nodes)?;
        for &[from, to] in edges {
            if from >= to || to >= nodes {
                return Err(GraphError::Edge { from, to, nodes });
            }
            if dag.has_edge(from, to) {
                return Err(GraphError::Duplicate(from, to));
            }
            dag.add_edge(from, to);
        }
        Ok(dag)
    }

    /// A graph of `nodes` nodes and no edge.
    pub fn without_edges(nodes: usize) -> Result<Self, GraphError> {
        if nodes == 0 || nodes > MAX_NODES {
            return Err(GraphError::Size(nodes));
        }
        Ok(Dag { predecessors: vec![0; nodes] })
    }

    /// Adds an edge; adding it again changes nothing.
    ///
    /// # Panics
    /// If not `from < to < nodes`: a caller with edges from outside uses [`Dag::new`].
    pub fn add_edge(&mut self, from: usize, to: usize) {
        assert!(from < to, "edge [{from}, {to}] does not go upwards");
        self.predecessors[to] |= 1 << from;
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.predecessors.len()
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.predecessors.iter().map(|row| row.count_ones() as usize).sum()
    }

    /// Whether node `from` feeds node `to`.
    pub fn has_edge(&self, from: usize, to: usize) -> bool {
        self.predecessors[to] >> from & 1 == 1
    }

    /// The nodes that feed `node`, as a bit set.
    pub fn predecessor_bits(&self, node: usize) -> u128 {
        self.predecessors[node]
    }

    /// The nodes that feed `node`, ascending.
    pub fn predecessors(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        bits(self.predecessors[node])
    }

    /// The nodes that `node` feeds, ascending.
    pub fn successors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        (node + 1..self.nodes()).filter(move |&to| self.has_edge(node, to))
    }

    /// Number of nodes that feed `node`.
    pub fn in_degree(&self, node: usize) -> usize {
        self.predecessors[node].count_ones() as usize
    }

    /// Nodes without predecessors, ascending.
    pub fn sources(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes()).filter(|&node| self.predecessors[node] == 0)
    }

    /// Nodes without successors, ascending.
    pub fn sinks(&self) -> impl Iterator<Item = usize> + use<> {
        let fed: u128 = self.predecessors.iter().fold(0, |all, row| all | row);
        (0..self.nodes()).filter(move |node| fed >> node & 1 == 0)
    }

    /// All edges `[from, to]`, by `from`, then `to`.
    pub fn edges(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        (0..self.nodes()).flat_map(move |from| self.successors(from).map(move |to| [from, to]))
    }

    /// Nodes on the longest path.
    pub fn depth(&self) -> usize {
        let mut depth = vec![1; self.nodes()];
        for node in 0..self.nodes() {
            depth[node] = 1 + self.predecessors(node).map(|from| depth[from]).max().unwrap_or(0);
        }
        depth.into_iter().max().unwrap_or(0)
    }
}

/// The set bits of a word, ascending.
fn bits(mut word: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let lowest = word.trailing_zeros() as usize;
            word &= word - 1;
            lowest
        })
    })
}

/// A graph with an operator on every node, as the generator sees one component of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelledGraph {
    /// The wiring.
    pub dag: Dag,
    /// One operator number a node; empty where the space has no operators.
    pub operators: Vec<u8>,
}
