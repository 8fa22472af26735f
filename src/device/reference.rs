//! What a plan means, in f64 and without any cleverness: the yardstick of every device.

use crate::net::{BatchNorm, Op, OpKind, ParameterId, Plan, Pooling, ValueShape, Weighting, Weights, Window};
use crate::random::{Purpose, StreamKey};
use rand::RngExt;

/// PyTorch's default.
const EPSILON: f64 = 1e-5;

/// A value of a whole batch, `(batch, channels, height, width)`.
#[derive(Clone)]
struct Value {
    shape: ValueShape,
    data: Vec<f64>,
}

/// Images and labels.
#[derive(Clone, Copy)]
pub struct ReferenceBatch<'a> {
    /// `(batch, height, width, channels)`
    pub pixels: &'a [f32],
    /// `(batch)`
    pub labels: &'a [u16],
    /// `(batch, features)`: what features are multiplied with before the classifier.
    pub dropout: Option<&'a [f32]>,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Batch statistics (training) or running statistics.
    pub training: bool,
}

/// Evaluates plans in f64.
pub struct Reference<'a> {
    plan: &'a Plan,
    tensors: Vec<Vec<f64>>,
    rounding: Option<Rounding>,
}

/// What devices round that a derivative's conditioning depends on. They take a batch's variance from sums in f32 as
/// `mean(x^2) - mean(x)^2`, so that it is off by a share of the mean square, however small it is itself.
#[derive(Clone, Copy, Debug)]
pub struct Rounding {
    /// Relative error of weights and of mean squares.
    pub unit: f64,
    /// Decides all signs.
    pub seed: u64,
}

impl Rounding {
    /// The error of number `index` of tensor `tensor`: `unit` up or down.
    fn of(self, tensor: usize, index: usize) -> f64 {
        let mut stream =
            StreamKey { seed: self.seed, purpose: Purpose::Synthetic, candidate: tensor as u64, epoch: index as u64 }
                .stream();
        if stream.random() { self.unit } else { -self.unit }
    }
}

impl<'a> Reference<'a> {
    /// A network with these weights, which fit the plan.
    pub fn new(plan: &'a Plan, weights: &Weights) -> Self {
        let tensors = weights.tensors.iter().map(|t| t.data.iter().map(|&v| f64::from(v)).collect()).collect();
        Reference { plan, tensors, rounding: None }
    }

    /// The same network with every weight and every batch's mean square rounded: results and derivatives that this
    /// changes much are badly conditioned.
    pub fn rounded(plan: &'a Plan, weights: &Weights, rounding: Rounding) -> Self {
        let mut reference = Reference::new(plan, weights);
        for (number, tensor) in reference.tensors.iter_mut().enumerate() {
            tensor.iter_mut().enumerate().for_each(|(index, value)| *value *= 1.0 + rounding.of(number, index));
        }
        reference.rounding = Some(rounding);
        reference
    }

    /// The elements of one tensor, to be changed at will.
    pub fn tensor(&mut self, id: ParameterId) -> &mut Vec<f64> {
        &mut self.tensors[id.0]
    }

