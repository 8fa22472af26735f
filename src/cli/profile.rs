//! `profile`: how fast this machine trains or evaluates an exactly specified network, and whether it computes the right
//! numbers.

mod check;
mod operations;

use super::output::print;
use crate::config::{DeviceChoice, Precision};
use crate::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step, fma_peak};
use crate::net::Workload;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Least length of one repeat where `--steps` does not say how many.
const REPEAT_TIME: Duration = Duration::from_millis(1000);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileMode {
    /// Forward, backward and the optimiser's step.
    Train,
    /// Forward with running statistics.
    Eval,
}

/// Measure training or evaluation of an exactly specified network.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// A workload file: a RandWire network, its images and batch (JSON).
    workload: PathBuf,
    /// What to measure.
    #[arg(long, value_enum, default_value = "train")]
    mode: ProfileMode,
    /// Threads in all; 0: one for every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Networks that run at once, each with an equal share of the threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    candidates: u16,
    /// Steps in a repeat; without it, as many as fill a second.
    #[arg(long)]
    steps: Option<u32>,
    /// Repeats whose median is reported.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Instead of measuring, print the losses of five training steps from the deterministic fill and of an evaluation.
    #[arg(long)]
    check: bool,
    /// Where --check trains: cpu, cuda or cuda:N. A CUDA device is compared with the CPU, which takes the same steps.
    #[arg(long, default_value = "cpu", requires = "check")]
    device: DeviceChoice,
    /// Format of values on a CUDA device: f32, f16 or bf16.
    #[arg(long, default_value = "f32", requires = "check")]
    precision: Precision,
    /// Images in a batch, fewer than the workload's: the first of its images.
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..))]
    batch: Option<u16>,
    /// Instead, print where the time of a training step goes, operation by operation.
    #[arg(long, conflicts_with_all = ["check", "mode", "candidates", "steps"])]
    ops: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a profile found.
#[derive(Debug, Serialize)]
struct Profile {
    workload: String,
    mode: ProfileMode,
    instruction_set: String,
    threads: usize,
    candidates: usize,
    batch: usize,
    parameters: u64,
    repeats: usize,
    images_per_s: f64,
    images_per_s_min: f64,
    images_per_s_max: f64,
    multiply_adds_per_image: u64,
    gflop_per_s: f64,
    fma_peak_gflop_per_s: f64,
    share_of_peak: f64,
    /// From the program's start to the end of the first step, of all candidates.
    first_step_s: f64,
    peak_memory_mb: Option<f64>,
}

/// Where a check trains.
struct Place {
    device: DeviceChoice,
    precision: Precision,
    threads: usize,
}

/// Runs the subcommand.
pub fn run(args: &ProfileArgs) -> Result<()> {
    let started = Instant::now();
    let path = args.workload.display();
    let json = std::fs::read_to_string(&args.workload).with_context(|| format!("cannot read {path}"))?;
    let mut workload = Workload::from_json(&json).with_context(|| path.to_string())?;
    let whole = workload.batch;
    if let Some(batch) = args.batch.map(usize::from) {
        ensure!(batch <= whole, "--batch {batch}: must be at most {whole}, the batch of {path}");
        workload.batch = batch;
    }
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    if args.check {
        return check::run(&workload, whole, &Place { device: args.device, precision: args.precision, threads });
    }
    if args.ops {
        return operations::run(&workload, threads, args.json);
    }
    ensure!(args.steps != Some(0), "--steps 0 measures nothing: it is at least 1");
    let profile = measure(&workload, args, threads, started);
    print(&if args.json { json_line(&profile)? } else { text(&profile) })
}

/// JSON in one line, so that the lines of several profiles make a table.
pub(super) fn json_line<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value).context("cannot be written as JSON")? + "\n")
}

/// The step of the reference table.
fn step(dropout: Option<&[f32]>) -> Step<'_> {
    Step {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 5e-5,
        gradient_clip: None,
        label_smoothing: 0.1,
        dropout,
    }
}

fn network(workload: &Workload, threads: usize) -> Network {
    let options = NetworkOptions { batch: workload.batch, threads, set: InstructionSet::best() };
    let mut network = Network::new(&workload.plan, options);
    network.load(&workload.weights());
    network
}

