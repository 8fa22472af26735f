//! What the forward and backward functions of all layers share.

use super::prefixes::{Level, Stage};
use crate::device::cpu::matrix::{Matrix, Panels, Sum};
use std::ops::Range;

/// A forward pass.
pub(super) struct Forward<'a> {
    pub parameters: &'a [f32],
    pub scratch: &'a mut Scratch,
}

/// A backward pass, which gives `gradient` ([`super::parameters::Layout::gradient_len`]) or adds to it.
pub(super) struct Backward<'a> {
    pub parameters: &'a [f32],
    pub gradient: &'a mut [f32],
    /// Whether the gradient starts anew; what no layer writes keeps its value.
    pub sum: Sum,
    pub scratch: &'a mut Scratch,
}

/// What a round works on: the graph, its input rows, and where its outputs lie in the next level's state.
#[derive(Clone, Copy)]
pub(super) struct RoundGraph<'a> {
    pub stage: &'a Stage,
    pub input: &'a Level,
    pub output: &'a Level,
}

impl RoundGraph<'_> {
    /// The rows of the next level that are the stage's outputs.
    pub fn output_rows(&self) -> Range<usize> {
        self.output.fresh()
    }
}

/// Memory that no layer keeps beyond its own call.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub panels: Panels,
    /// Hidden layers of the message network and of the gate network (edges of a chunk, outputs), and their gradients.
    pub message_hidden: Matrix,
    pub gate_hidden: Matrix,
    pub dmessage_hidden: Matrix,
    pub dgate_hidden: Matrix,
    /// Gradient of what each node receives (outputs, hidden).
    pub dreceived: Matrix,
    /// Gradients inside the edge layers.
    pub dmessage: EdgeGradient,
    pub dgate: EdgeGradient,
    /// Gradients of the two sides of the GRU's gates (outputs, 3 hidden) and (inputs, 3 hidden).
    pub dgates: Matrix,
    pub dfrom_hidden: Matrix,
    /// Gradient of a round's input.
    pub dinput: Matrix,
    /// Gradients inside a head (rows, hidden).
    pub dhead: [Matrix; 2],
}

/// Gradients inside an edge layer.
#[derive(Clone, Debug, Default)]
pub(super) struct EdgeGradient {
    /// Of the inputs' shares (inputs, outputs).
    pub projected: Matrix,
    /// Of the marks and numbers (2 + numbers, outputs).
    pub table: Matrix,
    /// Of the bias (1, outputs).
    pub bias: Matrix,
}