    /// The logits, `(batch, classes)`.
    pub fn logits(&self, batch: ReferenceBatch) -> Vec<f64> {
        let images = batch.labels.len();
        let mut values: Vec<Value> = Vec::new();
        for op in &self.plan.ops {
            let inputs: Vec<Value> = op.inputs.iter().map(|id| values[id.0].clone()).collect();
            let shape = self.plan.values[op.output.0];
            let raw = self.apply(op, &inputs, shape, batch, images);
            let mut data = match shape.norm {
                Some(norm) => self.normalise(raw, shape, norm, images, batch.training),
                None => raw,
            };
            if shape.relu {
                data.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            values.push(Value { shape, data });
        }
        values.pop().map_or(Vec::new(), |last| last.data)
    }

    /// The mean loss.
    pub fn loss(&self, batch: ReferenceBatch) -> f64 {
        let classes = self.plan.classes;
        let logits = self.logits(batch);
        let losses = logits.chunks(classes).zip(batch.labels).map(|(row, &label)| {
            let log_sum = row.iter().map(|l| l.exp()).sum::<f64>().ln();
            let mean = row.iter().sum::<f64>() / classes as f64;
            let smoothing = batch.label_smoothing;
            log_sum - (1.0 - smoothing) * row[usize::from(label)] - smoothing * mean
        });
        losses.sum::<f64>() / batch.labels.len() as f64
    }

    fn apply(&self, op: &Op, inputs: &[Value], shape: ValueShape, batch: ReferenceBatch, images: usize) -> Vec<f64> {
        match op.kind {
            OpKind::Stem { weight, stride } => {
                let image = self.plan.image;
                let input = ValueShape {
                    channels: image.channels,
                    height: image.height,
                    width: image.width,
                    norm: None,
                    relu: false,
                };
                let data = channels_first(batch.pixels, input, images);
                convolve(&Value { shape: input, data }, &self.tensors[weight.0], shape, Window::new(3, stride))
            }
            OpKind::Node { weighting, depthwise, pointwise, stride } => {
                let mut sum = self.weighted_sum(inputs, weighting);
                sum.data.iter_mut().for_each(|v| *v = v.max(0.0));
                let middle = ValueShape { channels: sum.shape.channels, ..shape };
                let data = convolve_depthwise(&sum, &self.tensors[depthwise.0], middle, Window::new(3, stride));
                convolve(&Value { shape: middle, data }, &self.tensors[pointwise.0], shape, Window::new(1, 1))
            }
            OpKind::Mean => self.weighted_sum(inputs, Weighting::Mean).data,
            OpKind::Pointwise { weight } => {
                let mean = self.weighted_sum(inputs, Weighting::Mean);
                convolve(&mean, &self.tensors[weight.0], shape, Window::new(1, 1))
            }
            OpKind::Convolution { weight, window } => {
                let weight = &self.tensors[weight.0];
                let channels = weight.len() / (shape.channels * window.size * window.size);
                convolve(&sum_of_first(inputs, channels), weight, shape, window)
            }
            OpKind::Separable { depthwise, pointwise, window } => {
                let depthwise = &self.tensors[depthwise.0];
                let sum = sum_of_first(inputs, depthwise.len() / (window.size * window.size));
                let middle = ValueShape { channels: sum.shape.channels, ..shape };
                let data = convolve_depthwise(&sum, depthwise, middle, window);
                convolve(&Value { shape: middle, data }, &self.tensors[pointwise.0], shape, Window::new(1, 1))
            }
            OpKind::Pool { pooling, window } => pool(&sum_of_first(inputs, shape.channels), shape, (pooling, window)),
            OpKind::Sum => sum_of_first(inputs, shape.channels).data,
            OpKind::Concatenation => concatenate(inputs, images),
            OpKind::Classifier { weight, bias, relu } => {
                let mut features = average(&inputs[0], relu);
                if let Some(mask) = batch.dropout {
                    features.iter_mut().zip(mask).for_each(|(f, &m)| *f *= f64::from(m));
                }
                let channels = inputs[0].shape.channels;
                let (weight, bias) = (&self.tensors[weight.0], &self.tensors[bias.0]);
                let rows = features.chunks(channels).flat_map(|row| {
                    weight
                        .chunks(channels)
                        .zip(bias)
                        .map(move |(w, b)| b + w.iter().zip(row).map(|(w, f)| w * f).sum::<f64>())
                });
                rows.collect()
            }
        }
    }

    fn weighted_sum(&self, inputs: &[Value], weighting: Weighting) -> Value {
        let mut sum = Value { shape: inputs[0].shape, data: vec![0.0; inputs[0].data.len()] };
        for (position, input) in inputs.iter().enumerate() {
            let weight = match weighting {
                Weighting::Single => 1.0,
                Weighting::Mean => 1.0 / inputs.len() as f64,
                Weighting::Sigmoid(logits) => 1.0 / (1.0 + (-self.tensors[logits.0][position]).exp()),
            };
            sum.data.iter_mut().zip(&input.data).for_each(|(s, v)| *s += weight * v);
        }
        sum
    }

    fn normalise(&self, raw: Vec<f64>, shape: ValueShape, norm: BatchNorm, images: usize, training: bool) -> Vec<f64> {
        let pixels = shape.height * shape.width;
        let mut out = raw.clone();
        for channel in 0..shape.channels {
            let indices =
                || (0..images).flat_map(move |i| (0..pixels).map(move |p| (i * shape.channels + channel) * pixels + p));
            let count = (images * pixels) as f64;
            let (mean, variance) = if training {
                let mean = indices().map(|i| raw[i]).sum::<f64>() / count;
                let variance = indices().map(|i| (raw[i] - mean).powi(2)).sum::<f64>() / count;
                let error = self.rounding.map_or(0.0, |rounding| rounding.of(norm.running_variance.0, channel));
                (mean, (variance + error * (variance + mean * mean)).max(0.0))
            } else {
                (self.tensors[norm.running_mean.0][channel], self.tensors[norm.running_variance.0][channel])
            };
            let (gamma, beta) = (self.tensors[norm.gamma.0][channel], self.tensors[norm.beta.0][channel]);
            for i in indices() {
                out[i] = gamma * (raw[i] - mean) / (variance + EPSILON).sqrt() + beta;
            }
        }
        out
    }
}

/// `(batch, height, width, channels)` -> `(batch, channels, height, width)`.
fn channels_first(pixels: &[f32], shape: ValueShape, images: usize) -> Vec<f64> {
    let size = shape.height * shape.width;
    let mut data = vec![0.0; images * size * shape.channels];
    for image in 0..images {
        for pixel in 0..size {
            for channel in 0..shape.channels {
                let from = (image * size + pixel) * shape.channels + channel;
                data[(image * shape.channels + channel) * size + pixel] = f64::from(pixels[from]);
            }
        }
    }
    data
}

/// The sum of the first channels of values.
fn sum_of_first(inputs: &[Value], channels: usize) -> Value {
    let shape = ValueShape { channels, ..inputs[0].shape };
    let pixels = shape.height * shape.width;
    let first = |input: &Value| -> Vec<f64> {
        let images = input.data.chunks(input.shape.channels * pixels);
        images.flat_map(|image| image[..channels * pixels].iter().copied()).collect()
    };
    let mut data = first(&inputs[0]);
    for input in &inputs[1..] {
        data.iter_mut().zip(first(input)).for_each(|(sum, value)| *sum += value);
    }
    Value { shape, data }
}

fn concatenate(inputs: &[Value], images: usize) -> Vec<f64> {
    let part = |input: &Value, image: usize| {
        let floats = input.data.len() / images;
        input.data[image * floats..][..floats].to_vec()
    };
    (0..images).flat_map(|image| inputs.iter().flat_map(move |input| part(input, image))).collect()
}

/// Calls `visit(tap, value)` for what a window covers of a plane.
fn under(plane: &[f64], shape: ValueShape, (y, x): (usize, usize), window: Window, mut visit: impl FnMut(usize, f64)) {
    let (border, first) = (window.border(), |at: usize| at * window.stride + window.shift);
    for i in 0..window.size {
        for j in 0..window.size {
            let (row, column) = (first(y) + i, first(x) + j);
            let inside =
                (border..shape.height + border).contains(&row) && (border..shape.width + border).contains(&column);
            if inside {
                visit(i * window.size + j, plane[(row - border) * shape.width + column - border]);
            }
        }
    }
}

/// One output of one input channel under a window.
fn window_sum(plane: &[f64], shape: ValueShape, weight: &[f64], at: (usize, usize), window: Window) -> f64 {
    let mut sum = 0.0;
    under(plane, shape, at, window, |tap, value| sum += weight[tap] * value);
    sum
}

fn pool(input: &Value, output: ValueShape, (pooling, window): (Pooling, Window)) -> Vec<f64> {
    let mut data = Vec::new();
    for plane in input.data.chunks(input.shape.height * input.shape.width) {
        for y in 0..output.height {
            for x in 0..output.width {
                let (mut count, mut sum, mut largest) = (0.0, 0.0, f64::NEG_INFINITY);
                under(plane, input.shape, (y, x), window, |_, value| {
                    count += 1.0;
                    sum += value;
                    largest = value.max(largest);
                });
                data.push(match pooling {
                    Pooling::Average => sum / count,
                    Pooling::Max => largest,
                });
            }
        }
    }
    data
}

/// Dense convolution, weights `(out, in, size, size)`.
fn convolve(input: &Value, weight: &[f64], output: ValueShape, window: Window) -> Vec<f64> {
    let (size, taps) = (input.shape.height * input.shape.width, window.size * window.size);
    let mut data = Vec::new();
    for image in input.data.chunks(size * input.shape.channels) {
        for filter in weight.chunks(taps * input.shape.channels) {
            for y in 0..output.height {
                for x in 0..output.width {
                    let planes = image.chunks(size).zip(filter.chunks(taps));
                    data.push(planes.map(|(plane, w)| window_sum(plane, input.shape, w, (y, x), window)).sum());
                }
            }
        }
    }
    data
}

/// Depthwise convolution, weights `(channels, 1, size, size)`.
fn convolve_depthwise(input: &Value, weight: &[f64], output: ValueShape, window: Window) -> Vec<f64> {
    let (size, taps) = (input.shape.height * input.shape.width, window.size * window.size);
    let mut data = Vec::new();
    for (plane, number) in input.data.chunks(size).zip(0..) {
        let filter = &weight[number % input.shape.channels * taps..][..taps];
        for y in 0..output.height {
            for x in 0..output.width {
                data.push(window_sum(plane, input.shape, filter, (y, x), window));
            }
        }
    }
    data
}

/// The mean over pixels, of the ReLU if asked for, `(batch, channels)`.
fn average(input: &Value, relu: bool) -> Vec<f64> {
    let size = input.shape.height * input.shape.width;
    let least = if relu { 0.0 } else { f64::NEG_INFINITY };
    input.data.chunks(size).map(|plane| plane.iter().map(|v| v.max(least)).sum::<f64>() / size as f64).collect()
}
