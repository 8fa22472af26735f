//! The launches of a step. Operations of one level of all candidates are one launch for each kernel, so their number
//! depends on the depth of the networks and not on how many there are.

use super::device::Device;
use super::error::CudaError;
use super::launch::Arenas;
use super::program::{Candidate, IMAGES_A_GROUP, OpPlaces, Program};
use super::records::{
    BiasGradient, ClassifierTask, Consumer, DepthwiseBackward, DepthwiseTask, Edge, FullyConnected,
    FullyConnectedGradient, GatherTask, GradientTask, HeadGradient, InputGradient, Lists, Loss, MOMENT_ROWS, NONE,
    NormTask, Pointwise, Pool, ProductTask, Reader, SumsTask, Table, Tables, TensorTask, Unpool, WeightGradient,
    WindowsTask, rows_per_tile,
};
use crate::net::OpKind;
use std::sync::Arc;

/// Tasks of one level.
#[derive(Default)]
struct LevelTasks {
    gather: Vec<GatherTask>,
    depthwise: Vec<DepthwiseTask>,
    pointwise: Vec<Pointwise>,
    normalise: Vec<NormTask>,
    output_gradient: Vec<GradientTask>,
    form_gradient: Vec<GatherTask>,
    head_gradient: Vec<HeadGradient>,
    weight_gradient: Vec<WeightGradient>,
    input_gradient: Vec<InputGradient>,
    depthwise_backward: Vec<DepthwiseBackward>,
    gather_sums: Vec<SumsTask>,
}

/// Tables of one level, in the order of their launches.
struct Level {
    gather: Table<GatherTask>,
    depthwise: Table<DepthwiseTask>,
    pointwise: Table<Pointwise>,
    normalise: Table<NormTask>,
    output_gradient: Table<GradientTask>,
    form_gradient: Table<GatherTask>,
    head_gradient: Table<HeadGradient>,
    weight_gradient: Table<WeightGradient>,
    input_gradient: Table<InputGradient>,
    depthwise_backward: Table<DepthwiseBackward>,
    gather_sums: Table<SumsTask>,
}

/// Tables of the classifiers.
struct Classifiers {
    pool: Table<Pool>,
    logits: Table<FullyConnected>,
    loss: Table<Loss>,
    bias_gradient: Table<BiasGradient>,
    features_gradient: Table<FullyConnected>,
    weight_gradient: Table<FullyConnectedGradient>,
    unpool: Table<Unpool>,
}

/// All tables for batches of one size.
pub(super) struct Schedule {
    windows: Table<WindowsTask>,
    levels: Vec<Level>,
    /// Moments are not wanted: the same products without them.
    evaluated: Vec<Table<Pointwise>>,
    running_norms: Table<NormTask>,
    classifiers: Classifiers,
    optimiser: Table<TensorTask>,
}

