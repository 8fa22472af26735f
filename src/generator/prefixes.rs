//! Prefix graphs of one or many graphs, batched as one graph of disjoint parts.
//!
//! Many nodes of consecutive prefixes of a graph are the same for the first rounds of message passing. A node's initial
//! state depends on its row only. After the first round it depends on the rows of its neighbours too, which stay the same
//! until a new one comes; the newest node, joined to all, sends the same message in every prefix (where it carries no
//! number). Only from the second round on is every node of every prefix different. So states have three [`Level`]s, and
//! the rows of the first two are computed once for all nodes that share them.

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

/// The rows of a state matrix.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// Row of every node of the batch.
    pub of: Vec<u32>,
    /// Node number of every row.
    pub numbers: Vec<u8>,
    /// Rows before this one were there before the last step began: whoever keeps states keeps theirs.
    pub known: usize,
}

impl Level {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.numbers.len()
    }

    /// Rows of the last step.
    pub fn fresh(&self) -> Range<usize> {
        self.known..self.rows()
    }

    fn add(&mut self, number: usize) -> u32 {
        self.numbers.push(number as u8);
        (self.numbers.len() - 1) as u32
    }

    fn clear(&mut self) {
        self.of.clear();
        self.numbers.clear();
        self.known = 0;
    }

    fn next_step(&mut self) {
        self.of.clear();
        self.known = self.rows();
    }
}

/// The graph of one round: from the rows of one level to the fresh rows of the next, with its directed edges by
/// destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// What each output row was before the round: a row of the input.
    pub own: Vec<u32>,
    /// Edges into output v are `incoming[v]..incoming[v + 1]`.
    pub incoming: Vec<u32>,
    /// Start of every edge, a row of the input; a new node comes last.
    pub sources: Vec<u32>,
    /// Whether the output is a new node. Every other one has a new node as its last source.
    pub new: Vec<bool>,
}

impl Stage {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.own.len()
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.sources.len()
    }

    /// The edges into an output.
    #[inline(always)]
    pub fn edges_into(&self, output: usize) -> Range<usize> {
        self.incoming[output] as usize..self.incoming[output + 1] as usize
    }

    fn clear(&mut self) {
        self.own.clear();
        self.incoming.clear();
        self.incoming.push(0);
        self.sources.clear();
        self.new.clear();
    }

    fn add(&mut self, own: u32, sources: impl Iterator<Item = u32>, new: bool) {
        self.own.push(own);
        self.sources.extend(sources);
        self.incoming.push(self.sources.len() as u32);
        self.new.push(new);
    }
}

/// What is known of a graph from its last prefix.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Neighbours of every existing node, in both directions.
    neighbours: Vec<u128>,
    /// Rows of the existing nodes at the first two levels; [`STALE`] where there is none yet.
    rows: [Vec<u32>; 2],
    /// The row of zeros that all new nodes start from, where they carry no number.
    zero: Option<u32>,
}

const STALE: u32 = u32::MAX;

/// A batch of prefix graphs: both directions of every edge among the existing nodes, and both directions between the new
/// node and every existing one; no self loops.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixBatch {
    pub prefixes: Vec<Prefix>,
    /// States before the first round, after it, and later: the last has one row for every node.
    pub levels: [Level; 3],
    /// The first round, the second, and all others.
    pub stages: [Stage; 3],
    /// What every row of the first level starts from: bit j is set when node j feeds the node; `None` for a new node.
    pub initial: Vec<Option<u128>>,
    /// Which graph of the batch every row of the first level belongs to.
    pub graphs: Vec<usize>,
    numbered: bool,
    known: Vec<Known>,
}

