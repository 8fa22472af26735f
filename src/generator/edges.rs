//! The first layer of an edge network: `relu(W [h_u - h_v ; e_uv] + b)` for every edge u -> v.
//!
//! It is linear in what the two ends bring, so no product runs over edges. With W split into columns for the state,
//! the two new-node marks and the block of node numbers,
//!
//! ```text
//! p_u    = W_state h_u - W_number[u]                                      one row a node
//! pre_uv = p_u - p_v + [u new] W_mark0 + [v new] W_mark1 + b              sums of rows
//! ```

use super::edge_passes::{Activate, Scatter, ScatterSums, SumEdges};
use super::parameters::Linear;
use super::pass::{Backward, EdgeGradient, RoundGraph};
use super::weights::{EdgeWeights, MARKS};
use crate::device::cpu::matrix::{Matrix, Start, add_transposed_product, multiply, vectorise};
use std::ops::Range;

/// The layer. Its forward pass leaves p (inputs, outputs) for the backward pass.
#[derive(Clone, Copy)]
pub(super) struct EdgeLayer<'a> {
    pub linear: Linear,
    pub weights: &'a EdgeWeights,
    pub graph: RoundGraph<'a>,
}

impl EdgeLayer<'_> {
    /// The shares p of the fresh inputs, from their `state` (inputs, hidden).
    pub fn project(&self, state: &Matrix, projected: &mut Matrix) {
        let EdgeWeights { state: weight, table } = self.weights;
        let fresh = self.graph.input.fresh();
        projected.reshape(self.graph.input.rows(), self.linear.outputs);
        let to = &mut projected.view_mut().rows(fresh.clone());
        multiply(state.view().rows(fresh.clone()), &weight.forward, Start::Zero, to);
        if table.rows() > MARKS {
            for row in fresh {
                subtract(projected.row_mut(row), table.row(self.number_row(row)));
            }
        }
    }

    /// Row of the table for the number of an input.
    fn number_row(&self, row: usize) -> usize {
        MARKS + usize::from(self.graph.input.numbers[row])
    }

    /// `sums_v`: the sum of the layer's output over the edges into v (outputs of the stage, outputs).
    pub fn sum(&self, parameters: &[f32], projected: &Matrix, sums: &mut Matrix) {
        let (stage, table, bias) = (self.graph.stage, &self.weights.table, self.linear.bias(parameters));
        sums.reshape(stage.outputs(), self.linear.outputs);
        vectorise(SumEdges { stage, projected, table, bias, sums });
    }

    /// The layer's output for the edges into some outputs of the stage (their edges, outputs).
    pub fn activate(&self, parameters: &[f32], projected: &Matrix, outputs: Range<usize>, out: &mut Matrix) {
        let (stage, table, bias) = (self.graph.stage, &self.weights.table, self.linear.bias(parameters));
        let edges = stage.incoming[outputs.end] - stage.incoming[outputs.start];
        out.reshape(edges as usize, self.linear.outputs);
        vectorise(Activate { stage, projected, table, bias, outputs, out });
    }

    /// Starts a backward pass.
    pub fn clear_gradient(&self, given: &mut EdgeGradient) {
        given.projected.reshape_zeroed(self.graph.input.rows(), self.linear.outputs);
        given.table.reshape_zeroed(self.weights.table.rows(), self.linear.outputs);
        given.bias.reshape_zeroed(1, self.linear.outputs);
    }

    /// Adds what comes of the gradient of the sums (outputs of the stage, outputs).
    pub fn scatter_sums(&self, parameters: &[f32], projected: &Matrix, dsums: &Matrix, to: &mut EdgeGradient) {
        let (stage, table, bias) = (self.graph.stage, &self.weights.table, self.linear.bias(parameters));
        vectorise(ScatterSums { forward: (stage, projected, table, bias), dsums, to });
    }

    /// Adds what comes of the gradient of the output, given as [`EdgeLayer::activate`] gives the output.
    pub fn scatter(&self, [output, doutput]: [&Matrix; 2], outputs: Range<usize>, to: &mut EdgeGradient) {
        vectorise(Scatter { stage: self.graph.stage, output, doutput, outputs, to });
    }

    /// Adds the gradient of the parameters to the pass's and that of the state to `dstate`.
    pub fn finish_gradient(&self, pass: &mut Backward, given: &mut EdgeGradient, state: &Matrix, dstate: &mut Matrix) {
        let EdgeGradient { projected, table, bias } = given;
        if table.rows() > MARKS {
            for row in 0..projected.rows() {
                subtract(table.row_mut(self.number_row(row)), projected.row(row));
            }
        }
        self.add_table(pass.gradient, table);
        self.linear.bias_mut(pass.gradient).iter_mut().zip(bias.data()).for_each(|(to, value)| *to += value);
        let mut dweight = self.linear.weight_mut(pass.gradient).columns(0..state.cols());
        add_transposed_product(projected.view(), state.view(), &mut dweight, &mut pass.scratch.panels);
        multiply(projected.view(), &self.weights.state.backward, Start::Output, &mut dstate.view_mut());
    }

    fn add_table(&self, gradient: &mut [f32], table: &Matrix) {
        let features = self.weights.state.forward.depth();
        let rows = self.linear.weight_slice_mut(gradient).chunks_exact_mut(self.linear.inputs);
        for (output, row) in rows.enumerate() {
            for (feature, value) in row[features..][..table.rows()].iter_mut().enumerate() {
                *value += table.row(feature)[output];
            }
        }
    }
}

fn subtract(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to -= from);
}
