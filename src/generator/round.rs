//! One round of message passing: `h_v <- GRU(sum_u a_uv * m_uv, h_v)` (method, section 2).
//!
//! `m = W2 relu(W1 d + b1) + b2` and, where there is a gate, `a = sigmoid(V2 relu(V1 d + c1) + c2)` channel by channel
//! ([`super::gate`]). Without a gate the second layer comes after the sum and is one with the GRU's ([`super::weights`]).

use super::edges::EdgeLayer;
use super::gate::GatedState;
use super::gru::{GruInputs, GruState};
use super::parameters::Round;
use super::pass::{Backward, Forward, RoundGraph};
use super::weights::RoundWeights;
use crate::device::cpu::matrix::Matrix;

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundState {
    /// The inputs' shares in the message network's hidden layer (inputs, hidden).
    projected: Matrix,
    gated: GatedState,
    /// What each node receives; without a gate the sums of the hidden layer (outputs, hidden).
    received: Matrix,
    gru: GruState,
}

/// A round with its weights, for one graph.
#[derive(Clone, Copy)]
pub(super) struct BoundRound<'a> {
    pub layers: &'a Round,
    pub weights: &'a RoundWeights,
    pub graph: RoundGraph<'a>,
}

impl BoundRound<'_> {
    /// The first layer of the message network.
    pub fn message(&self) -> EdgeLayer<'_> {
        EdgeLayer { linear: self.layers.message[0], weights: &self.weights.message, graph: self.graph }
    }

    /// From `state` (inputs, hidden) to the fresh rows of `next` (rows, hidden).
    pub fn forward(&self, pass: &mut Forward, state: &Matrix, next: &mut Matrix, kept: &mut RoundState) {
        let RoundState { projected, gated, received, gru } = kept;
        self.message().project(state, projected);
        match self.gate() {
            Some(gate) => gate.forward(pass, [state, projected], gated, received),
            None => self.message().sum(pass.parameters, projected, received),
        }
        self.gru_forward(pass, GruInputs { received, state }, next, gru);
    }

    /// `dstate` holds the gradient of the round's output on entry and that of `state`, its input, on return.
    pub fn backward(&self, pass: &mut Backward, state: &Matrix, kept: &mut RoundState, dstate: &mut Matrix) {
        let RoundState { projected, gated, received, gru } = kept;
        let mut dinput = std::mem::take(&mut pass.scratch.dinput);
        let mut dreceived = std::mem::take(&mut pass.scratch.dreceived);
        let mut dmessage = std::mem::take(&mut pass.scratch.dmessage);
        self.gru_backward(pass, (GruInputs { received, state }, gru), dstate, [&mut dreceived, &mut dinput]);
        self.message().clear_gradient(&mut dmessage);
        match self.gate() {
            Some(gate) => gate.backward(pass, [state, projected, &dreceived], gated, (&mut dmessage, &mut dinput)),
            None => self.message().scatter_sums(pass.parameters, projected, &dreceived, &mut dmessage),
        }
        self.message().finish_gradient(pass, &mut dmessage, state, &mut dinput);
        std::mem::swap(dstate, &mut dinput);
        pass.scratch.dinput = dinput;
        pass.scratch.dreceived = dreceived;
        pass.scratch.dmessage = dmessage;
    }
}
