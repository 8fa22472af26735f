//! Which network a command is about: the run's best, or one that the user names.

use super::exit::UsageError;
use super::files;
use super::run_directory::{RunDirectory, read_weights};
use super::training::BEST;
use super::workbench::Workbench;
use crate::net::{Plan, Weights};
use crate::oracle;
use crate::space::{Architecture, MAX_TEXT_BYTES, Space, read_architecture};
use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};

/// `--arch FILE | --best`
#[derive(Args)]
pub(super) struct ArchitectureChoice {
    /// A network in the exchange format, instead of the run's best
    #[arg(long, value_name = "FILE")]
    pub arch: Option<PathBuf>,
    /// The run's best network (the default)
    #[arg(long, conflicts_with = "arch")]
    pub best: bool,
}

/// A network and the number that keys its random streams.
pub(super) struct Chosen {
    pub architecture: Architecture,
    /// Its number in the run; none for a network that is not one of the candidates.
    pub candidate: Option<u64>,
}

impl ArchitectureChoice {
    /// The network, checked against the run's space.
    pub fn choose(&self, run: &RunDirectory, space: &dyn Space) -> anyhow::Result<Chosen> {
        let Some(path) = &self.arch else {
            let best = run.best()?;
            return Ok(Chosen { architecture: best.architecture.clone(), candidate: Some(best.number) });
        };
        let architecture = read_architecture_file(path, space)?;
        let known = run.record.candidates.iter().find(|candidate| candidate.architecture == architecture);
        Ok(Chosen { architecture, candidate: known.map(|candidate| candidate.number) })
    }

    /// The weights: those that the run's end left, or those of `file`, which a network of the user's needs.
    pub fn weights(&self, run: &RunDirectory, file: Option<&Path>, plan: &Plan) -> anyhow::Result<Weights> {
        if let Some(path) = file {
            return read_weights(path, plan);
        }
        if let Some(path) = &self.arch {
            let path = path.display();
            let message = format!("--arch {path} has no weights; give them with --weights FILE (`retrain` makes them)");
            return Err(UsageError(message).into());
        }
        run.require_finished("trained weights")?;
        let path = run.path.join(BEST.weights);
        if !path.exists() {
            let run = run.path.display();
            bail!("{} is missing; `run CONFIG --out {run} --resume` writes it anew", path.display());
        }
        read_weights(&path, plan)
    }
}

/// Reads an architecture and checks that it belongs to the space.
pub(super) fn read_architecture_file(path: &Path, space: &dyn Space) -> anyhow::Result<Architecture> {
    let text = files::read_text(path, MAX_TEXT_BYTES as u64)?;
    let architecture = read_architecture(&text).with_context(|| path.display().to_string())?;
    space.check(&architecture).with_context(|| path.display().to_string())?;
    Ok(architecture)
}

/// The plan of an architecture as it is trained long, on the run's data.
pub(super) fn lower(run: &RunDirectory, bench: &Workbench, architecture: &Architecture) -> anyhow::Result<Plan> {
    Ok(oracle::lower(architecture, &run.record.config.retrained_space(), &bench.images()?.dataset)?)
}
