//! The network of one graph: embeddings, two LSTM layers, heads; forward and backward over a batch of graphs.

use super::super::loss::weighted;
use super::super::passes::Example;
use super::layer::{Backward, LayerState, PackedLayer};
use super::parameters::{LAYERS, Layout, LstmConfig};
use super::sequence::{Choice, Decision, decisions};
use crate::device::cpu::matrix::{Matrix, Packed, Panels, Start, Sum, multiply, transposed_product};
use crate::graph::{LabelledGraph, bits};
use std::ops::Range;

/// Share of the operators' term in a graph's loss, as in the graph generator's.
const OPERATOR_SHARE: f64 = 0.5;

/// One graph's generator.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub config: LstmConfig,
    pub layout: Layout,
    pub decisions: Vec<Decision>,
    pub parameters: Vec<f32>,
}

/// Packed weights and the memory of a pass, kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    weights: [PackedLayer; LAYERS],
    heads: Packed,
    heads_backward: Packed,
    /// What the steps read (steps * batch, hidden).
    input: Matrix,
    layers: [LayerState; LAYERS],
    /// The heads' outputs (steps * batch, operators + nodes).
    pub logits: Matrix,
    dlogits: Matrix,
    doutput: Matrix,
    dinput: Matrix,
    panels: Panels,
}

impl Network {
    /// A network with these parameters, or none of them set.
    pub fn new(config: LstmConfig, parameters: impl FnOnce(&Layout) -> Vec<f32>) -> Self {
        let layout = Layout::new(&config);
        let parameters = parameters(&layout);
        let decisions = decisions(&config);
        Network { config, layout, decisions, parameters }
    }

    /// Packs the weights; to be done whenever the parameters have changed.
    pub fn pack(&self, memory: &mut Memory, training: bool) {
        for (layer, packed) in self.layout.layers.iter().zip(&mut memory.weights) {
            packed.set(layer, &self.parameters, training);
        }
        let heads = self.layout.heads.view(&self.parameters);
        memory.heads.set_transposed(heads);
        if training {
            memory.heads_backward.set(heads);
        }
    }

    /// Makes room for a batch of graphs.
    pub fn begin(&self, memory: &mut Memory, batch: usize) {
        let (rows, hidden) = (self.decisions.len() * batch, self.config.hidden);
        memory.input.reshape(rows, hidden);
        memory.layers.iter_mut().for_each(|layer| layer.reserve(self.decisions.len(), batch, hidden));
        memory.logits.reshape(rows, self.config.decisions());
    }

    /// Runs these steps of a batch, whose inputs and earlier steps are there.
    pub fn forward(&self, memory: &mut Memory, steps: Range<usize>, batch: usize) {
        let Memory { weights, heads, input, layers: [first, second], logits, .. } = memory;
        first.forward(&weights[0], input, steps.clone(), batch);
        second.forward(&weights[1], &first.output, steps.clone(), batch);
        let rows = steps.start * batch..steps.end * batch;
        let output = second.output.view().rows(rows.clone());
        multiply(output, &*heads, Start::Zero, &mut logits.view_mut().rows(rows));
    }

    /// Sets a graph's input of a step, given the decision before it.
    pub fn set_input(&self, memory: &mut Memory, row: usize, before: Option<Choice>) {
        let to = memory.input.row_mut(row);
        match before {
            None => to.copy_from_slice(self.layout.start.row(&self.parameters, 0)),
            Some(Choice::Operator(operator)) => {
                to.copy_from_slice(self.layout.operator_embedding.row(&self.parameters, operator.into()));
            }
            Some(Choice::Links(links)) => {
                to.fill(0.0);
                let share = links_share(links);
                for node in bits(links) {
                    let embedding = self.layout.node_embedding.row(&self.parameters, node);
                    to.iter_mut().zip(embedding).for_each(|(to, value)| *to += share * value);
                }
            }
        }
    }

    /// Adds what an input's gradient says about the embeddings.
    fn input_gradient(&self, row: &[f32], before: Option<Choice>, gradient: &mut [f32]) {
        let add = |to: &mut [f32], share: f32| to.iter_mut().zip(row).for_each(|(to, value)| *to += share * value);
        match before {
            None => add(self.layout.start.row_mut(gradient, 0), 1.0),
            Some(Choice::Operator(operator)) => {
                add(self.layout.operator_embedding.row_mut(gradient, operator.into()), 1.0);
            }
            Some(Choice::Links(links)) => {
                bits(links)
                    .for_each(|node| add(self.layout.node_embedding.row_mut(gradient, node), links_share(links)));
            }
        }
    }

