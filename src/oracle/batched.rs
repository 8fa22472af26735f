//! Networks trained together on a CUDA device. Each has the random streams that it has on the CPU, and none depends on
//! which others are trained with it.

use super::engine::CudaEngine;
use super::initial::initial_weights;
use super::pace::{EpochStreams, Pace};
use super::training::step_of;
use super::{Evaluation, OracleError, TrainingState};
use crate::config::TrainingConfig;
use crate::data::{BatchRequest, Dataset};
use crate::device::cpu::BatchResult;
use crate::device::cuda::records::Chosen;
use crate::device::cuda::{Batches, CudaError, Network, NetworkOptions, ResidentBatch, ResidentImages, Step};
use crate::net::{Plan, Weights};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A network and the number that keys its random streams.
#[derive(Clone)]
pub(super) struct Member {
    pub plan: Plan,
    pub candidate: u64,
}

/// A data set with its copy on a device.
#[derive(Clone)]
pub(super) struct DeviceData<'a> {
    pub dataset: &'a Dataset,
    pub resident: Arc<ResidentImages>,
}

impl<'a> DeviceData<'a> {
    /// Copies a data set to a device.
    ///
    /// # Errors
    /// Out of memory; the driver's.
    pub(super) fn new(engine: &CudaEngine, dataset: &'a Dataset) -> Result<Self, CudaError> {
        let resident = ResidentImages::new(engine.device(), dataset.shape(), dataset.pixels(), dataset.normalised())?;
        Ok(DeviceData { dataset, resident })
    }

    /// Names the images of a batch.
    pub(super) fn fill(&self, request: BatchRequest, batch: &mut HostBatch) {
        let labels = self.dataset.labels();
        batch.labels.clear();
        batch.labels.extend(request.indices.iter().map(|&index| labels[index as usize]));
        batch.chosen.clear();
        let views = self.dataset.views(request);
        batch.chosen.extend(request.indices.iter().zip(views).map(|(&index, view)| Chosen::new(index, view)));
    }
}

/// One network's batch on the host.
#[derive(Clone, Default)]
pub(super) struct HostBatch {
    pub chosen: Vec<Chosen>,
    pub labels: Vec<u16>,
    mask: Vec<f32>,
}

/// How networks are trained together; see [`Training`](super::Training).
pub(super) struct BatchTraining<'a> {
    pub engine: &'a CudaEngine,
    pub data: DeviceData<'a>,
    pub settings: &'a TrainingConfig,
    pub indices: &'a [u32],
    pub seed: u64,
    pub members: &'a [Member],
}

/// An epoch of all networks.
pub(super) struct BatchEpoch<'a> {
    /// From 0.
    pub epoch: usize,
    /// Of each network that has not diverged, the mean loss of every epoch so far.
    pub losses: &'a [Result<Vec<f64>, OracleError>],
    pub seconds: f64,
    network: &'a Network,
}

impl BatchEpoch<'_> {
    /// What the training of the first network can go on from.
    pub(super) fn state(&self) -> Result<TrainingState, OracleError> {
        let losses = self.losses.first().and_then(|losses| losses.as_ref().ok()).cloned().unwrap_or_default();
        Ok(TrainingState { weights: self.network.weights(0)?, momentum: self.network.momentum(0)?, losses })
    }
}

/// Networks that are trained, still on the device.
pub(super) struct BatchTrained<'a> {
    network: Network,
    data: DeviceData<'a>,
    batch: usize,
    /// Of each network the mean loss of every epoch, or why there are none.
    pub losses: Vec<Result<Vec<f64>, OracleError>>,
}

