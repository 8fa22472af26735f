//! Runs a plan in f64, NCHW, by the definitions; nothing of it is shared with the exporter or the devices.

use graphpnas_fast::net::{BatchNorm, Op, OpKind, ParameterId, Plan, ValueId, Weighting, Weights};

/// `(channels, height, width)`, row-major.
#[derive(Clone, Debug)]
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub data: Vec<f64>,
}

impl Image {
    pub fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Image { channels, height, width, data: vec![0.0; channels * height * width] }
    }

    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.data.iter_mut().for_each(|x| *x = f(*x));
        self
    }

    fn at(&self, channel: usize, row: isize, column: isize) -> f64 {
        let inside = (0..self.height as isize).contains(&row) && (0..self.width as isize).contains(&column);
        if inside { self.data[(channel * self.height + row as usize) * self.width + column as usize] } else { 0.0 }
    }
}

/// The logits of one image.
pub fn logits(plan: &Plan, weights: &Weights, image: &Image) -> Vec<f64> {
    let mut run = Run { plan, weights, values: vec![None; plan.values.len()] };
    for op in &plan.ops {
        let value = run.operation(op, image);
        run.values[op.output.0] = Some(value);
    }
    run.values[plan.ops.last().unwrap().output.0].take().unwrap().data
}

struct Run<'a> {
    plan: &'a Plan,
    weights: &'a Weights,
    values: Vec<Option<Image>>,
}

impl Run<'_> {
    fn parameter(&self, id: ParameterId) -> (&[usize], Vec<f64>) {
        let tensor = &self.weights.tensors[id.0];
        (&tensor.dimensions, tensor.data.iter().map(|&x| x as f64).collect())
    }

    fn read(&self, id: ValueId) -> Image {
        let mut image = self.values[id.0].clone().unwrap();
        if let Some(BatchNorm { gamma, beta, running_mean, running_variance }) = self.plan.values[id.0].norm {
            let [gamma, beta, mean, variance] =
                [gamma, beta, running_mean, running_variance].map(|id| self.parameter(id).1);
            for (c, pixels) in image.data.chunks_exact_mut(image.height * image.width).enumerate() {
                let scale = gamma[c] / (variance[c] + 1e-5).sqrt();
                pixels.iter_mut().for_each(|x| *x = (*x - mean[c]) * scale + beta[c]);
            }
        }
        image
    }

    fn sum(&self, inputs: &[ValueId], factor: impl Fn(usize) -> f64) -> Image {
        let images: Vec<Image> = inputs.iter().map(|&id| self.read(id)).collect();
        let mut sum = Image::zeros(images[0].channels, images[0].height, images[0].width);
        for (edge, image) in images.iter().enumerate() {
            sum.data.iter_mut().zip(&image.data).for_each(|(s, x)| *s += factor(edge) * x);
        }
        sum
    }

    fn mean(&self, inputs: &[ValueId]) -> Image {
        self.sum(inputs, |_| 1.0 / inputs.len() as f64)
    }

    fn operation(&self, op: &Op, image: &Image) -> Image {
        match op.kind {
            OpKind::Stem { weight, stride } => self.dense(image, weight, stride),
            OpKind::Node { weighting, depthwise, pointwise, stride } => {
                let sum = match weighting {
                    Weighting::Single => self.read(op.inputs[0]),
                    Weighting::Mean => self.mean(&op.inputs),
                    Weighting::Sigmoid(logits) => {
                        let logits = self.parameter(logits).1;
                        self.sum(&op.inputs, |edge| 1.0 / (1.0 + (-logits[edge]).exp()))
                    }
                };
                let spatial = self.depthwise(&sum.map(|x| x.max(0.0)), depthwise, stride);
                self.dense(&spatial, pointwise, 1)
            }
            OpKind::Mean => self.mean(&op.inputs),
            OpKind::Pointwise { weight } => self.dense(&self.mean(&op.inputs), weight, 1),
            OpKind::Classifier { weight, bias } => {
                let features = self.mean(&op.inputs).map(|x| x.max(0.0));
                let pixels = features.height * features.width;
                let pooled = features.data.chunks_exact(pixels).map(|c| c.iter().sum::<f64>() / pixels as f64);
                let pooled: Vec<f64> = pooled.collect();
                let (weight, bias) = (self.parameter(weight).1, self.parameter(bias).1);
                let rows = weight.chunks_exact(pooled.len()).zip(&bias);
                let data: Vec<f64> =
                    rows.map(|(row, b)| b + row.iter().zip(&pooled).map(|(w, x)| w * x).sum::<f64>()).collect();
                Image { channels: data.len(), height: 1, width: 1, data }
            }
        }
    }

    fn dense(&self, input: &Image, weight: ParameterId, stride: usize) -> Image {
        let (shape, weight) = self.parameter(weight);
        let taps = shape[2] * shape[3];
        convolve(input, shape, stride, |out, c| (c, &weight[(out * shape[1] + c) * taps..][..taps]), shape[1])
    }

    fn depthwise(&self, input: &Image, weight: ParameterId, stride: usize) -> Image {
        let (shape, weight) = self.parameter(weight);
        let taps = shape[2] * shape[3];
        convolve(input, shape, stride, |out, _| (out, &weight[out * taps..][..taps]), 1)
    }
}

/// `kernel(out, k)`: the k-th input channel that the output channel reads, and its taps.
fn convolve<'w>(
    input: &Image,
    shape: &[usize],
    stride: usize,
    kernel: impl Fn(usize, usize) -> (usize, &'w [f64]),
    fan_in: usize,
) -> Image {
    let (size, pad) = (shape[2], shape[2] as isize / 2);
    let mut output = Image::zeros(shape[0], input.height.div_ceil(stride), input.width.div_ceil(stride));
    for index in 0..output.data.len() {
        let (x, rest) = (index % output.width, index / output.width);
        let (y, out) = (rest % output.height, rest / output.height);
        for k in 0..fan_in {
            let (channel, taps) = kernel(out, k);
            for (tap, w) in taps.iter().enumerate() {
                let row = (y * stride + tap / size) as isize - pad;
                let column = (x * stride + tap % size) as isize - pad;
                output.data[index] += w * input.at(channel, row, column);
            }
        }
    }
    output
}
