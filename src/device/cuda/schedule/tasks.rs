//! From places to records.

use super::super::program::{Candidate, IMAGES_A_GROUP, Program};
use super::super::records::{
    ClassifierTask, Consumer, DepthwiseBackward, DepthwiseTask, Edge, GatherTask, GradientTask, HeadGradient,
    InputGradient, Lists, NONE, NormTask, Pointwise, ProductTask, Reader, SumsTask, TensorTask, WeightGradient,
    WindowsTask, rows_per_tile,
};
use super::activating::ActivatingTasks;
use super::products::{forward, input_gradient, weight_gradient};
use crate::net::{BatchNorm, OpKind, ParameterId};

/// Tasks of one level.
#[derive(Default)]
pub(super) struct LevelTasks {
    pub gather: Vec<GatherTask>,
    pub depthwise: Vec<DepthwiseTask>,
    pub pointwise: Vec<Pointwise>,
    pub normalise: Vec<NormTask>,
    pub output_gradient: Vec<GradientTask>,
    pub form_gradient: Vec<GatherTask>,
    pub head_gradient: Vec<HeadGradient>,
    pub weight_gradient: Vec<WeightGradient>,
    pub input_gradient: Vec<InputGradient>,
    pub depthwise_backward: Vec<DepthwiseBackward>,
    pub gather_sums: Vec<SumsTask>,
    pub activating: ActivatingTasks,
}

/// The tensors of a candidate that the optimiser changes, with where their partial gradients lie.
pub(super) fn tensors(candidate: &Candidate) -> Vec<TensorTask> {
    let mut partials = vec![(0, 0); candidate.plan.parameters.len()];
    for (op, places) in candidate.plan.ops.iter().zip(&candidate.ops) {
        match op.kind {
            OpKind::Stem { weight, .. } | OpKind::Pointwise { weight } | OpKind::Convolution { weight, .. } => {
                partials[weight.0] = (places.weight_gradients, places.splits());
            }
            OpKind::Node { depthwise, pointwise, .. } => {
                partials[depthwise.0] = (places.depthwise_gradients, places.groups);
                partials[pointwise.0] = (places.weight_gradients, places.splits());
            }
            OpKind::Classifier { weight, .. } => {
                partials[weight.0] = (candidate.classifier.weight_gradients, places.splits());
            }
            OpKind::Separable { depthwise, pointwise, .. } => {
                partials[depthwise.0] = (places.depthwise_gradients, places.groups);
                partials[pointwise.0] = (places.weight_gradients, places.splits());
            }
            OpKind::Mean | OpKind::Pool { .. } | OpKind::Sum | OpKind::Concatenation => {}
        }
    }
    let all = candidate.plan.parameters.iter().zip(&candidate.parameters.slots).zip(partials);
    let mut next = candidate.clip.squares;
    all.filter(|((parameter, _), _)| parameter.role.trained())
        .map(|((_, slot), (partials, splits))| {
            let squares = next;
            next += TensorTask::tiles_of(slot.floats) as u64;
            let (offset, floats) = (slot.offset as u64, slot.floats as u32);
            TensorTask { offset, partials, squares, factor: candidate.clip.factor, floats, splits }
        })
        .collect()
}

/// Makes records out of places.
pub(super) struct Builder<'a> {
    pub program: &'a Program,
    /// What the tasks made so far name parts of.
    pub lists: Lists,
}

