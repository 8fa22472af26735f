//! Weights as the products read them, made anew whenever the parameters change.
//!
//! Without a gate the second message layer and the GRU's input layer follow each other with only a sum between, so they
//! are one: `W_ih (W2 s + degree b2) + b_ih = (W_ih W2) s + degree (W_ih b2) + b_ih`. The backward pass then gives the
//! gradients of the composite, which [`unfold_gradient`] takes apart.

use super::adam::Adam;
use super::config::GranConfig;
use super::gran::Gran;
use super::parameters::{Head, Layout, Linear, Round};
use crate::device::cpu::gang::Gang;
use crate::device::cpu::matrix::{Factor, Matrix, Packed, Panels, Start, Sum, View, multiply, transposed_product};

/// Columns of the marks among the edge features.
pub(super) const MARKS: usize = 2;

/// One weight, packed for the forward pass and, unless it is read in place, for the input's gradient.
#[derive(Clone, Debug, Default)]
pub(super) struct PackedWeight {
    /// (inputs, outputs)
    pub forward: Packed,
    /// (outputs, inputs)
    backward: Packed,
}

impl PackedWeight {
    fn set(&mut self, weight: View, training: bool) {
        self.forward.set_transposed(weight);
        if training && Factor::in_place(weight).is_none() {
            self.backward.set(weight);
        }
    }

    /// The right factor that gives the input's gradient (outputs, inputs), of the weight that was set.
    pub fn backward<'a>(&'a self, weight: View<'a>) -> Factor<'a> {
        Factor::in_place(weight).unwrap_or_else(|| (&self.backward).into())
    }
}

/// The first layer of an edge network.
#[derive(Clone, Debug, Default)]
pub(super) struct EdgeWeights {
    /// The columns for the state.
    pub state: PackedWeight,
    /// The columns for the marks and the node numbers, as rows (2 + numbers, outputs).
    pub table: Matrix,
    /// The bias; with the mark of a new source; with that of a new destination (3, outputs).
    pub bases: Matrix,
}

impl EdgeWeights {
    fn set(&mut self, config: &GranConfig, layer: Linear, parameters: &[f32], training: bool) {
        let weight = layer.weight(parameters);
        self.state.set(weight.columns(0..config.hidden), training);
        self.table.reshape(MARKS + config.id_columns(), layer.outputs);
        let features = weight.columns(config.hidden..config.hidden + self.table.rows());
        for output in 0..layer.outputs {
            let column = self.table.data_mut()[output..].iter_mut().step_by(layer.outputs);
            column.zip(features.row(output)).for_each(|(to, value)| *to = *value);
        }
        let bias = layer.bias(parameters);
        self.bases.reshape(1 + MARKS, layer.outputs);
        self.bases.row_mut(0).copy_from_slice(bias);
        for mark in 0..MARKS {
            let values = bias.iter().zip(self.table.row(mark));
            self.bases.row_mut(1 + mark).iter_mut().zip(values).for_each(|(to, (bias, mark))| *to = bias + mark);
        }
    }
}

/// The second layers of a gated edge network.
#[derive(Clone, Debug, Default)]
pub(super) struct GatedWeights {
    pub first: EdgeWeights,
    pub message: PackedWeight,
    pub gate: PackedWeight,
}

/// One round.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundWeights {
    pub message: EdgeWeights,
    pub gated: Option<GatedWeights>,
    /// From what a node receives to the GRU's gates; without a gate, from the sum of the hidden layers.
    pub received: PackedWeight,
    /// Without a gate: what every edge adds to the GRU's gates (3 hidden).
    pub per_edge: Vec<f32>,
    pub hidden: PackedWeight,
    composite: Matrix,
    dcomposite: Matrix,
    factor: Packed,
}

impl RoundWeights {
    fn set(&mut self, config: &GranConfig, round: &Round, parameters: &[f32], training: bool) {
        self.message.set(config, round.message[0], parameters, training);
        self.hidden.set(round.gru.hidden.weight(parameters), training);
        let input = round.gru.input.weight(parameters);
        if let Some([first, second]) = round.gate {
            let gated = self.gated.get_or_insert_default();
            gated.first.set(config, first, parameters, training);
            gated.message.set(round.message[1].weight(parameters), training);
            gated.gate.set(second.weight(parameters), training);
            self.received.set(input, training);
            self.per_edge.clear();
            self.per_edge.resize(input.row_count(), 0.0);
            return;
        }
        let second = round.message[1];
        self.factor.set(second.weight(parameters));
        self.composite.reshape(input.row_count(), second.inputs);
        multiply(input, &self.factor, Start::Zero, &mut self.composite.view_mut());
        self.received.set(self.composite.view(), training);
        let bias = second.bias(parameters);
        self.per_edge.resize(input.row_count(), 0.0);
        for (row, sum) in self.per_edge.iter_mut().enumerate() {
            *sum = input.row(row).iter().zip(bias).map(|(weight, bias)| weight * bias).sum();
        }
    }

    /// The right factor that gives the gradient of what a node receives.
    pub fn received_backward<'a>(&'a self, round: &Round, parameters: &'a [f32]) -> Factor<'a> {
        self.received.backward(match round.gate {
            Some(_) => round.gru.input.weight(parameters),
            None => self.composite.view(),
        })
    }

