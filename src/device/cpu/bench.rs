//! Single kernels and single operations with memory of their own, for the benchmarks: safe to call, with flops and bytes
//! stated.

use super::depthwise::{Convolution, Depthwise};
use super::gather::{Gather, Plane};
use super::gemm::{Product, Segments, Strided};
use super::moments::Moments;
use super::network::{Batch, Network, NetworkOptions, Step};
use super::simd::InstructionSet;
use super::windows::{Grid, WindowProduct, WindowRows, WindowWeightGradient};
use crate::net::{OpKind, ValueId, Window, Workload};

/// What one run of a kernel does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Floating-point operations; a multiply-add is two.
    pub flops: f64,
    /// Bytes read and written, each counted once.
    pub bytes: f64,
}

fn ramp(floats: usize) -> Vec<f32> {
    (0..floats).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
}

/// The 1x1 convolution of a tile: `(rows, inputs) x (inputs, outputs)`.
pub struct PointwiseBench {
    set: InstructionSet,
    rows: usize,
    blocks: (usize, usize),
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    moments: Vec<f32>,
}

impl PointwiseBench {
    /// Channels are rounded up to whole vectors.
    pub fn new(rows: usize, inputs: usize, outputs: usize) -> Self {
        let set = InstructionSet::best();
        let lanes = set.lanes();
        let blocks = (inputs.div_ceil(lanes), outputs.div_ceil(lanes));
        let (inputs, outputs) = (blocks.0 * lanes, blocks.1 * lanes);
        let (a, b) = (ramp(rows * inputs), ramp(inputs * outputs));
        PointwiseBench { set, rows, blocks, a, b, c: vec![0.0; rows * outputs], moments: vec![0.0; 3 * outputs] }
    }

    /// Once.
    pub fn run(&mut self) {
        let segment_stride = self.rows * self.set.lanes();
        let outputs = self.blocks.1 * self.set.lanes();
        let (shift, sums) = self.moments.split_at_mut(outputs);
        let (sums, squares) = sums.split_at_mut(outputs);
        let moments =
            Moments { shift: shift.as_mut_ptr(), sums: sums.as_mut_ptr(), squares: squares.as_mut_ptr(), first: true };
        let product = Product {
            rows: self.rows,
            depth: Segments { count: self.blocks.0, length: self.set.lanes() },
            column_blocks: self.blocks.1,
            a: Strided { start: self.a.as_ptr(), row_stride: self.set.lanes(), segment_stride },
            b: self.b.as_ptr(),
            c: Strided { start: self.c.as_mut_ptr(), row_stride: self.set.lanes(), segment_stride },
            moments: Some(moments),
        };
        // SAFETY: the set is available; the buffers have the product's shapes.
        unsafe { self.set.run(product) }
    }

    /// What a run does.
    pub fn work(&self) -> Work {
        let flops = 2.0 * self.rows as f64 * self.b.len() as f64;
        Work { flops, bytes: 4.0 * (self.a.len() + self.b.len() + self.c.len()) as f64 }
    }
}

/// A dense convolution of one image with its border, stride 1, and the gradient of its weight.
pub struct DenseBench {
    set: InstructionSet,
    grid: Grid,
    /// Of the inputs, and as many of the outputs.
    blocks: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    moments: Vec<f32>,
}

impl DenseBench {
    /// `size` by `size` windows on an image of `side` by `side` pixels. Channels, as many in as out, are rounded up to
    /// whole vectors.
    pub fn new(side: usize, channels: usize, size: usize) -> Self {
        let set = InstructionSet::best();
        let blocks = channels.div_ceil(set.lanes());
        let channels = blocks * set.lanes();
        let grid = Grid { window: Window::new(size, 1), input: (side, side), output: (side, side) };
        let (a, b) = (ramp(grid.bordered_pixels() * channels), ramp(size * size * channels * channels));
        DenseBench { set, grid, blocks, a, b, c: vec![0.0; side * side * channels], moments: vec![0.0; 3 * channels] }
    }

    fn windows(&self) -> WindowRows {
        WindowRows { grid: self.grid, images: 1, blocks: self.blocks, start: self.a.as_ptr() }
    }

