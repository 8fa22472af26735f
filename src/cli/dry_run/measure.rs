//! What a dry run draws and measures.

use super::super::profile::peak_memory_mb;
use crate::config::{Config, OracleKind, SpaceConfig};
use crate::data::Outline;
use crate::net::Plan;
use crate::oracle::{Engine, Outcome, Probe, lower};
use crate::random::{Purpose, StreamKey};
use crate::search::{Context, Selected, Silent, Situation, Strategy, explored};
use crate::space::{Architecture, Space};
use crate::store::{CandidateRecord, Origin};
use serde::Serialize;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Networks that are drawn.
const DRAWS: usize = 9;
/// Tries for each.
const TRIES: usize = 1000;

/// Networks of the explorer.
pub(super) struct Drawn(Vec<Architecture>);

impl Drawn {
    /// Draws of every kind in turn, from a stream that no run uses.
    ///
    /// # Errors
    /// The explorer draws nothing legal.
    #[expect(clippy::borrowed_box, reason = "the search's traits are implemented for the box")]
    pub fn new(config: &Config, space: &Box<dyn Space>) -> anyhow::Result<Drawn> {
        let kinds = config.search.explorer.iter().cycle().take(DRAWS.max(config.search.explorer.len()));
        let draw = |(number, &kind): (usize, &_)| {
            let key = StreamKey {
                seed: config.run.seed,
                purpose: Purpose::UserSample,
                candidate: u64::MAX,
                epoch: number as u64,
            };
            let mut stream = key.stream();
            let mut drawn = space.explore(&mut stream, kind);
            for _ in 1..TRIES {
                if drawn.is_ok() {
                    break;
                }
                drawn = space.explore(&mut stream, kind);
            }
            Ok(drawn?)
        };
        Ok(Drawn(kinds.enumerate().map(draw).collect::<anyhow::Result<_>>()?))
    }

    /// Their networks in a space of theirs, by multiply-adds; none where networks are looked up.
    pub fn plans(&self, config: &Config, space: &SpaceConfig, outline: &Outline) -> anyhow::Result<Vec<Plan>> {
        if !config.oracle.kind.trains() {
            return Ok(vec![]);
        }
        let plans = self.0.iter().map(|architecture| lower(architecture, space, &outline.stand_in));
        let mut plans = plans.collect::<Result<Vec<Plan>, _>>()?;
        plans.sort_by_key(Plan::multiply_adds);
        Ok(plans)
    }

    /// Mean length of their texts.
    pub fn text_bytes(&self) -> u64 {
        let bytes: usize = self.0.iter().map(|drawn| serde_json::to_string(drawn).map_or(0, |text| text.len())).sum();
        (bytes / self.0.len().max(1)) as u64
    }

    /// A history of so many of them, over and over, in the order of their accuracies.
    fn history(&self, count: usize) -> Vec<CandidateRecord> {
        let record = |(number, architecture): (usize, &Architecture)| CandidateRecord {
            number: number as u64,
            iteration: 0,
            origin: Origin::Generator,
            architecture: architecture.clone(),
            key: number.to_string(),
            log_probability: None,
            outcome: Some(Outcome {
                validation_accuracy: Some(1.0 / (2.0 + number as f64)),
                test_accuracy: None,
                cost: None,
                training_losses: vec![],
                failure: None,
                parameters: 0,
                multiply_adds: 0,
                seconds: 0.0,
            }),
        };
        self.0.iter().cycle().take(count).enumerate().map(record).collect()
    }
}

/// The networks in the middle, by their multiply-adds; none where networks are looked up.
pub(super) struct Typical {
    pub candidate: Option<Plan>,
    /// As it is trained long.
    pub retrained: Option<Plan>,
}

/// What was measured.
#[derive(Serialize)]
pub(super) struct Measured {
    /// As many candidates at once as there are threads, or as go on the device; a supernet alone.
    pub candidates: Option<ImageRates>,
    /// One network on all threads, or alone on the device.
    pub retraining: Option<ImageRates>,
    /// Fits of the generator in the run.
    pub refits: usize,
    /// An epoch of one on a full replay buffer.
    pub refit_epoch_seconds: f64,
    /// The generator's file.
    pub checkpoint_bytes: u64,
    /// Peak of this process.
    pub memory_mb: f64,
    /// What measuring took.
    pub seconds: f64,
}

