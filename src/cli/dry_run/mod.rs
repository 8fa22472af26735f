//! `run --dry-run`: what a run will cost, from networks drawn as the run draws them and from rates measured here and now.
//! Nothing is written.

mod measure;
mod text;

use super::exit::{CommandResult, End};
use super::output::{print, print_json};
use super::workbench::{device_of, open_device, threads};
use crate::config::{Config, OracleKind, TrainingConfig};
use crate::data::{Outline, outline};
use crate::device::cpu::InstructionSet;
use crate::net::Plan;
use crate::oracle::{Engine, H100, evaluation_floor, training_floor};
use crate::space::space_of;
use measure::{Drawn, Machine, Measured, Typical};
use serde::Serialize;

/// Bytes of a journal's row beside the architecture, and of a loss in it.
const ROW_BYTES: u64 = 700;
const LOSS_BYTES: u64 = 20;
/// The report's page without candidates.
const PAGE_BYTES: u64 = 100_000;
/// A candidate in the page, and a parameter in `best.safetensors` and `best.onnx`.
const PAGE_ROW_BYTES: u64 = 1500;
const PARAMETER_BYTES: u64 = 8;

/// What a run costs.
#[derive(Serialize)]
pub(super) struct DryRun {
    name: String,
    device: String,
    threads: usize,
    data: Data,
    /// None where networks are looked up.
    networks: Option<Networks>,
    measured: Measured,
    phases: Vec<Phase>,
    total_seconds: f64,
    /// Most memory of the process.
    memory_mb: f64,
    disk: Disk,
    /// None where networks are looked up.
    h100: Option<H100Floor>,
}

#[derive(Serialize)]
struct Data {
    name: String,
    training_images: usize,
    validation_images: usize,
    test_images: usize,
    /// The files are not here; these are the published figures.
    published: bool,
}

/// Of some drawn networks.
#[derive(Serialize)]
struct Networks {
    drawn: usize,
    parameters: Spread,
    /// An image, forward.
    multiply_adds: Spread,
}

#[derive(Clone, Copy, Serialize)]
struct Spread {
    least: u64,
    median: u64,
    most: u64,
}

#[derive(Serialize)]
struct Phase {
    name: &'static str,
    what: String,
    seconds: f64,
}

#[derive(Serialize)]
struct Disk {
    run_mb: f64,
    /// The packed file of the images, in the cache.
    packed_mb: f64,
}

/// Least seconds on an H100: no prediction.
#[derive(Serialize)]
struct H100Floor {
    estimate: &'static str,
    candidates_seconds: f64,
    retraining_seconds: f64,
}

/// Prints the cost.
pub(super) fn execute(config: &Config, json: bool) -> CommandResult {
    let dry_run = DryRun::new(config)?;
    if json {
        print_json(&dry_run)?
    } else {
        print(&text::text(&dry_run, config))?
    }
    Ok(End::Done)
}

impl DryRun {
    fn new(config: &Config) -> anyhow::Result<DryRun> {
        let threads = threads(config.run.threads);
        let engine = open_device(device_of(config, config.run.device)?, config.run.precision, threads)?;
        let space = space_of(config)?;
        let outline = outline(&config.data)?;
        let drawn = Drawn::new(config, &space)?;
        let plans = drawn.plans(config, &config.space, &outline)?;
        let retrained = drawn.plans(config, &config.retrained_space(), &outline)?;
        let middle = |plans: &[Plan]| plans.get(plans.len() / 2).cloned();
        let typical = Typical { candidate: middle(&plans), retrained: middle(&retrained) };
        let machine = Machine { engine: &engine, threads };
        let measured = Measured::new(config, &space, &drawn, (&typical, &machine))?;
        let phases = phases(config, &outline, &measured);
        let in_memory = if outline.packed { 0 } else { outline.bytes };
        Ok(DryRun {
            name: config.run.name.clone(),
            device: match &engine {
                Engine::Cpu { .. } => format!("CPU ({})", InstructionSet::best()),
                Engine::Cuda(engine) => format!("{} (CUDA, {})", engine.device().name()?, engine.storage()),
            },
            threads,
            data: Data {
                name: outline.stand_in.name().into(),
                training_images: outline.training,
                validation_images: outline.validation,
                test_images: outline.test,
                published: outline.published,
            },
            networks: Networks::of(&plans),
            total_seconds: phases.iter().map(|phase| phase.seconds).sum(),
            phases,
            memory_mb: measured.memory_mb + in_memory as f64 / 1e6,
            disk: disk(config, &outline, &drawn, (&typical, &measured)),
            h100: h100(config, &outline, &typical),
            measured,
        })
    }
}

