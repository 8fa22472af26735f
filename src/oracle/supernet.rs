//! The supernet oracle (Pham et al. 2018): the networks of a space share their weights. Every minibatch trains one random
//! network; then candidates are scored with the shared weights.

mod scores;
mod trainer;

use super::batched::DeviceData;
use super::candidate::lower;
use super::engine::Engine;
use super::pace::draw_mask;
use super::rate::learning_rate;
use super::shared::SharedWeights;
use super::together::Together;
use super::training::step_of;
use super::{EpochReport, OracleError};
use crate::config::{Config, SpaceConfig, SupernetConfig, TrainingConfig};
use crate::data::{Augment, BatchRequest, Dataset, Splits, epoch_order};
use crate::device::cuda::ResidentImages;
use crate::generator::{Fitted, Sampler};
use crate::graph::{Dag, LabelledGraph};
use crate::net::Plan;
use crate::random::{Purpose, StreamKey};
use crate::space::enas::OPERATORS;
use crate::space::{Architecture, EnasSpace, Space};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use trainer::Trainer;

/// Images in a batch that statistics are taken from or that is scored.
const EVALUATION_BATCH: usize = 128;

/// The candidate that keys the supernet's random streams for images and dropout.
const CANDIDATE: u64 = u64::MAX;

/// The oracle of a run: train it, then ask it.
pub struct SupernetOracle {
    space: SpaceConfig,
    networks: EnasSpace,
    explorer: Vec<crate::config::ClassicalKind>,
    settings: TrainingConfig,
    supernet: SupernetConfig,
    seed: u64,
    engine: Engine,
    dataset: Arc<Dataset>,
    /// The data set on the CUDA device.
    resident: Option<Arc<ResidentImages>>,
    train: Vec<u32>,
    validation: Vec<u32>,
    together: Together,
    weights: SharedWeights,
    /// Draws the networks of every other step.
    generator: Option<Fitted>,
    /// Mean training losses of the epochs that are done.
    losses: Vec<f64>,
}

impl SupernetOracle {
    /// The oracle with untrained weights. An engine's threads change no result.
    ///
    /// # Errors
    /// A space whose networks share no weights; a device without the memory for the images; the driver's.
    pub fn new(
        config: &Config,
        (dataset, splits): (Arc<Dataset>, &Splits),
        engine: &Engine,
    ) -> Result<Self, OracleError> {
        let seed = config.run.seed;
        let networks = EnasSpace::new(&config.space, &config.search);
        let plans = widest(&networks, &config.space, &dataset)?;
        let resident = match engine {
            Engine::Cpu { .. } => None,
            Engine::Cuda(engine) => Some(DeviceData::new(engine, &dataset)?.resident),
        };
        Ok(SupernetOracle {
            space: config.space.clone(),
            networks,
            explorer: config.search.explorer.clone(),
            settings: config.oracle.training.clone(),
            supernet: config.oracle.supernet.clone(),
            seed,
            engine: engine.clone(),
            resident,
            together: Together::new(config.oracle.candidates_per_batch),
            train: dataset.fraction(&splits.train, config.oracle.training.data_fraction, seed),
            validation: splits.validation.clone(),
            weights: SharedWeights::new(&plans, seed),
            generator: None,
            losses: Vec::new(),
            dataset,
        })
    }

    /// Draws the networks of every other step, from the second on, from this generator.
    ///
    /// # Errors
    /// A generator of another space.
    pub fn with_generator(mut self, generator: Fitted) -> Result<Self, OracleError> {
        self.generator = Some(generator);
        self.plan_of_step(1)?;
        Ok(self)
    }

    /// Trained elements of the supernet.
    pub fn trained_parameters(&self) -> u64 {
        self.weights.trained_parameters()
    }