impl<'a> Builder<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        let (edges, readers, consumers) = (Vec::new(), Vec::new(), Vec::new());
        let joins = Vec::new();
        let lists = Lists { extents: program.extents, storage: program.storage, edges, joins, readers, consumers };
        Builder { program, lists }
    }

    /// The tasks of all operations of a level.
    pub(super) fn level(&mut self, members: &[(usize, usize)]) -> LevelTasks {
        let mut tasks = LevelTasks::default();
        for &(candidate, number) in members {
            self.operation(&mut tasks, candidate, number);
        }
        tasks
    }

    fn operation(&mut self, tasks: &mut LevelTasks, number: usize, op: usize) {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        if candidate.is_joined(op) || candidate.plan.ops[op].kind.activates_inputs() {
            return self.activating(tasks, number, op);
        }
        tasks.normalise.push(self.norm(number, op));
        tasks.output_gradient.push(self.gradient(number, op));
        match candidate.plan.ops[op].kind {
            OpKind::Stem { weight, .. } => {
                tasks.pointwise.push(Pointwise(forward(places, candidate.parameters.offset(weight))));
                tasks.weight_gradient.push(WeightGradient(weight_gradient(places)));
                tasks.form_gradient.push(self.form_gradient(number, op));
            }
            OpKind::Node { depthwise, pointwise, .. } => {
                let weight = candidate.parameters.offset(pointwise);
                tasks.pointwise.push(Pointwise(forward(places, weight)));
                tasks.weight_gradient.push(WeightGradient(weight_gradient(places)));
                let backward = ProductTask { c: places.middle_gradient, ..input_gradient(places, weight) };
                tasks.input_gradient.push(InputGradient(backward));
                tasks.form_gradient.push(self.form_gradient(number, op));
                let (first_edge, edges) = self.inputs(number, op);
                if let Some(mut task) = places.depthwise {
                    task.output = places.middle;
                    task.gradient = places.gradient;
                    task.weight = candidate.parameters.offset(depthwise);
                    task.sums = places.sums;
                    task.weight_gradients = places.depthwise_gradients;
                    (task.first_edge, task.edges) = (first_edge, edges);
                    tasks.depthwise.push(task);
                    task.output = places.middle_gradient;
                    tasks.depthwise_backward.push(DepthwiseBackward(task));
                }
            }
            OpKind::Mean => {
                let (gather, sums) = self.weighted_sum(number, op, places.value);
                tasks.gather.push(gather);
                tasks.gather_sums.push(sums);
                tasks.form_gradient.push(self.form_gradient(number, op));
            }
            OpKind::Pointwise { weight } => {
                let weight = candidate.parameters.offset(weight);
                let (gather, sums) = self.weighted_sum(number, op, places.middle);
                tasks.gather.push(gather);
                tasks.gather_sums.push(sums);
                tasks.pointwise.push(Pointwise(forward(places, weight)));
                tasks.weight_gradient.push(WeightGradient(weight_gradient(places)));
                tasks.input_gradient.push(InputGradient(input_gradient(places, weight)));
                tasks.head_gradient.push(HeadGradient(self.classifier(number)));
            }
            // The classifier has tasks of its own, and so have those that join their inputs.
            _ => {}
        }
    }

    /// The edges of an operation's weighted sum.
    fn inputs(&mut self, number: usize, op: usize) -> (u32, u32) {
        let candidate = &self.program.candidates[number];
        let inputs = candidate.plan.ops[op].inputs.iter().zip(&candidate.ops[op].coefficients);
        let first = self.lists.edges.len();
        self.lists.edges.extend(inputs.map(|(input, &coefficients)| {
            let producer = candidate.producer[input.0];
            Edge { value: candidate.ops[producer].value, coefficients }
        }));
        (first as u32, (self.lists.edges.len() - first) as u32)
    }

    /// The plain weighted sum of an operation, and the sums of its backward.
    fn weighted_sum(&mut self, number: usize, op: usize, output: u64) -> (GatherTask, SumsTask) {
        let (first_edge, edges) = self.inputs(number, op);
        let places = &self.program.candidates[number].ops[op];
        let (rows, channels) = (places.in_rows, places.in_channels);
        let rows_per_tile = rows_per_tile(channels, self.program.storage);
        let (gradient, partials) = (places.gradient, places.sums);
        (
            GatherTask { output, first_edge, edges, rows, channels, rows_per_tile, reserved: 0 },
            SumsTask { gradient, partials, first_edge, edges, rows, channels, rows_per_tile, reserved: 0 },
        )
    }

    /// The gather that forms the gradient of a raw output; for a mean that is the gradient of its sum.
    pub(super) fn form_gradient(&mut self, number: usize, op: usize) -> GatherTask {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        let first = self.lists.edges.len();
        let consumers = places.consumers.iter().zip(&places.gradient_coefficients);
        self.lists.edges.extend(
            consumers
                .map(|(&(consumer, _), &coefficients)| Edge { value: candidate.ops[consumer].gradient, coefficients }),
        );
        let kind = candidate.plan.ops[op].kind;
        if candidate.plan.values[candidate.plan.ops[op].output.0].norm.is_some() {
            self.lists.edges.push(Edge { value: places.value, coefficients: places.own });
        }
        GatherTask {
            output: if matches!(kind, OpKind::Mean) { places.gradient } else { places.output_gradient },
            first_edge: first as u32,
            edges: (self.lists.edges.len() - first) as u32,
            rows: places.rows,
            channels: places.channels,
            rows_per_tile: rows_per_tile(places.channels, self.program.storage),
            reserved: 0,
        }
    }

    pub(super) fn norm(&mut self, number: usize, op: usize) -> NormTask {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        let first = self.lists.readers.len();
        let last = candidate.plan.ops.len() - 1;
        // The classifier reads the norm itself.
        // Those that join it, too.
        let consumers = if candidate.is_joined(op) { &[][..] } else { &places.consumers };
        let gathers = consumers.iter().filter(|(consumer, _)| *consumer != last);
        self.lists.readers.extend(gathers.map(|&(consumer, position)| {
            let (logit, weight) = candidate.edge_weight(consumer, position);
            let coefficients = candidate.ops[consumer].coefficients[position];
            Reader { coefficients, logit: logit.unwrap_or(NONE), weight, reserved: 0 }
        }));
        let parameters = candidate.plan.values[candidate.plan.ops[op].output.0].norm;
        let offset = |which: fn(BatchNorm) -> ParameterId| {
            parameters.map_or(NONE, |norm| candidate.parameters.offset(which(norm)))
        };
        NormTask {
            moments: places.moments,
            norm: places.norm,
            gamma: offset(|norm| norm.gamma),
            beta: offset(|norm| norm.beta),
            running_mean: offset(|norm| norm.running_mean),
            running_variance: offset(|norm| norm.running_variance),
            rows: places.rows,
            rows_per_tile: places.moment_rows,
            channels: places.channels,
            first_reader: first as u32,
            readers: (self.lists.readers.len() - first) as u32,
            reserved: 0,
        }
    }

    pub(super) fn gradient(&mut self, number: usize, op: usize) -> GradientTask {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        let first = self.lists.consumers.len();
        let consumers = places.consumers.iter().zip(&places.gradient_coefficients);
        self.lists.consumers.extend(consumers.map(|(&(consumer, position), &coefficients)| {
            let reader = &candidate.ops[consumer];
            let inputs = candidate.plan.ops[consumer].inputs.len() as u32;
            let (logit, weight) = candidate.edge_weight(consumer, position);
            Consumer {
                sums: reader.sums,
                products: reader.sums + (1 + position as u64) * u64::from(reader.in_channels),
                coefficients,
                logit: logit.unwrap_or(NONE),
                groups: reader.groups,
                stride: (1 + inputs) * reader.in_channels,
                weight,
                reserved: 0,
            }
        }));
        let norm = candidate.plan.values[candidate.plan.ops[op].output.0].norm;
        GradientTask {
            norm: places.norm,
            gamma: norm.map_or(NONE, |norm| candidate.parameters.offset(norm.gamma)),
            beta: norm.map_or(NONE, |norm| candidate.parameters.offset(norm.beta)),
            own: places.own,
            rows: places.rows,
            channels: places.channels,
            first_consumer: first as u32,
            consumers: (self.lists.consumers.len() - first) as u32,
        }
    }

    /// The classifier of a candidate.
    pub(super) fn classifier(&self, number: usize) -> ClassifierTask {
        let program = self.program;
        let candidate = &program.candidates[number];
        let last = candidate.plan.ops.len() - 1;
        let (head, places) = (&candidate.ops[last - 1], &candidate.ops[last]);
        let classifier = &candidate.classifier;
        let (bias, relu) = match candidate.plan.ops[last].kind {
            OpKind::Classifier { bias, relu, .. } => (candidate.parameters.offset(bias), relu),
            _ => (NONE, false),
        };
        let value = candidate.plan.values[candidate.plan.ops[last - 1].output.0];
        let normalised = |offset: u64| if value.norm.is_some() { offset } else { NONE };
        let result = (program.results + number * 2 * program.result_floats) as u64;
        ClassifierTask {
            values: head.value,
            gradient: head.output_gradient,
            norm: normalised(head.norm),
            mask: (program.masks + number * program.mask_floats) as u64,
            features: classifier.features,
            features_gradient: classifier.features_gradient,
            passing: classifier.passing,
            passing_values: classifier.passing_values,
            sums: places.sums,
            of_gradient: head.gradient_coefficients.first().copied().unwrap_or(NONE),
            own: normalised(head.own),
            logits: classifier.logits,
            logits_gradient: classifier.logits_gradient,
            bias,
            labels: (number * program.result_floats) as u64,
            losses: result,
            correct: result + program.result_floats as u64,
            images: program.images as u32,
            pixels: head.rows / program.images as u32,
            channels: head.channels,
            classes: candidate.plan.classes as u32,
            columns: classifier.columns,
            images_a_group: IMAGES_A_GROUP,
            relu: u32::from(relu || value.relu),
            reserved: 0,
        }
    }

    /// The stem's windows of a candidate.
    pub(super) fn windows(&self, number: usize) -> WindowsTask {
        let program = self.program;
        let candidate = &program.candidates[number];
        let image = candidate.plan.image;
        let stem = candidate.plan.ops.iter().zip(&candidate.ops).find_map(|(op, places)| match op.kind {
            OpKind::Stem { stride, .. } => Some((stride, candidate.plan.values[op.output.0], places)),
            _ => None,
        });
        let source = (program.pixels + number * program.image_floats) as u64;
        stem.map_or_else(bytemuck::Zeroable::zeroed, |(stride, output, places)| WindowsTask {
            source,
            output: places.middle,
            images: program.images as u32,
            channels: image.channels as u32,
            in_height: image.height as u32,
            in_width: image.width as u32,
            height: output.height as u32,
            width: output.width as u32,
            stride: stride as u32,
            depth: places.in_channels,
        })
    }
}
