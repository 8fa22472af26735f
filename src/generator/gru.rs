//! The GRU cell, as `torch.nn.GRUCell` defines it.
//!
//! ```text
//! [a_r a_z a_n] = W_i x + b_i        [c_r c_z c_n] = W_h h + b_h
//! r = sigmoid::<FMA>(a_r + c_r)   z = sigmoid::<FMA>(a_z + c_z)   n = tanh::<FMA>(a_n + r c_n)   h' = (1 - z) n + z h
//! ```
//!
//! `W_i x` is what [`super::weights`] makes of it: of the sum of hidden layers where there is no gate.

use super::activation::{sigmoid, tanh};
use super::columns::{add, each, for_columns, put, take};
use super::parameters::Round;
use super::pass::{Backward, Forward, RoundGraph};
use super::round::BoundRound;
use crate::device::cpu::matrix::{Matrix, Start, Sum, Vectorise, multiply, vectorise};

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct GruState {
    /// r, z, n (outputs, 3 hidden).
    gates: Matrix,
    /// `c_r`, `c_z`, `c_n` (inputs, 3 hidden).
    from_hidden: Matrix,
}

/// The cell's two inputs.
#[derive(Clone, Copy)]
pub(super) struct GruInputs<'a> {
    /// (outputs, hidden)
    pub received: &'a Matrix,
    /// (inputs, hidden)
    pub state: &'a Matrix,
}

impl BoundRound<'_> {
    /// To the fresh rows of `next` (rows, hidden).
    pub fn gru_forward(&self, pass: &mut Forward, given: GruInputs, next: &mut Matrix, kept: &mut GruState) {
        let GruInputs { received, state } = given;
        let (parameters, gru) = (pass.parameters, self.layers.gru);
        let (fresh, wide) = (self.graph.input.fresh(), gru.input.outputs);
        let GruState { gates, from_hidden } = kept;
        gates.reshape(received.rows(), wide);
        from_hidden.reshape(self.graph.input.rows(), wide);
        next.reshape(self.graph.output.rows(), state.cols());
        let bias = Start::Bias(gru.input.bias(parameters));
        multiply(received.view(), &self.weights.received.forward, bias, &mut gates.view_mut());
        let bias = Start::Bias(gru.hidden.bias(parameters));
        let to = &mut from_hidden.view_mut().rows(fresh.clone());
        multiply(state.view().rows(fresh), &self.weights.hidden.forward, bias, to);
        let (graph, per_edge) = (self.graph, &self.weights.per_edge[..]);
        vectorise(Gates { graph, per_edge, from_hidden, state, gates, next });
    }

    /// From the gradient of the outputs to those of both inputs, which are overwritten.
    pub fn gru_backward(
        &self,
        pass: &mut Backward,
        (given, kept): (GruInputs, &GruState),
        dnext: &Matrix,
        [dreceived, dstate]: [&mut Matrix; 2],
    ) {
        let GruInputs { received, state } = given;
        let scratch = &mut *pass.scratch;
        let (dgates, dhidden, panels) = (&mut scratch.dgates, &mut scratch.dfrom_hidden, &mut scratch.panels);
        dgates.reshape(kept.gates.rows(), kept.gates.cols());
        dreceived.reshape(received.rows(), received.cols());
        dhidden.reshape_zeroed(kept.from_hidden.rows(), kept.from_hidden.cols());
        dstate.reshape_zeroed(state.rows(), state.cols());
        vectorise(GateGradients { graph: self.graph, state, kept, dnext, dgates, dhidden, dstate });

        let Round { gru, per_edge, gate, .. } = *self.layers;
        if gate.is_none() {
            let tail = pass.parameters.len() + per_edge;
            let to = &mut pass.gradient[tail..][..gru.input.outputs];
            if pass.sum == Sum::Fresh {
                to.fill(0.0);
            }
            vectorise(EdgeCounts { graph: self.graph, dgates, to });
        }
        // Of the composite where there is no gate: as wide as the GRU's input weight, and in its place.
        let Backward { gradient, sum, .. } = pass;
        gru.input.parameter_gradient((&mut *gradient, *sum), received.view(), dgates.view(), panels);
        gru.hidden.parameter_gradient((&mut *gradient, *sum), state.view(), dhidden.view(), panels);
        let weight = self.weights.received_backward(self.layers, pass.parameters);
        multiply(dgates.view(), weight, Start::Zero, &mut dreceived.view_mut());
        let weight = self.weights.hidden.backward(gru.hidden.weight(pass.parameters));
        multiply(dhidden.view(), weight, Start::Output, &mut dstate.view_mut());
    }
}

