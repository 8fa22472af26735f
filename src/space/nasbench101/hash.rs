//! The isomorphism hash of the official NAS-Bench-101 (Ying et al. 2019), which its files use as key.

use super::Cell101;
use crate::graph::Dag;
use md5::{Digest, Md5};
use std::fmt;

/// The official key of a cell: an MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellHash(pub [u8; 16]);

impl CellHash {
    /// Reads 32 hexadecimal digits.
    pub fn from_hexadecimal(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| CellHash(number.to_be_bytes()))
    }
}

impl fmt::Display for CellHash {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A label: an MD5 in hexadecimal digits.
type Label = [u8; 32];

/// The hash of a cell as it stands; equal exactly for isomorphic cells. Prune the cell first, as the benchmark does.
///
/// `h_v = md5("(out-degree, in-degree, label)")`; then as many times as there are vertices
/// `h_v = md5(sorted h of the in-neighbours | sorted h of the out-neighbours | h_v)`; the hash is the MD5 of the sorted
/// list of all `h_v`, as Python writes it.
pub fn hash(cell: &Cell101) -> CellHash {
    let nodes = cell.nodes();
    let neighbours = Neighbours::of(cell.dag());
    let mut labels: Vec<Label> = (0..nodes).map(|node| initial(cell, &neighbours, node)).collect();
    let mut next = labels.clone();
    let mut scratch = Scratch::default();
    for _ in 0..nodes {
        for (node, label) in next.iter_mut().enumerate() {
            *label = scratch.spread(&neighbours, &labels, node);
        }
        std::mem::swap(&mut labels, &mut next);
    }
    labels.sort_unstable();
    let mut list = Vec::with_capacity(36 * nodes);
    for label in &labels {
        list.extend(if list.is_empty() { &b"['"[..] } else { &b", '"[..] });
        list.extend(label);
        list.push(b'\'');
    }
    list.push(b']');
    CellHash(Md5::digest(list).into())
}

/// The neighbours of every vertex, before and after it.
struct Neighbours {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Neighbours {
    fn of(dag: &Dag) -> Self {
        let before: Vec<Vec<usize>> = (0..dag.nodes()).map(|node| dag.predecessors(node).collect()).collect();
        let after = (0..dag.nodes()).map(|node| dag.successors(node).collect()).collect();
        Neighbours { before, after }
    }
}

fn initial(cell: &Cell101, neighbours: &Neighbours, node: usize) -> Label {
    let (out_degree, in_degree) = (neighbours.after[node].len(), neighbours.before[node].len());
    digits(&Md5::digest(format!("({out_degree}, {in_degree}, {})", cell.operators()[node].label())).into())
}

/// Memory that is used again for every vertex.
#[derive(Default)]
struct Scratch {
    sorted: Vec<Label>,
    message: Vec<u8>,
}

impl Scratch {
    /// A vertex's next label.
    fn spread(&mut self, neighbours: &Neighbours, labels: &[Label], node: usize) -> Label {
        self.message.clear();
        for side in [&neighbours.before[node], &neighbours.after[node]] {
            self.sorted.clear();
            self.sorted.extend(side.iter().map(|&neighbour| labels[neighbour]));
            self.sorted.sort_unstable();
            self.message.extend(self.sorted.as_flattened());
            self.message.push(b'|');
        }
        self.message.extend(labels[node]);
        digits(&Md5::digest(&self.message).into())
    }
}

fn digits(digest: &[u8; 16]) -> Label {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut label = [0; 32];
    for (pair, byte) in label.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    label
}