    /// Mean training losses of the epochs that are done.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// Weights, the optimiser's state and losses, to go on from.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.weights.to_bytes(&self.losses)
    }

    /// Goes on from a checkpoint of the same configuration; from the start, where it is none.
    pub fn resume(&mut self, checkpoint: &[u8]) {
        if let Some(losses) = self.weights.read(checkpoint) {
            self.losses = losses;
        }
    }

    /// Trains the epochs that are left; `epoch_done` may keep a checkpoint after each. `false`: stopped.
    ///
    /// # Errors
    /// No images; a loss that is not a number; whatever `epoch_done` says.
    pub fn train<E: From<OracleError>>(
        &mut self,
        mut epoch_done: impl FnMut(&Self, EpochReport) -> Result<(), E>,
        stop: &AtomicBool,
    ) -> Result<bool, E> {
        let batch = self.settings.batch.min(self.train.len());
        // A batch of one image has no batch statistics worth the name.
        let steps = (self.train.len() + self.settings.batch).saturating_sub(2) / self.settings.batch;
        if steps == 0 {
            return Err(OracleError::NoImages("train on").into());
        }
        if self.losses.len() >= self.settings.epochs {
            return Ok(true);
        }
        let (engine, dataset) = (self.engine.clone(), Arc::clone(&self.dataset));
        let plans = widest(&self.networks, &self.space, &dataset)?;
        let place = (&engine, self.resident.as_ref());
        let mut trainer = Trainer::new(place, &dataset, (&plans, &self.weights), batch)?;
        while self.losses.len() < self.settings.epochs {
            let start = Instant::now();
            let Some(loss) = self.epoch((&mut trainer, steps), stop)? else { return Ok(false) };
            trainer.fetch(&mut self.weights)?;
            self.losses.push(loss);
            let (epoch, epochs) = (self.losses.len(), self.settings.epochs);
            let images_per_s = self.train.len() as f64 / start.elapsed().as_secs_f64();
            let learning_rate = learning_rate(&self.settings, epoch * steps - 1, steps);
            epoch_done(self, EpochReport { epoch, epochs, loss, learning_rate, images_per_s })?;
        }
        Ok(true)
    }

    /// The random network that a step trains.
    fn plan_of_step(&self, step: usize) -> Result<Plan, OracleError> {
        let architecture = match &self.generator {
            Some(generator) if step % 2 == 1 => self.draw(generator, step)?,
            _ => self.explore(step)?,
        };
        lower(&architecture, &self.space, &self.dataset)
    }

    fn draw(&self, generator: &Fitted, step: usize) -> Result<Architecture, OracleError> {
        let key = StreamKey { seed: self.seed, purpose: Purpose::Supernet, candidate: 2, epoch: step as u64 };
        let mut draws = generator.sample(&mut key.stream(), 1, &mut Sampler::new(1));
        let components = draws.pop().map(|draw| draw.components).unwrap_or_default();
        self.networks.assemble(components).map_err(|error| OracleError::Path(error.to_string()))
    }

    /// The configured explorers' in turn.
    fn explore(&self, step: usize) -> Result<Architecture, OracleError> {
        let key = StreamKey { seed: self.seed, purpose: Purpose::Supernet, candidate: 1, epoch: step as u64 };
        let kinds = self.explorer.len().max(1);
        let kind = self.explorer.get(step % kinds).copied().unwrap_or(crate::config::ClassicalKind::Uniform);
        let drawn = self.networks.explore(&mut key.stream(), kind);
        drawn.map_err(|error| OracleError::Path(error.to_string()))
    }

    /// One pass over the images; the mean loss.
    fn epoch(
        &mut self,
        (trainer, steps): (&mut Trainer, usize),
        stop: &AtomicBool,
    ) -> Result<Option<f64>, OracleError> {
        let (epoch, seed) = (self.losses.len(), self.seed);
        let order = epoch_order(&self.train, seed, CANDIDATE, epoch as u64);
        let (mut sum, mut images) = (0.0, 0);
        for (step, indices) in order.chunks(self.settings.batch).take(steps).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let loss = self.step((trainer, steps), epoch * steps + step, indices)?;
            if !loss.is_finite() {
                return Err(OracleError::Diverged { epoch: epoch + 1, step: step + 1, loss });
            }
            sum += loss * indices.len() as f64;
            images += indices.len();
        }
        Ok(Some(sum / images as f64))
    }

    /// Trains one network on one batch.
    fn step(
        &mut self,
        (trainer, steps): (&mut Trainer, usize),
        step: usize,
        indices: &[u32],
    ) -> Result<f64, OracleError> {
        let plan = self.plan_of_step(step)?;
        let (seed, settings) = (self.seed, &self.settings);
        let epoch = (step / steps) as u64;
        let augment = settings.augmentation.then_some(Augment { seed, candidate: CANDIDATE, epoch });
        let mut mask = vec![0.0; indices.len() * plan.features()];
        if settings.dropout > 0.0 {
            let key = StreamKey { seed, purpose: Purpose::Dropout, candidate: CANDIDATE, epoch: step as u64 };
            draw_mask(&mut key.stream(), settings.dropout, &mut mask);
        }
        let mask = (settings.dropout > 0.0).then_some(&mask[..]);
        let request = BatchRequest { indices, augment };
        trainer.step(&plan, &mut self.weights, request, step_of(settings, learning_rate(settings, step, steps), mask))
    }
}

