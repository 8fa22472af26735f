//! Pruning: vertices that lie on no path from input to output go.

use super::Cell101;
use crate::graph::Dag;

/// The cell of those vertices that lie on a path from the first to the last, in the same order. `None`: there is no path.
pub fn prune(cell: &Cell101) -> Option<Cell101> {
    let dag = cell.dag();
    let last = dag.nodes().checked_sub(1)?;
    let (mut from_input, mut to_output) = (1u128, 1u128 << last);
    for node in 1..=last {
        if dag.predecessor_bits(node) & from_input != 0 {
            from_input |= 1 << node;
        }
    }
    for node in (0..=last).rev() {
        if to_output >> node & 1 == 1 {
            to_output |= dag.predecessor_bits(node);
        }
    }
    let kept: Vec<usize> = (0..=last).filter(|&node| from_input & to_output & (1 << node) != 0).collect();
    if kept.first() != Some(&0) || kept.last() != Some(&last) || kept.len() < 2 {
        return None;
    }
    let place = |node: usize| kept.iter().position(|&other| other == node);
    let edges: Vec<[usize; 2]> = dag.edges().filter_map(|[from, to]| Some([place(from)?, place(to)?])).collect();
    let operators = kept.iter().map(|&node| cell.operators()[node]).collect();
    Cell101::new(Dag::new(kept.len(), &edges).ok()?, operators).ok()
}