    /// The forward once.
    pub fn forward(&mut self) {
        let (row_stride, segment_stride) = (self.set.lanes(), self.grid.outputs() * self.set.lanes());
        let (a, channels) = (self.windows(), self.blocks * self.set.lanes());
        let (shift, sums) = self.moments.split_at_mut(channels);
        let (sums, squares) = sums.split_at_mut(channels);
        let moments =
            Moments { shift: shift.as_mut_ptr(), sums: sums.as_mut_ptr(), squares: squares.as_mut_ptr(), first: true };
        let c = Strided { start: self.c.as_mut_ptr(), row_stride, segment_stride };
        let product = WindowProduct { a, b: self.b.as_ptr(), column_blocks: self.blocks, c, moments: Some(moments) };
        // SAFETY: the set is available; the buffers have the product's shapes.
        unsafe { self.set.run(product) }
    }

    /// The gradient of the weight once.
    pub fn weight_gradient(&mut self) {
        let (row_stride, segment_stride) = (self.set.lanes(), self.grid.outputs() * self.set.lanes());
        let b = Strided { start: self.c.as_ptr(), row_stride, segment_stride };
        let (a, column_blocks) = (self.windows(), self.blocks);
        let gradient = WindowWeightGradient { a, b, column_blocks, c: self.b.as_mut_ptr() };
        // SAFETY: the set is available; the buffers have the gradient's shapes.
        unsafe { self.set.run(gradient) }
    }

    /// What either does.
    pub fn work(&self) -> Work {
        let flops = 2.0 * self.grid.outputs() as f64 * self.b.len() as f64;
        Work { flops, bytes: 4.0 * (self.a.len() + self.b.len() + self.c.len()) as f64 }
    }
}

/// The depthwise 3x3 convolution of planes, stride 1.
pub struct DepthwiseBench {
    set: InstructionSet,
    shape: Depthwise,
    images: usize,
    input: Vec<f32>,
    zeros: Vec<f32>,
    weight: Vec<f32>,
    output: Vec<f32>,
}

impl DepthwiseBench {
    /// `images` planes of `side` by `side` pixels.
    pub fn new(side: usize, images: usize) -> Self {
        let set = InstructionSet::best();
        let shape = Depthwise { input_height: side, input_width: side, height: side, width: side, stride: 1 };
        let lanes = set.lanes();
        let floats = images * side * side * lanes;
        let (zeros, output) = (vec![0.0; side * lanes], vec![0.0; floats]);
        DepthwiseBench { set, shape, images, input: ramp(floats), zeros, weight: ramp(9 * lanes), output }
    }

    /// Once.
    pub fn run(&mut self) {
        let DepthwiseBench { set, shape, images, ref input, ref zeros, ref weight, ref mut output } = *self;
        let (input, zeros, weight) = (input.as_ptr(), zeros.as_ptr(), weight.as_ptr());
        let convolution = Convolution { shape, images, input, zeros, weight, output: output.as_mut_ptr() };
        // SAFETY: the set is available; the buffers have the convolution's shapes.
        unsafe { set.run(convolution) }
    }

    /// What a run does.
    pub fn work(&self) -> Work {
        let bytes = 4.0 * (self.input.len() + self.weight.len() + self.output.len()) as f64;
        Work { flops: 18.0 * self.output.len() as f64, bytes }
    }
}

/// The weighted sum of several inputs with batch norm and ReLU.
pub struct GatherBench {
    set: InstructionSet,
    inputs: Vec<Vec<f32>>,
    scale: Vec<f32>,
    output: Vec<f32>,
}

impl GatherBench {
    /// `inputs` planes of `vectors` vectors.
    pub fn new(inputs: usize, vectors: usize) -> Self {
        let set = InstructionSet::best();
        let floats = vectors * set.lanes();
        let inputs = (0..inputs).map(|_| ramp(floats)).collect();
        GatherBench { set, inputs, scale: ramp(set.lanes()), output: vec![0.0; floats] }
    }

    /// Once.
    pub fn run(&mut self) {
        let scale = self.scale.as_ptr();
        let planes: Vec<Plane> = self.inputs.iter().map(|i| Plane { values: i.as_ptr(), scale, mean: scale }).collect();
        let vectors = self.output.len() / self.set.lanes();
        let gather = Gather { planes: &planes, shift: scale, relu: true, to: self.output.as_mut_ptr(), vectors };
        // SAFETY: the set is available; all planes have the target's length.
        unsafe { self.set.run(gather) }
    }

