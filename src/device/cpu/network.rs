//! A network on the CPU: loads weights, trains, evaluates.

use super::gang::Gang;
use super::layout::padded;
use super::normalise::RUNNING_SHARE;
use super::ops::ClassifierBuffers;
use super::program::Program;
use super::simd::InstructionSet;
use super::statistics::Fold;
use super::sweep::{Sweep, Worker};
use super::update::{Update, clipped};
use crate::net::{Plan, Weights};

/// Some images with their labels.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// `(batch, height, width, channels)`, normalised.
    pub pixels: &'a [f32],
    /// `(batch)`, each below the number of classes.
    pub labels: &'a [u16],
}

/// Settings of one training step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Learning rate.
    pub learning_rate: f32,
    /// Momentum of SGD.
    pub momentum: f32,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, on every trained parameter.
    pub weight_decay: f32,
    /// Longest gradient, of all trained parameters together and without the penalty; longer ones are scaled down.
    pub gradient_clip: Option<f64>,
    /// Share of the target spread over all classes.
    pub label_smoothing: f32,
    /// `(batch, features)`: what each feature before the classifier is multiplied with, 0 or 1 / (1 - p).
    pub dropout: Option<&'a [f32]>,
}

/// What a batch gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchResult {
    /// Mean loss.
    pub loss: f64,
    /// Images whose label has the largest logit.
    pub correct: usize,
}

/// A section of a step, for whoever wants to know where its time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What comes before the operations: transposes, zeroed sums.
    Preparation,
    /// An operation forward, and the serial arithmetic around it.
    Forward(usize),
    /// An operation backward, and the serial arithmetic around it.
    Backward(usize),
    /// The optimiser.
    Update,
}

/// How a batch goes through the operations.
#[derive(Clone, Copy)]
struct Mode {
    label_smoothing: f32,
    /// Whether batch statistics are wanted.
    training: bool,
    dropout: bool,
}

/// Memory of a network beside its program. Every length is known before the first step.
pub(super) struct Memory {
    pub(super) parameters: Vec<f32>,
    momentum: Vec<f32>,
    transposed: Vec<f32>,
    /// Of every tensor's gradient, where it is clipped.
    squares: Vec<f64>,
    pub(super) coefficients: Vec<f32>,
    activations: Vec<f32>,
    pub(super) partials: Vec<f32>,
    pub(super) gradients: Vec<f32>,
    features: [Vec<f32>; 4],
    logits: Vec<f32>,
    mask: Vec<f32>,
    losses: Vec<f32>,
    correct: Vec<u32>,
    workers: Vec<Worker>,
}

/// A network, its optimiser's state and the memory for training it.
pub struct Network {
    program: Program,
    set: InstructionSet,
    gang: Gang,
    memory: Memory,
    /// Whether parameters changed since the transposes were made.
    stale: bool,
}

/// How a network is run.
#[derive(Clone, Copy, Debug)]
pub struct NetworkOptions {
    /// Most images in a batch.
    pub batch: usize,
    /// Threads; they change no result.
    pub threads: usize,
    /// The instruction set; it must be available.
    pub set: InstructionSet,
}

impl Network {
    /// A network with all parameters zero.
    ///
    /// # Panics
    /// If the instruction set is not available or the batch is empty.
    pub fn new(plan: &Plan, options: NetworkOptions) -> Self {
        assert!(options.set.available(), "this processor has no {}", options.set);
        assert!(options.batch > 0, "a batch has at least one image");
        let program = Program::new(plan, options.batch, options.set.lanes());
        let gang = Gang::new(options.threads.min(program.groups(options.batch)));
        let mut memory = Memory::new(&program, gang.threads());
        Fold { program: &program, memory: &mut memory }.identity_norms();
        Network { program, set: options.set, gang, memory, stale: true }
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.program.plan
    }

    /// Takes over weights and forgets the optimiser's state.
    ///
    /// # Panics
    /// If the weights do not fit the plan.
    pub fn load(&mut self, weights: &Weights) {
        assert!(weights.fits(&self.program.plan), "weights of another network");
        self.program.parameters.load(&self.program.plan, weights, &mut self.memory.parameters);
        self.memory.momentum.fill(0.0);
        self.stale = true;
    }

