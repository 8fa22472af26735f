//! Training of one network on images, and its evaluation.

use super::initial::initial_weights;
use super::rate::learning_rate;
use super::{EVALUATION_BATCH, OracleError};
use crate::config::TrainingConfig;
use crate::data::{Augment, BatchRequest, Dataset, epoch_order};
use crate::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use crate::net::{Plan, Weights};
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Everything that a training run depends on, and the number of threads, which changes no result.
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
    /// Threads.
    pub threads: usize,
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
    /// No images; a loss that is not a number.
    pub fn run(
        &self,
        epoch_done: &mut dyn FnMut(EpochReport),
        stop: &AtomicBool,
    ) -> Result<Option<Trained>, OracleError> {
        // A batch of one image has no batch statistics worth the name.
        let steps = (self.indices.len() + self.settings.batch).saturating_sub(2) / self.settings.batch;
        if steps == 0 {
            return Err(OracleError::NoImages("train on"));
        }
        let batch = self.settings.batch.min(self.indices.len());
        let options = NetworkOptions { batch, threads: self.threads, set: InstructionSet::best() };
        let mut network = Network::new(self.plan, options);
        network.load(&initial_weights(self.plan, self.seed, self.candidate));
        let mut losses = Vec::with_capacity(self.settings.epochs);
        let mut buffers = Buffers::new(self.plan, batch);
        let mut mask = vec![0.0; batch * network.features()];
        for epoch in 0..self.settings.epochs {
            let start = Instant::now();
            let Some(loss) = self.epoch(&mut network, (&mut buffers, &mut mask), (epoch, steps), stop)? else {
                return Ok(None);
            };
            losses.push(loss);
            let last = (epoch + 1) * steps - 1;
            epoch_done(EpochReport {
                epoch: epoch + 1,
                epochs: self.settings.epochs,
                loss,
                learning_rate: learning_rate(self.settings, last, steps),
                images_per_s: self.indices.len() as f64 / start.elapsed().as_secs_f64(),
            });
        }
        Ok(Some(Trained { weights: network.weights(), losses }))
    }

    /// One pass over the images; the mean loss.
    fn epoch(
        &self,
        network: &mut Network,
        (buffers, mask): (&mut Buffers, &mut [f32]),
        (epoch, steps): (usize, usize),
        stop: &AtomicBool,
    ) -> Result<Option<f64>, OracleError> {
        let Training { settings, seed, candidate, .. } = *self;
        let order = epoch_order(self.indices, seed, candidate, epoch as u64);
        let augment = settings.augmentation.then_some(Augment { seed, candidate, epoch: epoch as u64 });
        let mut dropout = StreamKey { seed, purpose: Purpose::Dropout, candidate, epoch: epoch as u64 }.stream();
        let (mut sum, mut images) = (0.0, 0);
        for (step, indices) in order.chunks(settings.batch).take(steps).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let batch = buffers.fill(self.dataset, BatchRequest { indices, augment });
            let mask = &mut mask[..indices.len() * network.features()];
            if settings.dropout > 0.0 {
                draw_mask(&mut dropout, settings.dropout, mask);
            }
            let mask = (settings.dropout > 0.0).then_some(&*mask);
            let rate = learning_rate(settings, epoch * steps + step, steps);
            let result = network.train(batch, step_of(settings, rate, mask));
            if !result.loss.is_finite() {
                return Err(OracleError::Diverged { epoch: epoch + 1, step: step + 1, loss: result.loss });
            }
            sum += result.loss * indices.len() as f64;
            images += indices.len();
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

/// Draws dropout factors: 0 with probability `dropout`, else 1 / (1 - dropout).
pub(super) fn draw_mask(stream: &mut Stream, dropout: f64, factors: &mut [f32]) {
    let kept = (1.0 / (1.0 - dropout)) as f32;
    factors.iter_mut().for_each(|factor| *factor = if stream.random_bool(dropout) { 0.0 } else { kept });
}

/// Accuracy and loss of a trained network on some images. `None` when `stop` was raised before the end.
///
/// # Errors
/// No images.
///
/// # Panics
/// If the weights do not fit the plan, or the plan not the images.
pub fn evaluate(
    plan: &Plan,
    weights: &Weights,
    (dataset, indices): (&Dataset, &[u32]),
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<Evaluation>, OracleError> {
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