    /// The decision before a step of a graph.
    fn before(&self, step: usize, graph: &LabelledGraph) -> Option<Choice> {
        step.checked_sub(1).map(|before| self.decisions[before].choice(graph))
    }

    /// Runs all steps of these graphs.
    fn teach(&self, memory: &mut Memory, examples: &[Example]) {
        let batch = examples.len();
        self.begin(memory, batch);
        for step in 0..self.decisions.len() {
            for (index, example) in examples.iter().enumerate() {
                self.set_input(memory, step * batch + index, self.before(step, example.graph));
            }
        }
        self.forward(memory, 0..self.decisions.len(), batch);
    }

    /// Log-probability of a graph; the weights are packed.
    pub fn log_probability(&self, memory: &mut Memory, graph: &LabelledGraph) -> f64 {
        self.teach(memory, &[Example { graph, rho: 1.0 }]);
        let decisions = self.decisions.iter().enumerate();
        let score = |(step, decision): (usize, &Decision)| {
            decision.log_probability(&self.config, memory.logits.row(step), decision.choice(graph))
        };
        decisions.map(score).sum()
    }

    /// The factor of a decision's negative log-probability in a graph's l: links over `nodes (nodes + 1) / 2`, operators
    /// half their mean over the nodes, as in the graph generator's loss.
    fn factor(&self, decision: Decision) -> f64 {
        let nodes = self.config.nodes as f64;
        match decision {
            Decision::Operator(_) => OPERATOR_SHARE / nodes,
            Decision::Links(_) => 2.0 / (nodes * (nodes + 1.0)),
        }
    }

    /// The weighted loss of these graphs, averaged over them; adds its gradient. The weights are packed for training.
    pub fn loss(&self, memory: &mut Memory, examples: &[Example], gradient: &mut [f32]) -> f64 {
        self.teach(memory, examples);
        let batch = examples.len();
        memory.dlogits.reshape_zeroed(memory.logits.rows(), memory.logits.cols());
        let mut loss = 0.0;
        for (index, &Example { graph, rho }) in examples.iter().enumerate() {
            let steps = self.decisions.iter().enumerate().map(|(step, decision)| (step * batch + index, *decision));
            let terms = steps.clone().map(|(row, decision)| {
                let log = decision.log_probability(&self.config, memory.logits.row(row), decision.choice(graph));
                -self.factor(decision) * log
            });
            let weighted = weighted(rho / batch as f64, terms.sum());
            loss += weighted.loss;
            for (row, decision) in steps {
                let given = (memory.logits.row(row), decision.choice(graph));
                let coefficient = -weighted.slope * self.factor(decision);
                decision.gradient(&self.config, given, coefficient, memory.dlogits.row_mut(row));
            }
        }
        self.backward(memory, examples, gradient);
        loss
    }

    fn backward(&self, memory: &mut Memory, examples: &[Example], gradient: &mut [f32]) {
        let batch = examples.len();
        let Memory { weights, heads_backward, input, layers, dlogits, doutput, dinput, panels, .. } = memory;
        let [first, second] = layers;
        let heads = &mut self.layout.heads.view_mut(gradient);
        transposed_product(dlogits.view(), second.output.view(), Sum::Continued, heads, panels);
        doutput.reshape(dlogits.rows(), self.config.hidden);
        multiply(dlogits.view(), &*heads_backward, Start::Zero, &mut doutput.view_mut());
        let [below, above] = &self.layout.layers;
        let pass = &mut Backward { batch, layer: above, weights: &weights[1], gradient: &mut *gradient, panels };
        second.backward(pass, &first.output, doutput, dinput);
        std::mem::swap(doutput, dinput);
        let pass = &mut Backward { batch, layer: below, weights: &weights[0], gradient: &mut *gradient, panels };
        first.backward(pass, input, doutput, dinput);
        for step in 0..self.decisions.len() {
            for (index, example) in examples.iter().enumerate() {
                let row = dinput.row(step * batch + index);
                self.input_gradient(row, self.before(step, example.graph), gradient);
            }
        }
    }
}

/// What each chosen node's embedding is multiplied by: one over one plus the sum of their numbers.
fn links_share(links: u128) -> f32 {
    1.0 / (1 + bits(links).sum::<usize>()) as f32
}
