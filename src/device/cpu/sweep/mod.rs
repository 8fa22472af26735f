//! One operation on one group of images: the bridge from the program's offsets to the kernels' pointers.

mod activating;

use super::depthwise::Depthwise;
use super::layout::GROUP_IMAGES;
use super::ops::{
    ClassifierBackward, ClassifierBuffers, ClassifierForward, ClassifierInput, Consumed, HeadGradient, Images, Inputs,
    MeanBackward, MeanForward, NodeBackward, NodeForward, Operand, OutputGradient, PointwiseBackward, PointwiseForward,
    RawOutput, Scratch, Source, Statistics, StemBackward, StemForward, Target, Windows,
};
use super::program::{OpPlaces, Program};
use super::simd::InstructionSet;
use crate::net::{OpKind, ParameterId};

/// The memory of one worker.
pub(crate) struct Worker {
    pub scratch: Scratch,
    pub operands: Vec<Operand>,
    pub gradient_operands: Vec<Operand>,
    pub sources: Vec<Source>,
    pub consumed: Vec<Consumed>,
}

// SAFETY: the operands' pointers are written anew before every use; they carry nothing from one thread to another.
unsafe impl Send for Worker {}

impl Worker {
    pub(crate) fn new(program: &Program) -> Self {
        let operands = || Vec::with_capacity(program.scratch.planes);
        Worker {
            scratch: Scratch::new(program.scratch),
            operands: operands(),
            gradient_operands: operands(),
            sources: Vec::with_capacity(program.scratch.planes),
            consumed: Vec::with_capacity(program.scratch.planes),
        }
    }
}

/// Pointers to everything that the groups of a batch share or own. Distinct groups write distinct memory, as do distinct
/// workers.
#[derive(Clone, Copy)]
pub(crate) struct Sweep<'a> {
    pub program: &'a Program,
    pub set: InstructionSet,
    pub batch: usize,
    /// `(batch, height, width, channels)`
    pub pixels: *const f32,
    /// `(batch)`
    pub labels: *const u16,
    /// `(batch, padded features)`; null without dropout.
    pub mask: *const f32,
    pub label_smoothing: f32,
    pub parameters: *const f32,
    pub transposed: *const f32,
    pub activations: *mut f32,
    pub coefficients: *const f32,
    /// `(groups, partials)`
    pub partials: *mut f32,
    /// `(groups, parameters)`
    pub gradients: *mut f32,
    pub classifier: ClassifierBuffers,
    pub losses: *mut f32,
    pub correct: *mut u32,
    pub workers: *mut Worker,
    /// Whether batch statistics are wanted.
    pub training: bool,
}

// SAFETY: see the type: the network that makes a sweep keeps all memory alive during it, and groups and workers are
// disjoint.
unsafe impl Sync for Sweep<'_> {}

impl<'a> Sweep<'a> {
    fn images(&self, group: usize) -> Images {
        let start = group * GROUP_IMAGES;
        Images { start, end: self.batch.min(start + GROUP_IMAGES), batch: self.batch }
    }

    fn parameter(&self, id: ParameterId) -> *const f32 {
        // SAFETY: the slot lies in the arena.
        unsafe { self.parameters.add(self.program.parameters.slot(id).offset) }
    }

    fn transposed(&self, id: ParameterId) -> *const f32 {
        let offset = self.program.parameters.slot(id).transposed.unwrap_or(0);
        // SAFETY: the slot lies in the arena.
        unsafe { self.transposed.add(offset) }
    }

    fn gradient(&self, id: ParameterId, group: usize) -> *mut f32 {
        let parameters = &self.program.parameters;
        // SAFETY: the slot lies in the group's part of the arena.
        unsafe { self.gradients.add(group * parameters.floats + parameters.slot(id).offset) }
    }

    fn coefficient(&self, offset: usize) -> *const f32 {
        // SAFETY: the program's offsets lie in the arena.
        unsafe { self.coefficients.add(offset) }
    }

    fn activation(&self, offset: usize) -> *mut f32 {
        // SAFETY: the program's offsets lie in the arena.
        unsafe { self.activations.add(offset) }
    }

    fn partial(&self, offset: usize, group: usize) -> *mut f32 {
        // SAFETY: the program's offsets lie in the group's part of the arena.
        unsafe { self.partials.add(group * self.program.partials + offset) }
    }

    /// Where an operation's raw output goes; its moments are wanted in training only.
    fn raw_output(&self, places: &OpPlaces, weight: ParameterId, group: usize) -> RawOutput {
        RawOutput { weight: self.parameter(weight), ..self.plain_output(places, group) }
    }

