//! A stretch of a run, from its start or resumption to its end or interruption, and the files that it leaves.
//!
//! The journal alone decides what is left to do; every file is made from it, again and with the same bytes if need be. So
//! a process may be killed between any two steps.

use super::files;
use super::progress::Progress;
use super::run_directory::{GENERATOR_FILE, REPORT_FILE, read_weights};
use super::training::{BEST, LongTraining, Network, forget_training, write_architecture, write_onnx, write_weights};
use super::workbench::{Images, Material, Workbench};
use crate::config::{Config, OracleKind};
use crate::generator::Fitted;
use crate::net::{Plan, Weights};
use crate::oracle::{EpochReport, Oracle, SupernetOracle, TrainingOracle, lower};
use crate::report::{MANIFEST_FILE_NAME, Manifest, html};
use crate::search::{Ending, Search, Selected, best};
use crate::store::{CandidateRecord, FinalRecord, Journal, RunRecord};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The generator that draws networks to train the supernet with: a copy, so that a resumed run has the same.
const PATHS_FILE: &str = "paths.safetensors";

/// The weights that all candidates share.
const SUPERNET_FILE: &str = "supernet.safetensors";

/// What a session works with.
pub(super) struct Session<'a> {
    pub config: &'a Config,
    pub directory: &'a Path,
    pub bench: &'a Workbench,
    pub progress: &'a Progress,
    pub stop: &'a AtomicBool,
}

