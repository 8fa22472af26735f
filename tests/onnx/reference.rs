//! Runs a plan in f64, NCHW, by the definitions; nothing of it is shared with the exporter or the devices.

use graphpnas_fast::net::{BatchNorm, Op, OpKind, ParameterId, Plan, Pooling, ValueId, Weighting, Weights, Window};

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
        if self.plan.values[id.0].relu { image.map(|x| x.max(0.0)) } else { image }
    }

    /// The first channels of the inputs, added up.
    fn sum_of_first(&self, inputs: &[ValueId], channels: usize) -> Image {
        let images: Vec<Image> = inputs.iter().map(|&id| self.read(id)).collect();
        let mut sum = Image::zeros(channels, images[0].height, images[0].width);
        for image in images {
            sum.data.iter_mut().zip(&image.data).for_each(|(s, x)| *s += x);
        }
        sum
    }

    fn activating(&self, op: &Op) -> Image {
        let output = self.plan.values[op.output.0];
        match op.kind {
            OpKind::Convolution { weight, window } => {
                let (shape, weight) = self.parameter(weight);
                let taps = window.size * window.size;
                let kernel = |out: usize, c: usize| (c, &weight[(out * shape[1] + c) * taps..][..taps]);
                windows(&self.sum_of_first(&op.inputs, shape[1]), shape, window, kernel, shape[1])
            }
            OpKind::Separable { depthwise, pointwise, window } => {
                let (shape, weight) = self.parameter(depthwise);
                let taps = window.size * window.size;
                let kernel = |out: usize, _: usize| (out, &weight[out * taps..][..taps]);
                let spatial = windows(&self.sum_of_first(&op.inputs, shape[0]), shape, window, kernel, 1);
                self.dense(&spatial, pointwise, 1)
            }
            OpKind::Pool { pooling, window } => {
                pool(&self.sum_of_first(&op.inputs, output.channels), (pooling, window))
            }
            OpKind::Concatenation => {
                let data = op.inputs.iter().flat_map(|&id| self.read(id).data).collect();
                Image { channels: output.channels, height: output.height, width: output.width, data }
            }
            _ => self.sum_of_first(&op.inputs, output.channels),
        }
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
            OpKind::Classifier { weight, bias, relu } => {
                let features = self.mean(&op.inputs).map(|x| if relu { x.max(0.0) } else { x });
                let pixels = features.height * features.width;
                let pooled = features.data.chunks_exact(pixels).map(|c| c.iter().sum::<f64>() / pixels as f64);
                let pooled: Vec<f64> = pooled.collect();
                let (weight, bias) = (self.parameter(weight).1, self.parameter(bias).1);
                let rows = weight.chunks_exact(pooled.len()).zip(&bias);
                let data: Vec<f64> =
                    rows.map(|(row, b)| b + row.iter().zip(&pooled).map(|(w, x)| w * x).sum::<f64>()).collect();
                Image { channels: data.len(), height: 1, width: 1, data }
            }
            _ => self.activating(op),
        }
    }

    fn dense(&self, input: &Image, weight: ParameterId, stride: usize) -> Image {
        let (shape, weight) = self.parameter(weight);
        let taps = shape[2] * shape[3];
        let kernel = |out: usize, c: usize| (c, &weight[(out * shape[1] + c) * taps..][..taps]);
        windows(input, shape, Window::new(shape[2], stride), kernel, shape[1])
    }

    fn depthwise(&self, input: &Image, weight: ParameterId, stride: usize) -> Image {
        let (shape, weight) = self.parameter(weight);
        let taps = shape[2] * shape[3];
        windows(input, shape, Window::new(shape[2], stride), |out, _| (out, &weight[out * taps..][..taps]), 1)
    }
}

/// `kernel(out, k)`: the k-th input channel that the output channel reads, and its taps.
fn windows<'w>(
    input: &Image,
    shape: &[usize],
    window: Window,
    kernel: impl Fn(usize, usize) -> (usize, &'w [f64]),
    fan_in: usize,
) -> Image {
    let Window { size, stride, shift } = window;
    let first = shift as isize - (size as isize - 1) / 2;
    let mut output = Image::zeros(shape[0], input.height.div_ceil(stride), input.width.div_ceil(stride));
    for index in 0..output.data.len() {
        let (x, rest) = (index % output.width, index / output.width);
        let (y, out) = (rest % output.height, rest / output.height);
        for k in 0..fan_in {
            let (channel, taps) = kernel(out, k);
            for (tap, w) in taps.iter().enumerate() {
                let row = (y * stride + tap / size) as isize + first;
                let column = (x * stride + tap % size) as isize + first;
                output.data[index] += w * input.at(channel, row, column);
            }
        }
    }
    output
}

/// Mean or largest of what lies inside the image.
fn pool(input: &Image, (pooling, window): (Pooling, Window)) -> Image {
    let Window { size, stride, .. } = window;
    let before = (size - 1) / 2;
    let mut output = Image::zeros(input.channels, input.height.div_ceil(stride), input.width.div_ceil(stride));
    for index in 0..output.data.len() {
        let (x, rest) = (index % output.width, index / output.width);
        let (y, channel) = (rest % output.height, rest / output.height);
        let inside = |at: usize, limit: usize| {
            (at * stride).saturating_sub(before)..(at * stride + size).saturating_sub(before).min(limit)
        };
        let pixels: Vec<f64> = inside(y, input.height)
            .flat_map(|row| inside(x, input.width).map(move |column| (row, column)))
            .map(|(row, column)| input.data[(channel * input.height + row) * input.width + column])
            .collect();
        output.data[index] = match pooling {
            Pooling::Average => pixels.iter().sum::<f64>() / pixels.len() as f64,
            Pooling::Max => pixels.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
    }
    output
}
