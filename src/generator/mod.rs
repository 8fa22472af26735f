//! Distributions over architectures: the graph generator of GraphPNAS, a GRAN with block size 1 and operator heads.
//!
//! A graph's rows are decided one after the other: row i from the states that a graph network computes on the prefix
//! graph of step i. Training sees all prefixes of a graph at once ([`prefixes`]), sampling one step at a time. The
//! network is [`round`] after round of [`edges`] and [`gru`], then the [`head`]s; each file holds a layer's forward pass and
//! its hand-written backward pass.

mod activation;
mod adam;
mod checkpoint;
mod columns;
mod config;
mod cost;
mod cuda;
mod edge_operator_head;
mod edge_passes;
mod edges;
mod error;
mod fit;
mod fitted;
mod gate;
mod gran;
mod gru;
mod head;
mod loss;
mod lstm;
mod mixture;
mod parameters;
mod pass;
mod passes;
mod prefixes;
mod round;
mod sample;
mod shares;
#[cfg(test)]
mod tests;
mod weights;

pub use config::{GranConfig, InputLayout, LossScale, RELEASED_ATTENTION};
pub use cost::Cost;
pub use cuda::{CudaSampler, LossGradient};
pub use error::GeneratorError;
pub use fitted::Fitted;
pub use gran::Gran;
pub use lstm::{LstmConfig, LstmGenerator};
pub use sample::{Draw, Sampler};

use crate::config::GeneratorConfig;
use crate::graph::LabelledGraph;
use crate::random::{Purpose, StreamKey};
use crate::space::ComponentShape;
use fit::{Crew, Minibatch, Trainer};
use passes::Buffer;
use std::sync::atomic::AtomicBool;

/// A distribution over architectures of one or several graphs, drawn independently of each other.
#[derive(Clone, Debug)]
pub struct Generator {
    components: Vec<Gran>,
}

/// How a generator is fitted.
#[derive(Clone, Copy, Debug)]
pub struct FitSettings {
    /// Passes over the buffer.
    pub epochs: usize,
    /// Architectures in a step.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// The run's seed.
    pub seed: u64,
    /// The search's iteration.
    pub iteration: u64,
    /// Threads; changes no result.
    pub threads: usize,
}

/// What a fit did.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    /// Mean loss of an architecture, summed over its graphs, in every epoch.
    pub losses: Vec<f64>,
}

impl Generator {
    /// A generator with fresh parameters, which depend on the seed, the iteration and the component only.
    ///
    /// # Errors
    /// Settings outside their range; a hidden width below the number of nodes plus 3.
    pub fn new(
        shapes: &[ComponentShape],
        config: &GeneratorConfig,
        seed: u64,
        iteration: u64,
    ) -> Result<Self, GeneratorError> {
        let components = shapes.iter().zip(0..).map(|(shape, component)| {
            let settings = GranConfig {
                layers: config.layers,
                mixtures: config.mixtures,
                attention: config.attention.then_some(RELEASED_ATTENTION),
                edge_operators: shape.edge_operators,
                condition_on_operators: config.condition_on_operators,
                ..GranConfig::released(shape.nodes, shape.operators, config.hidden)
            };
            let purpose = Purpose::GeneratorInitialise;
            let key = StreamKey { seed, purpose, candidate: component, epoch: iteration };
            Gran::new(settings, &mut key.stream())
        });
        Ok(Generator { components: components.collect::<Result<_, _>>()? })
    }

    /// A generator of architectures whose graphs these draw.
    pub fn from_components(components: Vec<Gran>) -> Self {
        Generator { components }
    }

    /// The generators of the single graphs.
    pub fn components(&self) -> &[Gran] {
        &self.components
    }

    /// Number of parameters of all components.
    pub fn parameter_count(&self) -> usize {
        self.components.iter().map(Gran::parameter_count).sum()
    }

    /// Fits the generator to a buffer of architectures (one graph for each component) and their weights rho, from the
    /// present parameters on. A positive weight raises an architecture's probability, a negative one lowers it.
    /// Returns `None`, with the parameters in between, when `stop` was set.
    ///
    /// # Errors
    /// A step of no architectures, graphs of another shape, a weight that is not finite, a loss that stops being finite.
    pub fn fit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        let buffer = Buffer { architectures: buffer, weights };
        buffer.check(&self.shapes(), settings)?;
        let components = std::mem::take(&mut self.components);
        let rate = settings.learning_rate;
        let mut trainers: Vec<_> = components.into_iter().map(|gran| Trainer::new(gran, rate)).collect();
        let mut crew = Crew::new(settings.threads);
        let report = buffer.passes(settings, stop, |step| {
            let example = |component: usize, index: usize| buffer.example(component, step[index]);
            Ok(crew.step(&mut trainers, Minibatch { count: step.len(), example: &example }))
        });
        self.components = trainers.into_iter().map(|trainer| trainer.gran).collect();
        report
    }

    fn shapes(&self) -> Vec<ComponentShape> {
        self.components.iter().map(|gran| gran.config.shape()).collect()
    }
}
