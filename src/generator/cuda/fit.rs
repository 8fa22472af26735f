//! Fits, and losses with their gradients.

use super::super::adam::{BETA1, BETA2};
use super::super::fit::{Crew, Minibatch, Trainer};
use super::super::gran::{Gran, Target};
use super::super::loss::{factors, weighted};
use super::super::passes::{Buffer, Example};
use super::super::prefixes::PrefixBatch;
use super::super::{FitReport, FitSettings, Generator, GeneratorError};
use super::{prefix_graphs, shape, training_capacity, training_edges};
use crate::device::cuda::Device;
use crate::device::cuda::generator::{GranNetwork, Shares, StepSettings};
use crate::graph::LabelledGraph;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The loss of some architectures and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct LossGradient {
    /// Mean of the architectures' losses, summed over their graphs.
    pub loss: f64,
    /// By every parameter of every component, in the order of the checkpoint.
    pub gradients: Vec<Vec<f32>>,
    /// Kernels that were launched on a device.
    pub launches: usize,
}

/// One component on the device.
struct DeviceTrainer {
    network: GranNetwork,
    batch: PrefixBatch,
    learning_rate: f64,
    steps: i32,
}

impl DeviceTrainer {
    /// For minibatches of at most so many of these graphs.
    fn new<'a>(
        device: &Arc<Device>,
        gran: &Gran,
        graphs: impl Iterator<Item = &'a LabelledGraph>,
        (most, learning_rate): (usize, f64),
    ) -> Result<Self, GeneratorError> {
        let config = &gran.config;
        let edges = graphs.map(|graph| training_edges(config, &rows(graph))).max().unwrap_or(0);
        let factors = factors(config, 0);
        let shares = Shares { row: factors.row, operator: factors.operator };
        let capacity = training_capacity(config, most, edges);
        let mut network = GranNetwork::new(device, &shape(gran), capacity, Some(shares))?;
        network.load(&gran.parameters)?;
        Ok(DeviceTrainer { network, batch: PrefixBatch::default(), learning_rate, steps: 0 })
    }

    /// A step on these graphs, as `Adam::step` and `Group::run` do it. Returns their loss.
    fn step<'a>(
        &mut self,
        gran: &Gran,
        examples: impl ExactSizeIterator<Item = Example<'a>> + Clone,
    ) -> Result<f64, GeneratorError> {
        let config = &gran.config;
        let count = examples.len();
        self.batch.clear(count, config.id_columns() > 0);
        let mut targets = Vec::new();
        for (index, Example { graph, .. }) in examples.clone().enumerate() {
            let rows = rows(graph);
            let steps = config.first_step()..config.nodes;
            self.batch.push(index, &rows, steps.clone());
            let operator = |step: usize| graph.operators.get(step).copied().unwrap_or(0);
            targets.extend(steps.map(|step| Target { row: rows[step], operator: operator(step) }));
        }
        let graphs = prefix_graphs(&self.batch, targets.into_iter());
        let weights: Vec<f64> = examples.map(|example| example.rho / count as f64).collect();
        self.steps += 1;
        let settings = StepSettings {
            rate: (self.learning_rate / (1.0 - BETA1.powi(self.steps))) as f32,
            scale: (1.0 - BETA2.powi(self.steps)).sqrt().recip() as f32,
        };
        Ok(self.network.train(&graphs, &weights, settings)?)
    }
}

fn rows(graph: &LabelledGraph) -> Vec<u128> {
    (0..graph.dag.nodes()).map(|node| graph.dag.predecessor_bits(node)).collect()
}

/// A step of all components.
fn step(components: &[Gran], trainers: &mut [DeviceTrainer], minibatch: Minibatch) -> Result<f64, GeneratorError> {
    let mut loss = 0.0;
    for (component, (gran, trainer)) in components.iter().zip(trainers).enumerate() {
        let examples = (0..minibatch.count).map(|index| (minibatch.example)(component, index));
        loss += match gran.config.first_step() < gran.config.nodes {
            true => trainer.step(gran, examples)?,
            // Nothing is decided: every graph has probability one, whatever the parameters.
            false => examples.map(|example| weighted(example.rho / minibatch.count as f64, 0.0).loss).sum(),
        };
    }
    Ok(loss)
}