    /// Goes over to another plan for the same images and classes, and forgets weights and optimiser's state. Memory is
    /// used again.
    pub fn replace_plan(&mut self, plan: &Plan) {
        self.program = Program::new(plan, self.program.batch, self.set.lanes());
        self.memory.fit(&self.program);
        self.fold().identity_norms();
        self.stale = true;
    }

    /// Takes over an optimiser's state: the momentum of every parameter.
    ///
    /// # Panics
    /// If it does not fit the plan.
    pub fn load_momentum(&mut self, momentum: &Weights) {
        assert!(momentum.fits(&self.program.plan), "momentum of another network");
        self.program.parameters.load(&self.program.plan, momentum, &mut self.memory.momentum);
    }

    /// The optimiser's state, as of [`load_momentum`](Self::load_momentum).
    pub fn momentum(&self) -> Weights {
        self.program.parameters.store(&self.program.plan, &self.memory.momentum)
    }

    /// The weights as they are now.
    pub fn weights(&self) -> Weights {
        self.program.parameters.store(&self.program.plan, &self.memory.parameters)
    }

    /// The gradients of the last training step, running statistics excepted (they are zero).
    pub fn gradients(&self) -> Weights {
        let floats = self.program.parameters.floats;
        let mut total = vec![0.0; floats];
        for group in self.memory.gradients.chunks_exact(floats) {
            total.iter_mut().zip(group).for_each(|(sum, value)| *sum += value);
        }
        self.program.parameters.store(&self.program.plan, &total)
    }

    /// One step of SGD on a batch.
    ///
    /// # Panics
    /// If the batch is empty, too large, or its parts do not fit together.
    pub fn train(&mut self, batch: Batch, step: Step) -> BatchResult {
        self.train_observed(batch, step, &mut |_| {})
    }

    /// [`train`](Self::train), telling `done` when a section of the step is done.
    ///
    /// # Panics
    /// As [`train`](Self::train).
    pub fn train_observed(&mut self, batch: Batch, step: Step, done: &mut dyn FnMut(Section)) -> BatchResult {
        self.check(batch);
        let images = batch.labels.len();
        self.refresh_transposes();
        self.set_mask(step.dropout, images);
        let groups = self.program.groups(images);
        self.memory.partials[..groups * self.program.partials].fill(0.0);
        self.memory.gradients[..groups * self.program.parameters.floats].fill(0.0);
        let mode = Mode { label_smoothing: step.label_smoothing, training: true, dropout: step.dropout.is_some() };
        done(Section::Preparation);
        for number in 0..self.program.ops.len() {
            self.fold().inputs(number);
            let sweep = self.memory.sweep(&self.program, self.set, batch, mode);
            // SAFETY: every task has its own group, every worker its own memory; earlier operations are done.
            self.gang.run(groups, &|group, worker| unsafe { sweep.forward(number, group, worker) });
            self.fold().batch_norm(number, images, RUNNING_SHARE);
            done(Section::Forward(number));
        }
        for number in (0..self.program.ops.len()).rev() {
            self.fold().output_gradient(number, images);
            let sweep = self.memory.sweep(&self.program, self.set, batch, mode);
            // SAFETY: as above; later operations' gradients are done.
            self.gang.run(groups, &|group, worker| unsafe { sweep.backward(number, group, worker) });
            self.fold().gradient_totals(number, images);
            done(Section::Backward(number));
        }
        self.update(step, groups);
        done(Section::Update);
        self.result(images)
    }

    /// Moves the running statistics by this share towards those of a batch, and changes nothing else. Shares 1, 1/2, 1/3
    /// and so on make them the means over batches.
    ///
    /// # Panics
    /// As [`train`](Self::train).
    pub fn calibrate(&mut self, batch: Batch, share: f32) {
        self.check(batch);
        let images = batch.labels.len();
        let groups = self.program.groups(images);
        self.memory.partials[..groups * self.program.partials].fill(0.0);
        let mode = Mode { label_smoothing: 0.0, training: true, dropout: false };
        for number in 0..self.program.ops.len() {
            self.fold().inputs(number);
            let sweep = self.memory.sweep(&self.program, self.set, batch, mode);
            // SAFETY: every task has its own group, every worker its own memory; earlier operations are done.
            self.gang.run(groups, &|group, worker| unsafe { sweep.forward(number, group, worker) });
            self.fold().batch_norm(number, images, share);
        }
    }

