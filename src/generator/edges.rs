//! The first layer of an edge network: `relu(W [h_u - h_v ; e_uv] + b)` for every edge u -> v.
//!
//! It is linear in what the two ends bring, so no product runs over edges. With W split into columns for the state,
//! the two new-node marks and the block of node numbers,
//!
//! ```text
//! p_u    = W_state h_u - W_number[u]                                      one row a node
//! pre_uv = p_u - p_v + [u new] W_mark0 + [v new] W_mark1 + b              sums of rows
//! ```

use super::config::GranConfig;
use super::parameters::Linear;
use super::pass::{Backward, Context, Forward};
use super::prefixes::PrefixBatch;
use crate::device::cpu::matrix::{
    Matrix, Start, Vectorise, linear, linear_input_gradient, linear_weight_gradient, vectorise,
};

/// Columns of the marks among the edge features.
const MARKS: usize = 2;

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct EdgeState {
    /// `p` (nodes, outputs).
    projected: Matrix,
    /// The columns of W for marks and node numbers, as rows (2 + numbers, outputs).
    table: Matrix,
}

/// The layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeLayer {
    linear: Linear,
    hidden: usize,
    ids: usize,
}

/// Where the gradient with respect to the layer's output lies.
#[derive(Clone, Copy)]
pub(super) enum OutputGradient<'a> {
    /// One row an edge.
    Edges(&'a Matrix),
    /// One row a destination: all its edges share it, as where their outputs are only summed.
    Nodes(&'a Matrix),
}

impl EdgeLayer {
    pub fn new(linear: Linear, config: &GranConfig) -> Self {
        EdgeLayer { linear, hidden: config.hidden, ids: config.id_columns() }
    }

    /// The share of every node, from `state` (nodes, hidden); [`EdgeLayer::activate`] gives the output.
    pub fn forward(&self, pass: &mut Forward, state: &Matrix, kept: &mut EdgeState) {
        let Context { parameters, batch, .. } = pass.context;
        let weight = self.linear.weight(parameters).columns(0..self.hidden);
        kept.projected.reshape(batch.nodes(), self.linear.outputs);
        linear(state.view(), weight, Start::Zero, &mut kept.projected.view_mut(), &mut pass.scratch.panels);
        self.read_table(parameters, &mut kept.table);
        if self.ids > 0 {
            for prefix in &batch.prefixes {
                for (id, node) in prefix.nodes().enumerate() {
                    subtract(kept.projected.row_mut(node), kept.table.row(MARKS + id));
                }
            }
        }
    }

    /// The output, `out` (edges, outputs), from what the forward pass kept.
    pub fn activate(&self, context: Context, kept: &EdgeState, out: &mut Matrix) {
        let Context { parameters, batch, .. } = context;
        out.reshape(batch.edges(), self.linear.outputs);
        vectorise(Activate { batch, kept, bias: self.linear.bias(parameters), out });
    }

    /// Adds the gradient of the parameters to the pass's and that of the state to `dstate`.
    pub fn backward(&self, pass: &mut Backward, given: EdgeOutput, state: &Matrix, dstate: &mut Matrix) {
        let Context { parameters, batch, .. } = pass.context;
        let scratch = &mut *pass.scratch;
        scratch.dprojected.reshape_zeroed(batch.nodes(), self.linear.outputs);
        scratch.dtable.reshape_zeroed(MARKS + self.ids, self.linear.outputs);
        scratch.received.reshape(1, self.linear.outputs);
        vectorise(Scatter {
            batch,
            given,
            dprojected: &mut scratch.dprojected,
            dtable: &mut scratch.dtable,
            dbias: self.linear.bias_mut(pass.gradient),
            received: scratch.received.data_mut(),
        });
        if self.ids > 0 {
            for prefix in &batch.prefixes {
                for (id, node) in prefix.nodes().enumerate() {
                    subtract(scratch.dtable.row_mut(MARKS + id), scratch.dprojected.row(node));
                }
            }
        }
        self.add_table(pass.gradient, &scratch.dtable);
        let dprojected = scratch.dprojected.view();
        let mut dweight = self.linear.weight_mut(pass.gradient).columns(0..self.hidden);
        linear_weight_gradient(dprojected, state.view(), &mut dweight, &mut scratch.panels);
        let weight = self.linear.weight(parameters).columns(0..self.hidden);
        linear_input_gradient(dprojected, weight, Start::Output, &mut dstate.view_mut(), &mut scratch.panels);
    }

    fn read_table(&self, parameters: &[f32], table: &mut Matrix) {
        table.reshape(MARKS + self.ids, self.linear.outputs);
        let rows = self.linear.weight_slice(parameters).chunks_exact(self.linear.inputs);
        for (output, row) in rows.enumerate() {
            for (feature, value) in row[self.hidden..][..MARKS + self.ids].iter().enumerate() {
                table.row_mut(feature)[output] = *value;
            }
        }
    }

    fn add_table(&self, gradient: &mut [f32], table: &Matrix) {
        let rows = self.linear.weight_slice_mut(gradient).chunks_exact_mut(self.linear.inputs);
        for (output, row) in rows.enumerate() {
            for (feature, value) in row[self.hidden..][..MARKS + self.ids].iter_mut().enumerate() {
                *value += table.row(feature)[output];
            }
        }
    }
}

/// The layer's output (edges, outputs), whose sign says where the ReLU passes, and its gradient.
#[derive(Clone, Copy)]
pub(super) struct EdgeOutput<'a> {
    pub output: &'a Matrix,
    pub doutput: OutputGradient<'a>,
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

#[inline(always)]
fn subtract(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to -= from);
}

