//! What the forward and backward functions of all layers share.

use super::config::GranConfig;
use super::prefixes::PrefixBatch;
use crate::device::cpu::matrix::{Matrix, Panels};

/// What both directions read.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub config: &'a GranConfig,
    pub parameters: &'a [f32],
    pub batch: &'a PrefixBatch,
}

/// A forward pass.
pub(super) struct Forward<'a> {
    pub context: Context<'a>,
    pub scratch: &'a mut Scratch,
}

/// A backward pass, which adds to `gradient`, laid out as the parameters are.
pub(super) struct Backward<'a> {
    pub context: Context<'a>,
    pub gradient: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

/// Memory that no layer keeps beyond its own call.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub panels: Panels,
    /// Hidden layer of the message network (edges, hidden), and its gradient.
    pub message_hidden: Matrix,
    pub dmessage_hidden: Matrix,
    /// Hidden layer of the gate network (edges, attention width), and its gradient.
    pub gate_hidden: Matrix,
    pub dgate_hidden: Matrix,
    /// Gradient of what each node receives (nodes, hidden).
    pub dincoming: Matrix,
    /// Gradients inside an edge layer.
    pub dprojected: Matrix,
    pub dtable: Matrix,
    pub received: Matrix,
    /// The two sides of the GRU's gates, or their gradients (nodes, 3 hidden).
    pub gru_input: Matrix,
    pub gru_hidden: Matrix,
    /// Gradients inside a head (rows, hidden).
    pub dhead: [Matrix; 2],
}
