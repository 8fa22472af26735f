//! Operators on edges: `P(e_ij | prefix) = softmax(MLP_psi(h_i - h_j))` for every edge j -> i that is there (method,
//! section 2).

use super::gran::Gran;
use super::head::{BoundHead, HeadState};
use super::mixture::Operators;
use super::pass::{Backward, Forward};
use super::prefixes::bits;
use super::weights::Weights;
use crate::device::cpu::matrix::{Matrix, View};
use crate::random::Stream;
use std::ops::Range;

/// The head's outputs and memory.
#[derive(Clone, Debug, Default)]
pub(super) struct EdgeOperators {
    /// Logits of every pair's operators (pairs, edge operators).
    pub head: HeadState,
    softmax: Operators,
}

/// The edges of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowEdges<'a> {
    /// The row's pairs; that of entry j is `pairs.start + j`.
    pub pairs: &'a Range<usize>,
    /// Bit j: the edge is there.
    pub row: u128,
}

impl RowEdges<'_> {
    /// Entry and pair of every edge that is there.
    fn present(&self) -> impl Iterator<Item = (usize, usize)> {
        let first = self.pairs.start;
        bits(self.row).map(move |entry| (entry, first + entry))
    }
}

impl EdgeOperators {
    /// Log-probability of the operators of a row's edges, given one for every entry.
    pub fn log_probability(&mut self, edges: RowEdges, operators: &[u8]) -> f64 {
        let EdgeOperators { head, softmax } = self;
        edges.present().map(|(entry, pair)| softmax.log_probability(head.out.row(pair), operators[entry])).sum()
    }

    /// Writes `coefficient` times the gradient of the log-probability to that of the logits, which is 0 before.
    pub fn gradient(&mut self, edges: RowEdges, operators: &[u8], coefficient: f64) {
        let EdgeOperators { head, softmax } = self;
        for (entry, pair) in edges.present() {
            softmax.gradient(head.out.row(pair), operators[entry], coefficient, head.dout.row_mut(pair));
        }
    }

    /// Draws the operators of a row's edges and appends one for every entry, 0 where there is no edge.
    pub fn draw(&mut self, edges: RowEdges, stream: &mut Stream, to: &mut Vec<u8>) {
        let EdgeOperators { head, softmax } = self;
        let first = to.len();
        to.resize(first + edges.pairs.len(), 0);
        for (entry, pair) in edges.present() {
            to[first + entry] = softmax.draw(head.out.row(pair), stream);
        }
    }
}

impl Gran {
    fn edge_operator_head<'a>(&'a self, weights: &'a Weights) -> Option<BoundHead<'a>> {
        Some(BoundHead { layers: self.layout.edge_operator.as_ref()?, weights: weights.heads.last()? })
    }

    /// The logits from the pairs' differences of states (pairs, hidden), where edges have operators.
    pub(super) fn edge_operators_forward(
        &self,
        weights: &Weights,
        pass: &mut Forward,
        differences: View,
        kept: &mut EdgeOperators,
    ) {
        if let Some(head) = self.edge_operator_head(weights) {
            head.forward(pass, differences, &mut kept.head);
        }
    }

    /// Adds to the gradient of the differences.
    pub(super) fn edge_operators_backward(
        &self,
        weights: &Weights,
        pass: &mut Backward,
        (differences, kept): (View, &EdgeOperators),
        ddifferences: &mut Matrix,
    ) {
        if let Some(head) = self.edge_operator_head(weights) {
            head.backward(pass, differences, &kept.head, ddifferences);
        }
    }
}
