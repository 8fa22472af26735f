//! The first layer of an edge network: `relu(W [h_u - h_v ; e_uv] + b)` for every edge u -> v.
//!
//! It is linear in what the two ends bring, so no product runs over edges. With W split into columns for the state,
//! the two new-node marks and the block of node numbers,
//!
//! ```text
//! p_u    = W_state h_u - W_number[u]                                      one row a node
//! pre_uv = p_u - p_v + [u new] W_mark0 + [v new] W_mark1 + b              sums of rows
//! ```

use super::columns::{each, for_columns};
use super::edge_passes::{Activate, Scatter, ScatterSums, SumEdges};
use super::parameters::Linear;
use super::pass::{Backward, EdgeGradient, RoundGraph};
use super::weights::{EdgeWeights, MARKS};
use crate::device::cpu::matrix::{Matrix, Start, Sum, Vectorise, column_sums, multiply, transposed_product, vectorise};
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
        let EdgeWeights { state: weight, table, .. } = self.weights;
        let fresh = self.graph.input.fresh();
        projected.reshape(self.graph.input.rows(), self.linear.outputs);
        let to = &mut projected.view_mut().rows(fresh.clone());
        multiply(state.view().rows(fresh.clone()), &weight.forward, Start::Zero, to);
        if table.rows() > MARKS {
            vectorise(SubtractNumbers { numbers: &self.graph.input.numbers, rows: fresh, table, projected });
        }
    }

    /// `sums_v`: the sum of the layer's output over the edges into v (outputs of the stage, outputs).
    pub fn sum(&self, parameters: &[f32], projected: &Matrix, sums: &mut Matrix) {
        let (stage, table, bias) = (self.graph.stage, &self.weights.table, self.linear.bias(parameters));
        sums.reshape(stage.outputs(), self.linear.outputs);
        vectorise(SumEdges { stage, projected, table, bias, sums });
    }

    /// The layer's output for the edges into some outputs of the stage (their edges, outputs), with [`spread`] rows.
    pub fn activate(&self, projected: &Matrix, outputs: Range<usize>, out: &mut Matrix) {
        let (stage, bases) = (self.graph.stage, &self.weights.bases);
        let edges = stage.incoming[outputs.end] - stage.incoming[outputs.start];
        out.reshape(edges as usize, spread(self.linear.outputs));
        vectorise(Activate { stage, projected, bases, outputs, out });
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

    /// Gives the pass the gradient of the parameters and adds that of the state to `dstate`.
    pub fn finish_gradient(&self, pass: &mut Backward, given: &mut EdgeGradient, state: &Matrix, dstate: &mut Matrix) {
        let EdgeGradient { projected, table, bias } = given;
        if table.rows() > MARKS {
            vectorise(CollectNumbers { numbers: &self.graph.input.numbers, projected, table });
        }
        self.give_table(pass, table);
        column_sums(bias.view(), pass.sum, self.linear.bias_mut(pass.gradient));
        let mut dweight = self.linear.weight_mut(pass.gradient).columns(0..state.cols());
        transposed_product(projected.view(), state.view(), pass.sum, &mut dweight, &mut pass.scratch.panels);
        let weight = self.weights.state.backward(self.linear.weight(pass.parameters).columns(0..state.cols()));
        multiply(projected.view(), weight, Start::Output, &mut dstate.view_mut());
    }

    /// The gradient of the columns for marks and numbers, which the table holds as rows.
    fn give_table(&self, pass: &mut Backward, table: &Matrix) {
        let first = self.weights.state.forward.depth();
        let (features, outputs) = (table.rows(), table.cols());
        let rows = self.linear.weight_slice_mut(pass.gradient).chunks_exact_mut(self.linear.inputs);
        for (output, row) in rows.enumerate() {
            let column = table.data()[output..].iter().step_by(outputs);
            let entries = row[first..first + features].iter_mut().zip(column);
            match pass.sum {
                Sum::Fresh => entries.for_each(|(to, value)| *to = *value),
                Sum::Continued => entries.for_each(|(to, value)| *to += value),
            }
        }
    }
}

/// Columns of a matrix that holds so many: rows that are a multiple of many cache lines apart would compete for the same few
/// places of the first-level cache.
pub(super) fn spread(columns: usize) -> usize {
    if columns.is_multiple_of(64) { columns + 16 } else { columns }
}

/// `p_u -= W_number[u]`
struct SubtractNumbers<'a> {
    numbers: &'a [u8],
    rows: Range<usize>,
    table: &'a Matrix,
    projected: &'a mut Matrix,
}

impl Vectorise for SubtractNumbers<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in self.rows {
            let number = MARKS + usize::from(self.numbers[row]);
            for_columns!(self.table.cols(), [32, 24, 16, 8, 1], |column, SIZE| {
                let value: [f32; SIZE] = self.table.take(number, column);
                self.projected.add(row, column, each::<SIZE>(|i| -value[i]));
            });
        }
    }
}

/// The transpose of [`SubtractNumbers`].
struct CollectNumbers<'a> {
    numbers: &'a [u8],
    projected: &'a Matrix,
    table: &'a mut Matrix,
}

impl Vectorise for CollectNumbers<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (row, number) in self.numbers.iter().enumerate() {
            for_columns!(self.projected.cols(), [32, 24, 16, 8, 1], |column, SIZE| {
                let value: [f32; SIZE] = self.projected.take(row, column);
                self.table.add(MARKS + usize::from(*number), column, each::<SIZE>(|i| -value[i]));
            });
        }
    }
}
