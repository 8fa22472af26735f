//! One generator: its parameters, its forward pass over a batch of prefix graphs and the backward pass.

use super::GeneratorError;
use super::config::{GranConfig, InputLayout};
use super::head::{self, HeadState};
use super::mixture::{Mixture, Operators, RowLogits};
use super::parameters::Layout;
use super::pass::{Backward, Context, Forward, Scratch};
use super::prefixes::{Prefix, PrefixBatch};
use super::round::RoundState;
use crate::device::cpu::matrix::Matrix;
use crate::random::Stream;
use std::ops::Range;

/// A generator of graphs with operators on their nodes (method, section 2).
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
}

/// Memory of a forward and a backward pass, kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Workspace {
    /// Rows of A as numbers (nodes, graph nodes).
    rows: Matrix,
    /// States before every round and after the last (nodes, hidden).
    states: Vec<Matrix>,
    rounds: Vec<RoundState>,
    /// `h_new - h_j`, and a last row of zeros for every new node's pair with itself (pairs + 1, hidden).
    differences: Matrix,
    /// States of the new nodes (prefixes, hidden).
    new_states: Matrix,
    theta: HeadState,
    alpha: HeadState,
    operator: HeadState,
    mixture: Mixture,
    operators: Operators,
    dstate: Matrix,
    ddifferences: Matrix,
    dnew_states: Matrix,
    scratch: Scratch,
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

    fn context<'a>(&'a self, batch: &'a PrefixBatch) -> Context<'a> {
        Context { config: &self.config, parameters: &self.parameters, batch }
    }

    /// Runs the network over the batch; [`Gran::score`] and [`Gran::draw`] then read the heads' outputs.
    pub(super) fn forward(&self, batch: &PrefixBatch, workspace: &mut Workspace) {
        workspace.rounds.resize_with(self.layout.rounds.len(), RoundState::default);
        workspace.states.resize_with(self.layout.rounds.len() + 1, Matrix::default);
        self.initial_states(batch, workspace);
        let Workspace { states, rounds, scratch, .. } = workspace;
        let mut pass = Forward { context: self.context(batch), scratch };
        for (index, (round, kept)) in self.layout.rounds.iter().zip(rounds).enumerate() {
            let (before, after) = states.split_at_mut(index + 1);
            round.forward(&mut pass, &before[index], &mut after[0], kept);
        }
        self.heads_forward(batch, workspace);
    }

    /// Adds to `gradient` that of `sum over prefixes of coefficients.row * log P(row) + coefficients.operator * log
    /// P(operator)`. The workspace must hold the forward pass of this batch, and is used up.
    pub(super) fn backward(
        &self,
        batch: &PrefixBatch,
        given: &[(Target, Score)],
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) {
        self.heads_backward(batch, given, workspace, gradient);
        let Workspace { states, rounds, scratch, dstate, .. } = workspace;
        let mut pass = Backward { context: self.context(batch), gradient, scratch };
        for (round, (state, kept)) in self.layout.rounds.iter().zip(states.iter().zip(rounds)).rev() {
            round.backward(&mut pass, state, kept, dstate);
        }
        for prefix in &batch.prefixes {
            dstate.row_mut(prefix.new_node()).fill(0.0);
        }
        let dinitial = dstate.view().columns(0..self.layout.input.outputs);
        self.layout.input.parameter_gradient(pass.gradient, workspace.rows.view(), dinitial, &mut pass.scratch.panels);
    }

    /// Log-probabilities of a prefix's decisions, from the last forward pass.
    pub(super) fn score(&self, workspace: &mut Workspace, index: usize, prefix: Prefix, target: Target) -> Score {
        let Workspace { theta, alpha, operator, mixture, operators, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixture.log_probability(self.logits([&theta.out, &alpha.out], &pairs), target.row);
        let operator = match self.layout.operator {
            Some(_) => operators.log_probability(operator.out.row(index), target.operator),
            None => 0.0,
        };
        Score { row, operator }
    }

    /// Draws a prefix's row and operator, from the last forward pass.
    pub(super) fn draw(&self, workspace: &mut Workspace, index: usize, prefix: Prefix, stream: &mut Stream) -> Target {
        let Workspace { theta, alpha, operator, mixture, operators, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixture.draw(self.logits([&theta.out, &alpha.out], &pairs), stream);
        let operator = match self.layout.operator {
            Some(_) => operators.draw(operator.out.row(index), stream),
            None => 0,
        };
        Target { row, operator }
    }

    fn logits<'a>(&self, [theta, alpha]: [&'a Matrix; 2], pairs: &'a Range<usize>) -> RowLogits<'a> {
        let self_pair = self.config.alpha_self_pair.then(|| alpha.rows() - 1);
        RowLogits { theta, alpha, pairs, self_pair }
    }

    /// States before the first round: existing nodes from their rows, new nodes zero.
    fn initial_states(&self, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { rows, states, scratch, .. } = workspace;
        rows.reshape(batch.nodes(), self.config.nodes);
        for (node, bits) in batch.rows.iter().enumerate() {
            rows.row_mut(node).iter_mut().enumerate().for_each(|(j, value)| *value = (bits >> j & 1) as f32);
        }
        let initial = &mut states[0];
        initial.reshape_zeroed(batch.nodes(), self.config.hidden);
        let width = self.layout.input.outputs;
        let mut linear = initial.view_mut().columns(0..width);
        self.layout.input.forward(&self.parameters, rows.view(), &mut linear, &mut scratch.panels);
        for prefix in &batch.prefixes {
            if self.config.input == InputLayout::Released {
                for (id, node) in prefix.nodes().enumerate() {
                    initial.row_mut(node)[width + id] = 1.0;
                }
            }
            initial.row_mut(prefix.new_node()).fill(0.0);
        }
    }

    fn heads_forward(&self, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { states, differences, new_states, theta, alpha, operator, scratch, .. } = workspace;
        let state = &states[self.layout.rounds.len()];
        differences.reshape_zeroed(batch.pairs() + 1, self.config.hidden);
        for prefix in &batch.prefixes {
            let new = state.row(prefix.new_node());
            for (pair, node) in prefix.pairs().zip(prefix.nodes()) {
                let ends = new.iter().zip(state.row(node));
                differences.row_mut(pair).iter_mut().zip(ends).for_each(|(to, (new, old))| *to = new - old);
            }
        }
        let mut pass = Forward { context: self.context(batch), scratch };
        let pairs = differences.view();
        head::forward(&self.layout.theta, &mut pass, pairs.rows(0..batch.pairs()), theta);
        head::forward(&self.layout.alpha, &mut pass, pairs, alpha);
        if let Some(layers) = &self.layout.operator {
            new_states.reshape(batch.prefixes.len(), self.config.hidden);
            for (index, prefix) in batch.prefixes.iter().enumerate() {
                new_states.row_mut(index).copy_from_slice(state.row(prefix.new_node()));
            }
            head::forward(layers, &mut pass, new_states.view(), operator);
        }
    }

    /// Leaves the gradient of the last states in `workspace.dstate`.
    fn heads_backward(
        &self,
        batch: &PrefixBatch,
        given: &[(Target, Score)],
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) {
        self.output_gradients(batch, given, workspace);
        let Workspace { differences, new_states, theta, alpha, operator, scratch, .. } = workspace;
        let Workspace { dstate, ddifferences, dnew_states, .. } = workspace;
        let mut pass = Backward { context: self.context(batch), gradient, scratch };
        let pairs = differences.view();
        ddifferences.reshape_zeroed(batch.pairs() + 1, self.config.hidden);
        head::backward(&self.layout.theta, &mut pass, pairs.rows(0..batch.pairs()), theta, ddifferences);
        head::backward(&self.layout.alpha, &mut pass, pairs, alpha, ddifferences);
        dstate.reshape_zeroed(batch.nodes(), self.config.hidden);
        for prefix in &batch.prefixes {
            for (pair, node) in prefix.pairs().zip(prefix.nodes()) {
                let difference = ddifferences.row(pair);
                dstate.row_mut(node).iter_mut().zip(difference).for_each(|(to, value)| *to -= value);
                dstate.row_mut(prefix.new_node()).iter_mut().zip(difference).for_each(|(to, value)| *to += value);
            }
        }
        if let Some(layers) = &self.layout.operator {
            dnew_states.reshape_zeroed(batch.prefixes.len(), self.config.hidden);
            head::backward(layers, &mut pass, new_states.view(), operator, dnew_states);
            for (index, prefix) in batch.prefixes.iter().enumerate() {
                let row = dstate.row_mut(prefix.new_node()).iter_mut();
                row.zip(dnew_states.row(index)).for_each(|(to, value)| *to += value);
            }
        }
    }

    /// Gradients of the heads' outputs.
    fn output_gradients(&self, batch: &PrefixBatch, given: &[(Target, Score)], workspace: &mut Workspace) {
        let Workspace { theta, alpha, operator, mixture, operators, .. } = workspace;
        for head in [&mut *theta, &mut *alpha, &mut *operator] {
            head.dout.reshape_zeroed(head.out.rows(), head.out.cols());
        }
        for (index, (prefix, (target, coefficient))) in batch.prefixes.iter().zip(given).enumerate() {
            let pairs = prefix.pairs();
            let logits = self.logits([&theta.out, &alpha.out], &pairs);
            mixture.gradient(logits, target.row, coefficient.row, [&mut theta.dout, &mut alpha.dout]);
            if self.layout.operator.is_some() {
                let to = operator.dout.row_mut(index);
                operators.gradient(operator.out.row(index), target.operator, coefficient.operator, to);
            }
        }
    }
}