impl Schedule {
    /// Makes the tables of a program.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn new(device: &Arc<Device>, program: &Program) -> Result<Self, CudaError> {
        let mut builder = Builder { program, lists: empty_lists(program) };
        let levels: Vec<LevelTasks> = program.levels.iter().map(|level| builder.level(level)).collect();
        let classifiers: Vec<ClassifierTask> = (0..program.candidates.len()).map(|c| builder.classifier(c)).collect();
        let windows: Vec<WindowsTask> = (0..program.candidates.len()).map(|c| builder.windows(c)).collect();
        let optimiser: Vec<TensorTask> = program.candidates.iter().flat_map(tensors).collect();
        let tables = Tables::new(device, builder.lists)?;
        let norms: Vec<NormTask> = levels.iter().flat_map(|level| level.normalise.iter().copied()).collect();
        let unsummed = |task: &Pointwise| Pointwise(ProductTask { moments: NONE, ..task.0 });
        let evaluated =
            levels.iter().map(|level| tables.table(&level.pointwise.iter().map(unsummed).collect::<Vec<_>>()));
        Ok(Schedule {
            windows: tables.table(&windows)?,
            evaluated: evaluated.collect::<Result<_, _>>()?,
            levels: levels.iter().map(|level| Level::new(&tables, level)).collect::<Result<_, _>>()?,
            running_norms: tables.table(&norms)?,
            classifiers: Classifiers::new(&tables, &classifiers, program)?,
            optimiser: tables.table(&optimiser)?,
        })
    }

    /// Launches a training step.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn train(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.windows(&self.windows)?;
        for level in &self.levels {
            arenas.gather(&level.gather)?;
            arenas.depthwise(&level.depthwise)?;
            arenas.pointwise(&level.pointwise)?;
            arenas.normalise(&level.normalise, true)?;
        }
        self.classify(arenas, true)?;
        self.classifiers.backward(arenas)?;
        self.levels.iter().rev().try_for_each(|level| level.backward(arenas))?;
        arenas.sgd(&self.optimiser)
    }

    /// Launches an evaluation with running statistics.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn evaluate(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.windows(&self.windows)?;
        arenas.normalise(&self.running_norms, false)?;
        for (level, pointwise) in self.levels.iter().zip(&self.evaluated) {
            arenas.gather(&level.gather)?;
            arenas.depthwise(&level.depthwise)?;
            arenas.pointwise(pointwise)?;
        }
        self.classify(arenas, false)
    }

    fn classify(&self, arenas: &Arenas, training: bool) -> Result<(), CudaError> {
        arenas.pool(&self.classifiers.pool, training)?;
        arenas.logits(&self.classifiers.logits)?;
        arenas.loss(&self.classifiers.loss)
    }
}

impl Level {
    fn new(tables: &Tables, tasks: &LevelTasks) -> Result<Self, CudaError> {
        Ok(Level {
            gather: tables.table(&tasks.gather)?,
            depthwise: tables.table(&tasks.depthwise)?,
            pointwise: tables.table(&tasks.pointwise)?,
            normalise: tables.table(&tasks.normalise)?,
            output_gradient: tables.table(&tasks.output_gradient)?,
            form_gradient: tables.table(&tasks.form_gradient)?,
            head_gradient: tables.table(&tasks.head_gradient)?,
            weight_gradient: tables.table(&tasks.weight_gradient)?,
            input_gradient: tables.table(&tasks.input_gradient)?,
            depthwise_backward: tables.table(&tasks.depthwise_backward)?,
            gather_sums: tables.table(&tasks.gather_sums)?,
        })
    }

    /// The order matters: the input gradients of heads lie where the weight gradients read.
    fn backward(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.output_gradient(&self.output_gradient)?;
        arenas.gather(&self.form_gradient)?;
        arenas.head_gradient(&self.head_gradient)?;
        arenas.weight_gradient(&self.weight_gradient)?;
        arenas.input_gradient(&self.input_gradient)?;
        arenas.depthwise_backward(&self.depthwise_backward)?;
        arenas.gather_sums(&self.gather_sums)
    }
}

impl Classifiers {
    fn new(tables: &Tables, tasks: &[ClassifierTask], program: &Program) -> Result<Self, CudaError> {
        let products = |which: fn(&Candidate, &ClassifierTask) -> ProductTask| -> Vec<ProductTask> {
            program.candidates.iter().zip(tasks).map(|(candidate, task)| which(candidate, task)).collect()
        };
        let wrapped = |tasks: Vec<ProductTask>| tasks.into_iter().map(FullyConnected).collect::<Vec<_>>();
        let gradients: Vec<_> = products(classifier_gradient).into_iter().map(FullyConnectedGradient).collect();
        Ok(Classifiers {
            pool: tables.table(&tasks.iter().copied().map(Pool).collect::<Vec<_>>())?,
            logits: tables.table(&wrapped(products(logits)))?,
            loss: tables.table(&tasks.iter().copied().map(Loss).collect::<Vec<_>>())?,
            bias_gradient: tables.table(&tasks.iter().copied().map(BiasGradient).collect::<Vec<_>>())?,
            features_gradient: tables.table(&wrapped(products(features_gradient)))?,
            weight_gradient: tables.table(&gradients)?,
            unpool: tables.table(&tasks.iter().copied().map(Unpool).collect::<Vec<_>>())?,
        })
    }