struct Gates<'a> {
    graph: RoundGraph<'a>,
    per_edge: &'a [f32],
    from_hidden: &'a Matrix,
    state: &'a Matrix,
    gates: &'a mut Matrix,
    next: &'a mut Matrix,
}

impl Vectorise for Gates<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.state.cols();
        let stage = self.graph.stage;
        for (output, row) in self.graph.output_rows().enumerate() {
            let own = stage.own[output] as usize;
            let degree = stage.edges_into(output).len() as f32;
            let (e_rz, e_n) = self.per_edge.split_at(2 * hidden);
            let (c_rz, c_n) = self.from_hidden.row(own).split_at(2 * hidden);
            let (rz, n) = self.gates.row_mut(output).split_at_mut(2 * hidden);
            // Plain loops over few slices, because only those are compiled to vectors throughout with this much to do.
            for ((gate, e), c) in rz.iter_mut().zip(e_rz).zip(c_rz) {
                *gate = sigmoid::<FMA>(*gate + degree * e + c);
            }
            let (r, z) = rz.split_at(hidden);
            for (((n, e), c), r) in n.iter_mut().zip(e_n).zip(c_n).zip(r) {
                *n = tanh::<FMA>(*n + degree * e + r * c);
            }
            let (h, next) = (self.state.row(own), self.next.row_mut(row));
            for_columns!(hidden, [16, 8, 1], |column, SIZE| {
                let [z, n, h]: [[f32; SIZE]; 3] = [take(z, column), take(n, column), take(h, column)];
                put(next, column, each::<SIZE>(|i| (1.0 - z[i]) * n[i] + z[i] * h[i]));
            });
        }
    }
}

struct GateGradients<'a> {
    graph: RoundGraph<'a>,
    state: &'a Matrix,
    kept: &'a GruState,
    dnext: &'a Matrix,
    dgates: &'a mut Matrix,
    dhidden: &'a mut Matrix,
    dstate: &'a mut Matrix,
}

impl Vectorise for GateGradients<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.state.cols();
        let stage = self.graph.stage;
        for (output, row) in self.graph.output_rows().enumerate() {
            let own = stage.own[output] as usize;
            let (gates, from_hidden) = (self.kept.gates.row(output), self.kept.from_hidden.row(own));
            let (dgates, dhidden) = (self.dgates.row_mut(output), self.dhidden.row_mut(own));
            let (h, dnext, dstate) = (self.state.row(own), self.dnext.row(row), self.dstate.row_mut(own));
            for_columns!(hidden, [16, 8, 1], |column, SIZE| {
                let [r, z, n] = thirds::<SIZE>(gates, hidden, column);
                let [h, dnext]: [[f32; SIZE]; 2] = [take(h, column), take(dnext, column)];
                let candidate: [f32; SIZE] = take(from_hidden, 2 * hidden + column);
                let dn: [f32; SIZE] = each(|i| dnext[i] * (1.0 - z[i]) * (1.0 - n[i] * n[i]));
                let dr: [f32; SIZE] = each(|i| dn[i] * candidate[i] * r[i] * (1.0 - r[i]));
                let dz: [f32; SIZE] = each(|i| dnext[i] * (h[i] - n[i]) * z[i] * (1.0 - z[i]));
                put_thirds(dgates, hidden, column, [dr, dz, dn]);
                for (third, values) in [dr, dz, each(|i| dn[i] * r[i])].into_iter().enumerate() {
                    add(dhidden, third * hidden + column, values);
                }
                add(dstate, column, each::<SIZE>(|i| dnext[i] * z[i]));
            });
        }
    }
}

/// `to += sum over outputs of their edges * dgates`
struct EdgeCounts<'a> {
    graph: RoundGraph<'a>,
    dgates: &'a Matrix,
    to: &'a mut [f32],
}

impl Vectorise for EdgeCounts<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for output in 0..self.graph.stage.outputs() {
            let count = self.graph.stage.edges_into(output).len() as f32;
            self.to.iter_mut().zip(self.dgates.row(output)).for_each(|(sum, value)| *sum += count * value);
        }
    }
}

/// Some columns of the three gates of a row.
#[inline(always)]
fn thirds<const N: usize>(row: &[f32], hidden: usize, column: usize) -> [[f32; N]; 3] {
    std::array::from_fn(|third| take(row, third * hidden + column))
}

/// Writes some columns of the three gates of a row.
#[inline(always)]
fn put_thirds<const N: usize>(row: &mut [f32], hidden: usize, column: usize, values: [[f32; N]; 3]) {
    for (third, values) in values.into_iter().enumerate() {
        put(row, third * hidden + column, values);
    }
}