impl Networks {
    /// Of plans in the order of their multiply-adds.
    fn of(plans: &[Plan]) -> Option<Networks> {
        let spread = |number: fn(&Plan) -> u64| {
            let mut numbers: Vec<u64> = plans.iter().map(number).collect();
            numbers.sort_unstable();
            let (least, most) = (*numbers.first()?, *numbers.last()?);
            Some(Spread { least, median: numbers[numbers.len() / 2], most })
        };
        Some(Networks {
            drawn: plans.len(),
            parameters: spread(Plan::trained_parameters)?,
            multiply_adds: spread(Plan::multiply_adds)?,
        })
    }
}

/// Images that a candidate, and the last network, train on in an epoch.
fn images(config: &Config, outline: &Outline) -> (f64, f64) {
    let candidate = (outline.training as f64 * config.oracle.training.data_fraction).round();
    let all = (outline.training + outline.validation) as f64;
    (candidate, (all * config.retrain.training.data_fraction).round())
}

fn phases(config: &Config, outline: &Outline, measured: &Measured) -> Vec<Phase> {
    let budget = config.search.budget as f64;
    let (of_candidate, of_retraining) = images(config, outline);
    let mut phases = Vec::new();
    if let Some(rates) = &measured.candidates {
        let epochs = config.oracle.training.epochs;
        let trained = of_candidate * epochs as f64 / rates.training;
        let evaluated = outline.validation as f64 / rates.evaluation;
        let each = format!("{epochs} epochs of {of_candidate} images");
        if config.oracle.kind == OracleKind::Supernet {
            let scored = (config.oracle.supernet.statistics_images + outline.validation) as f64;
            phases.push(Phase { name: "supernet", what: each, seconds: trained });
            phases.push(Phase {
                name: "candidates",
                what: format!("{} networks, each scored on {scored} images", config.search.budget),
                seconds: budget * scored / rates.evaluation,
            });
        } else {
            let validation = outline.validation;
            phases.push(Phase {
                name: "candidates",
                what: format!("{} networks, each {each}, then {validation} evaluated", config.search.budget),
                seconds: budget * (trained + evaluated),
            });
        }
    }
    if measured.refits > 0 {
        phases.push(Phase {
            name: "refits",
            what: format!("{} of {} epochs", measured.refits, config.generator.epochs),
            seconds: measured.refits as f64 * config.generator.epochs as f64 * measured.refit_epoch_seconds,
        });
    }
    if let Some(rates) = &measured.retraining {
        let epochs = config.retrain.training.epochs;
        phases.push(Phase {
            name: "retraining",
            what: format!("{epochs} epochs of {of_retraining} images, then {} tested", outline.test),
            seconds: of_retraining * epochs as f64 / rates.training + outline.test as f64 / rates.evaluation,
        });
    }
    phases
}

fn disk(config: &Config, outline: &Outline, drawn: &Drawn, (typical, measured): (&Typical, &Measured)) -> Disk {
    let row = ROW_BYTES + LOSS_BYTES * config.oracle.training.epochs as u64 + drawn.text_bytes() + PAGE_ROW_BYTES;
    let candidates = config.search.budget as u64 * row;
    let losses = measured.refits as u64 * config.generator.epochs as u64 * LOSS_BYTES;
    let network = typical.retrained.as_ref().map_or(0, |plan| PARAMETER_BYTES * plan.trained_parameters());
    let run = candidates + losses + network + measured.checkpoint_bytes + PAGE_BYTES;
    let packed = if outline.packed { outline.bytes } else { 0 };
    Disk { run_mb: run as f64 / 1e6, packed_mb: packed as f64 / 1e6 }
}

fn h100(config: &Config, outline: &Outline, typical: &Typical) -> Option<H100Floor> {
    let (of_candidate, of_retraining) = images(config, outline);
    let (candidate, retrained) = (typical.candidate.as_ref()?, typical.retrained.as_ref()?);
    let evaluated = |images: usize| evaluation_floor(candidate, images, H100);
    let trained = |plan: &Plan, images: f64, training: &TrainingConfig| {
        images * training.epochs as f64 / training.batch as f64 * training_floor(plan, training.batch, H100)
    };
    let candidate = trained(candidate, of_candidate, &config.oracle.training);
    let candidates_seconds = match config.oracle.kind {
        OracleKind::Supernet => {
            let scored = config.oracle.supernet.statistics_images + outline.validation;
            candidate + config.search.budget as f64 * evaluated(scored)
        }
        _ => config.search.budget as f64 * (candidate + evaluated(outline.validation)),
    };
    Some(H100Floor {
        estimate: "least time by the kernels' floors: bytes / 3.35 TB/s or flops / 989 TFLOP/s, 16-bit values; no \
                   prediction, launches and everything else come on top",
        candidates_seconds,
        retraining_seconds: trained(retrained, of_retraining, &config.retrain.training)
            + evaluation_floor(retrained, outline.test, H100),
    })
}