    fn backward(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.bias_gradient(&self.bias_gradient)?;
        arenas.features_gradient(&self.features_gradient)?;
        arenas.classifier_gradient(&self.weight_gradient)?;
        arenas.unpool(&self.unpool)
    }
}

fn classifier_weight(candidate: &Candidate) -> u64 {
    match candidate.plan.ops.last().map(|op| op.kind) {
        Some(OpKind::Classifier { weight, .. }) => candidate.parameters.offset(weight),
        _ => NONE,
    }
}

fn logits(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let (a, b, c) = (task.features, classifier_weight(candidate), task.logits);
    ProductTask { a, b, c, moments: NONE, rows: task.images, columns: task.columns, depth: task.channels, split: 0 }
}

fn features_gradient(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let (a, b, c) = (task.logits_gradient, classifier_weight(candidate), task.features_gradient);
    ProductTask { a, b, c, moments: NONE, rows: task.images, columns: task.channels, depth: task.columns, split: 0 }
}

fn classifier_gradient(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let split = candidate.ops.last().map_or(1, |places| places.split);
    ProductTask {
        a: task.logits_gradient,
        b: task.features,
        c: candidate.classifier.weight_gradients,
        moments: NONE,
        rows: task.columns,
        columns: task.channels,
        depth: task.images,
        split,
    }
}

/// The tensors of a candidate that the optimiser changes, with where their partial gradients lie.
fn tensors(candidate: &Candidate) -> Vec<TensorTask> {
    let mut partials = vec![(0, 0); candidate.plan.parameters.len()];
    for (op, places) in candidate.plan.ops.iter().zip(&candidate.ops) {
        match op.kind {
            OpKind::Stem { weight, .. } | OpKind::Pointwise { weight } => {
                partials[weight.0] = (places.weight_gradients, places.splits());
            }
            OpKind::Node { depthwise, pointwise, .. } => {
                partials[depthwise.0] = (places.depthwise_gradients, places.groups);
                partials[pointwise.0] = (places.weight_gradients, places.splits());
            }
            OpKind::Classifier { weight, .. } => {
                partials[weight.0] = (candidate.classifier.weight_gradients, places.splits());
            }
            OpKind::Mean => {}
        }
    }
    let all = candidate.plan.parameters.iter().zip(&candidate.parameters.slots).zip(partials);
    all.filter(|((parameter, _), _)| parameter.role.trained())
        .map(|((_, slot), (partials, splits))| TensorTask {
            offset: slot.offset as u64,
            partials,
            floats: slot.floats as u32,
            splits,
        })
        .collect()
}

fn empty_lists(program: &Program) -> Lists {
    let (edges, readers, consumers) = (Vec::new(), Vec::new(), Vec::new());
    Lists { extents: program.extents, storage: program.storage, edges, readers, consumers }
}

/// Makes records out of places.
struct Builder<'a> {
    program: &'a Program,
    lists: Lists,
}

