//! `score`: the log-probability of an architecture under a run's generator.

use super::exit::{CommandResult, End};
use super::network_source::read_architecture_file;
use super::output::{print, print_json};
use super::run_directory::RunDirectory;
use super::text::percent;
use crate::space::space_of;
use crate::store::CandidateRecord;
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Say how probable a run's generator finds an architecture
#[derive(Args)]
pub(super) struct ScoreArguments {
    /// Directory of the run
    run: PathBuf,
    /// The architecture, in the exchange format
    #[arg(value_name = "ARCH.json")]
    architecture: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Score {
    /// Natural logarithm; of the architecture with its nodes in this order.
    log_probability: f64,
    /// The key that isomorphic architectures share.
    key: String,
    /// The run's candidate that is isomorphic to it.
    candidate: Option<u64>,
    /// That candidate's.
    validation_accuracy: Option<f64>,
}

pub(super) fn execute(arguments: &ScoreArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let space = space_of(&run.record.config)?;
    let architecture = read_architecture_file(&arguments.architecture, space.as_ref())?;
    let log_probability = run
        .generator()?
        .log_probability(&space.disassemble(&architecture)?)
        .with_context(|| format!("the generator of {} does not suit its space", run.path.display()))?;
    let key = space.key(&architecture)?.to_string();
    let known = run.record.candidates.iter().find(|candidate| candidate.key == key);
    let score = Score {
        log_probability,
        candidate: known.map(|candidate| candidate.number),
        validation_accuracy: known.and_then(accuracy),
        key,
    };
    if arguments.json {
        print_json(&score)?
    } else {
        print(&text(&score))?
    }
    Ok(End::Done)
}

fn accuracy(candidate: &CandidateRecord) -> Option<f64> {
    candidate.outcome.as_ref()?.validation_accuracy
}

fn text(score: &Score) -> String {
    let known = match (score.candidate, score.validation_accuracy) {
        (Some(number), Some(accuracy)) => format!("candidate {number}, validation accuracy {}", percent(accuracy)),
        (Some(number), None) => format!("candidate {number}, not evaluated"),
        (None, _) => "none".into(),
    };
    format!("log-probability           {:.6}\nisomorphic in the run     {known}\n", score.log_probability)
}
