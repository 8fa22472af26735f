//! Prefix graphs of one or many graphs, batched as one graph of disjoint parts.

use std::ops::Range;

/// The graph that decides row `step` of a graph: its nodes 0..step and the new node `step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// Which graph of the batch.
    pub graph: usize,
    /// The row that is decided.
    pub step: usize,
    /// First node in the batch; node j of the graph is `first_node + j`.
    pub first_node: usize,
    /// First of the `step` pairs (new node, j) in the batch.
    pub first_pair: usize,
}

impl Prefix {
    /// The new node.
    #[inline(always)]
    pub fn new_node(&self) -> usize {
        self.first_node + self.step
    }

    /// All nodes, the new one last.
    #[inline(always)]
    pub fn nodes(&self) -> Range<usize> {
        self.first_node..self.new_node() + 1
    }

    /// The pairs of the new node with every earlier one.
    #[inline(always)]
    pub fn pairs(&self) -> Range<usize> {
        self.first_pair..self.first_pair + self.step
    }
}

/// A batch of prefix graphs with its directed edges by destination: both directions of every edge among the existing nodes,
/// and both directions between the new node and every existing one; no self loops.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixBatch {
    pub prefixes: Vec<Prefix>,
    /// Row of every node: bit j is set when node j feeds it; 0 for a new node, whose row is not known yet.
    pub rows: Vec<u128>,
    /// Edges into node v are `incoming[v]..incoming[v + 1]`.
    pub incoming: Vec<usize>,
    /// Start of every edge, ascending for one destination: the new node is an existing node's last source.
    pub sources: Vec<usize>,
    neighbours: Vec<u128>,
}

impl PrefixBatch {
    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.rows.len()
    }

    /// Number of directed edges.
    pub fn edges(&self) -> usize {
        self.sources.len()
    }

    /// Number of pairs of a new node with an earlier one.
    pub fn pairs(&self) -> usize {
        self.prefixes.last().map_or(0, |last| last.pairs().end)
    }

    /// Makes the batch empty; its memory is kept.
    pub fn clear(&mut self) {
        self.prefixes.clear();
        self.rows.clear();
        self.incoming.clear();
        self.incoming.push(0);
        self.sources.clear();
    }

    /// Appends the prefixes of these steps of one graph, given as its rows (bit j of row i: j feeds i, j < i).
    pub fn push(&mut self, graph: usize, rows: &[u128], steps: Range<usize>) {
        self.set_neighbours(&rows[..steps.end.saturating_sub(1)]);
        for step in steps {
            self.prefixes.push(Prefix { graph, step, first_node: self.nodes(), first_pair: self.pairs() });
            self.push_nodes(rows, step);
        }
    }

    /// Neighbours of every node in both directions, as bit sets.
    fn set_neighbours(&mut self, rows: &[u128]) {
        self.neighbours.clear();
        self.neighbours.extend_from_slice(rows);
        for (to, row) in rows.iter().enumerate() {
            for from in bits(*row) {
                self.neighbours[from] |= 1 << to;
            }
        }
    }

    fn push_nodes(&mut self, rows: &[u128], step: usize) {
        let first = self.nodes();
        let existing = (1u128 << step) - 1;
        for (neighbours, row) in self.neighbours[..step].iter().zip(rows) {
            self.rows.push(*row);
            self.sources.extend(bits(neighbours & existing | 1 << step).map(|from| first + from));
            self.incoming.push(self.sources.len());
        }
        self.rows.push(0);
        self.sources.extend(first..first + step);
        self.incoming.push(self.sources.len());
    }
}

/// The set bits, ascending.
pub(super) fn bits(mut word: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (lowest < 128).then_some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_the_edges_of_the_definition() {
        // 0 -> 1, 0 -> 2, 1 -> 3, 2 -> 3
        let rows = [0, 0b1, 0b1, 0b110];
        let mut batch = PrefixBatch::default();
        batch.clear();
        batch.push(0, &rows[..3], 1..3);
        batch.push(1, &rows, 3..4);
        assert_eq!((batch.nodes(), batch.pairs()), (2 + 3 + 4, 1 + 2 + 3));
        let into = |node: usize| batch.sources[batch.incoming[node]..batch.incoming[node + 1]].to_vec();
        // Step 1: only the new node 1 and node 0.
        assert_eq!([into(0), into(1)], [[1], [0]]);
        // Step 2: nodes 2, 3, 4; 0 - 1 both ways and the new node with both.
        assert_eq!([into(2), into(3), into(4)], [[3, 4], [2, 4], [2, 3]]);
        // Step 3: nodes 5, 6, 7, 8.
        assert_eq!(into(5), [6, 7, 8]);
        assert_eq!([into(6), into(7)], [[5, 8], [5, 8]]);
        assert_eq!(into(8), [5, 6, 7]);
        assert_eq!(batch.rows, [0, 0, 0, 1, 0, 0, 1, 1, 0]);
        assert_eq!(batch.prefixes[2].graph, 1);
    }
}
