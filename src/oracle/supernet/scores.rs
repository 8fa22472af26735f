//! Scoring candidates with the shared weights: on the CPU a candidate a thread, on a CUDA device as many together as it
//! holds.

use super::super::batched::{DeviceData, HostBatch, evaluate_all};
use super::super::engine::{CudaEngine, Engine};
use super::super::training::Buffers;
use super::{EVALUATION_BATCH, SupernetOracle};
use crate::data::BatchRequest;
use crate::device::cpu::{InstructionSet, Network, NetworkOptions};
use crate::device::cuda::{self, Batches, ResidentBatch};
use crate::net::Plan;
use crate::oracle::{Candidate, Evaluation, Oracle, OracleError, Outcome, lower};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

impl SupernetOracle {
    /// Images in a batch.
    fn scoring_batch(&self) -> usize {
        EVALUATION_BATCH.min(self.validation.len().max(2))
    }

    /// The batches that statistics are taken from, each with the share that makes them the means over batches.
    fn statistics(&self) -> impl Iterator<Item = (&[u32], f32)> {
        let images = &self.train[..self.supernet.statistics_images.min(self.train.len())];
        let batches = images.chunks(self.scoring_batch()).filter(|indices| indices.len() > 1);
        batches.enumerate().map(|(number, indices)| (indices, 1.0 / (number + 1) as f32))
    }

    /// Scores a network with the shared weights on all validation images. Its batch norms' statistics are its own: the
    /// means over batches of training images, never of validation images. `None`: stopped.
    ///
    /// # Errors
    /// No images, or a network of another space; the device's.
    pub fn score(&self, plan: &Plan, stop: &AtomicBool) -> Result<Option<Evaluation>, OracleError> {
        match &self.engine {
            Engine::Cpu { .. } => self.score_on_cpu(plan, stop),
            Engine::Cuda(engine) => {
                let scores = self.score_together(engine, std::slice::from_ref(plan), stop)?;
                Ok(scores.and_then(|scores| scores.first().copied()))
            }
        }
    }

    fn score_on_cpu(&self, plan: &Plan, stop: &AtomicBool) -> Result<Option<Evaluation>, OracleError> {
        if self.validation.is_empty() {
            return Err(OracleError::NoImages("evaluate on"));
        }
        let (weights, _) = self.weights.of(plan).ok_or(OracleError::NotShared)?;
        let batch = self.scoring_batch();
        let mut network = Network::new(plan, NetworkOptions { batch, threads: 1, set: InstructionSet::best() });
        network.load(&weights);
        let mut buffers = Buffers::new(plan, batch);
        for (indices, share) in self.statistics() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            network.calibrate(buffers.fill(&self.dataset, BatchRequest { indices, augment: None }), share);
        }
        let (mut correct, mut loss) = (0, 0.0);
        for indices in self.validation.chunks(batch) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let result = network.evaluate(buffers.fill(&self.dataset, BatchRequest { indices, augment: None }), 0.0);
            correct += result.correct;
            loss += result.loss * indices.len() as f64;
        }
        let images = self.validation.len();
        Ok(Some(Evaluation { accuracy: correct as f64 / images as f64, loss: loss / images as f64, images }))
    }

    /// [`score`](Self::score) of several networks at the same time.
    fn score_together(
        &self,
        engine: &CudaEngine,
        plans: &[Plan],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Evaluation>>, OracleError> {
        let _alone = engine.alone();
        let data = match &self.resident {
            Some(resident) => DeviceData { dataset: &self.dataset, resident: resident.clone() },
            None => DeviceData::new(engine, &self.dataset)?,
        };
        let batch = self.scoring_batch();
        let options = cuda::NetworkOptions { batch, storage: engine.storage() };
        let network = cuda::Network::new(engine.device(), plans, options)?;
        let mut network = network.on_images(data.resident.clone());
        for (number, plan) in plans.iter().enumerate() {
            let (weights, _) = self.weights.of(plan).ok_or(OracleError::NotShared)?;
            network.load(number, &weights)?;
        }
        let mut host = HostBatch::default();
        for (indices, share) in self.statistics() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            data.fill(BatchRequest { indices, augment: None }, &mut host);
            let images = ResidentBatch { chosen: &host.chosen, labels: &host.labels };
            network.calibrate(Batches::Resident(&vec![images; plans.len()]), share)?;
        }
        evaluate_all(&mut network, &data, (&self.validation, batch), stop)
    }

    /// Scores candidates as the device likes it. `None`: stopped.
    ///
    /// # Errors
    /// The device's. What a network is to blame for is its own result.
    fn score_all(
        &self,
        plans: &[Plan],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Result<Evaluation, OracleError>>>, OracleError> {
        let Engine::Cuda(engine) = &self.engine else {
            return Ok(plans.iter().map(|plan| self.score_on_cpu(plan, stop).transpose()).collect());
        };
        if plans.is_empty() {
            return Ok(Some(Vec::new()));
        }
        match self.together.run(plans, &|plans| self.score_together(engine, plans, stop)) {
            Ok(scores) => Ok(scores.map(|scores| scores.into_iter().map(Ok).collect())),
            // Each one's own failure, as on the CPU.
            Err(OracleError::NoImages(what)) => {
                Ok(Some(plans.iter().map(|_| Err(OracleError::NoImages(what))).collect()))
            }
            Err(error) => Err(error),
        }
    }

    /// A candidate's network, if it is one that the supernet has the weights of.
    fn plan_of(&self, candidate: &Candidate) -> Result<Plan, OracleError> {
        let plan = lower(&candidate.architecture, &self.space, &self.dataset)?;
        if self.weights.has(&plan) { Ok(plan) } else { Err(OracleError::NotShared) }
    }
}

impl Oracle for SupernetOracle {
    fn evaluate(&self, group: &[Candidate], stop: &AtomicBool) -> Result<Option<Vec<Outcome>>, OracleError> {
        let start = Instant::now();
        let lowered: Vec<Result<Plan, OracleError>> = group.iter().map(|candidate| self.plan_of(candidate)).collect();
        let plans: Vec<Plan> = lowered.iter().flatten().cloned().collect();
        let Some(scores) = self.score_all(&plans, stop)? else { return Ok(None) };
        let mut scores = scores.into_iter();
        // Networks scored together share the time.
        let seconds = start.elapsed().as_secs_f64() / group.len() as f64;
        let outcomes = lowered.into_iter().map(|lowered| match lowered {
            Ok(plan) => Some(outcome(Some(&plan), scores.next()?, seconds)),
            Err(error) => Some(outcome(None, Err(error), seconds)),
        });
        Ok(outcomes.collect())
    }

    fn group_size(&self, waiting: &[Candidate]) -> usize {
        let Engine::Cuda(engine) = &self.engine else { return 1 };
        let plans = waiting.iter().map_while(|candidate| self.plan_of(candidate).ok());
        self.together.count(engine, plans, self.scoring_batch())
    }

    fn groups_at_once(&self, threads: usize) -> usize {
        match self.engine {
            Engine::Cpu { .. } => threads,
            Engine::Cuda(_) => 1,
        }
    }
}

fn outcome(plan: Option<&Plan>, score: Result<Evaluation, OracleError>, seconds: f64) -> Outcome {
    let (validation_accuracy, failure) = match score {
        Ok(evaluation) => (Some(evaluation.accuracy), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Outcome {
        validation_accuracy,
        test_accuracy: None,
        cost: None,
        training_losses: Vec::new(),
        failure,
        parameters: plan.map_or(0, Plan::trained_parameters),
        multiply_adds: plan.map_or(0, Plan::multiply_adds),
        seconds,
    }
}
