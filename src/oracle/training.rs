//! Training of one network on images, and its evaluation.

use super::batched::{BatchEpoch, BatchTraining, DeviceData, Member, evaluate_one};
use super::engine::{CudaEngine, Engine};
use super::initial::initial_weights;
use super::pace::{EpochStreams, Pace};
use super::{EVALUATION_BATCH, OracleError, TrainingState};
use crate::config::TrainingConfig;
use crate::data::{BatchRequest, Dataset};
use crate::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use crate::net::{Plan, Weights};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Everything that a training run depends on.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How it is trained.
    pub settings: &'a TrainingConfig,
    /// The images.
    pub dataset: &'a Dataset,
    /// Which of them.
    pub indices: &'a [u32],
    /// The run's seed.
    pub seed: u64,
    /// The candidate's number, for its random streams.
    pub candidate: u64,
    /// Where it is trained.
    pub engine: &'a Engine,
}

/// What is known after an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochReport {
    /// From 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Training speed of the epoch.
    pub images_per_s: f64,
}

/// The moment between an epoch and the next.
#[derive(Clone, Copy)]
pub struct EpochDone<'a> {
    /// What is known.
    pub report: EpochReport,
    /// Forms what the training can go on from.
    pub state: &'a dyn Fn() -> Result<TrainingState, OracleError>,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its weights and running statistics.
    pub weights: Weights,
    /// Mean training loss of every epoch.
    pub losses: Vec<f64>,
}

/// Accuracy and loss on some images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Share of images whose label has the largest logit.
    pub accuracy: f64,
    /// Mean cross-entropy, without label smoothing.
    pub loss: f64,
    /// Number of images.
    pub images: usize,
}

impl Training<'_> {
    /// Trains from fresh weights. `None` when `stop` was raised before the end.
    ///
    /// # Errors
    /// No images; a loss that is not a number; the device's.
    pub fn run(&self, stop: &AtomicBool) -> Result<Option<Trained>, OracleError> {
        self.run_from(None, &mut |_| Ok(()), stop)
    }

    /// Goes on from an earlier state, or trains from fresh weights. `None` when `stop` was raised before the end.
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of `epoch_done`.
    pub fn run_from(
        &self,
        state: Option<TrainingState>,
        epoch_done: &mut dyn FnMut(EpochDone) -> Result<(), OracleError>,
        stop: &AtomicBool,
    ) -> Result<Option<Trained>, OracleError> {
        match self.engine {
            Engine::Cpu { threads } => self.run_on_cpu((*threads, state), epoch_done, stop),
            Engine::Cuda(engine) => self.run_on_cuda((engine, state), epoch_done, stop),
        }
    }

    fn run_on_cpu(
        &self,
        (threads, state): (usize, Option<TrainingState>),
        epoch_done: &mut dyn FnMut(EpochDone) -> Result<(), OracleError>,
        stop: &AtomicBool,
    ) -> Result<Option<Trained>, OracleError> {
        let pace = Pace::new(self.settings, self.indices.len())?;
        let options = NetworkOptions { batch: pace.batch, threads, set: InstructionSet::best() };
        let mut network = Network::new(self.plan, options);
        let mut losses = Vec::new();
        match state {
            Some(state) => {
                network.load(&state.weights);
                network.load_momentum(&state.momentum);
                losses = state.losses;
            }
            None => network.load(&initial_weights(self.plan, self.seed, self.candidate)),
        }
        let mut buffers = Buffers::new(self.plan, pace.batch);
        let mut mask = vec![0.0; pace.batch * network.features()];
        for epoch in losses.len()..self.settings.epochs {
            let start = Instant::now();
            let Some(loss) = self.epoch(&mut network, (&mut buffers, &mut mask), (&pace, epoch), stop)? else {
                return Ok(None);
            };
            losses.push(loss);
            let report = self.report(&pace, (epoch, loss), start.elapsed().as_secs_f64());
            let state = || {
                let (weights, momentum) = (network.weights(), network.momentum());
                Ok(TrainingState { weights, momentum, losses: losses.clone() })
            };
            epoch_done(EpochDone { report, state: &state })?;
        }
        Ok(Some(Trained { weights: network.weights(), losses }))
    }

    fn run_on_cuda(
        &self,
        (engine, state): (&CudaEngine, Option<TrainingState>),
        epoch_done: &mut dyn FnMut(EpochDone) -> Result<(), OracleError>,
        stop: &AtomicBool,
    ) -> Result<Option<Trained>, OracleError> {
        let pace = Pace::new(self.settings, self.indices.len())?;
        let _alone = engine.alone();
        let training = BatchTraining {
            engine,
            data: DeviceData::new(engine, self.dataset)?,
            settings: self.settings,
            indices: self.indices,
            seed: self.seed,
            members: &[Member { plan: self.plan.clone(), candidate: self.candidate }],
        };
        let mut done = |epoch: BatchEpoch| {
            let [Ok(losses)] = epoch.losses else { return Ok(()) };
            let Some(&loss) = losses.last() else { return Ok(()) };
            let report = self.report(&pace, (epoch.epoch, loss), epoch.seconds);
            epoch_done(EpochDone { report, state: &|| epoch.state() })
        };
        let Some(mut trained) = training.run(state, &mut done, stop)? else { return Ok(None) };
        let losses = trained.losses.pop().unwrap_or_else(|| Ok(Vec::new()))?;
        Ok(Some(Trained { weights: trained.weights(0)?, losses }))
    }

    fn report(&self, pace: &Pace, (epoch, loss): (usize, f64), seconds: f64) -> EpochReport {
        EpochReport {
            epoch: epoch + 1,
            epochs: self.settings.epochs,
            loss,
            learning_rate: pace.learning_rate(epoch, pace.steps - 1),
            images_per_s: self.indices.len() as f64 / seconds,
        }
    }

    /// One pass over the images; the mean loss.
    fn epoch(
        &self,
        network: &mut Network,
        (buffers, mask): (&mut Buffers, &mut [f32]),
        (pace, epoch): (&Pace, usize),
        stop: &AtomicBool,
    ) -> Result<Option<f64>, OracleError> {
        let settings = self.settings;
        let mut streams = EpochStreams::new(settings, self.indices, self.seed, (self.candidate, epoch));
        let (mut sum, mut images) = (0.0, 0);
        for step in 0..pace.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let request = streams.request(step);
            let count = request.indices.len();
            let batch = buffers.fill(self.dataset, request);
            let mask = &mut mask[..count * network.features()];
            if streams.drops() {
                streams.draw_mask(mask);
            }
            let mask = streams.drops().then_some(&*mask);
            let result = network.train(batch, step_of(settings, pace.learning_rate(epoch, step), mask));
            if !result.loss.is_finite() {
                return Err(OracleError::Diverged { epoch: epoch + 1, step: step + 1, loss: result.loss });
            }
            sum += result.loss * count as f64;
            images += count;
        }
        Ok(Some(sum / images as f64))
    }
}

