//! Individualisation and refinement with backtracking (McKay 1981): the canonical numbering of a graph that colour
//! refinement leaves ambiguous.
//!
//! Every leaf of the search tree is a numbering; the canonical one has the greatest (trace, relabelled graph). Subtrees
//! that cannot hold it are cut, and so are those that are images of finished ones under an automorphism found before.

use super::refine::{Digraph, Partition};
use crate::graph::bits;

/// More automorphisms than this are not remembered: they would only cut the tree further.
const MAX_AUTOMORPHISMS: usize = 256;

/// The canonical edges of the graph, given its ordered equitable partition: one row of 128 bits a node.
pub(super) fn certificate(graph: &Digraph, partition: Partition) -> Vec<u32> {
    let mut search = Search { graph, choices: vec![], trace: vec![], automorphisms: vec![], first: None, best: None };
    search.visit(&partition);
    let rows = search.best.map_or_else(Vec::new, |leaf| leaf.rows);
    rows.into_iter().flat_map(|row| [0, 32, 64, 96].map(|shift| (row >> shift) as u32)).collect()
}

/// A complete numbering.
#[derive(Clone)]
struct Leaf {
    /// The nodes individualised on the way.
    choices: Vec<usize>,
    /// What each individualisation led to.
    trace: Vec<u64>,
    /// The node at every position.
    order: Vec<usize>,
    /// The graph in this numbering.
    rows: Vec<u128>,
}

struct Search<'a> {
    graph: &'a Digraph,
    choices: Vec<usize>,
    trace: Vec<u64>,
    /// Images of all nodes, one vector an automorphism.
    automorphisms: Vec<Vec<usize>>,
    first: Option<Leaf>,
    best: Option<Leaf>,
}

impl Search<'_> {
    /// Searches below a tree node and returns the level to go on at: its own, or a lower one when all between is an
    /// image of what has been searched.
    fn visit(&mut self, partition: &Partition) -> usize {
        let level = self.choices.len();
        let Some(cell) = partition.target() else {
            return self.leaf(partition);
        };
        let mut tried = 0u128;
        for node in bits(partition.cells()[cell]) {
            if self.orbit(node) & tried != 0 {
                continue;
            }
            tried |= 1 << node;
            let (child, trace) = partition.individualised(self.graph, cell, node);
            self.choices.push(node);
            self.trace.push(trace);
            let back = if self.hopeless() { level } else { self.visit(&child) };
            self.choices.pop();
            self.trace.pop();
            if back < level {
                return back;
            }
        }
        level
    }

    /// The images of a node under the known automorphisms that fix every choice made so far.
    fn orbit(&self, node: usize) -> u128 {
        let fixing = |map: &&Vec<usize>| self.choices.iter().all(|&choice| map[choice] == choice);
        let maps: Vec<&Vec<usize>> = self.automorphisms.iter().filter(fixing).collect();
        let (mut orbit, mut frontier) = (1u128 << node, 1u128 << node);
        while frontier != 0 {
            let images = bits(frontier).flat_map(|node| maps.iter().map(move |map| 1u128 << map[node]));
            frontier = images.fold(0, |all, image| all | image) & !orbit;
            orbit |= frontier;
        }
        orbit
    }

    /// Whether no leaf from here can be the canonical one, nor an image of the first one.
    fn hopeless(&self) -> bool {
        let trace = self.trace.as_slice();
        let prefix = |leaf: &'_ Leaf| leaf.trace[..trace.len().min(leaf.trace.len())].cmp(trace);
        let unlike_first = self.first.as_ref().is_some_and(|first| prefix(first).is_ne());
        let below_best = self.best.as_ref().is_some_and(|best| prefix(best).is_gt());
        unlike_first && below_best
    }

    /// Takes note of a leaf and returns the level to go on at.
    fn leaf(&mut self, partition: &Partition) -> usize {
        let order: Vec<usize> = partition.cells().iter().map(|cell| cell.trailing_zeros() as usize).collect();
        let rows = self.graph.relabelled(&order);
        let leaf = Leaf { choices: self.choices.clone(), trace: self.trace.clone(), order, rows };
        let Some((first, best)) = self.first.as_ref().zip(self.best.as_ref()) else {
            self.first = Some(leaf.clone());
            self.best = Some(leaf);
            return self.choices.len();
        };
        if let Some(known) = [first, best].into_iter().find(|known| known.rows == leaf.rows) {
            let (map, level) = (automorphism(known, &leaf), parting(known, &leaf));
            if self.automorphisms.len() < MAX_AUTOMORPHISMS {
                self.automorphisms.push(map);
            }
            return level;
        }
        if (&leaf.trace, &leaf.rows) > (&best.trace, &best.rows) {
            self.best = Some(leaf);
        }
        self.choices.len()
    }
}

/// The automorphism that turns one leaf into another with the same rows. It turns the one path into the other, too: a
/// choice keeps the first place of its cell in all refinements, so the final order tells all choices.
fn automorphism(known: &Leaf, leaf: &Leaf) -> Vec<usize> {
    let mut map = vec![0; leaf.order.len()];
    known.order.iter().zip(&leaf.order).for_each(|(&from, &to)| map[from] = to);
    map
}

/// The level where the paths of two leaves part. The subtree that the earlier leaf is in is finished there, and the
/// automorphism between the leaves maps it to the later one's.
fn parting(known: &Leaf, leaf: &Leaf) -> usize {
    known.choices.iter().zip(&leaf.choices).take_while(|(a, b)| a == b).count()
}
