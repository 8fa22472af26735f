//! The real space and generator as the loop sees them.

use super::{BoxError, Draw, Proposer, SearchSpace};
use crate::config::{ClassicalKind, Config, GeneratorConfig};
use crate::generator::{ComponentShape, FitSettings, Generator, GeneratorError};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::space::{Architecture, Space};
use std::sync::atomic::AtomicBool;

impl SearchSpace for Box<dyn Space> {
    fn assemble(&self, components: Vec<LabelledGraph>) -> Result<Architecture, BoxError> {
        Ok(self.as_ref().assemble(components)?)
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, BoxError> {
        Ok(self.as_ref().disassemble(architecture)?)
    }

    fn key(&self, architecture: &Architecture) -> Result<String, BoxError> {
        Ok(self.as_ref().key(architecture)?.to_string())
    }

    fn explore(&self, stream: &mut Stream, kind: ClassicalKind) -> Result<Architecture, BoxError> {
        Ok(self.as_ref().explore(stream, kind)?)
    }
}

/// The graph generator, made anew for every fit.
pub struct GeneratorProposer {
    shapes: Vec<ComponentShape>,
    config: GeneratorConfig,
    seed: u64,
    threads: usize,
    fitted: Option<Generator>,
}

impl GeneratorProposer {
    /// The configuration's generator for the graphs of this space. `threads` change no result.
    pub fn new(space: &dyn Space, config: &Config, threads: usize) -> Self {
        let shape =
            |shape: crate::space::ComponentShape| ComponentShape { nodes: shape.nodes, operators: shape.operators };
        GeneratorProposer {
            shapes: space.components().into_iter().map(shape).collect(),
            config: config.generator.clone(),
            seed: config.run.seed,
            threads,
            fitted: None,
        }
    }

    /// The generator as last fitted; `None` before the first fit.
    pub fn generator(&self) -> Option<&Generator> {
        self.fitted.as_ref()
    }

    fn fit(
        &self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<(Generator, Vec<f64>)>, GeneratorError> {
        let mut generator = Generator::new(&self.shapes, &self.config, self.seed, iteration)?;
        let settings = FitSettings {
            epochs: self.config.epochs,
            batch: self.config.batch,
            learning_rate: self.config.learning_rate,
            seed: self.seed,
            iteration,
            threads: self.threads,
        };
        let report = generator.fit(buffer, weights, &settings, stop)?;
        Ok(report.map(|report| (generator, report.losses)))
    }
}

impl Proposer for GeneratorProposer {
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError> {
        let Some((generator, losses)) = self.fit(buffer, weights, iteration, stop)? else { return Ok(None) };
        self.fitted = Some(generator);
        Ok(Some(losses))
    }

    /// Nothing before the first fit.
    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        let draws = self.fitted.iter().flat_map(|generator| generator.sample(stream, count));
        draws.map(|draw| Draw { components: draw.components, log_probability: draw.log_probability }).collect()
    }
}