fn measure(workload: &Workload, args: &ProfileArgs, threads: usize, started: Instant) -> Profile {
    let candidates = usize::from(args.candidates);
    let repeats = usize::from(args.repeats);
    let set = InstructionSet::best();
    let barrier = Barrier::new(candidates);
    let one = || {
        let mut runner = Runner::new(workload, args, (threads / candidates).max(1));
        runner.step();
        let first = started.elapsed().as_secs_f64();
        (0..3).for_each(|_| runner.step());
        let rates = (0..repeats).map(|_| {
            barrier.wait();
            runner.rate()
        });
        (rates.collect::<Vec<f64>>(), first)
    };
    let results: Vec<(Vec<f64>, f64)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..candidates).map(|_| scope.spawn(one)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut rates: Vec<f64> = (0..repeats).map(|r| results.iter().map(|(rates, _)| rates[r]).sum()).collect();
    rates.sort_by(f64::total_cmp);
    let images_per_s = rates[repeats / 2];
    let multiply_adds = workload.plan.multiply_adds();
    // A training step does the forward's products twice more: for the gradients of inputs and of weights.
    let passes = if args.mode == ProfileMode::Train { 3.0 } else { 1.0 };
    let flop_per_s = images_per_s * multiply_adds as f64 * 2.0 * passes;
    let peak = fma_peak(set, threads, Duration::from_millis(300));
    Profile {
        workload: workload.name.clone(),
        mode: args.mode,
        instruction_set: set.to_string(),
        threads,
        candidates,
        batch: workload.batch,
        parameters: workload.plan.trained_parameters(),
        repeats,
        images_per_s,
        images_per_s_min: rates[0],
        images_per_s_max: rates[repeats - 1],
        multiply_adds_per_image: multiply_adds,
        gflop_per_s: flop_per_s / 1e9,
        fma_peak_gflop_per_s: peak / 1e9,
        share_of_peak: flop_per_s / peak,
        first_step_s: results.iter().map(|(_, first)| *first).fold(0.0, f64::max),
        peak_memory_mb: peak_memory_mb(),
    }
}

/// One network and its fixed batch.
struct Runner {
    network: Network,
    pixels: Vec<f32>,
    labels: Vec<u16>,
    mask: Option<Vec<f32>>,
    mode: ProfileMode,
    steps: Option<u32>,
}

impl Runner {
    fn new(workload: &Workload, args: &ProfileArgs, threads: usize) -> Self {
        let network = network(workload, threads);
        let count = workload.batch * network.features();
        let kept = (1.0 / (1.0 - workload.dropout)) as f32;
        let every = (1.0 / workload.dropout.max(1e-9)).round() as usize;
        let mask = (0..count).map(|i| if i % every == 0 { 0.0 } else { kept }).collect();
        Runner {
            network,
            pixels: workload.images(),
            labels: workload.labels(),
            mask: (workload.dropout > 0.0).then_some(mask),
            mode: args.mode,
            steps: args.steps,
        }
    }

    fn step(&mut self) {
        let batch = Batch { pixels: &self.pixels, labels: &self.labels };
        match self.mode {
            ProfileMode::Train => self.network.train(batch, step(self.mask.as_deref())),
            ProfileMode::Eval => self.network.evaluate(batch, 0.1),
        };
    }

    /// Images per second of one repeat.
    fn rate(&mut self) -> f64 {
        let start = Instant::now();
        let mut steps = 0;
        loop {
            self.step();
            steps += 1;
            let time = start.elapsed();
            if self.steps.map_or(time >= REPEAT_TIME && steps >= 3, |wanted| steps >= wanted) {
                return f64::from(steps) * self.labels.len() as f64 / time.as_secs_f64();
            }
        }
    }
}

fn text(profile: &Profile) -> String {
    let Profile { workload, batch, threads, candidates, instruction_set, repeats, .. } = profile;
    let doing = if profile.mode == ProfileMode::Train { "training" } else { "evaluation" };
    let mut lines = vec![
        format!("{workload}, {doing}, batch {batch}, {candidates} at once, {threads} threads, {instruction_set}"),
        format!(
            "  {:.0} images/s (median of {repeats}; {:.0} to {:.0})",
            profile.images_per_s, profile.images_per_s_min, profile.images_per_s_max
        ),
        format!("  {:.2} M multiply-adds per image forward", profile.multiply_adds_per_image as f64 / 1e6),
        format!(
            "  {:.1} GFLOP/s, {:.0} % of the {:.0} measured out of registers",
            profile.gflop_per_s,
            profile.share_of_peak * 100.0,
            profile.fma_peak_gflop_per_s
        ),
        format!("  first step after {:.3} s", profile.first_step_s),
    ];
    lines.extend(profile.peak_memory_mb.map(|memory| format!("  peak memory {memory:.0} MB")));
    lines.join("\n") + "\n"
}

/// Peak resident memory of this process, where the system tells.
pub(super) fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