/// A step at this rate, with these dropout factors.
pub(super) fn step_of<'a>(settings: &TrainingConfig, rate: f64, dropout: Option<&'a [f32]>) -> Step<'a> {
    Step {
        learning_rate: rate as f32,
        momentum: settings.momentum as f32,
        nesterov: settings.nesterov,
        weight_decay: settings.weight_decay as f32,
        gradient_clip: (settings.gradient_clip > 0.0).then_some(settings.gradient_clip),
        label_smoothing: settings.label_smoothing as f32,
        dropout,
    }
}

/// Memory for batches.
pub(super) struct Buffers {
    pixels: Vec<f32>,
    labels: Vec<u16>,
    /// Floats of an image.
    image: usize,
}

impl Buffers {
    pub(super) fn new(plan: &Plan, batch: usize) -> Self {
        let image = plan.image.height * plan.image.width * plan.image.channels;
        Buffers { pixels: vec![0.0; batch * image], labels: vec![0; batch], image }
    }

    pub(super) fn fill(&mut self, dataset: &Dataset, request: BatchRequest) -> Batch<'_> {
        let images = request.indices.len();
        let (pixels, labels) = (&mut self.pixels[..images * self.image], &mut self.labels[..images]);
        dataset.fill_batch(request, pixels, labels);
        Batch { pixels, labels }
    }
}

/// Accuracy and loss of a trained network on some images. `None` when `stop` was raised before the end.
///
/// # Errors
/// No images; the device's.
///
/// # Panics
/// If the weights do not fit the plan, or the plan not the images.
pub fn evaluate(
    plan: &Plan,
    weights: &Weights,
    (dataset, indices): (&Dataset, &[u32]),
    engine: &Engine,
    stop: &AtomicBool,
) -> Result<Option<Evaluation>, OracleError> {
    let threads = match engine {
        Engine::Cpu { threads } => *threads,
        Engine::Cuda(engine) => {
            return evaluate_one(engine, (plan, weights), (dataset, indices), EVALUATION_BATCH, stop);
        }
    };
    if indices.is_empty() {
        return Err(OracleError::NoImages("evaluate on"));
    }
    let batch = EVALUATION_BATCH.min(indices.len());
    let mut network = Network::new(plan, NetworkOptions { batch, threads, set: InstructionSet::best() });
    network.load(weights);
    let mut buffers = Buffers::new(plan, batch);
    let (mut correct, mut loss) = (0, 0.0);
    for indices in indices.chunks(batch) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let result = network.evaluate(buffers.fill(dataset, BatchRequest { indices, augment: None }), 0.0);
        correct += result.correct;
        loss += result.loss * indices.len() as f64;
    }
    let images = indices.len();
    Ok(Some(Evaluation { accuracy: correct as f64 / images as f64, loss: loss / images as f64, images }))
}
