//! `sample`: draws from a run's generator.

use super::exit::{CommandResult, End};
use super::output::print;
use super::run_directory::RunDirectory;
use crate::generator::{Fitted, Sampler};
use crate::random::{Purpose, StreamKey};
use crate::space::{Architecture, Space, space_of};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Draws of one random stream; the next ones have a stream of their own, so that memory does not grow with -n.
const CHUNK: usize = 256;

/// Chunks without a legal architecture before the generator is given up.
const MOST_VAIN_CHUNKS: usize = 100;

/// Draw legal architectures from a run's generator, each with its log-probability
#[derive(Args)]
pub(super) struct SampleArguments {
    /// Directory of the run
    run: PathBuf,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    number: u64,
    /// Seed of the draws [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
    /// Print a JSON array, one object a line, instead of a table
    #[arg(long)]
    json: bool,
}

/// One draw.
#[derive(Serialize)]
pub(super) struct Sample {
    pub log_probability: f64,
    /// The key that isomorphic architectures share.
    pub key: String,
    pub architecture: Architecture,
}

/// Legal architectures from a generator, one after the other.
pub(super) struct Draws<'a> {
    generator: &'a Fitted,
    space: &'a dyn Space,
    seed: u64,
    chunk: u64,
}

impl<'a> Draws<'a> {
    /// The draws of this seed.
    pub fn new(generator: &'a Fitted, space: &'a dyn Space, seed: u64) -> Self {
        Draws { generator, space, seed, chunk: 0 }
    }

    /// At least one and at most so many of the next draws.
    ///
    /// # Errors
    /// A generator that does not suit the space, or draws nothing legal.
    pub fn next(&mut self, most: u64) -> anyhow::Result<Vec<Sample>> {
        let most = most.min(CHUNK as u64) as usize;
        for vain in 0..MOST_VAIN_CHUNKS {
            let key = StreamKey { seed: self.seed, purpose: Purpose::UserSample, candidate: 0, epoch: self.chunk };
            self.chunk += 1;
            let mut samples = draw(self.generator, self.space, key, if vain == 0 { most } else { CHUNK })?;
            samples.truncate(most);
            if !samples.is_empty() {
                return Ok(samples);
            }
        }
        bail!("no legal architecture in the last {MOST_VAIN_CHUNKS} rounds of draws")
    }
}

pub(super) fn execute(arguments: &SampleArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let generator = run.generator()?;
    let space = space_of(&run.record.config)?;
    let seed = arguments.seed.unwrap_or(run.record.config.run.seed);
    let mut draws = Draws::new(&generator, space.as_ref(), seed);
    let mut left = arguments.number;
    while left > 0 {
        let samples = draws.next(left).with_context(|| unsuitable(&run))?;
        let first = left == arguments.number;
        print(&if arguments.json { json_lines(&samples, first)? } else { table(&samples, first)? })?;
        left -= samples.len() as u64;
    }
    if arguments.json {
        print("\n]\n")?;
    }
    Ok(End::Done)
}

/// What is wrong where a run's generator draws no architectures of its space.
pub(super) fn unsuitable(run: &RunDirectory) -> String {
    format!("the generator of {} does not suit its space", run.path.display())
}

/// So many draws, less those that are no legal architecture.
fn draw(generator: &Fitted, space: &dyn Space, key: StreamKey, count: usize) -> anyhow::Result<Vec<Sample>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let draws = generator.sample(&mut key.stream(), count, &mut Sampler::new(threads));
    let sample = |draw: crate::generator::Draw| -> anyhow::Result<Option<Sample>> {
        let architecture = match space.assemble(draw.components) {
            Err(error) if error.is_rejection() => return Ok(None),
            made => made?,
        };
        let key = space.key(&architecture)?.to_string();
        Ok(Some(Sample { log_probability: draw.log_probability, key, architecture }))
    };
    draws.into_iter().filter_map(|draw| sample(draw).transpose()).collect()
}

/// Elements of a JSON array, one a line; `first`: with its beginning.
fn json_lines(samples: &[Sample], first: bool) -> anyhow::Result<String> {
    let mut text = String::new();
    for (index, sample) in samples.iter().enumerate() {
        text.push_str(if first && index == 0 { "[\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(sample)?);
    }
    Ok(text)
}

/// Rows of a table, its columns divided by tabs; `first`: with its header.
fn table(samples: &[Sample], first: bool) -> anyhow::Result<String> {
    let mut text = String::from(if first { "log-probability\tarchitecture\n" } else { "" });
    for sample in samples {
        let architecture = serde_json::to_string(&sample.architecture)?;
        text.push_str(&format!("{:.6}\t{architecture}\n", sample.log_probability));
    }
    Ok(text)
}
