//! The canonical key of a graph: equal exactly for isomorphic graphs.
//!
//! A certificate is built by divide and conquer. Colour refinement gives an ordered equitable partition: every node of
//! cell C has the same number of edges into cell D. Those numbers are written down; what they leave open is only *which*
//! nodes of D. So edges between two cells may be replaced by their complement where that is sparser (joins that are
//! complete vanish), and the rest falls apart into connected components that are canonicalised on their own and sorted.
//! Only a component that does not fall apart is searched (see [`search`]).

mod refine;
mod search;

use super::{LabelledGraph, bits};
use refine::{Digraph, Partition};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};

/// An isomorphism-invariant key: lowercase hexadecimal digits, 64 (SHA-256 of a canonical certificate) or a benchmark's
/// own 32 (MD5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalKey(String);

impl CanonicalKey {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of several components whose order matters, within the space of this name.
    pub fn combine(space: &str, components: &[CanonicalKey]) -> Self {
        let mut hash = Sha256::new();
        hash.update(space);
        for component in components {
            hash.update([b'\n']);
            hash.update(&component.0);
        }
        Self::from_hash(hash)
    }

    /// The key of an architecture that one text describes, within the space of this name.
    pub fn of_text(space: &str, text: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(space);
        hash.update([b'\n']);
        hash.update(text);
        Self::from_hash(hash)
    }

    /// A benchmark's own key.
    pub fn official(digest: [u8; 16]) -> Self {
        Self::from_bytes(&digest)
    }

    fn from_hash(hash: Sha256) -> Self {
        Self::from_bytes(&hash.finalize())
    }

    fn from_bytes(digest: &[u8]) -> Self {
        let mut hexadecimal = String::with_capacity(2 * digest.len());
        for byte in digest {
            let _ = write!(hexadecimal, "{byte:02x}"); // writing to a String cannot fail
        }
        CanonicalKey(hexadecimal)
    }
}

impl fmt::Display for CanonicalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of one graph. Two graphs have the same key exactly if some renumbering of the nodes turns one into the
/// other, edges (with their direction) and operators included. A node for which `operators` has no entry has an
/// operator of its own kind, "none".
pub fn canonical_key(graph: &LabelledGraph) -> CanonicalKey {
    let mut hash = Sha256::new();
    for word in certificate(&Digraph::new(&graph.dag), &colours(graph)) {
        hash.update(word.to_le_bytes());
    }
    CanonicalKey::from_hash(hash)
}

/// 0 for a node without operator, else its number plus 1.
fn colours(graph: &LabelledGraph) -> Vec<u32> {
    let operator = |node| graph.operators.get(node).map_or(0, |&operator| u32::from(operator) + 1);
    (0..graph.dag.nodes()).map(operator).collect()
}

/// A text of numbers that is equal exactly for isomorphic coloured graphs. It can be parsed from the left without
/// separators, so texts can be put one after the other.
fn certificate(graph: &Digraph, colours: &[u32]) -> Vec<u32> {
    let mut partition = Partition::by_colour(colours);
    partition.refine_all(graph);
    let mut words = header(graph, &partition, colours);
    if partition.is_discrete() {
        return words; // the edge counts between single nodes are the edges
    }
    let sparse = sparsest(graph, &partition);
    let components = sparse.components();
    if components.len() == 1 {
        words.push(0);
        words.extend(search::certificate(&sparse, partition));
        return words;
    }
    let cell_of = partition.cell_of_node();
    let mut parts: Vec<Vec<u32>> = components.iter().map(|&nodes| part(&sparse, nodes, &cell_of)).collect();
    parts.sort_unstable();
    words.push(parts.len() as u32);
    words.extend(parts.into_iter().flatten());
    words
}

/// The certificate of one component, its nodes coloured by the whole graph's cells.
fn part(graph: &Digraph, nodes: u128, cell_of: &[u32]) -> Vec<u32> {
    let colours: Vec<u32> = bits(nodes).map(|node| cell_of[node]).collect();
    certificate(&graph.induced(nodes), &colours)
}

/// Colour and size of every cell, and how many edges a node of one cell has into another, where there are any.
fn header(graph: &Digraph, partition: &Partition, colours: &[u32]) -> Vec<u32> {
    let cells = partition.cells();
    let mut words = vec![cells.len() as u32];
    for &cell in cells {
        words.extend([colours[first(cell)], cell.count_ones()]);
    }
    let counts = edge_counts(graph, cells);
    words.push(counts.len() as u32);
    words.extend(counts.into_iter().flat_map(|(from, to, count)| [from as u32, to as u32, count]));
    words
}

/// `(C, D, edges from one node of C into D)` for all pairs of cells with such edges. The partition is equitable, so any
/// node of C will do.
fn edge_counts(graph: &Digraph, cells: &[u128]) -> Vec<(usize, usize, u32)> {
    let mut counts = Vec::new();
    for (from, &cell) in cells.iter().enumerate() {
        let successors = graph.successors[first(cell)];
        for (to, &other) in cells.iter().enumerate() {
            let count = (successors & other).count_ones();
            if count > 0 {
                counts.push((from, to, count));
            }
        }
    }
    counts
}

/// The graph with the edges between two cells replaced by their complement wherever more than half of them are there.
fn sparsest(graph: &Digraph, partition: &Partition) -> Digraph {
    let cells = partition.cells();
    let mut sparse = graph.clone();
    for (from, to, count) in edge_counts(graph, cells) {
        if from != to && 2 * count > cells[to].count_ones() {
            sparse.complement(cells[from], cells[to]);
        }
    }
    sparse
}

fn first(cell: u128) -> usize {
    cell.trailing_zeros() as usize
}

#[cfg(test)]
mod tests;
