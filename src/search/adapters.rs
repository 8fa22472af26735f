//! The real spaces and generators as the loop sees them.

use super::{BoxError, Draw, Proposer, SearchSpace};
use crate::config::{ClassicalKind, Config, GeneratorConfig};
use crate::device::cuda::Device;
use crate::generator::{CudaSampler, FitReport, FitSettings, Generator, GeneratorError, LstmGenerator, Sampler};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::space::{Architecture, ComponentShape, Space};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

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

    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, BoxError> {
        Ok(self.as_ref().neighbours(architecture)?)
    }

    fn mutate(&self, architecture: &Architecture, stream: &mut Stream) -> Result<Architecture, BoxError> {
        Ok(self.as_ref().mutate(architecture, stream)?)
    }
}

/// A distribution over architectures that can be fitted to a weighted buffer.
pub trait Model: Sized {
    /// The model with fresh parameters, which depend on the seed, the iteration and the component only.
    ///
    /// # Errors
    /// Settings that do not suit the graphs.
    fn fresh(
        shapes: &[ComponentShape],
        config: &GeneratorConfig,
        seed: u64,
        iteration: u64,
    ) -> Result<Self, GeneratorError>;

    /// Fits it from its present parameters on. `None`: stopped.
    ///
    /// # Errors
    /// Where the buffer does not suit the model, or the loss stops being finite.
    fn fit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError>;

    /// Draws so many architectures; the sampler changes no result.
    fn sample(&self, stream: &mut Stream, count: usize, sampler: &mut Sampler) -> Vec<crate::generator::Draw>;

    /// [`Model::fit`] on a CUDA device, if the model has kernels; on the CPU otherwise.
    ///
    /// # Errors
    /// As there; what the device reports.
    fn fit_on(
        &mut self,
        _device: &Arc<Device>,
        (buffer, weights): (&[Vec<LabelledGraph>], &[f64]),
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        self.fit(buffer, weights, settings, stop)
    }

    /// [`Model::sample`] on a CUDA device, if the model has kernels; `None` otherwise.
    ///
    /// # Errors
    /// What the device reports.
    fn sample_on(
        &self,
        _stream: &mut Stream,
        _count: usize,
        _sampler: &mut CudaSampler,
    ) -> Result<Option<Vec<crate::generator::Draw>>, GeneratorError> {
        Ok(None)
    }
}

impl Model for Generator {
    fn fresh(
        shapes: &[ComponentShape],
        config: &GeneratorConfig,
        seed: u64,
        iteration: u64,
    ) -> Result<Self, GeneratorError> {
        Generator::new(shapes, config, seed, iteration)
    }

    fn fit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        Generator::fit(self, buffer, weights, settings, stop)
    }

    fn sample(&self, stream: &mut Stream, count: usize, sampler: &mut Sampler) -> Vec<crate::generator::Draw> {
        Generator::sample(self, stream, count, sampler)
    }

    fn fit_on(
        &mut self,
        device: &Arc<Device>,
        given: (&[Vec<LabelledGraph>], &[f64]),
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        match self.has_kernels() {
            true => Generator::fit_on(self, device, given, settings, stop),
            false => self.fit(given.0, given.1, settings, stop),
        }
    }

    fn sample_on(
        &self,
        stream: &mut Stream,
        count: usize,
        sampler: &mut CudaSampler,
    ) -> Result<Option<Vec<crate::generator::Draw>>, GeneratorError> {
        match self.has_kernels() {
            true => Generator::sample_on(self, stream, count, sampler).map(Some),
            false => Ok(None),
        }
    }
}

impl Model for LstmGenerator {
    fn fresh(
        shapes: &[ComponentShape],
        config: &GeneratorConfig,
        seed: u64,
        iteration: u64,
    ) -> Result<Self, GeneratorError> {
        LstmGenerator::new(shapes, config.rnn_hidden, seed, iteration)
    }

    fn fit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        LstmGenerator::fit(self, buffer, weights, settings, stop)
    }

    fn sample(&self, stream: &mut Stream, count: usize, _: &mut Sampler) -> Vec<crate::generator::Draw> {
        LstmGenerator::sample(self, stream, count)
    }
}

/// A model as the loop sees it, made anew for every fit unless `generator.warm` is set.
pub struct ModelProposer<M> {
    shapes: Vec<ComponentShape>,
    config: GeneratorConfig,
    seed: u64,
    threads: usize,
    samplers: Mutex<Samplers>,
    fitted: Option<M>,
}

/// What draws need, kept from draw to draw.
struct Samplers {
    cpu: Sampler,
    cuda: Option<CudaSampler>,
}

/// The graph generator.
pub type GeneratorProposer = ModelProposer<Generator>;

/// The LSTM.
pub type RnnProposer = ModelProposer<LstmGenerator>;

