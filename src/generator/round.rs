//! One round of message passing: `h_v <- GRU(sum_u a_uv * m_uv, h_v)` (method, section 2).
//!
//! `m = W2 relu(W1 d + b1) + b2` and, where there is a gate, `a = sigmoid(V2 relu(V1 d + c1) + c2)` channel by channel.
//! Without a gate the second layer comes after the sum: `sum m = W2 sum relu(..) + (edges into v) b2`.

use super::activation::sigmoid;
use super::edges::{EdgeLayer, EdgeOutput, EdgeState, OutputGradient};
use super::gru::{GruCell, GruInputs, GruState};
use super::parameters::{Linear, Round};
use super::pass::{Backward, Context, Forward, Scratch};
use super::prefixes::PrefixBatch;
use crate::device::cpu::matrix::{Matrix, Start, Vectorise, linear, linear_weight_gradient, vectorise};

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundState {
    message: EdgeState,
    gate: EdgeState,
    /// With a gate: messages before it (edges, hidden). The backward pass overwrites them with their gradient.
    messages: Matrix,
    /// With a gate: the gate (edges, hidden). The backward pass overwrites it with the gradient before the sigmoid.
    gates: Matrix,
    /// Without a gate: the sums of the hidden layer (nodes, hidden).
    sums: Matrix,
    /// What each node receives (nodes, hidden).
    incoming: Matrix,
    gru: GruState,
}

impl Round {
    /// `state` and `next`: (nodes, hidden).
    pub fn forward(&self, pass: &mut Forward, state: &Matrix, next: &mut Matrix, kept: &mut RoundState) {
        let context = pass.context;
        let first = EdgeLayer::new(self.message[0], context.config);
        first.forward(pass, state, &mut kept.message);
        first.activate(context, &kept.message, &mut pass.scratch.message_hidden);
        match self.gate {
            Some(gate) => self.gated_forward(pass, gate, state, kept),
            None => self.plain_forward(pass, kept),
        }
        self.gru.forward(pass, GruInputs { x: &kept.incoming, h: state }, next, &mut kept.gru);
    }

    /// `dstate` holds the gradient of the round's output on entry and that of `state`, its input, on return.
    pub fn backward(&self, pass: &mut Backward, state: &Matrix, kept: &mut RoundState, dstate: &mut Matrix) {
        let context = pass.context;
        let mut dincoming = std::mem::take(&mut pass.scratch.dincoming);
        let mut output = std::mem::take(&mut pass.scratch.message_hidden);
        let mut doutput = std::mem::take(&mut pass.scratch.dmessage_hidden);

        let cell = GruCell { inputs: GruInputs { x: &kept.incoming, h: state }, kept: &kept.gru };
        self.gru.backward(pass, cell, dstate, &mut dincoming);
        let first = EdgeLayer::new(self.message[0], context.config);
        first.activate(context, &kept.message, &mut output);
        let shared = if let Some(gate) = self.gate {
            let RoundState { messages, gates, .. } = kept;
            vectorise(GateBackward { batch: context.batch, messages, gates, dincoming: &dincoming });
            gate_backward(pass, gate, state, kept, dstate);
            second_backward(pass, self.message[1], [&output, &kept.messages], &mut doutput);
            OutputGradient::Edges(&doutput)
        } else {
            self.plain_backward(pass, [&kept.sums, &dincoming], &mut doutput);
            OutputGradient::Nodes(&doutput)
        };
        first.backward(pass, EdgeOutput { output: &output, doutput: shared }, state, dstate);

        pass.scratch.dincoming = dincoming;
        pass.scratch.message_hidden = output;
        pass.scratch.dmessage_hidden = doutput;
    }

    fn gated_forward(&self, pass: &mut Forward, gate: [Linear; 2], state: &Matrix, kept: &mut RoundState) {
        let Context { config, parameters, batch } = pass.context;
        let first = EdgeLayer::new(gate[0], config);
        first.forward(pass, state, &mut kept.gate);
        first.activate(pass.context, &kept.gate, &mut pass.scratch.gate_hidden);
        let Scratch { panels, message_hidden, gate_hidden, .. } = &mut *pass.scratch;
        let RoundState { messages, gates, incoming, .. } = kept;
        messages.reshape(batch.edges(), config.hidden);
        gates.reshape(batch.edges(), config.hidden);
        incoming.reshape_zeroed(batch.nodes(), config.hidden);
        self.message[1].forward(parameters, message_hidden.view(), &mut messages.view_mut(), panels);
        gate[1].forward(parameters, gate_hidden.view(), &mut gates.view_mut(), panels);
        vectorise(GateForward { batch, messages, gates, incoming });
    }

