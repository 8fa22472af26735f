//! Batches of prefix graphs as the kernels read them.

use crate::device::cuda::CudaError;
use bytemuck::{Pod, Zeroable};

/// Edges that a block of the gate takes, if no node has more.
const TILE_EDGES: u32 = 64;
/// Numbers before the lists, laid out as `Batch` in `kernels/generator.cuh`.
const HEADER: usize = 16;
/// Words of a row of 128 bits.
const ROW_WORDS: usize = 4;

/// The most that a batch may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Graphs.
    pub graphs: usize,
    /// Prefixes of all graphs.
    pub prefixes: usize,
    /// Nodes of all prefixes.
    pub nodes: usize,
    /// Edges of all prefixes, each in both directions.
    pub edges: usize,
}

impl Capacity {
    fn parts(self) -> [(&'static str, usize); 4] {
        [("graphs", self.graphs), ("prefixes", self.prefixes), ("nodes", self.nodes), ("edges", self.edges)]
    }

    /// What it has less of than needed: what, how much, and how much is needed.
    pub(super) fn lacks(self, needed: Capacity) -> Option<(&'static str, usize, usize)> {
        let both = self.parts().into_iter().zip(needed.parts());
        both.map(|((what, have), (_, need))| (what, have, need)).find(|(_, have, need)| have < need)
    }
}

/// Where the batch's lists begin, in words; see `kernels/generator.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Lists {
    pub(super) offsets: u32,
    pub(super) sources: u32,
    pub(super) destinations: u32,
    pub(super) reverse: u32,
    pub(super) new_of: u32,
    pub(super) numbers: u32,
    pub(super) rows: u32,
    pub(super) prefix_of: u32,
    pub(super) first_node: u32,
    pub(super) graph_of: u32,
    pub(super) first_prefix: u32,
    pub(super) target_rows: u32,
    pub(super) target_operators: u32,
    pub(super) tile_nodes: u32,
}

impl Lists {
    /// The lists of batches of this size, and the words of all of them together.
    pub(super) fn new(capacity: Capacity) -> (Self, usize) {
        let Capacity { graphs, prefixes, nodes, edges } = capacity;
        let mut words = HEADER;
        let mut list = |length: usize| {
            let at = words;
            words += length.next_multiple_of(4);
            at as u32
        };
        let lists = Lists {
            offsets: list(nodes + 1),
            sources: list(edges),
            destinations: list(edges),
            reverse: list(edges),
            new_of: list(nodes),
            numbers: list(nodes),
            rows: list(ROW_WORDS * nodes),
            prefix_of: list(nodes),
            first_node: list(prefixes + 1),
            graph_of: list(prefixes),
            first_prefix: list(graphs + 1),
            target_rows: list(ROW_WORDS * prefixes),
            target_operators: list(prefixes),
            tile_nodes: list(nodes + 1),
        };
        (lists, words)
    }

    /// The list of node numbers, for [`DenseTask::bias_rows`](super::records::DenseTask::bias_rows).
    pub fn numbers(&self) -> u32 {
        self.numbers
    }
}

/// A decision that a prefix is scored on, or that was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowTarget {
    /// Bit j: node j of the graph feeds the new node.
    pub row: u128,
    /// The new node's operator.
    pub operator: u32,
}

/// Prefix graphs: a prefix has some nodes of a graph, of which the last is new. Every edge has both directions; the new node
/// is joined to all others of its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixGraphs {
    /// Edges into node v are `offsets[v]..offsets[v + 1]`.
    pub offsets: Vec<u32>,
    /// Where every edge comes from; ascending among the edges into a node.
    pub sources: Vec<u32>,
    /// The row of every node: bit j is set where node j of its graph feeds it. Not read of new nodes.
    pub rows: Vec<u128>,
    /// First node of every prefix, and the number of nodes.
    pub first_node: Vec<u32>,
    /// The graph of every prefix, ascending from 0.
    pub graph_of: Vec<u32>,
    /// What every prefix is scored on.
    pub targets: Vec<RowTarget>,
}

impl PrefixGraphs {
    /// How much it holds.
    pub fn size(&self) -> Capacity {
        Capacity {
            graphs: self.graph_of.last().map_or(0, |&last| last as usize + 1),
            prefixes: self.graph_of.len(),
            nodes: self.rows.len(),
            edges: self.sources.len(),
        }
    }