    /// Loss and accuracy with running statistics, without dropout; `label_smoothing` as in training.
    ///
    /// # Panics
    /// As [`train`](Self::train).
    pub fn evaluate(&mut self, batch: Batch, label_smoothing: f32) -> BatchResult {
        self.check(batch);
        let images = batch.labels.len();
        for number in 0..self.program.ops.len() {
            self.fold().running_norm(number);
            self.fold().inputs(number);
        }
        let mode = Mode { label_smoothing, training: false, dropout: false };
        let groups = self.program.groups(images);
        let sweep = self.memory.sweep(&self.program, self.set, batch, mode);
        let ops = self.program.ops.len();
        self.gang.run(groups, &|group, worker| {
            for number in 0..ops {
                // SAFETY: every task has its own group, every worker its own memory.
                unsafe { sweep.forward(number, group, worker) };
            }
        });
        self.result(images)
    }

    /// Repeats one operation of the last training step on its batch, forward and, if asked for, backward: for benchmarks.
    /// What later operations made of the batch is stale afterwards.
    pub(super) fn repeat_operation(&mut self, batch: Batch, number: usize, with_backward: bool) {
        self.check(batch);
        let groups = self.program.groups(batch.labels.len());
        let mode = Mode { label_smoothing: 0.0, training: true, dropout: false };
        let sweep = self.memory.sweep(&self.program, self.set, batch, mode);
        self.gang.run(groups, &|group, worker| {
            // SAFETY: every task has its own group, every worker its own memory; the step wrote all that is read.
            unsafe {
                sweep.forward(number, group, worker);
                if with_backward {
                    sweep.backward(number, group, worker);
                }
            }
        });
    }

    /// The logits of the last batch, `(batch, classes)`; after [`evaluate`](Self::evaluate) only.
    pub fn logits(&self, images: usize) -> Vec<f32> {
        let columns = padded(self.program.plan.classes, self.program.lanes);
        let rows = self.memory.logits.chunks_exact(columns).take(images);
        rows.flat_map(|row| row[..self.program.plan.classes].iter().copied()).collect()
    }

    fn check(&self, batch: Batch) {
        let image = self.program.plan.image;
        let images = batch.labels.len();
        assert!(
            (1..=self.program.batch).contains(&images),
            "{images} images in a batch of at most {}",
            self.program.batch
        );
        assert_eq!(
            batch.pixels.len(),
            images * image.height * image.width * image.channels,
            "pixels of {images} images"
        );
        assert!(batch.labels.iter().all(|&l| usize::from(l) < self.program.plan.classes), "a label out of range");
    }

    fn result(&self, images: usize) -> BatchResult {
        let loss = self.memory.losses[..images].iter().map(|&l| f64::from(l)).sum::<f64>() / images as f64;
        BatchResult { loss, correct: self.memory.correct[..images].iter().sum::<u32>() as usize }
    }

    fn set_mask(&mut self, dropout: Option<&[f32]>, images: usize) {
        let Some(mask) = dropout else { return };
        let features = self.features();
        let stride = padded(features, self.program.lanes);
        assert_eq!(mask.len(), images * features, "one dropout factor a feature");
        for (to, from) in self.memory.mask.chunks_exact_mut(stride).zip(mask.chunks_exact(features)) {
            to[..features].copy_from_slice(from);
        }
    }

    /// Features before the classifier.
    pub fn features(&self) -> usize {
        self.program.ops.last().map_or(0, |places| places.input.channels)
    }

    fn fold(&mut self) -> Fold<'_> {
        Fold { program: &self.program, memory: &mut self.memory }
    }

    fn update(&mut self, step: Step, groups: usize) {
        let update = Update {
            program: &self.program,
            set: self.set,
            parameters: self.memory.parameters.as_mut_ptr(),
            momentum: self.memory.momentum.as_mut_ptr(),
            gradients: self.memory.gradients.as_ptr(),
            transposed: self.memory.transposed.as_mut_ptr(),
            squares: self.memory.squares.as_mut_ptr(),
            groups,
            step,
        };
        let tensors = self.program.plan.parameters.len();
        let mut scale = 1.0;
        if let Some(longest) = step.gradient_clip {
            // SAFETY: every task has its own tensor.
            self.gang.run(tensors, &|tensor, _| unsafe { update.square(tensor) });
            scale = clipped(&self.memory.squares[..tensors], longest);
        }
        // SAFETY: every task has its own tensor.
        self.gang.run(tensors, &|tensor, _| unsafe { update.run(tensor, scale) });
    }

    fn refresh_transposes(&mut self) {
        if self.stale {
            self.program.parameters.transpose(&self.memory.parameters, &mut self.memory.transposed);
            self.stale = false;
        }
    }
}