impl Generator {
    /// [`Generator::fit`] on a CUDA device.
    ///
    /// # Errors
    /// As there; what the device reports.
    pub fn fit_on(
        &mut self,
        device: &Arc<Device>,
        (buffer, weights): (&[Vec<LabelledGraph>], &[f64]),
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        let buffer = self.checked(buffer, weights, settings)?;
        let most = settings.batch.min(weights.len());
        let mut trainers = self.trainers(device, buffer, (most, settings.learning_rate))?;
        let components = &self.components;
        let report = buffer.passes(settings, stop, |indices| {
            let example = |component: usize, index: usize| buffer.example(component, indices[index]);
            step(components, &mut trainers, Minibatch { count: indices.len(), example: &example })
        })?;
        for (gran, trainer) in self.components.iter_mut().zip(&trainers) {
            gran.parameters = trainer.network.parameters()?;
        }
        Ok(report)
    }

    /// The loss that a fit minimises on these architectures as one minibatch, and its gradient.
    ///
    /// # Errors
    /// As [`Generator::fit`].
    pub fn loss_gradient(
        &self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
    ) -> Result<LossGradient, GeneratorError> {
        let count = weights.len();
        let buffer = self.checked(buffer, weights, &one_batch(count))?;
        let mut trainers: Vec<_> = self.components.iter().map(|gran| Trainer::new(gran.clone(), 1.0)).collect();
        let example = |component: usize, index: usize| buffer.example(component, index);
        let loss = Crew::new(1).evaluate(&mut trainers, Minibatch { count, example: &example });
        let gradients = trainers.iter().map(|trainer| trainer.gradient().to_vec()).collect();
        Ok(LossGradient { loss, gradients, launches: 0 })
    }

    /// [`Generator::loss_gradient`] on a CUDA device.
    ///
    /// # Errors
    /// As there; what the device reports.
    pub fn loss_gradient_on(
        &self,
        device: &Arc<Device>,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
    ) -> Result<LossGradient, GeneratorError> {
        let count = weights.len();
        let buffer = self.checked(buffer, weights, &one_batch(count))?;
        let mut trainers = self.trainers(device, buffer, (count, 1.0))?;
        let example = |component: usize, index: usize| buffer.example(component, index);
        let minibatch = Minibatch { count, example: &example };
        let loss = step(&self.components, &mut trainers, minibatch)?;
        let gradients = trainers.iter().map(|trainer| trainer.network.gradient());
        let launches = trainers.iter().map(|trainer| trainer.network.launches_per_step()).sum();
        Ok(LossGradient { loss, gradients: gradients.collect::<Result<_, _>>()?, launches })
    }

    /// A buffer that a fit on a device can take.
    fn checked<'a>(
        &self,
        architectures: &'a [Vec<LabelledGraph>],
        weights: &'a [f64],
        settings: &FitSettings,
    ) -> Result<Buffer<'a>, GeneratorError> {
        let buffer = Buffer { architectures, weights };
        buffer.check(&self.shapes(), settings)?;
        Ok(buffer)
    }

    fn trainers(
        &self,
        device: &Arc<Device>,
        buffer: Buffer,
        settings: (usize, f64),
    ) -> Result<Vec<DeviceTrainer>, GeneratorError> {
        let components = self.components.iter().enumerate();
        let trainer = |(component, gran): (usize, &Gran)| {
            DeviceTrainer::new(device, gran, buffer.architectures.iter().map(|graphs| &graphs[component]), settings)
        };
        components.map(trainer).collect()
    }
}

/// Settings of one step on everything, to check a buffer against.
fn one_batch(architectures: usize) -> FitSettings {
    FitSettings { epochs: 1, batch: architectures.max(1), learning_rate: 1.0, seed: 0, iteration: 0, threads: 1 }
}