impl Session<'_> {
    /// Brings the run to its end. `false`: stopped before.
    ///
    /// # Errors
    /// Whatever went wrong; the run can be resumed.
    pub fn run(&self, journal: &mut Journal) -> anyhow::Result<bool> {
        let mut manifest = self.manifest();
        let path = self.directory.join(MANIFEST_FILE_NAME);
        manifest.write(&path)?;
        let done = self.search_and_train(journal);
        manifest.end_session();
        let written = manifest.write(&path);
        let done = done?;
        written?;
        if done {
            let page = html(&journal.record()?, &manifest);
            files::write(&self.directory.join(REPORT_FILE), page.as_bytes())?;
        }
        Ok(done)
    }

    /// The manifest of the earlier sessions, or a new one, with this session begun.
    fn manifest(&self) -> Manifest {
        match Manifest::read(&self.directory.join(MANIFEST_FILE_NAME)) {
            Ok(mut manifest) => {
                manifest.start_session();
                manifest
            }
            // Killed before it was written, or lost since: it is no part of what decides results.
            Err(_) => Manifest::new(self.config.clone(), self.bench.device_facts(), self.bench.data_facts()),
        }
    }

    fn search_and_train(&self, journal: &mut Journal) -> anyhow::Result<bool> {
        let Some(strategy) = self.search(journal)? else { return Ok(false) };
        if let Some(checkpoint) = strategy.checkpoint()? {
            files::write(&self.directory.join(GENERATOR_FILE), &checkpoint)?;
        }
        let record = journal.record()?;
        let best = best(&record.candidates).context("no candidate could be evaluated")?;
        write_architecture(self.directory, &BEST, &best.architecture)?;
        let images = match &self.bench.material {
            Material::Images(images) => images,
            Material::Table { .. } => return finish_with_table(journal, &record, best).map(|()| true),
        };
        let plan = lower(&best.architecture, &self.config.retrained_space(), &images.dataset)?;
        let Some(weights) = self.best_weights(journal, &record, best, &plan)? else { return Ok(false) };
        write_onnx(self.directory, &BEST, &Network { plan: &plan, weights: &weights, bench: self.bench })?;
        Ok(true)
    }

    /// The search to its end, and its strategy with what it has learnt. `None`: stopped.
    fn search(&self, journal: &mut Journal) -> anyhow::Result<Option<Selected>> {
        let bench = self.bench;
        let (training, supernet);
        let oracle: &dyn Oracle = match &bench.material {
            Material::Images(images) if self.config.oracle.kind == OracleKind::Supernet => {
                let Some(trained) = self.supernet(images)? else { return Ok(None) };
                supernet = trained;
                &supernet
            }
            Material::Images(Images { dataset, splits }) => {
                training = TrainingOracle::new(self.config, Arc::clone(dataset), splits, &bench.engine)?;
                &training
            }
            Material::Table { oracle, .. } => oracle,
        };
        let strategy = Selected::new(bench.space.as_ref(), self.config, bench.threads);
        let mut strategy = strategy.on(bench.engine.device());
        let mut search = Search {
            space: &bench.space,
            strategy: &mut strategy,
            oracle,
            observer: self.progress,
            threads: bench.threads,
            stop: self.stop,
        };
        let ending = search.run(journal)?;
        Ok((ending == Ending::Finished).then_some(strategy))
    }

    /// The supernet, trained, or taken up where an interrupted session left it. `None`: stopped.
    fn supernet(&self, images: &Images) -> anyhow::Result<Option<SupernetOracle>> {
        let data = (Arc::clone(&images.dataset), &*images.splits);
        let mut oracle = SupernetOracle::new(self.config, data, &self.bench.engine)?;
        if let Some(file) = &self.config.oracle.supernet.path_generator {
            let failed = || format!("oracle.path_generator, {}", file.display());
            oracle = oracle.with_generator(self.path_generator(file)?).with_context(failed)?;
        }
        let path = self.directory.join(SUPERNET_FILE);
        // A file that cannot be read is made anew.
        if let Ok(checkpoint) = std::fs::read(&path) {
            oracle.resume(&checkpoint);
        }
        let epochs = self.config.oracle.training.epochs;
        if oracle.losses().len() < epochs {
            let parameters = oracle.trained_parameters();
            self.progress.training(&format!("the supernet of {parameters} parameters"), epochs);
        }
        let epoch_done = |oracle: &SupernetOracle, report: EpochReport| {
            self.progress.epoch(&report);
            files::write(&path, &oracle.checkpoint())
        };
        Ok(oracle.train(epoch_done, self.stop)?.then_some(oracle))
    }

    /// The run's own copy of the generator in a file, made now if it is not there.
    fn path_generator(&self, file: &Path) -> anyhow::Result<Fitted> {
        let kept = self.directory.join(PATHS_FILE);
        if !kept.exists() {
            Fitted::load(file).context("oracle.path_generator")?;
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            files::write(&kept, &bytes)?;
        }
        Ok(Fitted::load(&kept)?)
    }

    /// The best network's weights: those of the file in a finished run, else trained now. `None`: stopped.
    fn best_weights(
        &self,
        journal: &mut Journal,
        record: &RunRecord,
        best: &CandidateRecord,
        plan: &Plan,
    ) -> anyhow::Result<Option<Weights>> {
        let file = self.directory.join(BEST.weights);
        if record.finished.is_some()
            && let Ok(weights) = read_weights(&file, plan)
        {
            return Ok(Some(weights));
        }
        self.progress.training(&format!("candidate {}", best.number), self.config.retrain.training.epochs);
        let training = LongTraining {
            config: self.config,
            bench: self.bench,
            plan,
            candidate: best.number,
            folder: self.directory,
        };
        let trained = training.run(&mut |report| self.progress.epoch(&report), self.stop).with_context(|| {
            let directory = self.directory.display();
            format!("the search is done, but not the long training (see `retrain {directory} --learning-rate RATE`)")
        })?;
        let Some(trained) = trained else { return Ok(None) };
        // Before the journal's end: a finished run has its weights.
        write_weights(self.directory, &BEST, &trained.weights)?;
        if record.finished.is_none() {
            journal.finish(&FinalRecord {
                candidate: best.number,
                training_losses: trained.losses,
                validation_accuracy: None,
                test_accuracy: trained.test_accuracy,
                seconds: trained.seconds,
            })?;
        }
        forget_training(self.directory);
        Ok(Some(trained.weights))
    }
}

/// Notes the end of a run whose networks a table knows: the test accuracy is the table's.
fn finish_with_table(journal: &mut Journal, record: &RunRecord, best: &CandidateRecord) -> anyhow::Result<()> {
    if record.finished.is_some() {
        return Ok(());
    }
    let outcome = best.outcome.as_ref().context("the best candidate has no outcome")?;
    let test_accuracy = outcome.test_accuracy.context("the table has no test accuracy of the best candidate")?;
    journal.finish(&FinalRecord {
        candidate: best.number,
        training_losses: vec![],
        validation_accuracy: None,
        test_accuracy,
        seconds: 0.0,
    })?;
    Ok(())
}