    fn plain_forward(&self, pass: &mut Forward, kept: &mut RoundState) {
        let Context { config, parameters, batch } = pass.context;
        let second = self.message[1];
        kept.sums.reshape_zeroed(batch.nodes(), config.hidden);
        kept.incoming.reshape(batch.nodes(), config.hidden);
        vectorise(SumEdges { batch, edges: &pass.scratch.message_hidden, sums: &mut kept.sums });
        let incoming = &mut kept.incoming.view_mut();
        linear(kept.sums.view(), second.weight(parameters), Start::Zero, incoming, &mut pass.scratch.panels);
        for (node, ends) in batch.incoming.windows(2).enumerate() {
            let degree = (ends[1] - ends[0]) as f32;
            let row = kept.incoming.row_mut(node).iter_mut();
            row.zip(second.bias(parameters)).for_each(|(to, bias)| *to += degree * bias);
        }
    }

    /// Backward of [`Round::plain_forward`], given the sums and the gradient of what came of them; `dsums` is overwritten.
    fn plain_backward(&self, pass: &mut Backward, [sums, dincoming]: [&Matrix; 2], dsums: &mut Matrix) {
        let Context { parameters, batch, .. } = pass.context;
        let (second, panels) = (self.message[1], &mut pass.scratch.panels);
        linear_weight_gradient(dincoming.view(), sums.view(), &mut second.weight_mut(pass.gradient), panels);
        let dbias = second.bias_mut(pass.gradient);
        for (node, ends) in batch.incoming.windows(2).enumerate() {
            let degree = (ends[1] - ends[0]) as f32;
            dbias.iter_mut().zip(dincoming.row(node)).for_each(|(sum, value)| *sum += degree * value);
        }
        dsums.reshape(batch.nodes(), second.inputs);
        second.input_gradient(parameters, dincoming.view(), Start::Zero, &mut dsums.view_mut(), panels);
    }
}

/// Backward of the gate network, whose output gradient lies in `kept.gates`.
fn gate_backward(pass: &mut Backward, gate: [Linear; 2], state: &Matrix, kept: &RoundState, dstate: &mut Matrix) {
    let mut output = std::mem::take(&mut pass.scratch.gate_hidden);
    let mut doutput = std::mem::take(&mut pass.scratch.dgate_hidden);
    let first = EdgeLayer::new(gate[0], pass.context.config);
    first.activate(pass.context, &kept.gate, &mut output);
    second_backward(pass, gate[1], [&output, &kept.gates], &mut doutput);
    let given = EdgeOutput { output: &output, doutput: OutputGradient::Edges(&doutput) };
    first.backward(pass, given, state, dstate);
    pass.scratch.gate_hidden = output;
    pass.scratch.dgate_hidden = doutput;
}

/// Backward of the second layer of an edge network, given its input and its output's gradient; `dinput` is overwritten.
fn second_backward(pass: &mut Backward, layer: Linear, [input, doutput]: [&Matrix; 2], dinput: &mut Matrix) {
    let panels = &mut pass.scratch.panels;
    layer.parameter_gradient(pass.gradient, input.view(), doutput.view(), panels);
    dinput.reshape(input.rows(), input.cols());
    layer.input_gradient(pass.context.parameters, doutput.view(), Start::Zero, &mut dinput.view_mut(), panels);
}

/// `sums_v = sum over edges into v`
struct SumEdges<'a> {
    batch: &'a PrefixBatch,
    edges: &'a Matrix,
    sums: &'a mut Matrix,
}

impl Vectorise for SumEdges<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for node in 0..self.batch.nodes() {
            let sum = self.sums.row_mut(node);
            for edge in self.batch.incoming[node]..self.batch.incoming[node + 1] {
                sum.iter_mut().zip(self.edges.row(edge)).for_each(|(to, from)| *to += from);
            }
        }
    }
}

/// `gate = sigmoid(gate)`, `incoming_v = sum over edges into v of gate * message`
struct GateForward<'a> {
    batch: &'a PrefixBatch,
    messages: &'a Matrix,
    gates: &'a mut Matrix,
    incoming: &'a mut Matrix,
}

impl Vectorise for GateForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for node in 0..self.batch.nodes() {
            let sum = self.incoming.row_mut(node);
            for edge in self.batch.incoming[node]..self.batch.incoming[node + 1] {
                let gated = self.gates.row_mut(edge).iter_mut().zip(self.messages.row(edge));
                for (to, (gate, message)) in sum.iter_mut().zip(gated) {
                    *gate = sigmoid(*gate);
                    *to += *gate * message;
                }
            }
        }
    }
}

/// Overwrites messages and gates with the gradients of the message and of what the sigmoid saw.
struct GateBackward<'a> {
    batch: &'a PrefixBatch,
    messages: &'a mut Matrix,
    gates: &'a mut Matrix,
    dincoming: &'a Matrix,
}

impl Vectorise for GateBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for node in 0..self.batch.nodes() {
            let given = self.dincoming.row(node);
            for edge in self.batch.incoming[node]..self.batch.incoming[node + 1] {
                let gated = self.gates.row_mut(edge).iter_mut().zip(self.messages.row_mut(edge));
                for (given, (gate, message)) in given.iter().zip(gated) {
                    let (open, sent) = (*gate, *message);
                    *message = given * open;
                    *gate = given * sent * open * (1.0 - open);
                }
            }
        }
    }
}