    /// Checks that the lists fit together, so that no kernel reads outside them.
    ///
    /// # Errors
    /// [`CudaError::Plan`], naming the list; prefixes of more nodes than a graph has.
    pub fn check(&self, nodes_of_graph: usize, operators: usize) -> Result<(), CudaError> {
        let Capacity { prefixes, nodes, edges, .. } = self.size();
        let ascends = |list: &[u32], end: usize| {
            list.first() == Some(&0)
                && list.last() == Some(&(end as u32))
                && list.windows(2).all(|pair| pair[0] <= pair[1])
        };
        let operator = |target: &RowTarget| operators == 0 || (target.operator as usize) < operators;
        let checks = [
            ("offsets", self.offsets.len() == nodes + 1 && ascends(&self.offsets, edges)),
            ("sources", self.sources.iter().all(|&source| (source as usize) < nodes)),
            (
                "first nodes",
                self.first_node.len() == prefixes + 1
                    && ascends(&self.first_node, nodes)
                    && self
                        .first_node
                        .windows(2)
                        .all(|pair| (1..=nodes_of_graph as u32).contains(&pair[1].wrapping_sub(pair[0]))),
            ),
            (
                "graphs",
                self.graph_of.first().is_none_or(|&first| first == 0)
                    && self.graph_of.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1),
            ),
            ("targets", self.targets.len() == prefixes && self.targets.iter().all(operator)),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((list, _)) => Err(CudaError::Plan(format!("prefix graphs with a bad list of {list}"))),
            None => Ok(()),
        }
    }

    /// For every edge the one in the other direction.
    fn reverse(&self) -> Result<Vec<u32>, CudaError> {
        let into = |node: u32| self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize;
        let mut reverse = Vec::with_capacity(self.sources.len());
        for node in 0..self.rows.len() as u32 {
            for edge in into(node) {
                let back = into(self.sources[edge]);
                let found = self.sources[back.clone()].binary_search(&node);
                let found = found.map_err(|_| CudaError::Plan("prefix graphs with an edge in one direction".into()))?;
                reverse.push((back.start + found) as u32);
            }
        }
        Ok(reverse)
    }

    /// First nodes of tiles of at most [`TILE_EDGES`] edges, or of one node, and the number of nodes.
    fn tiles(&self) -> Vec<u32> {
        let mut tiles = vec![0];
        for node in 0..self.rows.len() {
            let start = self.offsets[tiles[tiles.len() - 1] as usize];
            if self.offsets[node + 1] - start > TILE_EDGES && tiles[tiles.len() - 1] as usize != node {
                tiles.push(node as u32);
            }
        }
        if !self.rows.is_empty() {
            tiles.push(self.rows.len() as u32);
        }
        tiles
    }

    /// The words of the batch, as long as the lists need.
    ///
    /// # Errors
    /// Lists that do not fit together, or more than the capacity.
    pub(super) fn pack(
        &self,
        (lists, capacity, words): (&Lists, Capacity, usize),
        (nodes, operators): (usize, usize),
        adam: [f32; 2],
    ) -> Result<Vec<u32>, CudaError> {
        self.check(nodes, operators)?;
        let size = self.size();
        if let Some((what, most, found)) = capacity.lacks(size) {
            return Err(CudaError::Plan(format!("a batch of {found} {what}, where {most} are the most")));
        }
        let mut to = vec![0; words];
        let tiles = self.tiles();
        let counts = [u32::MAX, size.nodes as u32, size.edges as u32, size.prefixes as u32, size.graphs as u32];
        to[..5].copy_from_slice(&counts);
        to[5] = tiles.len() as u32 - 1;
        to[8] = adam[0].to_bits();
        to[9] = adam[1].to_bits();
        let mut put = |at: u32, list: &[u32]| to[at as usize..][..list.len()].copy_from_slice(list);
        let nodes_of = |prefix: usize| self.first_node[prefix]..self.first_node[prefix + 1];
        let each_node = |value: &dyn Fn(usize, u32) -> u32| -> Vec<u32> {
            (0..size.prefixes).flat_map(|prefix| nodes_of(prefix).map(move |node| value(prefix, node))).collect()
        };
        let destinations = self.offsets.windows(2).zip(0..);
        let destinations: Vec<u32> =
            destinations.flat_map(|(pair, node)| (pair[0]..pair[1]).map(move |_| node)).collect();
        let starts = (0..size.prefixes as u32)
            .filter(|&at| at == 0 || self.graph_of[at as usize] != self.graph_of[at as usize - 1]);
        let first_prefix: Vec<u32> = starts.chain([size.prefixes as u32]).collect();
        let words_of = |row: u128| [row as u32, (row >> 32) as u32, (row >> 64) as u32, (row >> 96) as u32];
        put(lists.offsets, &self.offsets);
        put(lists.sources, &self.sources);
        put(lists.destinations, &destinations);
        put(lists.reverse, &self.reverse()?);
        put(lists.new_of, &each_node(&|prefix, _| self.first_node[prefix + 1] - 1));
        put(lists.numbers, &each_node(&|prefix, node| node - self.first_node[prefix]));
        put(lists.rows, &self.rows.iter().flat_map(|&row| words_of(row)).collect::<Vec<_>>());
        put(lists.prefix_of, &each_node(&|prefix, _| prefix as u32));
        put(lists.first_node, &self.first_node);
        put(lists.graph_of, &self.graph_of);
        put(lists.first_prefix, &first_prefix);
        put(lists.target_rows, &self.targets.iter().flat_map(|target| words_of(target.row)).collect::<Vec<_>>());
        put(lists.target_operators, &self.targets.iter().map(|target| target.operator).collect::<Vec<_>>());
        put(lists.tile_nodes, &tiles);
        Ok(to)
    }
}

/// The decisions in these words.
pub(super) fn targets(rows: &[u32], operators: &[u32]) -> Vec<RowTarget> {
    let row = |words: &[u32]| words.iter().rev().fold(0, |row: u128, &word| row << 32 | u128::from(word));
    rows.chunks_exact(ROW_WORDS)
        .zip(operators)
        .map(|(words, &operator)| RowTarget { row: row(words), operator })
        .collect()
}
