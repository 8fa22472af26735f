//! `retrain`: the long training of a run's best network, or of another one, on all training data.

mod samples;

use super::compare::Seeds;
use super::exit::{CommandResult, End, UsageError};
use super::interrupt::stop_flag;
use super::network_source::{ArchitectureChoice, Chosen, lower};
use super::output::{print, print_json};
use super::progress::Progress;
use super::run_directory::RunDirectory;
use super::text::{duration, percent};
use super::training::{
    BEST, LongTraining, NAMED, Network, forget_training, write_architecture, write_onnx, write_weights,
};
use super::workbench::{self, Workbench, device_of, open_device};
use crate::config::{Config, DeviceChoice};
use crate::space::Architecture;
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where the files go unless `--out` says otherwise: beside the run's own, which stay as the run left them.
const FOLDER: &str = "retrained";

/// Keys the random streams of a network that is no candidate of the run.
const NO_CANDIDATE: u64 = u64::MAX;

/// Train a network on all training data and test it once; or samples of the distribution
#[derive(Args)]
pub(super) struct RetrainArguments {
    /// Directory of the run
    run: PathBuf,
    #[command(flatten)]
    choice: ArchitectureChoice,
    /// Passes over the data [default: the run's retrain.epochs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// Learning rate at the start [default: the run's retrain.learning_rate]
    #[arg(long, value_name = "RATE", value_parser = learning_rate)]
    learning_rate: Option<f64>,
    /// Seed of weights and order [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
    /// Instead of one network: so many draws of the learnt distribution, and beside them the best network and as many
    /// random ones of each kind
    #[arg(long, value_name = "N", conflicts_with_all = ["arch", "best", "seed"],
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: Option<u32>,
    /// Seeds with which each is trained: ranges such as 1..3, both ends included, and single ones [default: the run's]
    #[arg(long, value_name = "LIST", requires = "samples")]
    seeds: Option<Seeds>,
    /// Kinds of random networks, divided by commas, or none [default: every kind of search.explorer that the space has]
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "samples")]
    against: Option<Vec<String>>,
    /// Directory for the network's files [default: RUN/retrained]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads, 0: one for every core; changes no result
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=4096))]
    threads: u16,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Retrained {
    /// Its number in the run; none for a network that is not one of the candidates.
    candidate: Option<u64>,
    epochs: usize,
    training_losses: Vec<f64>,
    test_accuracy: f64,
    test_images: usize,
    parameters: u64,
    multiply_adds: u64,
    seconds: f64,
    files: Vec<String>,
}

fn learning_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|&rate| rate > 0.0 && rate <= 10.0);
    rate.ok_or_else(|| "must be a number in (0, 10]".into())
}

pub(super) fn execute(arguments: &RetrainArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let config = changed(&run.record.config, arguments)?;
    let mut bench = Workbench::of_run(&run.record.config)?;
    bench.threads = workbench::threads(arguments.threads.into());
    bench.engine = open_device(device_of(&config, arguments.device)?, config.run.precision, bench.threads)?;
    if let Some(number) = arguments.samples {
        return samples::execute(&samples::Request { arguments, number, run: &run, config: &config, bench: &bench });
    }
    let chosen = arguments.choice.choose(&run, bench.space.as_ref())?;
    let plan = lower(&run, &bench, &chosen.architecture)?;
    let folder = arguments.out.clone().unwrap_or_else(|| arguments.run.join(FOLDER));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let stop = stop_flag()?;
    let progress = Progress::new(arguments.quiet, None);
    progress.training(&name(&chosen), config.retrain.training.epochs);
    let training = LongTraining {
        config: &config,
        bench: &bench,
        plan: &plan,
        candidate: chosen.candidate.unwrap_or(NO_CANDIDATE),
        folder: &folder,
    };
    let trained = training.run(&mut |report| progress.epoch(&report), &stop);
    progress.clear();
    let Some(trained) = trained? else {
        return Ok(End::Interrupted("whole epochs are kept; the same command goes on".into()));
    };
    let network = Network { plan: &plan, weights: &trained.weights, bench: &bench };
    let files = write(arguments, (&folder, &chosen.architecture), &network)?;
    forget_training(&folder);
    let retrained = Retrained {
        candidate: chosen.candidate,
        epochs: config.retrain.training.epochs,
        training_losses: trained.losses,
        test_accuracy: trained.test_accuracy,
        test_images: bench.images()?.splits.test.len(),
        parameters: plan.trained_parameters(),
        multiply_adds: plan.multiply_adds(),
        seconds: trained.seconds,
        files,
    };
    if arguments.json {
        print_json(&retrained)?
    } else {
        print(&text(&retrained))?
    }
    Ok(End::Done)
}

/// The run's configuration with what the arguments change.
fn changed(config: &Config, arguments: &RetrainArguments) -> Result<Config, UsageError> {
    let mut config = config.clone();
    config.run.seed = arguments.seed.unwrap_or(config.run.seed);
    config.retrain.training.epochs = arguments.epochs.map_or(config.retrain.training.epochs, |epochs| epochs as usize);
    let (rate, end) = (
        arguments.learning_rate.unwrap_or(config.retrain.training.learning_rate),
        config.retrain.training.learning_rate_end,
    );
    if rate < end {
        return Err(UsageError(format!("--learning-rate {rate}: must be at least retrain.learning_rate_end = {end}")));
    }
    config.retrain.training.learning_rate = rate;
    Ok(config)
}

fn name(chosen: &Chosen) -> String {
    chosen.candidate.map_or("the given network".into(), |number| format!("candidate {number}"))
}

fn write(
    arguments: &RetrainArguments,
    (directory, architecture): (&Path, &Architecture),
    network: &Network,
) -> anyhow::Result<Vec<String>> {
    let names = if arguments.choice.arch.is_some() { NAMED } else { BEST };
    write_architecture(directory, &names, architecture)?;
    write_weights(directory, &names, network.weights)?;
    write_onnx(directory, &names, network)?;
    let paths = [names.architecture, names.weights, names.onnx].map(|name| directory.join(name));
    Ok(paths.iter().map(|path| path.display().to_string()).collect())
}

fn text(retrained: &Retrained) -> String {
    let Retrained { test_accuracy, test_images, epochs, seconds, files, .. } = retrained;
    format!(
        "test accuracy             {}  ({test_images} images, once)\ntrained                   {epochs} epochs in {}\n\
         files                     {}\n",
        percent(*test_accuracy),
        duration(*seconds),
        files.join(" ")
    )
}