impl PrefixBatch {
    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.levels[2].rows()
    }

    /// Number of pairs of a new node with an earlier one.
    pub fn pairs(&self) -> usize {
        self.prefixes.last().map_or(0, |last| last.pairs().end)
    }

    /// Makes the batch empty, for up to `graphs` graphs; its memory is kept. `numbered`: edges carry the numbers of their
    /// nodes.
    pub fn clear(&mut self, graphs: usize, numbered: bool) {
        self.numbered = numbered;
        self.levels.iter_mut().for_each(Level::clear);
        self.initial.clear();
        self.graphs.clear();
        self.known.resize_with(graphs.max(self.known.len()), Known::default);
        for known in &mut self.known {
            known.neighbours.clear();
            known.rows.iter_mut().for_each(Vec::clear);
            known.zero = None;
        }
        self.next_step();
    }

    /// Forgets the prefixes, but not the rows of the first two levels, for prefixes that continue them.
    pub fn next_step(&mut self) {
        self.prefixes.clear();
        self.stages.iter_mut().for_each(Stage::clear);
        self.levels[..2].iter_mut().for_each(Level::next_step);
        self.levels[2].clear();
    }

    /// Appends the prefixes of these steps of one graph, given as its rows (bit j of row i: j feeds i, j < i). Steps of one
    /// graph must ascend.
    pub fn push(&mut self, graph: usize, rows: &[u128], steps: Range<usize>) {
        for step in steps {
            let (first_node, first_pair) = (self.nodes(), self.pairs());
            self.prefixes.push(Prefix { graph, step, first_node, first_pair });
            self.push_existing(graph, rows, step);
            let zero = self.push_new(graph, step);
            self.push_first_round(graph, step, zero);
            self.push_later_rounds(graph, step);
        }
    }

    /// Nodes that have come since the graph's last prefix.
    fn push_existing(&mut self, graph: usize, rows: &[u128], step: usize) {
        let known = &mut self.known[graph];
        for (node, row) in rows.iter().enumerate().take(step).skip(known.neighbours.len()) {
            for neighbour in bits(*row) {
                known.neighbours[neighbour] |= 1 << node;
                known.rows[1][neighbour] = STALE;
            }
            known.neighbours.push(*row);
            known.rows[0].push(self.levels[0].add(node));
            known.rows[1].push(STALE);
            self.initial.push(Some(*row));
            self.graphs.push(graph);
        }
    }

    /// The row that the new node starts from.
    fn push_new(&mut self, graph: usize, step: usize) -> u32 {
        let known = &mut self.known[graph];
        if let (Some(zero), false) = (known.zero, self.numbered) {
            return zero;
        }
        let zero = self.levels[0].add(step);
        self.initial.push(None);
        self.graphs.push(graph);
        known.zero = Some(zero);
        known.rows[1].fill(STALE);
        zero
    }

    fn push_first_round(&mut self, graph: usize, step: usize, zero: u32) {
        let Known { neighbours, rows: [before, after], .. } = &mut self.known[graph];
        let [stage, ..] = &mut self.stages;
        let [start, next, _] = &mut self.levels;
        for node in 0..step {
            if after[node] == STALE {
                let sources = bits(neighbours[node]).map(|from| before[from]);
                stage.add(before[node], sources.chain([zero]), false);
                after[node] = next.add(node);
            }
        }
        stage.add(zero, before.iter().copied(), true);
        let new = next.add(step);
        start.of.extend(before.iter().copied().chain([zero]));
        next.of.extend(after.iter().copied().chain([new]));
    }

    fn push_later_rounds(&mut self, graph: usize, step: usize) {
        let Known { neighbours, rows: [_, second], .. } = &self.known[graph];
        let [_, next, rest] = &mut self.stages;
        let [_, level, last] = &mut self.levels;
        let new = level.rows() as u32 - 1;
        let first = last.rows() as u32;
        for node in 0..step {
            next.add(second[node], bits(neighbours[node]).map(|from| second[from]).chain([new]), false);
            let sources = bits(neighbours[node]).map(|from| first + from as u32);
            rest.add(first + node as u32, sources.chain([first + step as u32]), false);
            last.add(node);
        }
        next.add(new, second.iter().copied(), true);
        rest.add(first + step as u32, first..first + step as u32, true);
        last.add(step);
        last.of.extend(first..=first + step as u32);
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

    /// 0 -> 1, 0 -> 2, 1 -> 3, 2 -> 3
    const ROWS: [u128; 4] = [0, 0b1, 0b1, 0b110];

    fn batch(numbered: bool) -> PrefixBatch {
        let mut batch = PrefixBatch::default();
        batch.clear(2, numbered);
        batch.push(0, &ROWS[..3], 1..3);
        batch.push(1, &ROWS, 3..4);
        batch
    }

    #[test]
    fn a_batch_has_the_edges_of_the_definition() {
        for numbered in [false, true] {
            let batch = batch(numbered);
            assert_eq!((batch.nodes(), batch.pairs()), (2 + 3 + 4, 1 + 2 + 3));
            let into = |node: usize| batch.stages[2].sources[batch.stages[2].edges_into(node)].to_vec();
            // Step 1: only the new node 1 and node 0.
            assert_eq!([into(0), into(1)], [[1], [0]]);
            // Step 2: nodes 2, 3, 4; 0 - 1 both ways and the new node with both.
            assert_eq!([into(2), into(3), into(4)], [[3, 4], [2, 4], [2, 3]]);
            // Step 3: nodes 5, 6, 7, 8.
            assert_eq!(into(5), [6, 7, 8]);
            assert_eq!([into(6), into(7)], [[5, 8], [5, 8]]);
            assert_eq!(into(8), [5, 6, 7]);
            assert_eq!(batch.prefixes[2].graph, 1);
        }
    }

    /// What a node looks like from `rounds` rounds away, and nothing shared.
    fn unrolled(batch: &PrefixBatch, rounds: usize, row: usize) -> String {
        if rounds == 0 {
            let number = if batch.numbered { format!("#{}", batch.levels[0].numbers[row]) } else { String::new() };
            return format!("{:?}{number}", batch.initial[row]);
        }
        let stage = &batch.stages[rounds - 1];
        let sources = stage.sources[stage.edges_into(row)].iter();
        let sources: Vec<_> = sources.map(|&source| unrolled(batch, rounds - 1, source as usize)).collect();
        let own = unrolled(batch, rounds - 1, stage.own[row] as usize);
        format!("{} {own} {sources:?}", stage.new[row])
    }

    #[test]
    fn shared_rows_are_those_of_a_batch_that_shares_nothing() {
        let rows = [0, 0b1, 0b10, 0b101, 0b0110, 0b11000];
        for numbered in [false, true] {
            let mut shared = PrefixBatch::default();
            shared.clear(1, numbered);
            shared.push(0, &rows, 0..6);
            let mut alone = PrefixBatch::default();
            for prefix in &shared.prefixes {
                alone.clear(1, numbered);
                alone.push(0, &rows, prefix.step..prefix.step + 1);
                for (node, of) in prefix.nodes().enumerate() {
                    for (level, [a, b]) in
                        [[&shared.levels[0], &alone.levels[0]], [&shared.levels[1], &alone.levels[1]]]
                            .into_iter()
                            .enumerate()
                    {
                        let look =
                            |batch, level_of: &Level, node: usize| unrolled(batch, level, level_of.of[node] as usize);
                        assert_eq!(look(&shared, a, of), look(&alone, b, node));
                    }
                    assert_eq!(unrolled(&shared, 2, of), unrolled(&alone, 2, node));
                }
            }
            // Six nodes and a zero (or six): one row a node and new neighbour, and one a step.
            assert_eq!(shared.levels[0].rows(), if numbered { 5 + 6 } else { 5 + 1 });
            assert_eq!(shared.levels[1].rows(), if numbered { 21 } else { 6 + 5 + 6 });
        }
    }

    #[test]
    fn steps_one_at_a_time_make_the_rows_of_all_at_once() {
        let mut whole = PrefixBatch::default();
        whole.clear(1, false);
        whole.push(0, &ROWS, 1..4);
        let mut steps = PrefixBatch::default();
        steps.clear(1, false);
        let mut outputs = 0;
        for step in 1..4 {
            steps.next_step();
            steps.push(0, &ROWS[..step], step..step + 1);
            assert_eq!(steps.levels[1].fresh().len(), steps.stages[0].outputs());
            outputs += steps.stages[0].outputs();
        }
        assert_eq!(outputs, whole.levels[1].rows());
        assert_eq!(steps.initial, whole.initial);
    }
}
