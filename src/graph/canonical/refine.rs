//! Colour refinement on bit sets.

use crate::graph::{Dag, bits};
use std::collections::VecDeque;

/// A directed graph on at most 128 nodes, both directions at hand.
#[derive(Clone)]
pub(super) struct Digraph {
    pub predecessors: Vec<u128>,
    pub successors: Vec<u128>,
}

impl Digraph {
    pub fn new(dag: &Dag) -> Self {
        let predecessors: Vec<u128> = (0..dag.nodes()).map(|node| dag.predecessor_bits(node)).collect();
        let successors = transpose(&predecessors);
        Digraph { predecessors, successors }
    }

    pub fn nodes(&self) -> usize {
        self.predecessors.len()
    }

    /// Replaces the edges from one set of nodes to another, disjoint one by their complement.
    pub fn complement(&mut self, from: u128, to: u128) {
        bits(from).for_each(|node| self.successors[node] ^= to);
        bits(to).for_each(|node| self.predecessors[node] ^= from);
    }

    /// The subgraph on these nodes, renumbered in their order.
    pub fn induced(&self, nodes: u128) -> Digraph {
        let pick = |row: u128| bits(nodes).enumerate().fold(0, |all, (i, node)| all | (row >> node & 1) << i);
        Digraph {
            predecessors: bits(nodes).map(|node| pick(self.predecessors[node])).collect(),
            successors: bits(nodes).map(|node| pick(self.successors[node])).collect(),
        }
    }

    /// The node sets of the weakly connected components.
    pub fn components(&self) -> Vec<u128> {
        let mut seen = 0u128;
        let mut components = Vec::new();
        for node in 0..self.nodes() {
            if seen >> node & 1 == 0 {
                components.push(self.component_of(node));
                seen |= components[components.len() - 1];
            }
        }
        components
    }

    fn component_of(&self, node: usize) -> u128 {
        let (mut component, mut frontier) = (1u128 << node, 1u128 << node);
        while frontier != 0 {
            let reached = bits(frontier).fold(0, |all, node| all | self.predecessors[node] | self.successors[node]);
            frontier = reached & !component;
            component |= reached;
        }
        component
    }

    /// The rows of predecessors after renumbering: position i holds node `order[i]`.
    pub fn relabelled(&self, order: &[usize]) -> Vec<u128> {
        let mut position = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &node)| position[node] = i);
        let row = |&node: &usize| bits(self.predecessors[node]).fold(0, |row, from| row | 1u128 << position[from]);
        order.iter().map(row).collect()
    }
}

fn transpose(rows: &[u128]) -> Vec<u128> {
    let mut columns = vec![0u128; rows.len()];
    for (to, &row) in rows.iter().enumerate() {
        bits(row).for_each(|from| columns[from] |= 1 << to);
    }
    columns
}

/// An ordered partition of the nodes into cells. Everything done with it depends on the order of the cells and never on
/// the numbers of the nodes, so isomorphic graphs are treated alike.
#[derive(Clone)]
pub(super) struct Partition {
    cells: Vec<u128>,
}

impl Partition {
    /// Nodes of the same colour share a cell; cells are in the order of colours.
    pub fn by_colour(colours: &[u32]) -> Self {
        let mut groups = Vec::new();
        for (node, &colour) in colours.iter().enumerate() {
            add_to_group(&mut groups, colour, node);
        }
        groups.sort_unstable();
        Partition { cells: groups.into_iter().map(|(_, cell)| cell).collect() }
    }

    pub fn cells(&self) -> &[u128] {
        &self.cells
    }

    pub fn is_discrete(&self) -> bool {
        self.cells.iter().all(|cell| cell.is_power_of_two())
    }

    /// The index of every node's cell.
    pub fn cell_of_node(&self) -> Vec<u32> {
        let nodes: u32 = self.cells.iter().map(|cell| cell.count_ones()).sum();
        let mut cell_of = vec![0; nodes as usize];
        for (index, &cell) in self.cells.iter().enumerate() {
            bits(cell).for_each(|node| cell_of[node] = index as u32);
        }
        cell_of
    }

    /// The first of the largest cells, unless the partition is discrete. A large cell tells most: in a projective plane,
    /// for instance, the small ones are points on one line, whose order settles nothing about the others.
    pub fn target(&self) -> Option<usize> {
        let size = |&cell: &usize| self.cells[cell].count_ones();
        let largest = (0..self.cells.len()).rev().max_by_key(size)?;
        (size(&largest) > 1).then_some(largest)
    }

    /// The coarsest equitable refinement.
    pub fn refine_all(&mut self, graph: &Digraph) {
        self.refine(graph, self.cells.iter().copied().collect());
    }

    /// The equitable partition where `node` has been given a cell of its own before the rest of `cell`, and a number
    /// that describes the refinement (the same for isomorphic situations).
    pub fn individualised(&self, graph: &Digraph, cell: usize, node: usize) -> (Partition, u64) {
        let mut child = self.clone();
        let (single, rest) = (1u128 << node, self.cells[cell] & !(1 << node));
        child.cells.splice(cell..=cell, [single, rest]);
        let trace = child.refine(graph, VecDeque::from([single, rest]));
        (child, trace)
    }

    /// Splits cells by their numbers of edges from and to the splitters until none can be split.
    fn refine(&mut self, graph: &Digraph, mut splitters: VecDeque<u128>) -> u64 {
        let mut trace = 0;
        while let Some(splitter) = splitters.pop_front() {
            let mut cell = 0;
            while cell < self.cells.len() {
                let groups = groups(graph, self.cells[cell], splitter);
                for &(key, group) in &groups {
                    trace = mix(trace, u64::from(key) << 32 | (cell as u64) << 16 | u64::from(group.count_ones()));
                }
                let fragments = groups.len();
                if fragments > 1 {
                    splitters.extend(groups.iter().map(|&(_, group)| group));
                    self.cells.splice(cell..=cell, groups.into_iter().map(|(_, group)| group));
                }
                cell += fragments;
            }
            if self.is_discrete() {
                break;
            }
        }
        trace
    }
}

/// The nodes of a cell by their numbers of edges from and to the splitter, ascending.
fn groups(graph: &Digraph, cell: u128, splitter: u128) -> Vec<(u32, u128)> {
    let mut groups = Vec::with_capacity(2);
    for node in bits(cell) {
        let incoming = (graph.predecessors[node] & splitter).count_ones();
        let outgoing = (graph.successors[node] & splitter).count_ones();
        add_to_group(&mut groups, incoming << 8 | outgoing, node);
    }
    groups.sort_unstable_by_key(|&(key, _)| key);
    groups
}

fn add_to_group(groups: &mut Vec<(u32, u128)>, key: u32, node: usize) {
    match groups.iter_mut().find(|(other, _)| *other == key) {
        Some((_, group)) => *group |= 1 << node,
        None => groups.push((key, 1 << node)),
    }
}

/// One step of a 64-bit hash (FNV's prime, with the high half folded in). It steers the search only: a collision costs
/// time, never correctness.
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    mixed ^ mixed >> 29
}