/// `out_e = relu(pre_e)`
struct Activate<'a> {
    batch: &'a PrefixBatch,
    kept: &'a EdgeState,
    bias: &'a [f32],
    out: &'a mut Matrix,
}

impl Vectorise for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Activate { batch, kept: EdgeState { projected, table }, bias, out } = self;
        for prefix in &batch.prefixes {
            let new = prefix.new_node();
            for node in prefix.nodes() {
                let own = projected.row(node);
                for edge in batch.incoming[node]..batch.incoming[node + 1] {
                    let source = batch.sources[edge];
                    // Exactly one end of an edge may be new.
                    let mark = if node == new { Some(1) } else { (source == new).then_some(0) };
                    let to = out.row_mut(edge);
                    let ends = projected.row(source).iter().zip(own).zip(bias);
                    match mark {
                        None => {
                            for (to, ((from, own), bias)) in to.iter_mut().zip(ends) {
                                *to = (from - own + bias).max(0.0);
                            }
                        }
                        Some(mark) => {
                            for ((to, ((from, own), bias)), mark) in to.iter_mut().zip(ends).zip(table.row(mark)) {
                                *to = (from - own + bias + mark).max(0.0);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The transpose of [`Activate`].
struct Scatter<'a> {
    batch: &'a PrefixBatch,
    given: EdgeOutput<'a>,
    dprojected: &'a mut Matrix,
    dtable: &'a mut Matrix,
    dbias: &'a mut [f32],
    received: &'a mut [f32],
}

impl Vectorise for Scatter<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        for index in 0..self.batch.prefixes.len() {
            let prefix = self.batch.prefixes[index];
            for node in prefix.nodes() {
                self.node(node, prefix.new_node());
            }
        }
    }
}

impl Scatter<'_> {
    /// The edges into one node.
    #[inline(always)]
    fn node(&mut self, node: usize, new: usize) {
        self.received.fill(0.0);
        for edge in self.batch.incoming[node]..self.batch.incoming[node + 1] {
            let source = self.batch.sources[edge];
            let output = self.given.output.row(edge);
            let given = match self.given.doutput {
                OutputGradient::Edges(rows) => rows.row(edge),
                OutputGradient::Nodes(rows) => rows.row(node),
            };
            let passed = given.iter().zip(output);
            let sums = self.dprojected.row_mut(source).iter_mut().zip(self.received.iter_mut());
            for ((given, output), (sent, received)) in passed.zip(sums) {
                let value = if *output > 0.0 { *given } else { 0.0 };
                *sent += value;
                *received += value;
            }
            if source == new {
                let passed = given.iter().zip(output);
                for ((given, output), mark) in passed.zip(self.dtable.row_mut(0)) {
                    *mark += if *output > 0.0 { *given } else { 0.0 };
                }
            }
        }
        subtract(self.dprojected.row_mut(node), self.received);
        add(self.dbias, self.received);
        if node == new {
            add(self.dtable.row_mut(1), self.received);
        }
    }
}
