//! The edge networks of a round with a gate: `sum over edges into v of sigmoid(V2 relu(..) + c2) * (W2 relu(..) + b2)`.
//!
//! Their second layers are the only products over edges. They take the edges of a few nodes at a time, so that what goes
//! in and comes out stays in the cache.

use super::activation::sigmoid;
use super::columns::{each, for_columns};
use super::edges::EdgeLayer;
use super::parameters::Linear;
use super::pass::{Backward, EdgeGradient, Forward};
use super::prefixes::Stage;
use super::round::BoundRound;
use super::weights::{GatedWeights, PackedWeight};
use crate::device::cpu::matrix::{Matrix, Start, Sum, Vectorise, View, multiply, vectorise};
use std::ops::Range;

/// Edges of a chunk, if no node has more.
const CHUNK: usize = 192;

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct GatedState {
    /// The inputs' shares in the gate network's hidden layer (inputs, attention width).
    projected: Matrix,
    /// Messages before the gate (edges, hidden). The backward pass overwrites them with their gradient.
    messages: Matrix,
    /// The gate (edges, hidden). The backward pass overwrites it with the gradient before the sigmoid.
    gates: Matrix,
    /// Where all edges are one chunk, the hidden layers of message and gate network, which are computed again otherwise.
    hidden: [Matrix; 2],
}

/// The gated part of a round.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    message: EdgeLayer<'a>,
    first: EdgeLayer<'a>,
    weights: &'a GatedWeights,
    /// The second layers of the message network and of the gate network.
    second: [Linear; 2],
}

impl BoundRound<'_> {
    /// The gate, where the round has one.
    pub fn gate(&self) -> Option<Gate<'_>> {
        let (weights, [first, second]) = (self.weights.gated.as_ref()?, self.layers.gate?);
        Some(Gate {
            message: self.message(),
            first: EdgeLayer { linear: first, weights: &weights.first, graph: self.graph },
            weights,
            second: [self.layers.message[1], second],
        })
    }
}

impl Gate<'_> {
    /// `received` (outputs, hidden), from the state and the message network's shares.
    pub fn forward(&self, pass: &mut Forward, given: [&Matrix; 2], kept: &mut GatedState, received: &mut Matrix) {
        let [state, projected] = given;
        let GatedState { projected: own, messages, gates, hidden } = kept;
        let (stage, parameters) = (self.first.graph.stage, pass.parameters);
        self.first.project(state, own);
        messages.reshape(stage.edges(), state.cols());
        gates.reshape(stage.edges(), state.cols());
        received.reshape(stage.outputs(), state.cols());
        let [message, gate] = self.second;
        let [message_hidden, gate_hidden] = match is_one_chunk(stage) {
            true => hidden.each_mut(),
            false => [&mut pass.scratch.message_hidden, &mut pass.scratch.gate_hidden],
        };
        for outputs in chunks(stage) {
            let edges = edges_of(stage, &outputs);
            self.message.activate(projected, outputs.clone(), message_hidden);
            self.first.activate(own, outputs.clone(), gate_hidden);
            let to = &mut messages.view_mut().rows(edges.clone());
            let hidden = message_hidden.view().columns(0..message.inputs);
            multiply(hidden, &self.weights.message.forward, Start::Bias(message.bias(parameters)), to);
            let to = &mut gates.view_mut().rows(edges);
            let hidden = gate_hidden.view().columns(0..gate.inputs);
            multiply(hidden, &self.weights.gate.forward, Start::Bias(gate.bias(parameters)), to);
            vectorise(GateForward { stage, outputs, messages, gates, received });
        }
    }

    /// Adds to the gradient of the message network's first layer and to that of the state, given the state, the message
    /// network's shares and the gradient of what was received.
    pub fn backward(
        &self,
        pass: &mut Backward,
        [state, projected, dreceived]: [&Matrix; 3],
        kept: &mut GatedState,
        (dmessage, dstate): (&mut EdgeGradient, &mut Matrix),
    ) {
        let stage = self.first.graph.stage;
        let known = is_one_chunk(stage);
        if known {
            kept.swap_hidden(pass);
        }
        let mut message_hidden =
            [&mut pass.scratch.message_hidden, &mut pass.scratch.dmessage_hidden].map(std::mem::take);
        let mut gate_hidden = [&mut pass.scratch.gate_hidden, &mut pass.scratch.dgate_hidden].map(std::mem::take);
        let mut dgate = std::mem::take(&mut pass.scratch.dgate);
        self.first.clear_gradient(&mut dgate);
        let mut sum = pass.sum;
        for outputs in chunks(stage) {
            let edges = edges_of(stage, &outputs);
            let GatedState { messages, gates, .. } = kept;
            vectorise(GateBackward { stage, outputs: outputs.clone(), messages, gates, dreceived });
            if !known {
                self.message.activate(projected, outputs.clone(), &mut message_hidden[0]);
                self.first.activate(&kept.projected, outputs.clone(), &mut gate_hidden[0]);
            }
            let [message, gate] = self.second;
            let dy = kept.messages.view().rows(edges.clone());
            second_backward(pass, (message, &self.weights.message, sum), dy, &mut message_hidden);
            let dy = kept.gates.view().rows(edges);
            second_backward(pass, (gate, &self.weights.gate, sum), dy, &mut gate_hidden);
            sum = Sum::Continued;
            self.message.scatter(message_hidden.each_ref(), outputs.clone(), dmessage);
            self.first.scatter(gate_hidden.each_ref(), outputs, &mut dgate);
        }
        self.first.finish_gradient(pass, &mut dgate, state, dstate);
        pass.scratch.dgate = dgate;
        [pass.scratch.message_hidden, pass.scratch.dmessage_hidden] = message_hidden;
        [pass.scratch.gate_hidden, pass.scratch.dgate_hidden] = gate_hidden;
        if known {
            kept.swap_hidden(pass);
        }
    }
}