impl Builder<'_> {
    fn level(&mut self, members: &[(usize, usize)]) -> LevelTasks {
        let mut tasks = LevelTasks::default();
        for &(candidate, number) in members {
            self.operation(&mut tasks, candidate, number);
        }
        tasks
    }

    fn operation(&mut self, tasks: &mut LevelTasks, number: usize, op: usize) {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
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
            OpKind::Classifier { .. } => {}
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
    fn form_gradient(&mut self, number: usize, op: usize) -> GatherTask {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        let first = self.lists.edges.len();
        let consumers = places.consumers.iter().zip(&places.gradient_coefficients);
        self.lists.edges.extend(
            consumers
                .map(|(&(consumer, _), &coefficients)| Edge { value: candidate.ops[consumer].gradient, coefficients }),
        );
        let normalised = candidate.plan.values[candidate.plan.ops[op].output.0].norm.is_some();
        if normalised {
            self.lists.edges.push(Edge { value: places.value, coefficients: places.own });
        }
        GatherTask {
            output: if normalised { places.output_gradient } else { places.gradient },
            first_edge: first as u32,
            edges: (self.lists.edges.len() - first) as u32,
            rows: places.rows,
            channels: places.channels,
            rows_per_tile: rows_per_tile(places.channels, self.program.storage),
            reserved: 0,
        }
    }

    fn norm(&mut self, number: usize, op: usize) -> NormTask {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        let first = self.lists.readers.len();
        let last = candidate.plan.ops.len() - 1;
        // The classifier reads the norm itself.
        let gathers = places.consumers.iter().filter(|(consumer, _)| *consumer != last);
        self.lists.readers.extend(gathers.map(|&(consumer, position)| {
            let (logit, weight) = candidate.edge_weight(consumer, position);
            let coefficients = candidate.ops[consumer].coefficients[position];
            Reader { coefficients, logit: logit.unwrap_or(NONE), weight, reserved: 0 }
        }));
        let parameters = candidate.plan.values[candidate.plan.ops[op].output.0].norm;
        let offset = |which: fn(crate::net::BatchNorm) -> crate::net::ParameterId| {
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
            rows_per_tile: MOMENT_ROWS,
            channels: places.channels,
            first_reader: first as u32,
            readers: (self.lists.readers.len() - first) as u32,
            reserved: 0,
        }
    }

    fn gradient(&mut self, number: usize, op: usize) -> GradientTask {
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

    fn classifier(&self, number: usize) -> ClassifierTask {
        let program = self.program;
        let candidate = &program.candidates[number];
        let last = candidate.plan.ops.len() - 1;
        let (head, places) = (&candidate.ops[last - 1], &candidate.ops[last]);
        let classifier = &candidate.classifier;
        let bias = match candidate.plan.ops[last].kind {
            OpKind::Classifier { bias, .. } => candidate.parameters.offset(bias),
            _ => NONE,
        };
        let result = (program.results + number * 2 * program.result_floats) as u64;
        ClassifierTask {
            values: head.value,
            gradient: head.output_gradient,
            norm: head.norm,
            mask: (program.masks + number * program.mask_floats) as u64,
            features: classifier.features,
            features_gradient: classifier.features_gradient,
            passing: classifier.passing,
            passing_values: classifier.passing_values,
            sums: places.sums,
            of_gradient: head.gradient_coefficients.first().copied().unwrap_or(NONE),
            own: head.own,
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
        }
    }

    fn windows(&self, number: usize) -> WindowsTask {
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

fn forward(places: &OpPlaces, weight: u64) -> ProductTask {
    ProductTask {
        a: places.middle,
        b: weight,
        c: places.value,
        moments: places.moments,
        rows: places.rows,
        columns: places.channels,
        depth: places.in_channels,
        split: 0,
    }
}

fn input_gradient(places: &OpPlaces, weight: u64) -> ProductTask {
    ProductTask {
        a: places.output_gradient,
        b: weight,
        c: places.gradient,
        moments: NONE,
        rows: places.rows,
        columns: places.in_channels,
        depth: places.channels,
        split: 0,
    }
}

fn weight_gradient(places: &OpPlaces) -> ProductTask {
    ProductTask {
        a: places.output_gradient,
        b: places.middle,
        c: places.weight_gradients,
        moments: NONE,
        rows: places.channels,
        columns: places.in_channels,
        depth: places.rows,
        split: places.split,
    }
}
