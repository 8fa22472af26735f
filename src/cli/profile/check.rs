//! `profile --check`: losses of a fixed computation, to compare engines digit by digit.

use super::{Place, json_line, network, step};
use crate::cli::output::print;
use crate::cli::workbench::open_device;
use crate::config::{DeviceChoice, Precision};
use crate::device::cpu::Batch;
use crate::device::cuda::{self, Batches, NetworkOptions};
use crate::net::Workload;
use crate::oracle::{CudaEngine, Engine};
use anyhow::{Result, bail};
use serde::Serialize;

const STEPS: usize = 5;
const LABEL_SMOOTHING: f32 = 0.1;

/// Losses of the training steps from the deterministic fill, and of an evaluation after them.
#[derive(Debug, Serialize)]
struct Losses {
    losses: [f64; STEPS],
    eval_loss_after: f64,
}

impl Losses {
    fn all(&self) -> impl Iterator<Item = f64> {
        self.losses.into_iter().chain([self.eval_loss_after])
    }
}

#[derive(Debug, Serialize)]
struct Check {
    params: u64,
    /// For instance `batch 16 instead of 256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaled: Option<String>,
    #[serde(flatten)]
    losses: Losses,
}

/// A CUDA device beside the CPU.
#[derive(Debug, Serialize)]
struct Comparison {
    #[serde(flatten)]
    check: Check,
    device: String,
    precision: Precision,
    cpu: Losses,
    /// Of the losses and the evaluation, relative to the CPU's.
    differences: Vec<f64>,
    /// What the differences may be.
    bounds: [f64; STEPS + 1],
}

/// What losses may differ by from the CPU's. A rounding error grows from step to step, and running statistics of a few
/// steps make an evaluation sensitive; f32's bounds are those of PyTorch's reference table, the others at least three times what
/// W1 was measured to differ by in batches of 8.
fn bounds(precision: Precision) -> [f64; STEPS + 1] {
    match precision {
        Precision::F32 => [1e-4, 1e-4, 5e-3, 5e-3, 5e-3, 3e-2],
        Precision::F16 => [1e-3, 5e-3, 6e-2, 6e-2, 6e-2, 0.1],
        Precision::Bf16 => [1e-2, 1e-2, 6e-2, 6e-2, 6e-2, 0.15],
    }
}

/// Computes and prints; `whole` is the batch of the workload's file.
pub(super) fn run(workload: &Workload, whole: usize, place: &Place) -> Result<()> {
    let scaled = (workload.batch != whole).then(|| format!("batch {} instead of {whole}", workload.batch));
    let params = workload.plan.trained_parameters();
    let on_cpu = || cpu(workload, place.threads);
    if matches!(place.device, DeviceChoice::Cpu) {
        return print(&json_line(&Check { params, scaled, losses: on_cpu() })?);
    }
    let Engine::Cuda(engine) = open_device(place.device, place.precision, place.threads)? else {
        return print(&json_line(&Check { params, scaled, losses: on_cpu() })?);
    };
    let (found, cpu, bounds) = (cuda(workload, &engine)?, on_cpu(), bounds(place.precision));
    let differences: Vec<f64> = found.all().zip(cpu.all()).map(|(got, want)| (got - want).abs() / want).collect();
    // A difference that is no number is not near.
    let near = differences.iter().zip(bounds).filter(|(difference, bound)| *difference <= bound).count();
    let (far, all) = (differences.len() - near, differences.len());
    print(&json_line(&Comparison {
        check: Check { params, scaled, losses: found },
        device: engine.device().name()?,
        precision: place.precision,
        cpu,
        differences,
        bounds,
    })?)?;
    if far > 0 {
        bail!("{far} of {all} losses are further from the CPU's than {} allows", engine.storage());
    }
    Ok(())
}

fn cpu(workload: &Workload, threads: usize) -> Losses {
    let mut network = network(workload, threads);
    let (pixels, labels) = (workload.images(), workload.labels());
    let batch = Batch { pixels: &pixels, labels: &labels };
    let losses = std::array::from_fn(|_| network.train(batch, step(None)).loss);
    Losses { losses, eval_loss_after: network.evaluate(batch, LABEL_SMOOTHING).loss }
}

fn cuda(workload: &Workload, engine: &CudaEngine) -> Result<Losses> {
    let options = NetworkOptions { batch: workload.batch, storage: engine.storage() };
    let mut network = cuda::Network::new(engine.device(), std::slice::from_ref(&workload.plan), options)?;
    network.load(0, &workload.weights())?;
    let (pixels, labels) = (workload.images(), workload.labels());
    let batches = [Batch { pixels: &pixels, labels: &labels }];
    let batches = Batches::Pixels(&batches);
    let mut losses = [0.0; STEPS];
    for loss in &mut losses {
        *loss = network.train(batches, cuda::Step::from(step(None)))?[0].loss;
    }
    Ok(Losses { losses, eval_loss_after: network.evaluate(batches, LABEL_SMOOTHING)?[0].loss })
}
