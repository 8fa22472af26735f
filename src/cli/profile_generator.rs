//! `profile-generator`: how fast this machine trains or draws from a graph generator of stated size.

use super::output::print;
use super::profile::{json_line, peak_memory_mb};
use crate::device::cpu::{InstructionSet, fma_peak};
use crate::generator::{Draw, FitSettings, Generator, Gran, GranConfig, Sampler};
use crate::graph::{Dag, LabelledGraph};
use crate::random::{Purpose, Stream, StreamKey};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rand::RngExt;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long the peak beside a repeat is measured.
const PEAK_TIME: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// A step of fitting: all prefixes of the batch's graphs forward and backward, and the optimiser's step.
    Train,
    /// A batch of graphs, drawn row by row.
    Sample,
}

/// How large the generator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Size {
    /// 32 nodes, 128 wide, 20 mixtures, 7 rounds; graphs of 64 edges.
    Workload,
    /// NAS-Bench-101 in the authors' code: 7 nodes with one of 5 operators, 24 wide, 10 mixtures, 7 rounds; 9 edges.
    Authors,
}

/// Measure fitting of, or drawing from, a graph generator.
#[derive(Debug, Args)]
pub struct ProfileGeneratorArgs {
    /// What to measure.
    #[arg(long, value_enum, default_value = "train")]
    mode: Mode,
    /// How large the generator is.
    #[arg(long, value_enum, default_value = "workload")]
    size: Size,
    /// Gate messages by attention.
    #[arg(long)]
    attention: bool,
    /// Graphs in a batch.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Threads; 0: one for every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Least length of a repeat in seconds; it has at least three steps.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Repeats whose median is reported.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Graphs to fit to: a JSON array of {"nodes": .., "edges": [[from, to], ..]}; without it, random ones.
    #[arg(long)]
    graphs: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a profile found.
#[derive(Debug, Serialize)]
struct Profile {
    mode: Mode,
    size: Size,
    attention: bool,
    instruction_set: String,
    threads: usize,
    batch: usize,
    parameters: usize,
    repeats: usize,
    ms_per_step: f64,
    ms_per_step_min: f64,
    ms_per_step_max: f64,
    graphs_per_s: f64,
    /// Mean number of edges of a graph that was fitted or drawn.
    mean_edges: f64,
    /// Of the products of a training step as they are computed; none for drawing.
    mflop_per_step: Option<f64>,
    /// Median of the repeats' shares of the peak, each measured beside its repeat.
    share_of_peak: Option<f64>,
    /// From the program's start to the end of the first step.
    first_step_s: f64,
    peak_memory_mb: Option<f64>,
}

/// Runs the subcommand.
///
/// # Errors
/// Graphs that cannot be read or that the generator cannot draw; a length that is no number of seconds.
pub fn run(args: &ProfileGeneratorArgs) -> Result<()> {
    let started = Instant::now();
    ensure!(args.seconds.is_finite() && args.seconds >= 0.0, "--seconds {} is no length", args.seconds);
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let profile = measure(args, threads, started)?;
    print(&if args.json { json_line(&profile)? } else { text(&profile) })
}

fn config(args: &ProfileGeneratorArgs) -> GranConfig {
    match args.size {
        Size::Workload => GranConfig::workload(args.attention),
        Size::Authors => {
            let released = GranConfig::released(7, 5, 24);
            GranConfig { attention: released.attention.filter(|_| args.attention), ..released }
        }
    }
}

fn stream(candidate: u64) -> Stream {
    StreamKey { seed: 1, purpose: Purpose::Synthetic, candidate, epoch: 0 }.stream()
}

/// The graphs to fit to, one architecture each.
fn graphs(args: &ProfileGeneratorArgs, config: &GranConfig) -> Result<Vec<Vec<LabelledGraph>>> {
    let mut stream = stream(1);
    let dags = match &args.graphs {
        Some(path) => {
            let shown = path.display();
            let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
            let dags: Vec<Dag> =
                serde_json::from_str(&json).with_context(|| format!("{shown} is no list of graphs"))?;
            ensure!(!dags.is_empty(), "{shown} has no graphs");
            dags
        }
        None => {
            let edges = if args.size == Size::Authors { 9 } else { 64 };
            (0..args.batch).map(|_| random_dag(config.nodes, edges, &mut stream)).collect::<Result<_, _>>()?
        }
    };
    let labelled = |dag: &Dag| {
        let count = if config.operators > 0 { dag.nodes() } else { 0 };
        let operators = (0..count).map(|_| stream.random_range(0..config.operators) as u8).collect();
        vec![LabelledGraph { dag: dag.clone(), operators }]
    };
    Ok(dags.iter().cycle().take(args.batch as usize).map(labelled).collect())
}

fn random_dag(nodes: usize, edges: usize, stream: &mut Stream) -> Result<Dag> {
    let mut dag = Dag::without_edges(nodes)?;
    while dag.edge_count() < edges {
        let to = stream.random_range(1..nodes);
        dag.add_edge(stream.random_range(0..to), to);
    }
    Ok(dag)
}

fn measure(args: &ProfileGeneratorArgs, threads: usize, started: Instant) -> Result<Profile> {
    ensure!((0.0..=3600.0).contains(&args.seconds), "--seconds {} is not from 0 to 3600", args.seconds);
    let config = config(args);
    let gran = Gran::new(config.clone(), &mut stream(0))?;
    let parameters = gran.parameter_count();
    let buffer = graphs(args, &config)?;
    let cost = (args.mode == Mode::Train).then(|| {
        let graphs: Vec<LabelledGraph> = buffer.iter().flatten().cloned().collect();
        gran.training_cost(&graphs)
    });
    let generator = Generator::from_components(vec![gran]);
    let sampler = Sampler::new(threads);
    let mut runner =
        Runner { generator, buffer, threads, sampler, mode: args.mode, stream: stream(2), edges: 0, graphs: 0 };
    let start = Instant::now();
    runner.steps(1)?;
    let (first_step_s, first) = (started.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
    let mut count = (args.seconds / first).ceil().max(3.0) as usize;
    let repeats = usize::from(args.repeats);
    let flop = cost.map(|cost| 2.0 * (cost.forward + cost.backward) as f64);
    let (mut times, mut shares) = (Vec::with_capacity(repeats), Vec::with_capacity(repeats));
    for _ in 0..repeats {
        let start = Instant::now();
        runner.steps(count)?;
        let time = start.elapsed().as_secs_f64() / count as f64;
        times.push(time);
        // Beside each repeat, since processors change their speed.
        let peak = fma_peak(InstructionSet::best(), threads, PEAK_TIME);
        shares.extend(flop.map(|flop| flop / time / peak));
        count = (args.seconds / time).ceil().max(3.0) as usize;
    }
    times.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    let time = times[repeats / 2];
    Ok(Profile {
        mode: args.mode,
        size: args.size,
        attention: args.attention,
        instruction_set: InstructionSet::best().to_string(),
        threads,
        batch: args.batch as usize,
        parameters,
        repeats,
        ms_per_step: time * 1e3,
        ms_per_step_min: times[0] * 1e3,
        ms_per_step_max: times[repeats - 1] * 1e3,
        graphs_per_s: f64::from(args.batch) / time,
        mean_edges: runner.edges as f64 / runner.graphs.max(1) as f64,
        mflop_per_step: flop.map(|flop| flop / 1e6),
        share_of_peak: shares.get(repeats / 2).copied(),
        first_step_s,
        peak_memory_mb: peak_memory_mb(),
    })
}

/// A generator and what it is fitted to.
struct Runner {
    generator: Generator,
    buffer: Vec<Vec<LabelledGraph>>,
    threads: usize,
    sampler: Sampler,
    mode: Mode,
    stream: Stream,
    /// Of the graphs fitted to or drawn so far.
    edges: usize,
    graphs: usize,
}

impl Runner {
    fn steps(&mut self, steps: usize) -> Result<()> {
        match self.mode {
            Mode::Train => self.fit(steps),
            Mode::Sample => {
                (0..steps).for_each(|_| self.draw());
                Ok(())
            }
        }
    }

    /// The whole buffer is one step.
    fn fit(&mut self, steps: usize) -> Result<()> {
        let batch = self.buffer.len();
        let threads = self.threads;
        let settings = FitSettings { epochs: steps, batch, learning_rate: 1e-3, seed: 1, iteration: 0, threads };
        self.generator.fit(&self.buffer, &vec![1.0; batch], &settings, &AtomicBool::new(false))?;
        self.graphs = batch;
        self.edges = self.buffer.iter().flatten().map(|graph| graph.dag.edge_count()).sum();
        Ok(())
    }

    fn draw(&mut self) {
        let draws = self.generator.sample(&mut self.stream, self.buffer.len(), &mut self.sampler);
        let count = |draw: &Draw| draw.components.iter().map(|graph| graph.dag.edge_count()).sum::<usize>();
        self.graphs += draws.len();
        self.edges += draws.iter().map(count).sum::<usize>();
    }
}

fn text(profile: &Profile) -> String {
    let Profile { batch, threads, parameters, instruction_set, .. } = profile;
    let what = match profile.mode {
        Mode::Train => "a step of fitting",
        Mode::Sample => "drawing a batch",
    };
    let size = match profile.size {
        Size::Workload => "32 nodes, 128 wide",
        Size::Authors => "7 nodes, 24 wide",
    };
    let gate = if profile.attention { ", with attention" } else { "" };
    let mut lines = vec![
        format!("{what}: {size}{gate}, {parameters} parameters, batch {batch}, {threads} threads, {instruction_set}"),
        format!(
            "  {:.3} ms (median of {}; {:.3} to {:.3}), {:.1} graphs/s of {:.1} edges",
            profile.ms_per_step,
            profile.repeats,
            profile.ms_per_step_min,
            profile.ms_per_step_max,
            profile.graphs_per_s,
            profile.mean_edges
        ),
    ];
    if let (Some(flop), Some(share)) = (profile.mflop_per_step, profile.share_of_peak) {
        lines.push(format!(
            "  {flop:.1} Mflop of products, {:.0} % of the peak measured out of registers",
            share * 100.0
        ));
    }
    lines.push(format!("  first step after {:.3} s", profile.first_step_s));
    lines.extend(profile.peak_memory_mb.map(|memory| format!("  peak memory {memory:.0} MB")));
    lines.join("\n") + "\n"
}
