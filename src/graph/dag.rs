//! A directed acyclic graph whose nodes are numbered in topological order.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest number of nodes a [`Dag`] can hold.
pub const MAX_NODES: usize = 128;

/// Why a graph was refused.
#[derive(Debug, Error, Clone, PartialEq)]
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
    /// Erdos-Renyi with something that is no probability.
    #[error("Erdos-Renyi graphs take an edge probability from 0 to 1, not {0}")]
    EdgeProbability(f64),
    /// Watts-Strogatz with something that is no probability.
    #[error("Watts-Strogatz graphs take a rewiring probability from 0 to 1, not {0}")]
    RewiringProbability(f64),
    /// Watts-Strogatz with a ring that is impossible.
    #[error(
        "Watts-Strogatz graphs of {nodes} nodes take an even number of neighbours from 2 below {nodes}, not {neighbours}"
    )]
    Neighbours {
        /// Neighbours of a node in the ring.
        neighbours: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// Barabasi-Albert with no new node to link, or nothing to link it to.
    #[error("Barabasi-Albert graphs of {nodes} nodes take from 1 to below {nodes} edges for a new node, not {edges}")]
    NewEdges {
        /// Edges that a new node brings.
        edges: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
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

    /// Adds an edge that is not there, or takes away one that is.
    ///
    /// # Panics
    /// If not `from < to < nodes`.
    pub fn flip_edge(&mut self, from: usize, to: usize) {
        assert!(from < to, "edge [{from}, {to}] does not go upwards");
        self.predecessors[to] ^= 1 << from;
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
pub(crate) fn bits(mut word: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let lowest = word.trailing_zeros() as usize;
            word &= word - 1;
            lowest
        })
    })
}

/// A graph with operators on its nodes or edges, as the generator sees one component of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelledGraph {
    /// The wiring.
    pub dag: Dag,
    /// One operator number a node; empty where the space has no operators. Where edges have operators: row by row, the
    /// node's own, if nodes have them too, then that of every possible edge into it, 0 where there is no edge.
    pub operators: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Dag, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_graph_of_128_nodes_holds_every_edge() {
        let all: Vec<[usize; 2]> = (0..128).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
        let full = Dag::new(128, &all).unwrap();
        assert_eq!(full.edge_count(), 128 * 127 / 2);
        assert_eq!(full.depth(), 128);
        assert_eq!((full.sources().collect(), full.sinks().collect()), (vec![0], vec![127]));
        assert_eq!(full.predecessors(127).collect::<Vec<_>>(), (0..127).collect::<Vec<_>>());
        assert_eq!(full.successors(0).collect::<Vec<_>>(), (1..128).collect::<Vec<_>>());
        let empty = Dag::without_edges(128).unwrap();
        assert_eq!((empty.edge_count(), empty.depth()), (0, 1));
        assert_eq!((empty.sources().count(), empty.sinks().count()), (128, 128));
        let last = Dag::new(128, &[[126, 127]]).unwrap();
        assert!(last.has_edge(126, 127) && !last.has_edge(127, 126) && !last.has_edge(0, 127));
    }

    #[test]
    fn wrong_graphs_are_refused_with_their_numbers() {
        assert_eq!(Dag::new(0, &[]), Err(GraphError::Size(0)));
        assert_eq!(Dag::new(129, &[]), Err(GraphError::Size(129)));
        for [from, to] in [[1, 0], [1, 1], [0, 3], [7, 9], [usize::MAX, 0], [0, usize::MAX]] {
            assert_eq!(Dag::new(3, &[[from, to]]), Err(GraphError::Edge { from, to, nodes: 3 }));
        }
        assert_eq!(Dag::new(3, &[[0, 2], [1, 2], [0, 2]]), Err(GraphError::Duplicate(0, 2)));
    }

    #[test]
    fn the_exchange_form_is_strict() {
        assert_eq!(read(r#"{"nodes":3,"edges":[[0,2]]}"#), Ok(Dag::new(3, &[[0, 2]]).unwrap()));
        for (text, part) in [
            (r#"{"nodes":3,"edges":[[0,2]],"depth":1}"#, "unknown field `depth`"),
            (r#"{"nodes":3}"#, "missing field `edges`"),
            (r#"{"nodes":3,"nodes":3,"edges":[]}"#, "duplicate field `nodes`"),
            (r#"{"nodes":3,"edges":[[0,2,1]]}"#, "trailing characters"),
            (r#"{"nodes":-3,"edges":[]}"#, "-3"),
            (r#"{"nodes":99999999999,"edges":[]}"#, "not 99999999999"),
            (r#"{"nodes":3,"edges":[[2,2]]}"#, "edge [2, 2]"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn the_queries_agree_with_the_edge_list(nodes in 1usize..=128, raw in prop::collection::vec((0usize..128, 0usize..128), 0..300)) {
            let valid = raw.iter().filter(|(from, to)| from < to && *to < nodes).map(|&(from, to)| [from, to]);
            let edges: Vec<[usize; 2]> = valid.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let dag = Dag::new(nodes, &edges).unwrap();
            prop_assert_eq!(dag.edges().collect::<Vec<_>>(), edges.clone());
            prop_assert_eq!(dag.edge_count(), edges.len());
            for node in 0..nodes {
                let from: Vec<usize> = edges.iter().filter(|edge| edge[1] == node).map(|edge| edge[0]).collect();
                let to: Vec<usize> = edges.iter().filter(|edge| edge[0] == node).map(|edge| edge[1]).collect();
                prop_assert_eq!(dag.sources().any(|source| source == node), from.is_empty());
                prop_assert_eq!(dag.sinks().any(|sink| sink == node), to.is_empty());
                prop_assert_eq!(dag.in_degree(node), from.len());
                prop_assert_eq!(dag.predecessors(node).collect::<Vec<_>>(), from);
                prop_assert_eq!(dag.successors(node).collect::<Vec<_>>(), to);
            }
            let text = serde_json::to_string(&dag).unwrap();
            prop_assert_eq!(read(&text), Ok(dag));
        }
    }
}