    /// The same where no product makes it.
    fn plain_output(&self, places: &OpPlaces, group: usize) -> RawOutput {
        let moments = match self.training {
            true => self.partial(places.output_moments, group),
            false => std::ptr::null_mut(),
        };
        RawOutput { layout: places.output, weight: std::ptr::null(), to: self.activation(places.value), moments }
    }

    fn inputs<'o>(&self, number: usize, relu: bool, operands: &'o mut Vec<Operand>) -> Inputs<'o> {
        let places = &self.program.ops[number];
        let channels = places.input.padded_channels();
        operands.clear();
        operands.extend(self.program.plan.ops[number].inputs.iter().enumerate().map(|(position, input)| {
            let producer = &self.program.ops[self.program.producer[input.0]];
            Operand {
                values: self.activation(producer.value),
                scale: self.coefficient(places.inputs[position].scale),
                mean: self.coefficient(producer.norm + 2 * channels),
            }
        }));
        let shift = places.inputs.first().map_or(places.gradient_shift, |input| input.shift);
        Inputs { layout: places.input, operands, shift: self.coefficient(shift), relu }
    }

    fn output_gradient<'o>(&self, number: usize, operands: &'o mut Vec<Operand>) -> OutputGradient<'o> {
        let places = &self.program.ops[number];
        let channels = places.output.padded_channels();
        let operand = |value, position| Operand {
            values: self.activation(value),
            scale: self.coefficient(places.gradient_scales + position * channels),
            mean: self.coefficient(places.norm + 2 * channels),
        };
        operands.clear();
        for (position, &(consumer, _)) in places.consumers.iter().enumerate() {
            operands.push(operand(self.program.ops[consumer].gradient, position));
        }
        if self.program.plan.values[self.program.plan.ops[number].output.0].norm.is_some() {
            operands.push(operand(places.value, places.consumers.len()));
        }
        let shift = self.coefficient(places.gradient_shift);
        OutputGradient { inputs: Inputs { layout: places.output, operands, shift, relu: false } }
    }

    fn statistics(&self, places: &OpPlaces, group: usize) -> Statistics {
        let channels = places.input.padded_channels();
        let sums = self.partial(places.gradient_sums, group);
        Statistics { sums, products: self.partial(places.gradient_sums + channels, group), channels }
    }

    fn convolution(places: &OpPlaces, stride: usize) -> Depthwise {
        Depthwise {
            input_height: places.input.height,
            input_width: places.input.width,
            height: places.output.height,
            width: places.output.width,
            stride,
        }
    }

    fn windows(&self, stride: usize) -> Windows {
        Windows { pixels: self.pixels, image: self.program.plan.image, stride }
    }

    fn classifier_input(&self, number: usize) -> ClassifierInput {
        let places = &self.program.ops[number];
        let head = &self.program.ops[self.program.producer[self.program.plan.ops[number].inputs[0].0]];
        ClassifierInput {
            relu: self.pools_relu(number),
            layout: places.input,
            values: self.activation(head.value),
            scale: self.coefficient(head.norm),
            shift: self.coefficient(head.norm + places.input.padded_channels()),
            mean: self.coefficient(head.norm + 2 * places.input.padded_channels()),
            mask: self.mask,
            class_blocks: places.output.blocks,
            classes: self.program.plan.classes,
        }
    }

    /// Whether a classifier's input passes a ReLU.
    fn pools_relu(&self, number: usize) -> bool {
        let op = &self.program.plan.ops[number];
        let relu = matches!(op.kind, OpKind::Classifier { relu: true, .. });
        relu || op.inputs.iter().any(|id| self.program.plan.values[id.0].relu)
    }

    fn target(&self) -> Target {
        Target { labels: self.labels, label_smoothing: self.label_smoothing }
    }

    /// Runs an operation forward on a group.
    ///
    /// # Safety
    /// `worker` and `group` are used by nobody else, and what the operation reads has been written.
    pub(crate) unsafe fn forward(&self, number: usize, group: usize, worker: usize) {
        let places = &self.program.ops[number];
        let images = self.images(group);
        // SAFETY: the caller's; the program's offsets and sizes fit the kernels' shapes.
        unsafe {
            let Worker { scratch, operands, .. } = &mut *self.workers.add(worker);
            match self.program.plan.ops[number].kind {
                OpKind::Stem { weight, stride } => {
                    let (windows, output) = (self.windows(stride), self.raw_output(places, weight, group));
                    self.set.run(StemForward { images, windows, output, scratch });
                }
                OpKind::Node { depthwise, pointwise, stride, .. } => self.set.run(NodeForward {
                    images,
                    inputs: self.inputs(number, true, operands),
                    output: self.raw_output(places, pointwise, group),
                    convolution: Self::convolution(places, stride),
                    depthwise: self.parameter(depthwise),
                    scratch,
                }),
                OpKind::Mean => {
                    let inputs = self.inputs(number, false, operands);
                    let to = self.activation(places.value);
                    self.set.run(MeanForward { images, inputs, to, scratch });
                }
                OpKind::Pointwise { weight } => {
                    let inputs = self.inputs(number, false, operands);
                    let output = self.raw_output(places, weight, group);
                    self.set.run(PointwiseForward { images, inputs, output, scratch });
                }
                OpKind::Classifier { weight, bias, .. } => self.set.run(ClassifierForward {
                    images,
                    input: self.classifier_input(number),
                    buffers: self.classifier,
                    weight: self.parameter(weight),
                    bias: self.parameter(bias),
                    target: self.target(),
                    losses: self.losses,
                    correct: self.correct,
                }),
                _ => self.activating_forward(number, group, worker),
            }
        }
    }

    /// Runs an operation backward on a group.
    ///
    /// # Safety
    /// As of [`forward`](Self::forward).
    pub(crate) unsafe fn backward(&self, number: usize, group: usize, worker: usize) {
        let places = &self.program.ops[number];
        let images = self.images(group);
        let output = places.output;
        let to = self.activation(places.gradient);
        let statistics = self.statistics(places, group);
        // SAFETY: the caller's; the program's offsets and sizes fit the kernels' shapes.
        unsafe {
            let Worker { scratch, operands, gradient_operands, consumed, .. } = &mut *self.workers.add(worker);
            match self.program.plan.ops[number].kind {
                OpKind::Stem { weight, stride } => self.set.run(StemBackward {
                    images,
                    windows: self.windows(stride),
                    output,
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    weight_gradient: self.gradient(weight, group),
                    scratch,
                }),
                OpKind::Node { depthwise, pointwise, stride, .. } => self.set.run(NodeBackward {
                    images,
                    inputs: self.inputs(number, true, operands),
                    output,
                    gradient: self.output_gradient(number, gradient_operands),
                    convolution: Self::convolution(places, stride),
                    depthwise: self.parameter(depthwise),
                    pointwise_transposed: self.transposed(pointwise),
                    to,
                    depthwise_gradient: self.gradient(depthwise, group),
                    pointwise_gradient: self.gradient(pointwise, group),
                    statistics,
                    scratch,
                }),
                OpKind::Mean => self.set.run(MeanBackward {
                    images,
                    inputs: self.inputs(number, false, operands),
                    gradient: self.output_gradient(number, gradient_operands),
                    to,
                    statistics,
                    scratch,
                }),
                OpKind::Pointwise { weight } => self.set.run(PointwiseBackward {
                    images,
                    inputs: self.inputs(number, false, operands),
                    output,
                    gradient: self.head_gradient(number),
                    weight_transposed: self.transposed(weight),
                    to,
                    weight_gradient: self.gradient(weight, group),
                    statistics,
                    scratch,
                }),
                OpKind::Classifier { weight, bias, .. } => self.set.run(ClassifierBackward {
                    images,
                    input: self.classifier_input(number),
                    buffers: self.classifier,
                    weight_transposed: self.transposed(weight),
                    target: self.target(),
                    weight_gradient: self.gradient(weight, group),
                    bias_gradient: self.gradient(bias, group),
                    sums: statistics.sums,
                    products: statistics.products,
                }),
                _ => self.activating_backward(number, group, worker),
            }
        }
    }

    fn head_gradient(&self, number: usize) -> HeadGradient {
        let places = &self.program.ops[number];
        let channels = places.output.padded_channels();
        HeadGradient {
            relu: places.consumers.first().is_none_or(|&(consumer, _)| self.pools_relu(consumer)),
            values: self.activation(places.value),
            scale: self.coefficient(places.norm),
            shift: self.coefficient(places.norm + channels),
            gradient: self.classifier.gradient,
            of_gradient: self.coefficient(places.gradient_scales),
            of_value: self.coefficient(places.gradient_scales + channels),
            constant: self.coefficient(places.gradient_shift),
        }
    }
}