/// Images a second.
#[derive(Serialize)]
pub(super) struct ImageRates {
    /// Of all networks together.
    pub training: f64,
    pub evaluation: f64,
    /// Networks at once.
    pub networks: usize,
}

/// What is measured on.
pub(super) struct Machine<'a> {
    pub engine: &'a Engine,
    pub threads: usize,
}

impl Machine<'_> {
    /// Candidates at once, and threads of each.
    fn candidates(&self, config: &Config) -> (usize, usize) {
        if config.oracle.kind == OracleKind::Supernet {
            return (1, self.threads);
        }
        let most = match (self.engine, config.oracle.candidates_per_batch) {
            (Engine::Cpu { .. }, _) => self.threads,
            (Engine::Cuda(_), 0) => usize::MAX,
            (Engine::Cuda(_), most) => most,
        };
        (most.min(config.search.samples_per_iteration), 1)
    }

    fn rates(
        &self,
        plan: &Option<Plan>,
        batch: usize,
        (networks, threads): (usize, usize),
    ) -> anyhow::Result<Option<ImageRates>> {
        let Some(plan) = plan else { return Ok(None) };
        let (rates, networks) = Probe { plan, batch, networks, threads }.measure(self.engine)?;
        Ok(Some(ImageRates { training: rates.training, evaluation: rates.evaluation, networks }))
    }
}

impl Measured {
    #[expect(clippy::borrowed_box, reason = "the search's traits are implemented for the box")]
    pub fn new(
        config: &Config,
        space: &Box<dyn Space>,
        drawn: &Drawn,
        (typical, machine): (&Typical, &Machine),
    ) -> anyhow::Result<Measured> {
        let start = Instant::now();
        let at_once = machine.candidates(config);
        let candidates = machine.rates(&typical.candidate, config.oracle.training.batch, at_once)?;
        let alone = (1, machine.threads);
        let retraining = machine.rates(&typical.retrained, config.retrain.training.batch, alone)?;
        let (refit_epoch_seconds, checkpoint_bytes) = fit(config, space, drawn, machine)?;
        Ok(Measured {
            candidates,
            retraining,
            refits: if checkpoint_bytes > 0 { refits(config) } else { 0 },
            refit_epoch_seconds,
            checkpoint_bytes,
            memory_mb: peak_memory_mb().unwrap_or(0.0),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// Seconds of an epoch of a fit on a full replay buffer, and the size of what is fitted; 0 where nothing is.
#[expect(clippy::borrowed_box, reason = "the search's traits are implemented for the box")]
fn fit(config: &Config, space: &Box<dyn Space>, drawn: &Drawn, machine: &Machine) -> anyhow::Result<(f64, u64)> {
    if !config.search.strategy.fits_a_generator() {
        return Ok((0.0, 0));
    }
    let mut config = config.clone();
    config.generator.epochs = 1;
    let history = drawn.history(config.search.keep_top.min(config.search.budget).max(2));
    let mut strategy = Selected::new(space.as_ref(), &config, machine.threads).on(machine.engine.device());
    let situation = Situation {
        space,
        search: &config.search,
        seed: config.run.seed,
        iteration: 1,
        size: config.search.samples_per_iteration,
        history: &history,
    };
    let start = Instant::now();
    strategy.finish(&situation, &Context { observer: &Silent, stop: &AtomicBool::new(false) })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok((seconds, strategy.checkpoint()?.map_or(0, |checkpoint| checkpoint.len() as u64)))
}

/// Fits of the generator: before every iteration in which it draws anything, and at the end.
fn refits(config: &Config) -> usize {
    let (budget, size) = (config.search.budget, config.search.samples_per_iteration);
    let iterations = budget.div_ceil(size);
    let fits = |t: &usize| {
        let size = size.min(budget - t * size);
        explored(&config.search, *t as u64, size) < size
    };
    (0..iterations).filter(fits).count() + 1
}