impl<M: Model> ModelProposer<M> {
    /// The configuration's model for the graphs of this space. `threads` change no result.
    pub fn new(space: &dyn Space, config: &Config, threads: usize) -> Self {
        ModelProposer {
            shapes: space.components(),
            config: config.generator.clone(),
            seed: config.run.seed,
            threads,
            samplers: Mutex::new(Samplers { cpu: Sampler::new(threads), cuda: None }),
            fitted: None,
        }
    }

    /// With fits and draws on a CUDA device, if there is one.
    pub fn on(self, device: Option<&Arc<Device>>) -> Self {
        let samplers = Samplers { cpu: Sampler::new(self.threads), cuda: device.map(CudaSampler::new) };
        ModelProposer { samplers: Mutex::new(samplers), ..self }
    }

    /// The model as last fitted; `None` before the first fit.
    pub fn model(&self) -> Option<&M> {
        self.fitted.as_ref()
    }

    fn settings(&self, iteration: u64) -> FitSettings {
        FitSettings {
            epochs: self.config.epochs,
            batch: self.config.batch,
            learning_rate: self.config.learning_rate,
            seed: self.seed,
            iteration,
            threads: self.threads,
        }
    }
}

impl<M: Model> Proposer for ModelProposer<M> {
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError> {
        let mut model = match self.fitted.take().filter(|_| self.config.warm) {
            Some(model) => model,
            None => M::fresh(&self.shapes, &self.config, self.seed, iteration)?,
        };
        let settings = self.settings(iteration);
        let samplers = self.samplers.get_mut().unwrap_or_else(PoisonError::into_inner);
        let report = match &samplers.cuda {
            Some(cuda) => model.fit_on(cuda.device(), (buffer, weights), &settings, stop)?,
            None => model.fit(buffer, weights, &settings, stop)?,
        };
        Ok(report.map(|report| {
            self.fitted = Some(model);
            report.losses
        }))
    }

    fn is_warm(&self) -> bool {
        self.config.warm
    }

    /// Nothing before the first fit. Draws that a device fails to make are the CPU's; the next fit then says what is wrong.
    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        let Some(model) = &self.fitted else { return Vec::new() };
        let Samplers { cpu, cuda } = &mut *self.samplers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = stream.clone();
        let on_device = cuda.as_mut().and_then(|cuda| model.sample_on(&mut own, count, cuda).ok().flatten());
        let draws = match on_device {
            Some(draws) => {
                *stream = own;
                draws
            }
            None => model.sample(stream, count, cpu),
        };
        let draws = draws.into_iter();
        draws.map(|draw| Draw { components: draw.components, log_probability: draw.log_probability }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, StreamKey};
    use crate::space::space_of;

    const SMALL: &str = "[space]\nnodes = 5\nstages = 2\n[generator]\nhidden = 8\nlayers = 1\nmixtures = 2\nepochs = 3";

    fn stream() -> Stream {
        StreamKey { seed: 1, purpose: Purpose::Sample, candidate: 0, epoch: 0 }.stream()
    }

    #[test]
    fn a_fit_depends_on_the_buffer_and_the_iteration_only() {
        let config = Config::from_toml(SMALL, &[]).unwrap();
        let space = space_of(&config).unwrap();
        let stop = AtomicBool::new(false);
        let mut explorer = stream();
        let buffer: Vec<Vec<LabelledGraph>> = (0..3)
            .map(|_| SearchSpace::explore(&space, &mut explorer, ClassicalKind::Er).unwrap())
            .map(|architecture| SearchSpace::disassemble(&space, &architecture).unwrap())
            .collect();
        let weights = [1.0, 0.6, 0.3];
        let mut first = GeneratorProposer::new(space.as_ref(), &config, 1);
        let mut second = GeneratorProposer::new(space.as_ref(), &config, 2);
        assert!(first.model().is_none() && first.sample(&mut stream(), 4).is_empty());
        // The second one's earlier fit leaves no trace.
        second.refit(&buffer[..2], &weights[..2], 1, &stop).unwrap();
        let before = second.sample(&mut stream(), 4);
        let losses = first.refit(&buffer, &weights, 2, &stop).unwrap().unwrap();
        assert_eq!(second.refit(&buffer, &weights, 2, &stop).unwrap().unwrap(), losses);
        assert_eq!(losses.len(), 3);
        let draws = first.sample(&mut stream(), 4);
        assert_eq!(second.sample(&mut stream(), 4), draws);
        assert_ne!(before, draws);
        for draw in draws {
            let architecture = SearchSpace::assemble(&space, draw.components.clone()).unwrap();
            assert_eq!(SearchSpace::disassemble(&space, &architecture).unwrap(), draw.components);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(first.refit(&buffer, &weights, 3, &stop).unwrap(), None);
    }
}
