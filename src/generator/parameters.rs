//! Where each tensor lies in the one vector that holds all parameters, and how it starts.

use super::config::GranConfig;
use crate::device::cpu::matrix::{Panels, Sum, View, ViewMut, column_sums, transposed_product};
use crate::random::Stream;
use rand::RngExt;

/// One named tensor: a weight (outputs, inputs) or a bias (outputs).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorSpec {
    pub name: String,
    pub dimensions: Vec<usize>,
    pub offset: usize,
    /// Inputs of the layer it belongs to.
    pub fan_in: usize,
}

impl TensorSpec {
    pub fn len(&self) -> usize {
        self.dimensions.iter().product()
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// A linear layer's place in the parameters: weight (outputs, inputs) and bias (outputs).
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    /// First element of the weight.
    pub weight: usize,
    /// First element of the bias.
    pub bias: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    pub fn weight<'a>(&self, parameters: &'a [f32]) -> View<'a> {
        View::new(&parameters[self.weight..][..self.inputs * self.outputs], self.outputs, self.inputs)
    }

    pub fn weight_mut<'a>(&self, gradient: &'a mut [f32]) -> ViewMut<'a> {
        ViewMut::new(&mut gradient[self.weight..][..self.inputs * self.outputs], self.outputs, self.inputs)
    }

    /// Row-major elements of the weight.
    pub fn weight_slice<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.weight..][..self.inputs * self.outputs]
    }

    /// Row-major elements of the weight's gradient.
    pub fn weight_slice_mut<'a>(&self, gradient: &'a mut [f32]) -> &'a mut [f32] {
        &mut gradient[self.weight..][..self.inputs * self.outputs]
    }

    pub fn bias<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.bias..][..self.outputs]
    }

    pub fn bias_mut<'a>(&self, gradient: &'a mut [f32]) -> &'a mut [f32] {
        &mut gradient[self.bias..][..self.outputs]
    }

    /// `dW = dy^T x` and `db = ` column sums of dy, or `+=`.
    pub fn parameter_gradient(&self, (gradient, sum): (&mut [f32], Sum), x: View, dy: View, panels: &mut Panels) {
        transposed_product(dy, x, sum, &mut self.weight_mut(gradient), panels);
        column_sums(dy, sum, self.bias_mut(gradient));
    }

    /// The same place in the parameters from `start` on.
    pub fn after(self, start: usize) -> Self {
        Linear { weight: self.weight - start, bias: self.bias - start, ..self }
    }
}

/// A GRU cell: `input` and `hidden` map to the three gates r, z, n, in this order (3 hidden, hidden).
#[derive(Clone, Copy, Debug)]
pub(super) struct Gru {
    pub input: Linear,
    pub hidden: Linear,
}

/// One round of message passing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub message: [Linear; 2],
    pub gate: Option<[Linear; 2]>,
    pub gru: Gru,
    /// Without a gate: where, behind the gradients of all parameters, that of what an edge adds to the GRU's gates lies
    /// (3 hidden).
    pub per_edge: usize,
}

impl Round {
    /// The same place in the parameters from `start` on.
    pub fn after(self, start: usize) -> Self {
        let after = |layer: Linear| layer.after(start);
        let gru = Gru { input: after(self.gru.input), hidden: after(self.gru.hidden) };
        Round { message: self.message.map(after), gate: self.gate.map(|layers| layers.map(after)), gru, ..self }
    }
}

/// Linear - ReLU - Linear - ReLU - Linear.
pub(super) type Head = [Linear; 3];

/// All layers, and the tensors they are made of in the order of the checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub tensors: Vec<TensorSpec>,
    pub input: Linear,
    pub rounds: Vec<Round>,
    pub theta: Head,
    pub alpha: Head,
    pub operator: Option<Head>,
    pub edge_operator: Option<Head>,
}

