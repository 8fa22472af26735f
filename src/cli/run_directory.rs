//! A run's directory, as every command but `run` reads it.

use super::files;
use super::summary::RunSummary;
use super::training::BEST;
use crate::generator::Fitted;
use crate::net::{Plan, Weights, weights_from_safetensors};
use crate::report::{MANIFEST_FILE_NAME, Manifest};
use crate::search::best;
use crate::store::{CandidateRecord, Journal, RunRecord};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// The generator's checkpoint.
pub(super) const GENERATOR_FILE: &str = "generator.safetensors";
/// The report's page.
pub(super) const REPORT_FILE: &str = "report.html";

/// Weights are read up to this size.
const MOST_WEIGHT_BYTES: u64 = 4 << 30;

/// A run, finished or not.
pub(super) struct RunDirectory {
    pub path: PathBuf,
    pub record: RunRecord,
}

impl RunDirectory {
    /// Reads the journal.
    ///
    /// # Errors
    /// The directory is missing or foreign, or its journal damaged.
    pub fn open(path: &Path) -> anyhow::Result<RunDirectory> {
        if !path.exists() {
            bail!("{} does not exist; a run directory is what `run` makes", path.display());
        }
        Ok(RunDirectory { path: path.to_path_buf(), record: Journal::read(path)? })
    }

    /// The network that the run tested at its end, or the best so far.
    pub fn best(&self) -> anyhow::Result<&CandidateRecord> {
        let of_end = self.record.finished.as_ref().and_then(|end| self.record.candidates.get(end.candidate as usize));
        of_end
            .or_else(|| best(&self.record.candidates))
            .with_context(|| format!("{} has no best network yet: {}", self.path.display(), self.progress()))
    }

    /// Refuses a run that has not come to its end.
    ///
    /// # Errors
    /// How far it has come, what needs the end, and how to go on.
    pub fn require_finished(&self, what: &str) -> anyhow::Result<()> {
        match self.record.finished {
            Some(_) => Ok(()),
            None => bail!(
                "{} is unfinished ({}) and has no {what} yet; finish it with `run CONFIG --out {} --resume`",
                self.path.display(),
                self.progress(),
                self.path.display()
            ),
        }
    }

    /// Whether the run is finished and all its files are there.
    pub fn is_complete(&self) -> bool {
        let mut files = vec![BEST.architecture, MANIFEST_FILE_NAME, REPORT_FILE];
        if self.record.config.search.strategy.fits_a_generator() {
            files.push(GENERATOR_FILE);
        }
        // What a table knows was not trained here.
        if self.record.config.oracle.kind.trains() {
            files.extend([BEST.weights, BEST.onnx]);
        }
        self.record.finished.is_some() && files.iter().all(|name| self.path.join(name).is_file())
    }

    /// What it came to.
    pub fn summary(&self) -> anyhow::Result<RunSummary> {
        let (seconds, _) = self.manifest()?.seconds();
        Ok(RunSummary::new(&self.path, &self.path.join(REPORT_FILE), &self.record, seconds))
    }

    /// For instance `12 of 48 candidates evaluated`.
    pub fn progress(&self) -> String {
        let evaluated = self.record.candidates.iter().filter(|candidate| candidate.outcome.is_some()).count();
        format!("{evaluated} of {} candidates evaluated", self.record.config.search.budget)
    }

    /// The fitted generator.
    pub fn generator(&self) -> anyhow::Result<Fitted> {
        let path = self.path.join(GENERATOR_FILE);
        let strategy = self.record.config.search.strategy;
        if !strategy.fits_a_generator() {
            let (name, strategy) = (self.path.display(), strategy.name());
            bail!("{name} has no generator: search.strategy = \"{strategy}\" fits none");
        }
        if !path.exists() {
            self.require_finished("generator")?;
            bail!("{} is missing; `run CONFIG --out {} --resume` writes it anew", path.display(), self.path.display());
        }
        Ok(Fitted::load(&path)?)
    }

    /// The circumstances of the run.
    pub fn manifest(&self) -> anyhow::Result<Manifest> {
        let path = self.path.join(MANIFEST_FILE_NAME);
        if !path.exists() {
            bail!("{} is missing; `run CONFIG --out {} --resume` writes it anew", path.display(), self.path.display());
        }
        Ok(Manifest::read(&path)?)
    }
}

/// Reads weights that fit a plan.
pub(super) fn read_weights(path: &Path, plan: &Plan) -> anyhow::Result<Weights> {
    let bytes = files::read(path, MOST_WEIGHT_BYTES)?;
    weights_from_safetensors(&bytes, plan).with_context(|| path.display().to_string())
}
