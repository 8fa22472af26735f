//! `eval`: accuracy and loss of a trained network on a part of the data.

use super::exit::{CommandResult, End};
use super::interrupt::stop_flag;
use super::network_source::{ArchitectureChoice, lower};
use super::output::{print, print_json};
use super::run_directory::RunDirectory;
use super::text::percent;
use super::workbench::{Images, Workbench, device_of, open_device};
use crate::config::DeviceChoice;
use crate::oracle;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;

/// Evaluate a run's best network, or one with weights of its own
#[derive(Args)]
pub(super) struct EvalArguments {
    /// Directory of the run
    run: PathBuf,
    #[command(flatten)]
    choice: ArchitectureChoice,
    /// Weights (safetensors), instead of those that the run's end left
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Part of the data
    #[arg(long)]
    split: Split,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Split {
    /// The images of the reward; the long training sees them too
    Validation,
    /// The images held out for the final test
    Test,
}

#[derive(Serialize)]
struct Evaluated {
    split: Split,
    images: usize,
    accuracy: f64,
    loss: f64,
    /// Its number in the run; none for a network that is not one of the candidates.
    candidate: Option<u64>,
}

pub(super) fn execute(arguments: &EvalArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let bench = Workbench::of_run(&run.record.config)?;
    let chosen = arguments.choice.choose(&run, bench.space.as_ref())?;
    let plan = lower(&run, &bench, &chosen.architecture)?;
    let weights = arguments.choice.weights(&run, arguments.weights.as_deref(), &plan)?;
    let config = &run.record.config;
    let engine = open_device(device_of(config, arguments.device)?, config.run.precision, bench.threads)?;
    let Images { dataset, splits } = bench.images()?;
    let images = match arguments.split {
        Split::Validation => &splits.validation,
        Split::Test => &splits.test,
    };
    let found = oracle::evaluate(&plan, &weights, (dataset, images), &engine, &*stop_flag()?)?;
    let Some(found) = found else { return Ok(End::Interrupted("nothing was written".into())) };
    let evaluated = Evaluated {
        split: arguments.split,
        images: found.images,
        accuracy: found.accuracy,
        loss: found.loss,
        candidate: chosen.candidate,
    };
    if arguments.json {
        print_json(&evaluated)?
    } else {
        print(&text(&evaluated))?
    }
    Ok(End::Done)
}

fn text(evaluated: &Evaluated) -> String {
    let Evaluated { split, images, accuracy, loss, .. } = evaluated;
    let (split, caution) = match split {
        Split::Validation => ("validation", "; the long training has seen these images"),
        Split::Test => ("test", ""),
    };
    format!("{split} accuracy  {}  (loss {loss:.4}, {images} images{caution})\n", percent(*accuracy))
}