impl Layout {
    /// The layers of this configuration, which must be valid.
    pub fn new(config: &GranConfig) -> Self {
        let mut tensors = Vec::new();
        let hidden = config.hidden;
        let edge = hidden + config.edge_features();
        let input = add_linear(&mut tensors, "input", config.input_columns(), config.initial_width());
        let rounds = (0..config.layers).map(|round| {
            let name = format!("rounds.{round}");
            Round {
                message: add_pair(&mut tensors, &format!("{name}.message"), [edge, hidden, hidden]),
                gate: config
                    .attention
                    .map(|wide| add_pair(&mut tensors, &format!("{name}.gate"), [edge, wide, hidden])),
                gru: add_gru(&mut tensors, &format!("{name}.gru"), hidden),
                per_edge: round * 3 * hidden,
            }
        });
        let rounds = rounds.collect();
        let theta = add_head(&mut tensors, "theta", hidden, config.mixtures);
        let alpha = add_head(&mut tensors, "alpha", hidden, config.mixtures);
        let operator = (config.operators > 0).then(|| add_head(&mut tensors, "operator", hidden, config.operators));
        let edges = config.edge_operators;
        let edge_operator = (edges > 0).then(|| add_head(&mut tensors, "edge_operator", hidden, edges));
        Layout { tensors, input, rounds, theta, alpha, operator, edge_operator }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.range().end)
    }

    /// Floats of a gradient while it is added up: the parameters' and what the rounds without a gate put behind them.
    pub fn gradient_len(&self) -> usize {
        let per_edge = |round: &Round| if round.gate.is_none() { round.gru.input.outputs } else { 0 };
        self.len() + self.rounds.iter().map(per_edge).sum::<usize>()
    }

    /// Where the parameters of the rounds begin and end; every round has as many as the others.
    pub fn rounds_range(&self) -> [usize; 2] {
        let begin = self.input.bias + self.input.outputs;
        [begin, self.theta[0].weight]
    }

    /// Whether some gradients are those of composites ([`super::weights`]) while they are added up.
    pub fn has_composites(&self) -> bool {
        self.rounds.iter().any(|round| round.gate.is_none())
    }

    /// The output heads: theta, alpha, then the operators' and the edge operators' where there are any.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        [&self.theta, &self.alpha].into_iter().chain(&self.operator).chain(&self.edge_operator)
    }

    /// Starting values, as PyTorch's linear layers have them: every weight and bias uniform in
    /// `+-1 / sqrt(inputs of its layer)`, drawn in the order of the tensors.
    pub fn initialise(&self, config: &GranConfig, stream: &mut Stream) -> Vec<f32> {
        let mut parameters = Vec::with_capacity(self.len());
        for tensor in &self.tensors {
            let bound = 1.0 / (tensor.fan_in as f32).sqrt();
            parameters.extend((0..tensor.len()).map(|_| (2.0 * stream.random::<f32>() - 1.0) * bound));
        }
        if let Some(bias) = config.last_theta_bias {
            self.theta[2].bias_mut(&mut parameters).fill(bias);
        }
        parameters
    }
}

/// Appends a tensor and returns where it starts.
fn add(tensors: &mut Vec<TensorSpec>, name: String, dimensions: &[usize], fan_in: usize) -> usize {
    let offset = tensors.last().map_or(0, |last| last.range().end);
    tensors.push(TensorSpec { name, dimensions: dimensions.to_vec(), offset, fan_in });
    offset
}

fn add_linear(tensors: &mut Vec<TensorSpec>, name: &str, inputs: usize, outputs: usize) -> Linear {
    let weight = add(tensors, format!("{name}.weight"), &[outputs, inputs], inputs);
    let bias = add(tensors, format!("{name}.bias"), &[outputs], inputs);
    Linear { weight, bias, inputs, outputs }
}

fn add_pair(tensors: &mut Vec<TensorSpec>, name: &str, widths: [usize; 3]) -> [Linear; 2] {
    std::array::from_fn(|layer| add_linear(tensors, &format!("{name}.{layer}"), widths[layer], widths[layer + 1]))
}

fn add_head(tensors: &mut Vec<TensorSpec>, name: &str, hidden: usize, outputs: usize) -> Head {
    let widths = [hidden, hidden, hidden, outputs];
    std::array::from_fn(|layer| add_linear(tensors, &format!("{name}.{layer}"), widths[layer], widths[layer + 1]))
}

/// In PyTorch's order: both weights, then both biases.
fn add_gru(tensors: &mut Vec<TensorSpec>, name: &str, hidden: usize) -> Gru {
    let [input, from_hidden] =
        ["weight_ih", "weight_hh"].map(|part| add(tensors, format!("{name}.{part}"), &[3 * hidden, hidden], hidden));
    let [input_bias, hidden_bias] =
        ["bias_ih", "bias_hh"].map(|part| add(tensors, format!("{name}.{part}"), &[3 * hidden], hidden));
    let linear = |weight, bias| Linear { weight, bias, inputs: hidden, outputs: 3 * hidden };
    Gru { input: linear(input, input_bias), hidden: linear(from_hidden, hidden_bias) }
}
