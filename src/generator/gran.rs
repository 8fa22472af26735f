//! One generator: its parameters, its forward pass over a batch of prefix graphs and the backward pass.

use super::GeneratorError;
use super::config::{GranConfig, InputLayout};
use super::edge_operator_head::{EdgeOperators, RowEdges};
use super::head::{BoundHead, HeadState};
use super::mixture::{Mixture, Operators, RowLogits};
use super::parameters::Layout;
use super::pass::{Backward, Forward, RoundGraph, Scratch};
use super::prefixes::{Prefix, PrefixBatch};
use super::round::{BoundRound, RoundState};
use super::weights::Weights;
use crate::device::cpu::matrix::{Matrix, Start, Sum, multiply};
use crate::random::Stream;
use std::ops::Range;

/// A generator of graphs with operators on their nodes or edges (method, section 2).
#[derive(Clone, Debug)]
pub struct Gran {
    pub(super) config: GranConfig,
    pub(super) layout: Layout,
    pub(super) parameters: Vec<f32>,
}

/// The row and the operator that a prefix is scored on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Bit j: node j feeds the new node.
    pub row: u128,
    /// The new node's operator; ignored where the generator has none.
    pub operator: u8,
}

/// Log-probabilities of one prefix's decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    pub row: f64,
    pub operator: f64,
    /// Of all edges of the row.
    pub edge_operators: f64,
}

impl Score {
    /// `sum over the decisions of self * other`
    pub fn dot(self, other: Score) -> f64 {
        self.row * other.row + self.operator * other.operator + self.edge_operators * other.edge_operators
    }

    pub fn times(self, factor: f64) -> Score {
        let Score { row, operator, edge_operators } = self;
        Score { row: factor * row, operator: factor * operator, edge_operators: factor * edge_operators }
    }

    /// The log-probability of all decisions.
    pub fn total(self) -> f64 {
        self.row + self.operator + self.edge_operators
    }
}

/// Memory of a forward and a backward pass, kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Workspace {
    /// Rows of A as numbers (rows of the first level, graph nodes).
    rows: Matrix,
    /// States before every round and after the last (rows of their level, hidden).
    states: Vec<Matrix>,
    rounds: Vec<RoundState>,
    /// `h_new - h_j`, and a last row of zeros for every new node's pair with itself (pairs + 1, hidden).
    differences: Matrix,
    /// States of the new nodes (prefixes, hidden).
    new_states: Matrix,
    theta: HeadState,
    alpha: HeadState,
    operator: HeadState,
    edge_operators: EdgeOperators,
    /// Of every graph of the batch, what is known of its [`LabelledGraph::operators`](crate::graph::LabelledGraph); unused
    /// where the rows are all that matters ([`GranConfig::reads_labels`]).
    labels: Vec<Vec<u8>>,
    /// Of every prefix.
    mixtures: Vec<Mixture>,
    operators: Operators,
    dstate: Matrix,
    ddifferences: Matrix,
    dnew_states: Matrix,
    scratch: Scratch,
}

impl Workspace {
    /// Forgets the labels, for so many graphs.
    pub fn clear_labels(&mut self, graphs: usize) {
        self.labels.resize_with(graphs.max(self.labels.len()), Vec::new);
        self.labels.iter_mut().for_each(Vec::clear);
    }

    /// The labels of a graph.
    pub fn labels_mut(&mut self, graph: usize) -> &mut Vec<u8> {
        &mut self.labels[graph]
    }
}

impl Gran {
    /// A generator with fresh parameters.
    pub fn new(config: GranConfig, stream: &mut Stream) -> Result<Self, GeneratorError> {
        config.validate()?;
        let layout = Layout::new(&config);
        let parameters = layout.initialise(&config, stream);
        Ok(Gran { config, layout, parameters })
    }

