//! One generator: its parameters, its forward pass over a batch of prefix graphs and the backward pass.

use super::GeneratorError;
use super::config::{GranConfig, InputLayout};
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
    /// Of every prefix.
    mixtures: Vec<Mixture>,
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

    fn heads<'a>(&'a self, weights: &'a Weights) -> impl Iterator<Item = BoundHead<'a>> {
        self.layout.heads().zip(&weights.heads).map(|(layers, weights)| BoundHead { layers, weights })
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

    /// Gives or adds to `gradient` that of `sum over prefixes of coefficients.row * log P(row) + coefficients.operator * log
    /// P(operator)`. The workspace must hold the forward pass of this batch and the [scores](Gran::score) of all its prefixes,
    /// and is used up.
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
        let Workspace { theta, alpha, operator, mixtures, operators, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixtures[index].log_probability(self.logits([&theta.out, &alpha.out], &pairs), target.row);
        let operator = match self.layout.operator {
            Some(_) => operators.log_probability(operator.out.row(index), target.operator),
            None => 0.0,
        };
        Score { row, operator }
    }

    /// Draws a prefix's row and operator, from the last forward pass.
    pub(super) fn draw(&self, workspace: &mut Workspace, index: usize, prefix: Prefix, stream: &mut Stream) -> Target {
        let Workspace { theta, alpha, operator, mixtures, operators, .. } = workspace;
        let pairs = prefix.pairs();
        let row = mixtures[index].draw(self.logits([&theta.out, &alpha.out], &pairs), stream);
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
    fn initial_states(&self, weights: &Weights, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { rows, states, .. } = workspace;
        let (level, initial) = (&batch.levels[0], &mut states[0]);
        rows.reshape(level.rows(), self.config.nodes);
        initial.reshape(level.rows(), self.config.hidden);
        for row in level.fresh() {
            let bits = batch.initial[row].unwrap_or(0);
            rows.row_mut(row).iter_mut().enumerate().for_each(|(j, value)| *value = (bits >> j & 1) as f32);
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

    fn heads_forward(&self, weights: &Weights, batch: &PrefixBatch, workspace: &mut Workspace) {
        let Workspace { states, differences, new_states, theta, alpha, operator, scratch, .. } = workspace;
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
    }

    /// Leaves the gradient of the last states in `workspace.dstate`.
    fn heads_backward(
        &self,
        weights: &Weights,
        batch: &PrefixBatch,
        workspace: &mut Workspace,
        (gradient, sum): (&mut [f32], Sum),
    ) {
        let Workspace { states, differences, new_states, theta, alpha, operator, scratch, .. } = workspace;
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
        let Workspace { theta, alpha, operator, mixtures, operators, .. } = workspace;
        for head in [&mut *theta, &mut *alpha, &mut *operator] {
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
        }
    }
}
