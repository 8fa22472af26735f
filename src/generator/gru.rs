//! The GRU cell, as `torch.nn.GRUCell` defines it.
//!
//! ```text
//! [a_r a_z a_n] = W_i x + b_i        [c_r c_z c_n] = W_h h + b_h
//! r = sigmoid(a_r + c_r)   z = sigmoid(a_z + c_z)   n = tanh(a_n + r c_n)   h' = (1 - z) n + z h
//! ```

use super::activation::{sigmoid, tanh};
use super::parameters::Gru;
use super::pass::{Backward, Forward};
use crate::device::cpu::matrix::{Matrix, Start, Vectorise, vectorise};

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct GruState {
    /// r, z, n (rows, 3 hidden).
    gates: Matrix,
    /// `c_n` (rows, hidden).
    candidate: Matrix,
}

/// The cell's two inputs: x and h, both (rows, hidden).
#[derive(Clone, Copy)]
pub(super) struct GruInputs<'a> {
    pub x: &'a Matrix,
    pub h: &'a Matrix,
}

impl Gru {
    /// `out` (rows, hidden).
    pub fn forward(&self, pass: &mut Forward, inputs: GruInputs, out: &mut Matrix, kept: &mut GruState) {
        let GruInputs { x, h } = inputs;
        let (parameters, scratch) = (pass.context.parameters, &mut *pass.scratch);
        let (rows, hidden) = (h.rows(), h.cols());
        scratch.gru_input.reshape(rows, 3 * hidden);
        scratch.gru_hidden.reshape(rows, 3 * hidden);
        kept.gates.reshape(rows, 3 * hidden);
        kept.candidate.reshape(rows, hidden);
        out.reshape(rows, hidden);
        self.input.forward(parameters, x.view(), &mut scratch.gru_input.view_mut(), &mut scratch.panels);
        self.hidden.forward(parameters, h.view(), &mut scratch.gru_hidden.view_mut(), &mut scratch.panels);
        vectorise(Gates { from_input: &scratch.gru_input, from_hidden: &scratch.gru_hidden, h, kept, out });
    }

    /// `dout` holds the gradient of h' on entry and that of h on return; `dx` is overwritten with that of x.
    pub fn backward(&self, pass: &mut Backward, cell: GruCell, dout: &mut Matrix, dx: &mut Matrix) {
        let GruCell { inputs: GruInputs { x, h }, kept } = cell;
        let (parameters, scratch) = (pass.context.parameters, &mut *pass.scratch);
        let (rows, hidden) = (h.rows(), h.cols());
        scratch.gru_input.reshape(rows, 3 * hidden);
        scratch.gru_hidden.reshape(rows, 3 * hidden);
        dx.reshape(rows, hidden);
        vectorise(GateGradients { h, kept, dout, dinput: &mut scratch.gru_input, dhidden: &mut scratch.gru_hidden });
        let (dinput, dhidden) = (scratch.gru_input.view(), scratch.gru_hidden.view());
        self.input.parameter_gradient(pass.gradient, x.view(), dinput, &mut scratch.panels);
        self.hidden.parameter_gradient(pass.gradient, h.view(), dhidden, &mut scratch.panels);
        self.input.input_gradient(parameters, dinput, Start::Zero, &mut dx.view_mut(), &mut scratch.panels);
        self.hidden.input_gradient(parameters, dhidden, Start::Output, &mut dout.view_mut(), &mut scratch.panels);
    }
}

/// What the backward pass reads of the forward pass.
#[derive(Clone, Copy)]
pub(super) struct GruCell<'a> {
    pub inputs: GruInputs<'a>,
    pub kept: &'a GruState,
}

struct Gates<'a> {
    from_input: &'a Matrix,
    from_hidden: &'a Matrix,
    h: &'a Matrix,
    kept: &'a mut GruState,
    out: &'a mut Matrix,
}

impl Vectorise for Gates<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.h.cols();
        for row in 0..self.h.rows() {
            let [a_r, a_z, a_n] = thirds(self.from_input.row(row), hidden);
            let [c_r, c_z, c_n] = thirds(self.from_hidden.row(row), hidden);
            let [r, z, n] = thirds_mut(self.kept.gates.row_mut(row), hidden);
            let (h, out) = (self.h.row(row), self.out.row_mut(row));
            self.kept.candidate.row_mut(row).copy_from_slice(c_n);
            for i in 0..hidden {
                r[i] = sigmoid(a_r[i] + c_r[i]);
                z[i] = sigmoid(a_z[i] + c_z[i]);
                n[i] = tanh(a_n[i] + r[i] * c_n[i]);
                out[i] = (1.0 - z[i]) * n[i] + z[i] * h[i];
            }
        }
    }
}

struct GateGradients<'a> {
    h: &'a Matrix,
    kept: &'a GruState,
    dout: &'a mut Matrix,
    dinput: &'a mut Matrix,
    dhidden: &'a mut Matrix,
}

impl Vectorise for GateGradients<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.h.cols();
        for row in 0..self.h.rows() {
            let [r, z, n] = thirds(self.kept.gates.row(row), hidden);
            let [da_r, da_z, da_n] = thirds_mut(self.dinput.row_mut(row), hidden);
            let [dc_r, dc_z, dc_n] = thirds_mut(self.dhidden.row_mut(row), hidden);
            let candidate = &self.kept.candidate.row(row)[..hidden];
            let (h, dout) = (&self.h.row(row)[..hidden], &mut self.dout.row_mut(row)[..hidden]);
            for i in 0..hidden {
                let dn = dout[i] * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
                da_n[i] = dn;
                dc_n[i] = dn * r[i];
                da_r[i] = dn * candidate[i] * r[i] * (1.0 - r[i]);
                dc_r[i] = da_r[i];
                da_z[i] = dout[i] * (h[i] - n[i]) * z[i] * (1.0 - z[i]);
                dc_z[i] = da_z[i];
                dout[i] *= z[i];
            }
        }
    }
}

/// The three gates of a row.
#[inline(always)]
fn thirds(row: &[f32], hidden: usize) -> [&[f32]; 3] {
    let (first, rest) = row.split_at(hidden);
    let (second, third) = rest.split_at(hidden);
    [first, second, &third[..hidden]]
}

/// The three gates of a row.
#[inline(always)]
fn thirds_mut(row: &mut [f32], hidden: usize) -> [&mut [f32]; 3] {
    let (first, rest) = row.split_at_mut(hidden);
    let (second, third) = rest.split_at_mut(hidden);
    [first, second, &mut third[..hidden]]
}