impl GatedState {
    /// Swaps the hidden layers with the pass's memory for them.
    fn swap_hidden(&mut self, pass: &mut Backward) {
        let [message, gate] = &mut self.hidden;
        std::mem::swap(message, &mut pass.scratch.message_hidden);
        std::mem::swap(gate, &mut pass.scratch.gate_hidden);
    }
}

/// Backward of a second layer: from `dy`, its input and where to write the input's gradient.
fn second_backward(
    pass: &mut Backward,
    (layer, weight, sum): (Linear, &PackedWeight, Sum),
    dy: View,
    [x, dx]: &mut [Matrix; 2],
) {
    let columns = 0..layer.inputs;
    let hidden = x.view().columns(columns.clone());
    layer.parameter_gradient((&mut *pass.gradient, sum), hidden, dy, &mut pass.scratch.panels);
    dx.reshape(x.rows(), x.cols());
    multiply(dy, weight.backward(layer.weight(pass.parameters)), Start::Zero, &mut dx.view_mut().columns(columns));
}

/// Outputs that are taken together.
fn chunks(stage: &Stage) -> impl Iterator<Item = Range<usize>> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let start = first;
        while first < stage.outputs() && (first == start || edges_of(stage, &(start..first + 1)).len() <= CHUNK) {
            first += 1;
        }
        (first > start).then_some(start..first)
    })
}

/// Whether all outputs are taken together.
fn is_one_chunk(stage: &Stage) -> bool {
    stage.edges() <= CHUNK
}

/// The edges into some outputs.
fn edges_of(stage: &Stage, outputs: &Range<usize>) -> Range<usize> {
    stage.incoming[outputs.start] as usize..stage.incoming[outputs.end] as usize
}

/// `gate = sigmoid(gate)`, `received_v = sum over edges into v of gate * message`
struct GateForward<'a> {
    stage: &'a Stage,
    outputs: Range<usize>,
    messages: &'a Matrix,
    gates: &'a mut Matrix,
    received: &'a mut Matrix,
}

impl Vectorise for GateForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let GateForward { stage, outputs, messages, gates, received } = self;
        let edges = edges_of(stage, &outputs);
        let cols = gates.cols();
        for gate in &mut gates.data_mut()[edges.start * cols..edges.end * cols] {
            *gate = sigmoid::<FMA>(*gate);
        }
        for output in outputs {
            for_columns!(received.cols(), [16, 8, 1], |column, SIZE| {
                let mut sum = [0.0; SIZE];
                for edge in stage.edges_into(output) {
                    let gate: [f32; SIZE] = gates.take(edge, column);
                    let message: [f32; SIZE] = messages.take(edge, column);
                    sum = each(|i| sum[i] + gate[i] * message[i]);
                }
                received.put(output, column, sum);
            });
        }
    }
}

/// Overwrites messages and gates with the gradients of the message and of what the sigmoid saw.
struct GateBackward<'a> {
    stage: &'a Stage,
    outputs: Range<usize>,
    messages: &'a mut Matrix,
    gates: &'a mut Matrix,
    dreceived: &'a Matrix,
}

impl Vectorise for GateBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let GateBackward { stage, outputs, messages, gates, dreceived } = self;
        for output in outputs {
            for_columns!(dreceived.cols(), [16, 8, 1], |column, SIZE| {
                let given: [f32; SIZE] = dreceived.take(output, column);
                for edge in stage.edges_into(output) {
                    let gate: [f32; SIZE] = gates.take(edge, column);
                    let message: [f32; SIZE] = messages.take(edge, column);
                    messages.put(edge, column, each::<SIZE>(|i| given[i] * gate[i]));
                    let before = each::<SIZE>(|i| given[i] * message[i] * gate[i] * (1.0 - gate[i]));
                    gates.put(edge, column, before);
                }
            });
        }
    }
}
