//! The order of a graph's decisions, and their probabilities.

use super::parameters::LstmConfig;
use crate::graph::LabelledGraph;
use crate::random::Stream;
use rand::RngExt;

/// Logits are divided by this,
const TEMPERATURE: f64 = 5.0;
/// and squeezed into plus and minus this.
const LARGEST_LOGIT: f64 = 2.5;

/// One step of the LSTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// This node's operator.
    Operator(usize),
    /// Which of the earlier nodes feed this node.
    Links(usize),
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Operator(u8),
    /// Bit j: node j feeds the node.
    Links(u128),
}

/// All decisions, in order.
pub(super) fn decisions(config: &LstmConfig) -> Vec<Decision> {
    let of = |node| {
        let operator = (config.operators > 0).then_some(Decision::Operator(node));
        operator.into_iter().chain((node > 0).then_some(Decision::Links(node)))
    };
    (0..config.nodes).flat_map(of).collect()
}

impl Decision {
    /// What a graph of the right shape decided.
    pub fn choice(self, graph: &LabelledGraph) -> Choice {
        match self {
            Decision::Operator(node) => Choice::Operator(graph.operators[node]),
            Decision::Links(node) => Choice::Links(graph.dag.predecessor_bits(node)),
        }
    }

    /// Log-probability of a choice. `logits` are the heads' outputs: the operators', then the links'.
    pub fn log_probability(self, config: &LstmConfig, logits: &[f32], choice: Choice) -> f64 {
        match (self, choice) {
            (Decision::Operator(_), Choice::Operator(operator)) => {
                let squeezed: Vec<f64> = logits[..config.operators].iter().map(|&logit| squeeze(logit)).collect();
                squeezed[usize::from(operator)] - log_sum_exp(&squeezed)
            }
            (Decision::Links(node), Choice::Links(row)) => {
                let links = &logits[config.operators..][..node];
                links.iter().enumerate().map(|(from, &logit)| link(logit, row >> from & 1 == 1)).sum()
            }
            _ => f64::NEG_INFINITY,
        }
    }

    /// Adds `coefficient` times the gradient of the choice's log-probability by the logits.
    pub fn gradient(
        self,
        config: &LstmConfig,
        (logits, choice): (&[f32], Choice),
        coefficient: f64,
        dlogits: &mut [f32],
    ) {
        match (self, choice) {
            (Decision::Operator(_), Choice::Operator(operator)) => {
                let squeezed: Vec<f64> = logits[..config.operators].iter().map(|&logit| squeeze(logit)).collect();
                let total = log_sum_exp(&squeezed);
                for (index, (value, to)) in squeezed.iter().zip(dlogits).enumerate() {
                    let chosen = f64::from(u8::from(index == usize::from(operator)));
                    *to += (coefficient * (chosen - (value - total).exp()) * slope(*value)) as f32;
                }
            }
            (Decision::Links(node), Choice::Links(row)) => {
                let range = config.operators..config.operators + node;
                for (from, (logit, to)) in logits[range.clone()].iter().zip(&mut dlogits[range]).enumerate() {
                    let (there, value) = ((row >> from & 1) as f64, squeeze(*logit));
                    *to += (coefficient * 2.0 * (there - sigmoid(2.0 * value)) * slope(value)) as f32;
                }
            }
            _ => {}
        }
    }

    /// Draws a choice.
    pub fn draw(self, config: &LstmConfig, logits: &[f32], stream: &mut Stream) -> Choice {
        match self {
            Decision::Operator(_) => {
                let squeezed: Vec<f64> = logits[..config.operators].iter().map(|&logit| squeeze(logit)).collect();
                let total = log_sum_exp(&squeezed);
                let mut left: f64 = stream.random();
                let exceeds = |value: &f64| {
                    left -= (value - total).exp();
                    left < 0.0
                };
                Choice::Operator(squeezed.iter().position(exceeds).unwrap_or(config.operators - 1) as u8)
            }
            Decision::Links(node) => {
                let links = logits[config.operators..][..node].iter().enumerate();
                Choice::Links(links.fold(0, |row, (from, &logit)| {
                    row | u128::from(stream.random::<f64>() < sigmoid(2.0 * squeeze(logit))) << from
                }))
            }
        }
    }
}

/// `2.5 tanh(logit / 5)`
fn squeeze(logit: f32) -> f64 {
    LARGEST_LOGIT * (f64::from(logit) / TEMPERATURE).tanh()
}

/// Derivative of [`squeeze`], given its value.
fn slope(squeezed: f64) -> f64 {
    let share = squeezed / LARGEST_LOGIT;
    LARGEST_LOGIT / TEMPERATURE * (1.0 - share * share)
}

/// Log-probability that a link is there, `log sigmoid(2 z)`, or is not.
fn link(logit: f32, there: bool) -> f64 {
    let argument = if there { 2.0 } else { -2.0 } * squeeze(logit);
    -(-argument).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}