impl Memory {
    /// The pointers for one operation on a batch; nothing else may touch the memory while it runs.
    fn sweep<'a>(&mut self, program: &'a Program, set: InstructionSet, batch: Batch, mode: Mode) -> Sweep<'a> {
        let memory = self;
        let [features, gradient, passing, passing_values] = &mut memory.features;
        Sweep {
            program,
            set,
            batch: batch.labels.len(),
            pixels: batch.pixels.as_ptr(),
            labels: batch.labels.as_ptr(),
            mask: if mode.dropout { memory.mask.as_ptr() } else { std::ptr::null() },
            label_smoothing: mode.label_smoothing,
            parameters: memory.parameters.as_ptr(),
            transposed: memory.transposed.as_ptr(),
            activations: memory.activations.as_mut_ptr(),
            coefficients: memory.coefficients.as_ptr(),
            partials: memory.partials.as_mut_ptr(),
            gradients: memory.gradients.as_mut_ptr(),
            classifier: ClassifierBuffers {
                features: features.as_mut_ptr(),
                gradient: gradient.as_mut_ptr(),
                passing: passing.as_mut_ptr(),
                passing_values: passing_values.as_mut_ptr(),
                logits: memory.logits.as_mut_ptr(),
            },
            losses: memory.losses.as_mut_ptr(),
            correct: memory.correct.as_mut_ptr(),
            workers: memory.workers.as_mut_ptr(),
            training: mode.training,
        }
    }

    /// Fits every length to another program. What must be zero is.
    fn fit(&mut self, program: &Program) {
        let threads = self.workers.len();
        let groups = program.groups(program.batch);
        let places = program.ops.last();
        let features = program.batch * places.map_or(0, |p| p.input.padded_channels());
        for (memory, floats) in [
            (&mut self.parameters, program.parameters.floats),
            (&mut self.momentum, program.parameters.floats),
            (&mut self.coefficients, program.coefficients),
            (&mut self.mask, features),
        ] {
            memory.clear();
            memory.resize(floats, 0.0);
        }
        self.transposed.resize(program.parameters.transposed_floats, 0.0);
        self.squares.resize(program.plan.parameters.len(), 0.0);
        self.activations.resize(program.activations, 0.0);
        self.partials.resize(groups * program.partials, 0.0);
        self.gradients.resize(groups * program.parameters.floats, 0.0);
        self.features.iter_mut().for_each(|memory| memory.resize(features, 0.0));
        self.logits.resize(program.batch * places.map_or(0, |p| p.output.padded_channels()), 0.0);
        self.workers = (0..threads).map(|_| Worker::new(program)).collect();
    }

    fn new(program: &Program, threads: usize) -> Self {
        let groups = program.groups(program.batch);
        let places = program.ops.last();
        let features = program.batch * places.map_or(0, |p| p.input.padded_channels());
        let classes = program.batch * places.map_or(0, |p| p.output.padded_channels());
        let zeros = |floats: usize| vec![0.0f32; floats];
        Memory {
            parameters: zeros(program.parameters.floats),
            momentum: zeros(program.parameters.floats),
            transposed: zeros(program.parameters.transposed_floats),
            squares: vec![0.0; program.plan.parameters.len()],
            coefficients: zeros(program.coefficients),
            activations: zeros(program.activations),
            partials: zeros(groups * program.partials),
            gradients: zeros(groups * program.parameters.floats),
            features: std::array::from_fn(|_| zeros(features)),
            logits: zeros(classes),
            mask: zeros(features),
            losses: zeros(program.batch),
            correct: vec![0; program.batch],
            workers: (0..threads).map(|_| Worker::new(program)).collect(),
        }
    }
}