    /// Its settings.
    pub fn config(&self) -> &GranConfig {
        &self.config
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// A round, from level to level of the batch.
    fn round<'a>(&'a self, weights: &'a Weights, batch: &'a PrefixBatch, round: usize) -> BoundRound<'a> {
        let last = batch.levels.len() - 1;
        let (from, to) = (round.min(last), (round + 1).min(last));
        let graph = RoundGraph { stage: &batch.stages[from], input: &batch.levels[from], output: &batch.levels[to] };
        BoundRound { layers: &self.layout.rounds[round], weights: &weights.rounds[round], graph }
    }

    /// The rows of the last states that are the batch's nodes.
    fn last_rows<'a>(&self, batch: &'a PrefixBatch) -> &'a [u32] {
        &batch.levels[self.layout.rounds.len().min(batch.levels.len() - 1)].of
    }

    /// All heads but that of the edges' operators.
    fn heads<'a>(&'a self, weights: &'a Weights) -> impl Iterator<Item = BoundHead<'a>> {
        let count = 2 + usize::from(self.layout.operator.is_some());
        self.layout.heads().zip(&weights.heads).take(count).map(|(layers, weights)| BoundHead { layers, weights })
    }

    /// Runs the network over the batch; [`Gran::score`] and [`Gran::draw`] then read the heads' outputs. What an earlier
    /// step of the same batch left in the workspace is used.
    pub(super) fn forward(&self, weights: &Weights, batch: &PrefixBatch, workspace: &mut Workspace) {
        workspace.rounds.resize_with(self.layout.rounds.len(), RoundState::default);
        workspace.states.resize_with(self.layout.rounds.len() + 1, Matrix::default);
        let mixtures = workspace.mixtures.len().max(batch.prefixes.len());
        workspace.mixtures.resize_with(mixtures, Mixture::default);
        self.initial_states(weights, batch, workspace);
        let Workspace { states, rounds, scratch, .. } = workspace;
        let mut pass = Forward { parameters: &self.parameters, scratch };
        for (index, kept) in rounds.iter_mut().enumerate() {
            let (before, after) = states.split_at_mut(index + 1);
            self.round(weights, batch, index).forward(&mut pass, &before[index], &mut after[0], kept);
        }
        self.heads_forward(weights, batch, workspace);
    }

    /// Gives or adds to `gradient` that of the sum over the prefixes of their coefficients times the log-probabilities of
    /// their decisions. The workspace must hold the forward pass of this batch and the [scores](Gran::score) of all its
    /// prefixes, and is used up.
    pub(super) fn backward(
        &self,
        weights: &Weights,
        (batch, given): (&PrefixBatch, &[(Target, Score)]),
        workspace: &mut Workspace,
        (gradient, sum): (&mut [f32], Sum),
    ) {
        self.output_gradients(batch, given, workspace);
        self.heads_backward(weights, batch, workspace, (&mut *gradient, sum));
        let Workspace { states, rounds, scratch, dstate, .. } = workspace;
        let mut pass = Backward { parameters: &self.parameters, gradient, sum, scratch };
        for (index, (state, kept)) in states.iter().zip(rounds).enumerate().rev() {
            self.round(weights, batch, index).backward(&mut pass, state, kept, dstate);
        }
        for (row, initial) in batch.initial.iter().enumerate() {
            if initial.is_none() {
                dstate.row_mut(row).fill(0.0);
            }
        }
        let dinitial = dstate.view().columns(0..self.layout.input.outputs);
        let panels = &mut pass.scratch.panels;
        self.layout.input.parameter_gradient((pass.gradient, sum), workspace.rows.view(), dinitial, panels);
    }

    /// Log-probabilities of a prefix's decisions, from the last forward pass.
    pub(super) fn score(&self, workspace: &mut Workspace, index: usize, prefix: Prefix, target: Target) -> Score {
        let Workspace { theta, alpha, operator, mixtures, operators, edge_operators, labels, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixtures[index].log_probability(self.logits([&theta.out, &alpha.out], &pairs), target.row);
        let operator = match self.layout.operator {
            Some(_) => operators.log_probability(operator.out.row(index), target.operator),
            None => 0.0,
        };
        let edge_operators = match self.layout.edge_operator {
            Some(_) => {
                let edges = RowEdges { pairs: &pairs, row: target.row };
                edge_operators.log_probability(edges, self.edge_labels(labels, prefix))
            }
            None => 0.0,
        };
        Score { row, operator, edge_operators }
    }

    /// The labels of a prefix's possible edges.
    fn edge_labels<'a>(&self, labels: &'a [Vec<u8>], prefix: Prefix) -> &'a [u8] {
        let row = self.config.shape().labels_of(prefix.step);
        &labels[prefix.graph][row.end - prefix.step..row.end]
    }

    /// Draws a prefix's row and operators, from the last forward pass. The operators also become labels of the graph.
    pub(super) fn draw(&self, workspace: &mut Workspace, index: usize, prefix: Prefix, stream: &mut Stream) -> Target {
        let Workspace { theta, alpha, operator, mixtures, operators, edge_operators, labels, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixtures[index].draw(self.logits([&theta.out, &alpha.out], &pairs), stream);
        let operator = match self.layout.operator {
            Some(_) => operators.draw(operator.out.row(index), stream),
            None => 0,
        };
        if self.config.reads_labels() {
            let labels = &mut labels[prefix.graph];
            labels.extend(self.layout.operator.map(|_| operator));
            if self.layout.edge_operator.is_some() {
                edge_operators.draw(RowEdges { pairs: &pairs, row }, stream, labels);
            }
        }
        Target { row, operator }
    }

    fn logits<'a>(&self, [theta, alpha]: [&'a Matrix; 2], pairs: &'a Range<usize>) -> RowLogits<'a> {
        let self_pair = self.config.alpha_self_pair.then(|| alpha.rows() - 1);
        RowLogits { theta, alpha, pairs, self_pair }
    }

    /// States before the first round: existing nodes from their rows, new nodes zero.
    fn initial_states(&self, weights: &Weights, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { rows, states, labels, .. } = workspace;
        let (level, initial) = (&batch.levels[0], &mut states[0]);
        rows.reshape(level.rows(), self.config.input_columns());
        initial.reshape(level.rows(), self.config.hidden);
        for row in level.fresh() {
            let bits = batch.initial[row].unwrap_or(0);
            let (wiring, operators) = rows.row_mut(row).split_at_mut(self.config.nodes);
            wiring.iter_mut().enumerate().for_each(|(j, value)| *value = (bits >> j & 1) as f32);
            if self.config.condition_on_operators && batch.initial[row].is_some() {
                let node = usize::from(level.numbers[row]);
                let labels = &labels[batch.graphs[row]][self.config.shape().labels_of(node)];
                self.one_hot(labels, bits, operators);
            } else {
                operators.fill(0.0);
            }
            initial.row_mut(row).fill(0.0);
        }
        let width = self.layout.input.outputs;
        let bias = Start::Bias(self.layout.input.bias(&self.parameters));
        let to = &mut initial.view_mut().rows(level.fresh()).columns(0..width);
        multiply(rows.view().rows(level.fresh()), &weights.input, bias, to);
        for row in level.fresh() {
            if batch.initial[row].is_none() {
                initial.row_mut(row).fill(0.0);
            } else if self.config.input == InputLayout::Released {
                initial.row_mut(row)[width + usize::from(level.numbers[row])] = 1.0;
            }
        }
    }

    /// A node's labels: its operator, then, in blocks, those of the edges into it that are there.
    fn one_hot(&self, labels: &[u8], row: u128, to: &mut [f32]) {
        let GranConfig { operators, edge_operators, .. } = self.config;
        to.fill(0.0);
        let (own, edges) = labels.split_at(usize::from(operators > 0));
        own.iter().for_each(|&operator| to[usize::from(operator)] = 1.0);
        for (entry, &operator) in edges.iter().enumerate().filter(|(entry, _)| row >> entry & 1 == 1) {
            to[operators + entry * edge_operators + usize::from(operator)] = 1.0;
        }
    }

    fn heads_forward(&self, weights: &Weights, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { states, differences, new_states, theta, alpha, operator, edge_operators, scratch, .. } =
            workspace;
        let state = &states[self.layout.rounds.len()];
        let of = |node: usize| state.row(self.last_rows(batch)[node] as usize);
        differences.reshape(batch.pairs() + 1, self.config.hidden);
        differences.row_mut(batch.pairs()).fill(0.0);
        for prefix in &batch.prefixes {
            let new = of(prefix.new_node());
            for (pair, node) in prefix.pairs().zip(prefix.nodes()) {
                let ends = new.iter().zip(of(node));
                differences.row_mut(pair).iter_mut().zip(ends).for_each(|(to, (new, old))| *to = new - old);
            }
        }
        if self.layout.operator.is_some() {
            new_states.reshape(batch.prefixes.len(), self.config.hidden);
            for (index, prefix) in batch.prefixes.iter().enumerate() {
                new_states.row_mut(index).copy_from_slice(of(prefix.new_node()));
            }
        }
        let mut pass = Forward { parameters: &self.parameters, scratch };
        let pairs = differences.view();
        let inputs = [pairs.rows(0..batch.pairs()), pairs, new_states.view()];
        for ((head, x), kept) in self.heads(weights).zip(inputs).zip([theta, alpha, operator]) {
            head.forward(&mut pass, x, kept);
        }
        self.edge_operators_forward(weights, &mut pass, pairs.rows(0..batch.pairs()), edge_operators);
    }

    /// Leaves the gradient of the last states in `workspace.dstate`.
    fn heads_backward(
        &self,
        weights: &Weights,
        batch: &PrefixBatch,
        workspace: &mut Workspace,
        (gradient, sum): (&mut [f32], Sum),
    ) {
        let Workspace { states, differences, new_states, theta, alpha, operator, edge_operators, scratch, .. } =
            workspace;
        let Workspace { dstate, ddifferences, dnew_states, .. } = workspace;
        let mut pass = Backward { parameters: &self.parameters, gradient, sum, scratch };
        let pairs = differences.view();
        ddifferences.reshape_zeroed(batch.pairs() + 1, self.config.hidden);
        dnew_states.reshape_zeroed(new_states.rows(), new_states.cols());
        let mut heads = self.heads(weights);
        for ((x, kept), head) in [(pairs.rows(0..batch.pairs()), theta), (pairs, alpha)].into_iter().zip(heads.by_ref())
        {
            head.backward(&mut pass, x, kept, ddifferences);
        }
        for head in heads {
            head.backward(&mut pass, new_states.view(), operator, dnew_states);
        }
        let given = (pairs.rows(0..batch.pairs()), &*edge_operators);
        self.edge_operators_backward(weights, &mut pass, given, ddifferences);
        let of = self.last_rows(batch);
        dstate.reshape_zeroed(states[self.layout.rounds.len()].rows(), self.config.hidden);
        for (index, prefix) in batch.prefixes.iter().enumerate() {
            let new = of[prefix.new_node()] as usize;
            for (pair, node) in prefix.pairs().zip(prefix.nodes()) {
                let difference = ddifferences.row(pair);
                dstate.row_mut(of[node] as usize).iter_mut().zip(difference).for_each(|(to, value)| *to -= value);
                dstate.row_mut(new).iter_mut().zip(difference).for_each(|(to, value)| *to += value);
            }
            if self.layout.operator.is_some() {
                let row = dstate.row_mut(new).iter_mut();
                row.zip(dnew_states.row(index)).for_each(|(to, value)| *to += value);
            }
        }
    }

    /// Gradients of the heads' outputs.
    fn output_gradients(&self, batch: &PrefixBatch, given: &[(Target, Score)], workspace: &mut Workspace) {
        let Workspace { theta, alpha, operator, mixtures, operators, edge_operators, labels, .. } = workspace;
        for head in [&mut *theta, &mut *alpha, &mut *operator, &mut edge_operators.head] {
            head.dout.reshape_zeroed(head.out.rows(), head.out.cols());
        }
        for (index, (prefix, (target, coefficient))) in batch.prefixes.iter().zip(given).enumerate() {
            let pairs = prefix.pairs();
            let logits = self.logits([&theta.out, &alpha.out], &pairs);
            mixtures[index].gradient(logits, target.row, coefficient.row, [&mut theta.dout, &mut alpha.dout]);
            if self.layout.operator.is_some() {
                let to = operator.dout.row_mut(index);
                operators.gradient(operator.out.row(index), target.operator, coefficient.operator, to);
            }
            if self.layout.edge_operator.is_some() {
                let edges = RowEdges { pairs: &pairs, row: target.row };
                edge_operators.gradient(edges, self.edge_labels(labels, *prefix), coefficient.edge_operators);
            }
        }
    }
}