    /// What a run does.
    pub fn work(&self) -> Work {
        let floats = self.output.len() as f64;
        let inputs = self.inputs.len() as f64;
        Work { flops: floats * (2.0 * inputs + 1.0), bytes: 4.0 * floats * (inputs + 1.0) }
    }
}

/// One network and its fixed batch, on one thread: whole steps, and single nodes inside them.
pub struct NetworkBench {
    network: Network,
    pixels: Vec<f32>,
    labels: Vec<u16>,
    node: usize,
    multiply_adds: f64,
}

impl NetworkBench {
    /// The network of a workload; its node is the last of the first stage's with several inputs.
    pub fn new(workload: &Workload) -> Self {
        let options = NetworkOptions { batch: workload.batch, threads: 1, set: InstructionSet::best() };
        let mut network = Network::new(&workload.plan, options);
        network.load(&workload.weights());
        let ops = workload.plan.ops.iter();
        let first_mean = ops.clone().position(|op| matches!(op.kind, OpKind::Mean)).unwrap_or(usize::MAX);
        let several = ops.enumerate().take(first_mean).filter(|(_, op)| op.inputs.len() > 1);
        let node = several.map(|(number, _)| number).next_back().unwrap_or(1);
        let multiply_adds = workload.plan.op_multiply_adds(&workload.plan.ops[node]) as f64;
        let mut bench =
            NetworkBench { network, pixels: workload.images(), labels: workload.labels(), node, multiply_adds };
        bench.train();
        bench
    }

    /// A training step.
    pub fn train(&mut self) {
        let batch = Batch { pixels: &self.pixels, labels: &self.labels };
        let step = Step {
            learning_rate: 0.01,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
            gradient_clip: None,
            label_smoothing: 0.1,
            dropout: None,
        };
        self.network.train(batch, step);
    }

    /// An evaluation.
    pub fn evaluate(&mut self) {
        let batch = Batch { pixels: &self.pixels, labels: &self.labels };
        self.network.evaluate(batch, 0.1);
    }

    /// The node's forward on the whole batch, and its backward too if asked for.
    pub fn node(&mut self, backward: bool) {
        let batch = Batch { pixels: &self.pixels, labels: &self.labels };
        self.network.repeat_operation(batch, self.node, backward);
    }

    /// What the node's forward does: the weighted sum and two convolutions; inputs and weights read, output written.
    pub fn forward_work(&self) -> Work {
        let NodeSizes { inputs, input, output, weights } = self.sizes();
        Work { flops: 2.0 * (self.convolutions() + inputs * input), bytes: 4.0 * (inputs * input + output + weights) }
    }

    /// What its backward does with one consumer: the weighted sum and the depthwise convolution again, two products for
    /// each convolution, the gradient of the output and the sums for batch norms and edge weights. Read: inputs, output, the
    /// consumer's gradient, weights; written: the gradient of the sum, those of the weights.
    pub fn backward_work(&self) -> Work {
        let NodeSizes { inputs, input, output, weights } = self.sizes();
        let depthwise = 9.0 * output;
        let sums = 2.0 * inputs * input + 2.0 * output;
        Work {
            flops: 2.0 * (2.0 * self.convolutions() + depthwise + sums),
            bytes: 4.0 * ((inputs + 1.0) * input + 2.0 * output + 2.0 * weights),
        }
    }

    fn convolutions(&self) -> f64 {
        self.labels.len() as f64 * self.multiply_adds
    }

    fn sizes(&self) -> NodeSizes {
        let plan = self.network.plan();
        let op = &plan.ops[self.node];
        let floats = |id: ValueId| {
            let shape = plan.values[id.0];
            (self.labels.len() * shape.channels * shape.height * shape.width) as f64
        };
        let output = plan.values[op.output.0];
        let input = op.inputs.first().map_or(0.0, |&id| floats(id));
        let weights = self.multiply_adds / (output.height * output.width) as f64;
        NodeSizes { inputs: op.inputs.len() as f64, input, output: floats(op.output), weights }
    }

    /// Inputs of the node.
    pub fn node_inputs(&self) -> usize {
        self.network.plan().ops[self.node].inputs.len()
    }
}

/// Floats of a node on the whole batch.
struct NodeSizes {
    /// How many inputs.
    inputs: f64,
    /// One input.
    input: f64,
    output: f64,
    /// Both convolutions' weights.
    weights: f64,
}