    /// Turns the gradient of the composite, which lies in the place of the GRU's input weight, and that of what every edge
    /// adds into those of the layers it is made of.
    fn unfold_gradient(&mut self, round: &Round, parameters: &[f32], gradient: &mut [f32], panels: &mut Panels) {
        if round.gate.is_some() {
            return;
        }
        let (input, second) = (round.gru.input, round.message[1]);
        let (gradient, tail) = gradient.split_at_mut(parameters.len());
        let per_edge = &tail[round.per_edge..][..input.outputs];
        self.dcomposite.reshape(self.composite.rows(), self.composite.cols());
        self.dcomposite.data_mut().copy_from_slice(input.weight_slice(gradient));
        let dcomposite = self.dcomposite.view();
        let weight = input.weight(parameters);
        transposed_product(weight, dcomposite, Sum::Fresh, &mut second.weight_mut(gradient), panels);
        let dbias = second.bias_mut(gradient);
        dbias.fill(0.0);
        for (row, factor) in per_edge.iter().enumerate() {
            dbias.iter_mut().zip(weight.row(row)).for_each(|(sum, weight)| *sum += factor * weight);
        }
        self.factor.set_transposed(second.weight(parameters));
        multiply(dcomposite, &self.factor, Start::Zero, &mut input.weight_mut(gradient));
        let dinput = input.weight_slice_mut(gradient).chunks_exact_mut(input.inputs);
        for (row, factor) in dinput.zip(per_edge) {
            row.iter_mut().zip(second.bias(parameters)).for_each(|(to, bias)| *to += *factor * bias);
        }
    }
}

/// An output head.
pub(super) type HeadWeights = [PackedWeight; 3];

/// All weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    /// (nodes, initial width)
    pub input: Packed,
    pub rounds: Vec<RoundWeights>,
    /// Of theta, of alpha, and of the operators where there are any.
    pub heads: Vec<HeadWeights>,
    panels: Panels,
}

impl Weights {
    /// Takes over the parameters. `training`: the backward pass will be needed.
    pub fn set(&mut self, gran: &Gran, gang: &mut Gang, training: bool) {
        let Gran { config, layout, parameters } = gran;
        self.resize(layout);
        let Weights { input, rounds, heads, .. } = self;
        let set_round = |index: usize, weights: &mut RoundWeights, []: [&mut [f32]; 0]| {
            weights.set(config, &layout.rounds[index], parameters, training);
        };
        gang.for_each_share(rounds, [], set_round, || {
            input.set_transposed(layout.input.weight(parameters));
            set_heads(heads, layout.heads().copied(), parameters, training);
        });
    }

    /// A step of the optimiser, given gradients that are to be summed: every round's parameters are changed and taken over
    /// while they are in the cache. The weights must have been [set](Self::set) before.
    pub fn step<'a, G>(&mut self, gran: &mut Gran, adam: &mut Adam, gradients: G, gang: &mut Gang)
    where
        G: Iterator<Item = &'a [f32]> + Clone + Send + Sync,
    {
        let Gran { config, layout, parameters } = gran;
        let (config, layout) = (&*config, &*layout);
        let (step, [first, second]) = adam.begin();
        let [begin, end] = layout.rounds_range();
        let round_length = (end - begin) / layout.rounds.len().max(1);
        let from = |start: usize| gradients.clone().map(move |gradient| &gradient[start..]);
        let [before, rounds, after] = split([parameters, first, second], [begin, end]);
        let Weights { input, rounds: round_weights, heads, .. } = self;
        let step_round = |index: usize, weights: &mut RoundWeights, [parameters, first, second]: [&mut [f32]; 3]| {
            let start = begin + index * round_length;
            step.update([&mut *parameters, first, second], from(start));
            weights.set(config, &layout.rounds[index].after(start), parameters, true);
        };
        gang.for_each_share(round_weights, rounds, step_round, || {
            let [parameters, first, second] = before;
            step.update([&mut *parameters, first, second], from(0));
            input.set_transposed(layout.input.weight(parameters));
            let [parameters, first, second] = after;
            step.update([&mut *parameters, first, second], from(end));
            set_heads(heads, layout.heads().map(|head| head.map(|layer| layer.after(end))), parameters, true);
        });
    }

    fn resize(&mut self, layout: &Layout) {
        self.rounds.resize_with(layout.rounds.len(), RoundWeights::default);
        self.heads.resize_with(layout.heads().count(), HeadWeights::default);
    }

    /// Makes the gradient of the composites that of the parameters.
    pub fn unfold_gradient(&mut self, gran: &Gran, gradient: &mut [f32]) {
        let Weights { rounds, panels, .. } = self;
        for (weights, round) in rounds.iter_mut().zip(&gran.layout.rounds) {
            weights.unfold_gradient(round, &gran.parameters, gradient, panels);
        }
    }
}

fn set_heads(heads: &mut [HeadWeights], layers: impl Iterator<Item = Head>, parameters: &[f32], training: bool) {
    for (weights, head) in heads.iter_mut().zip(layers) {
        for (weights, layer) in weights.iter_mut().zip(head) {
            weights.set(layer.weight(parameters), training);
        }
    }
}

/// Three arrays, each cut at two places.
fn split(arrays: [&mut [f32]; 3], [begin, end]: [usize; 2]) -> [[&mut [f32]; 3]; 3] {
    let [a, b, c] = arrays.map(|array| {
        let (head, tail) = array.split_at_mut(begin);
        let (middle, tail) = tail.split_at_mut(end - begin);
        [head, middle, tail]
    });
    let ([a0, a1, a2], [b0, b1, b2], [c0, c1, c2]) = (a, b, c);
    [[a0, b0, c0], [a1, b1, c1], [a2, b2, c2]]
}