/// Networks that together have every parameter: each operator in all layers, with all skips.
fn widest(networks: &EnasSpace, space: &SpaceConfig, dataset: &Dataset) -> Result<Vec<Plan>, OracleError> {
    let layers = space.layers;
    let pairs: Vec<[usize; 2]> = (1..layers).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    let of = |operator: usize| {
        let dag = Dag::new(layers, &pairs).ok()?;
        networks.assemble(vec![LabelledGraph { dag, operators: vec![operator as u8; layers] }]).ok()
    };
    let all = (0..OPERATORS.len()).filter_map(of);
    all.map(|architecture: Architecture| lower(&architecture, space, dataset)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::training::Buffers;
    use super::*;
    use crate::data;
    use crate::device::cpu::{InstructionSet, Network, NetworkOptions};
    use crate::generator::Generator;
    use crate::space::ComponentShape;

    const SMALL: &str = "[data]\nsource = \"synthetic\"\nvalidation_images = 200\ntest_images = 50\n\
        [space]\nkind = \"enas\"\nlayers = 3\nchannels = 6\n[search]\nexplorer = [\"uniform\"]\n\
        [oracle]\nkind = \"supernet\"\nepochs = 3\nbatch = 50\ndropout = 0.1\ndata_fraction = 0.5\nstatistics_images = 150\n";

    fn oracle(threads: usize) -> SupernetOracle {
        let config = Config::from_toml(SMALL, &[]).unwrap();
        let (dataset, splits) = data::load(&config.data, config.run.seed).unwrap();
        SupernetOracle::new(&config, (Arc::new(dataset), &splits), &Engine::Cpu { threads }).unwrap()
    }

    fn go() -> AtomicBool {
        AtomicBool::new(false)
    }

    fn never_fails(_: &SupernetOracle, _: EpochReport) -> Result<(), OracleError> {
        Ok(())
    }

    fn networks(oracle: &SupernetOracle, count: u64) -> Vec<Plan> {
        let stream = |candidate| StreamKey { seed: 9, purpose: Purpose::Explore, candidate, epoch: 0 }.stream();
        let draw = |n| oracle.networks.explore(&mut stream(n), crate::config::ClassicalKind::Uniform).unwrap();
        (0..count).map(|n| lower(&draw(n), &oracle.space, &oracle.dataset).unwrap()).collect()
    }

    #[test]
    fn every_network_finds_its_weights_and_the_losses_fall() {
        let mut oracle = oracle(1);
        let plans = networks(&oracle, 30);
        assert!(plans.iter().all(|plan| oracle.weights.of(plan).is_some_and(|(weights, _)| weights.fits(plan))));
        assert!(plans.iter().all(|plan| plan.trained_parameters() < oracle.trained_parameters()));
        assert!(oracle.train(never_fails, &go()).unwrap());
        let losses = oracle.losses();
        assert!(losses.len() == 3 && losses[2] < losses[0], "{losses:?}");
        let score = oracle.score(&plans[0], &go()).unwrap().unwrap();
        assert!(score.images == 200 && score.accuracy > 0.2, "{score:?}");
    }

    #[test]
    fn results_depend_neither_on_threads_nor_on_interruptions() {
        let mut whole = oracle(1);
        whole.train(never_fails, &go()).unwrap();
        let mut first = oracle(2);
        let mut checkpoint = Vec::new();
        let interrupted = first.train(
            |oracle, report| {
                checkpoint = oracle.checkpoint();
                if report.epoch == 2 { Err(OracleError::NoStages) } else { Ok(()) }
            },
            &go(),
        );
        assert!(matches!(interrupted, Err(OracleError::NoStages)));
        let mut second = oracle(2);
        second.resume(&checkpoint[..checkpoint.len() - 1]);
        assert!(second.losses().is_empty(), "a damaged checkpoint is none");
        second.resume(&checkpoint);
        assert_eq!(second.losses().len(), 2);
        second.train(never_fails, &go()).unwrap();
        assert!(second.weights == whole.weights && second.losses() == whole.losses());
        for plan in networks(&whole, 3) {
            let score = |oracle: &SupernetOracle| oracle.score(&plan, &go()).unwrap();
            assert_eq!(score(&whole), score(&second));
        }
        assert!(matches!(whole.score(&networks(&whole, 1)[0], &AtomicBool::new(true)), Ok(None)));
    }

    #[test]
    fn every_other_step_trains_a_draw_of_the_generator() {
        let generator = |nodes: usize| {
            let shape = ComponentShape { nodes, operators: OPERATORS.len(), edge_operators: 0 };
            Fitted::Gran(Generator::new(&[shape], &Config::from_toml(SMALL, &[]).unwrap().generator, 5, 0).unwrap())
        };
        let plain = oracle(1);
        let drawing = oracle(1).with_generator(generator(3)).unwrap();
        for step in 0..6 {
            let (of_explorer, of_both) = (plain.plan_of_step(step).unwrap(), drawing.plan_of_step(step).unwrap());
            assert_eq!(of_explorer == of_both, step % 2 == 0, "{step}");
            assert_eq!(of_both, drawing.plan_of_step(step).unwrap());
        }
        let other = oracle(1).with_generator(generator(4)).err().unwrap();
        assert!(other.to_string().contains("this space has 3"), "{other}");
    }

    #[test]
    fn a_single_network_learns_as_it_does_alone() {
        // One step on the shared weights is one step on a network that has these weights.
        let mut oracle = oracle(1);
        let plan = oracle.plan_of_step(0).unwrap();
        let (weights, _) = oracle.weights.of(&plan).unwrap();
        let indices: Vec<u32> = oracle.train[..50].to_vec();
        oracle.settings.dropout = 0.0;
        let mut alone = Network::new(&plan, NetworkOptions { batch: 50, threads: 1, set: InstructionSet::best() });
        alone.load(&weights);
        let mut buffers = Buffers::new(&plan, 50);
        let step = step_of(&oracle.settings, learning_rate(&oracle.settings, 0, 7), None);
        let batch = buffers.fill(&oracle.dataset, BatchRequest { indices: &indices, augment: None });
        let loss = alone.train(batch, step).loss;
        let (other, dataset) = (networks(&oracle, 1), Arc::clone(&oracle.dataset));
        // A network that has run another plan before.
        let cpu = Engine::Cpu { threads: 1 };
        let mut trainer = Trainer::new((&cpu, None), &dataset, (&other, &oracle.weights), 50).unwrap();
        assert_eq!(oracle.step((&mut trainer, 7), 0, &indices).unwrap(), loss);
        assert_eq!(oracle.weights.of(&plan).unwrap().0, alone.weights());
    }
}