impl<'a> BatchTraining<'a> {
    /// Trains all from fresh weights, or, where there is but one, from an earlier state of it. `None` when `stop` was raised
    /// before the end.
    ///
    /// # Errors
    /// No images; the device's; those of `epoch_done`. A network that diverges is no error, and does not hold up the others.
    pub(super) fn run(
        &self,
        state: Option<TrainingState>,
        epoch_done: &mut dyn FnMut(BatchEpoch) -> Result<(), OracleError>,
        stop: &AtomicBool,
    ) -> Result<Option<BatchTrained<'a>>, OracleError> {
        let pace = Pace::new(self.settings, self.indices.len())?;
        let plans: Vec<Plan> = self.members.iter().map(|member| member.plan.clone()).collect();
        let options = NetworkOptions { batch: pace.batch, storage: self.engine.storage() };
        let mut network = Network::new(self.engine.device(), &plans, options)?.on_images(self.data.resident.clone());
        for (number, Member { plan, candidate }) in self.members.iter().enumerate() {
            network.load(number, &initial_weights(plan, self.seed, *candidate))?;
        }
        let mut losses: Vec<Result<Vec<f64>, OracleError>> = plans.iter().map(|_| Ok(Vec::new())).collect();
        let mut done = 0;
        if let (Some(state), [losses]) = (state, &mut losses[..]) {
            network.load(0, &state.weights)?;
            network.load_momentum(0, &state.momentum)?;
            done = state.losses.len();
            *losses = Ok(state.losses);
        }
        let mut batches = vec![HostBatch::default(); plans.len()];
        for epoch in done..self.settings.epochs {
            let start = Instant::now();
            if !self.epoch(&mut network, (&pace, epoch), &mut batches, &mut losses, stop)? {
                return Ok(None);
            }
            if losses.iter().all(Result::is_err) {
                break;
            }
            let seconds = start.elapsed().as_secs_f64();
            epoch_done(BatchEpoch { epoch, losses: &losses, seconds, network: &network })?;
        }
        Ok(Some(BatchTrained { network, data: self.data.clone(), batch: pace.batch, losses }))
    }

    /// One pass over the images. `false`: stopped.
    fn epoch(
        &self,
        network: &mut Network,
        (pace, epoch): (&Pace, usize),
        batches: &mut [HostBatch],
        losses: &mut [Result<Vec<f64>, OracleError>],
        stop: &AtomicBool,
    ) -> Result<bool, OracleError> {
        let streams =
            |member: &Member| EpochStreams::new(self.settings, self.indices, self.seed, (member.candidate, epoch));
        let mut streams: Vec<EpochStreams> = self.members.iter().map(streams).collect();
        let (mut sums, mut images) = (vec![0.0; self.members.len()], 0);
        for step in 0..pace.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            for (streams, batch) in streams.iter_mut().zip(batches.iter_mut()) {
                self.data.fill(streams.request(step), batch);
                batch.mask.resize(batch.labels.len() * network.features(), 1.0);
                if streams.drops() {
                    streams.draw_mask(&mut batch.mask);
                }
            }
            let count = batches.first().map_or(0, |batch| batch.labels.len());
            let results = self.step(network, batches, pace.learning_rate(epoch, step))?;
            for ((result, losses), sum) in results.iter().zip(losses.iter_mut()).zip(&mut sums) {
                *sum += result.loss * count as f64;
                if losses.is_ok() && !result.loss.is_finite() {
                    *losses = Err(OracleError::Diverged { epoch: epoch + 1, step: step + 1, loss: result.loss });
                }
            }
            images += count;
        }
        for (losses, sum) in losses.iter_mut().zip(sums) {
            if let Ok(losses) = losses {
                losses.push(sum / images as f64);
            }
        }
        Ok(true)
    }

    fn step(
        &self,
        network: &mut Network,
        batches: &[HostBatch],
        learning_rate: f64,
    ) -> Result<Vec<BatchResult>, CudaError> {
        let resident: Vec<ResidentBatch> =
            batches.iter().map(|HostBatch { chosen, labels, .. }| ResidentBatch { chosen, labels }).collect();
        let masks: Vec<&[f32]> = batches.iter().map(|batch| &batch.mask[..]).collect();
        let settings = self.settings;
        let step = Step {
            dropout: (settings.dropout > 0.0).then_some(&masks),
            ..step_of(settings, learning_rate, None).into()
        };
        network.train(Batches::Resident(&resident), step)
    }
}

impl BatchTrained<'_> {
    /// One network's weights and running statistics.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn weights(&self, number: usize) -> Result<Weights, CudaError> {
        self.network.weights(number)
    }

    /// Accuracy and loss of every network on some images. `None` when `stop` was raised before the end.
    ///
    /// # Errors
    /// No images; the device's.
    pub(super) fn evaluate(
        &mut self,
        indices: &[u32],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Evaluation>>, OracleError> {
        evaluate_all(&mut self.network, &self.data, (indices, self.batch), stop)
    }
}

/// Accuracy and loss of every network on the same images. `None` when `stop` was raised before the end.
///
/// # Errors
/// No images; the device's.
pub(super) fn evaluate_all(
    network: &mut Network,
    data: &DeviceData,
    (indices, batch): (&[u32], usize),
    stop: &AtomicBool,
) -> Result<Option<Vec<Evaluation>>, OracleError> {
    if indices.is_empty() {
        return Err(OracleError::NoImages("evaluate on"));
    }
    let mut host = HostBatch::default();
    let mut sums = vec![(0, 0.0); network.plans().len()];
    for indices in indices.chunks(batch) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        data.fill(BatchRequest { indices, augment: None }, &mut host);
        let resident = vec![ResidentBatch { chosen: &host.chosen, labels: &host.labels }; sums.len()];
        let results = network.evaluate(Batches::Resident(&resident), 0.0)?;
        for ((correct, loss), result) in sums.iter_mut().zip(results) {
            *correct += result.correct;
            *loss += result.loss * indices.len() as f64;
        }
    }
    let images = indices.len();
    let evaluation = |(correct, loss): (usize, f64)| Evaluation {
        accuracy: correct as f64 / images as f64,
        loss: loss / images as f64,
        images,
    };
    Ok(Some(sums.into_iter().map(evaluation).collect()))
}

/// Accuracy and loss of one trained network on some images.
///
/// # Errors
/// No images; the device's.
pub(super) fn evaluate_one(
    engine: &CudaEngine,
    (plan, weights): (&Plan, &Weights),
    (dataset, indices): (&Dataset, &[u32]),
    batch: usize,
    stop: &AtomicBool,
) -> Result<Option<Evaluation>, OracleError> {
    let _alone = engine.alone();
    let data = DeviceData::new(engine, dataset)?;
    let batch = batch.min(indices.len()).max(1);
    let options = NetworkOptions { batch, storage: engine.storage() };
    let mut network =
        Network::new(engine.device(), std::slice::from_ref(plan), options)?.on_images(data.resident.clone());
    network.load(0, weights)?;
    let found = evaluate_all(&mut network, &data, (indices, batch), stop)?;
    Ok(found.and_then(|all| all.first().copied()))
}
