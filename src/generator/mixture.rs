//! The distributions of one row, in f64: the mixture of Bernoullis and the softmax over operators.

use crate::device::cpu::matrix::Matrix;
use crate::random::Stream;
use rand::RngExt;
use std::ops::Range;

/// What the heads say about one row.
#[derive(Clone, Copy)]
pub(super) struct RowLogits<'a> {
    /// Logits of the Bernoullis; those of entry j lie in row `pairs.start + j` (pairs, mixtures).
    pub theta: &'a Matrix,
    /// Logits whose mean over the pairs gives the mixture weights' (pairs, mixtures).
    pub alpha: &'a Matrix,
    /// The row's pairs.
    pub pairs: &'a Range<usize>,
    /// Row of `alpha` with the pair of the new node with itself, where it counts.
    pub self_pair: Option<usize>,
}

impl RowLogits<'_> {
    /// Number of pairs in the mean of `alpha`.
    fn count(&self) -> f64 {
        (self.pairs.len() + usize::from(self.self_pair.is_some())).max(1) as f64
    }

    fn alpha_rows(&self) -> impl Iterator<Item = usize> {
        self.pairs.clone().chain(self.self_pair)
    }
}

/// Log-probabilities of one row under each component; memory kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Mixture {
    /// `log alpha_k`; the gradient makes it alpha_k.
    log_weights: Vec<f64>,
    /// `log alpha_k + sum_j log Bernoulli(A_j; theta_kj)`; the gradient makes it the component's posterior.
    joint: Vec<f64>,
    /// `exp(-|theta_kj|)`, entry by entry.
    decays: Vec<f64>,
    /// Of every component: `prod_j (1 + exp(-|theta_kj|))`, at most 2 to the number of entries.
    normalisers: Vec<f64>,
    /// The row's.
    log_probability: f64,
}

impl Mixture {
    /// `log sum_k alpha_k prod_j Bernoulli(A_j; theta_kj)`; bit j of `row` is A_j. With x the logit of what was decided,
    /// `log Bernoulli = min(x, 0) - log(1 + exp(-|x|))`, and one logarithm of a product does for all entries.
    pub fn log_probability(&mut self, logits: RowLogits, row: u128) -> f64 {
        self.set_log_weights(logits);
        self.joint.clear();
        self.joint.extend_from_slice(&self.log_weights);
        self.decays.clear();
        self.normalisers.clear();
        self.normalisers.resize(self.joint.len(), 1.0);
        for (entry, pair) in logits.pairs.clone().enumerate() {
            let sign = if row >> entry & 1 == 1 { 1.0 } else { -1.0 };
            let sums = self.joint.iter_mut().zip(&mut self.normalisers);
            for ((joint, normaliser), theta) in sums.zip(logits.theta.row(pair)) {
                let theta = f64::from(*theta);
                let decay = (-theta.abs()).exp();
                *joint += (sign * theta).min(0.0);
                *normaliser *= 1.0 + decay;
                self.decays.push(decay);
            }
        }
        self.joint.iter_mut().zip(&self.normalisers).for_each(|(joint, normaliser)| *joint -= normaliser.ln());
        self.log_probability = log_sum_exp(&self.joint);
        self.log_probability
    }

    /// Adds `coefficient` times the gradient of the row's log-probability to those of `theta` and `alpha`. Uses up what
    /// [`Mixture::log_probability`] of the same row left.
    pub fn gradient(&mut self, logits: RowLogits, row: u128, coefficient: f64, [dtheta, dalpha]: [&mut Matrix; 2]) {
        self.joint.iter_mut().for_each(|joint| *joint = (*joint - self.log_probability).exp());
        self.log_weights.iter_mut().for_each(|weight| *weight = weight.exp());
        let decays = self.decays.chunks_exact(self.joint.len().max(1));
        for ((entry, pair), decays) in logits.pairs.clone().enumerate().zip(decays) {
            let bit = (row >> entry & 1) as f64;
            let values = self.joint.iter().zip(decays).zip(logits.theta.row(pair));
            for (((posterior, decay), theta), to) in values.zip(dtheta.row_mut(pair)) {
                let probability = if *theta > 0.0 { 1.0 } else { *decay } / (1.0 + decay);
                *to += (coefficient * posterior * (bit - probability)) as f32;
            }
        }
        for pair in logits.alpha_rows() {
            let values = self.joint.iter().zip(&self.log_weights);
            for ((posterior, weight), to) in values.zip(dalpha.row_mut(pair)) {
                *to += (coefficient * (posterior - weight) / logits.count()) as f32;
            }
        }
    }

    /// Draws a row: the component first, then every entry.
    pub fn draw(&mut self, logits: RowLogits, stream: &mut Stream) -> u128 {
        self.set_log_weights(logits);
        let component = draw_index(&self.log_weights, stream);
        let mut row = 0;
        for (entry, pair) in logits.pairs.clone().enumerate() {
            let probability = sigmoid(f64::from(logits.theta.row(pair)[component]));
            row |= u128::from(stream.random::<f64>() < probability) << entry;
        }
        row
    }

    fn set_log_weights(&mut self, logits: RowLogits) {
        self.log_weights.clear();
        self.log_weights.resize(logits.alpha.cols(), 0.0);
        for pair in logits.alpha_rows() {
            for (sum, value) in self.log_weights.iter_mut().zip(logits.alpha.row(pair)) {
                *sum += f64::from(*value);
            }
        }
        self.log_weights.iter_mut().for_each(|sum| *sum /= logits.count());
        log_softmax(&mut self.log_weights);
    }
}

/// A softmax over operators; memory kept from node to node.
#[derive(Clone, Debug, Default)]
pub(super) struct Operators {
    log_probabilities: Vec<f64>,
}

impl Operators {
    /// Log-probability of `operator`.
    pub fn log_probability(&mut self, logits: &[f32], operator: u8) -> f64 {
        self.set(logits);
        self.log_probabilities.get(usize::from(operator)).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// Overwrites `dlogits` with `coefficient` times the gradient of the operator's log-probability.
    pub fn gradient(&mut self, logits: &[f32], operator: u8, coefficient: f64, dlogits: &mut [f32]) {
        self.set(logits);
        for (index, (to, log_probability)) in dlogits.iter_mut().zip(&self.log_probabilities).enumerate() {
            let chosen = f64::from(u8::from(index == usize::from(operator)));
            *to = (coefficient * (chosen - log_probability.exp())) as f32;
        }
    }

    /// Draws an operator.
    pub fn draw(&mut self, logits: &[f32], stream: &mut Stream) -> u8 {
        self.set(logits);
        draw_index(&self.log_probabilities, stream) as u8
    }

    fn set(&mut self, logits: &[f32]) {
        self.log_probabilities.clear();
        self.log_probabilities.extend(logits.iter().map(|&value| f64::from(value)));
        log_softmax(&mut self.log_probabilities);
    }
}

fn draw_index(log_probabilities: &[f64], stream: &mut Stream) -> usize {
    let mut rest: f64 = stream.random();
    for (index, log_probability) in log_probabilities.iter().enumerate() {
        rest -= log_probability.exp();
        if rest < 0.0 {
            return index;
        }
    }
    log_probabilities.len() - 1
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

fn log_softmax(values: &mut [f64]) {
    let total = log_sum_exp(values);
    values.iter_mut().for_each(|value| *value -= total);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
