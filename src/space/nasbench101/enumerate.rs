//! All cells of NAS-Bench-101.

use super::hash::{CellHash, hash};
use super::operator::{INTERIOR, Operator101};
use super::{Cell101, MOST_EDGES};
use crate::graph::Dag;
use std::collections::HashSet;

/// One cell of every isomorphism class with at most so many vertices (2 to 7), each with its hash: 1, 7, 91, 2,532,
/// 64,542 and 423,624 of them. By number of vertices, then in the order in which their matrices count up.
pub fn enumerate(vertices: usize) -> Vec<(CellHash, Cell101)> {
    let mut known = HashSet::new();
    let mut cells = Vec::new();
    for size in 2..=vertices {
        for dag in wirings(size) {
            for cell in labellings(&dag) {
                let key = hash(&cell);
                if known.insert(key) {
                    cells.push((key, cell));
                }
            }
        }
    }
    cells
}

/// One graph of every isomorphism class in which every vertex is on a path from the first to the last: isomorphic graphs
/// have the same cells.
fn wirings(size: usize) -> Vec<Dag> {
    let pairs: Vec<[usize; 2]> = (0..size).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for bits in 0u32..1 << pairs.len() {
        if bits.count_ones() as usize > MOST_EDGES {
            continue;
        }
        let chosen = pairs.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
        let edges: Vec<[usize; 2]> = chosen.map(|(_, &edge)| edge).collect();
        let Some(dag) = Dag::new(size, &edges).ok().filter(has_no_idle_vertex) else { continue };
        if labelled(&dag, 0).is_some_and(|cell| known.insert(hash(&cell))) {
            found.push(dag);
        }
    }
    found
}

fn has_no_idle_vertex(dag: &Dag) -> bool {
    dag.sources().eq([0]) && dag.sinks().eq([dag.nodes() - 1])
}

fn labellings(dag: &Dag) -> impl Iterator<Item = Cell101> + '_ {
    let count = INTERIOR.len().pow(dag.nodes().saturating_sub(2) as u32);
    (0..count).filter_map(|number| labelled(dag, number))
}

/// The cell whose operators are the digits of a number to base 3.
fn labelled(dag: &Dag, mut number: usize) -> Option<Cell101> {
    let mut operators = vec![Operator101::Input];
    for _ in 2..dag.nodes() {
        operators.push(INTERIOR[number % INTERIOR.len()]);
        number /= INTERIOR.len();
    }
    operators.push(Operator101::Output);
    Cell101::new(dag.clone(), operators).ok()
}
