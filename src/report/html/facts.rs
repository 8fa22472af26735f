//! What every part of the page looks up: the run, sorted out.

use super::super::Manifest;
use super::super::statistics::{Difference, Summary, last_third};
use crate::config::{ClassicalKind, DataSource, OracleKind};
use crate::oracle::Outcome;
use crate::store::{CandidateRecord, Origin, RunRecord};

/// A candidate with an accuracy.
#[derive(Clone, Copy)]
pub struct Evaluated<'a> {
    pub candidate: &'a CandidateRecord,
    pub outcome: &'a Outcome,
    pub accuracy: f64,
}

/// A run, sorted out.
pub struct Facts<'a> {
    pub record: &'a RunRecord,
    pub manifest: &'a Manifest,
    /// Candidates with an accuracy, by number.
    pub evaluated: Vec<Evaluated<'a>>,
    /// Accuracies of the explorer's, by number.
    pub explorer: Vec<f64>,
    /// Accuracies of the generator's, by number.
    pub generator: Vec<f64>,
    /// Candidates whose evaluation failed.
    pub failed: usize,
    /// Candidates that were proposed but not evaluated.
    pub pending: usize,
}

impl<'a> Facts<'a> {
    pub fn new(record: &'a RunRecord, manifest: &'a Manifest) -> Self {
        let evaluated: Vec<Evaluated> = record.candidates.iter().filter_map(evaluated).collect();
        let accuracies = |wanted: bool| {
            let by = evaluated.iter().filter(|e| is_generator(e.candidate.origin) == wanted);
            by.map(|e| e.accuracy).collect()
        };
        let pending = record.candidates.iter().filter(|c| c.outcome.is_none()).count();
        Facts {
            record,
            manifest,
            explorer: accuracies(false),
            generator: accuracies(true),
            failed: record.candidates.len() - pending - evaluated.len(),
            pending,
            evaluated,
        }
    }

    /// Whether accuracies were looked up in a table.
    pub fn tabular(&self) -> bool {
        self.record.config.oracle.kind == OracleKind::Table
    }

    /// The best first; of equals, the earlier.
    pub fn ranked(&self) -> Vec<Evaluated<'a>> {
        let mut ranked = self.evaluated.clone();
        ranked.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy).then(a.candidate.number.cmp(&b.candidate.number)));
        ranked
    }

    /// The last third of the generator's networks less the explorer's.
    pub fn gain(&self) -> Option<Difference> {
        Difference::of(&Summary::of(last_third(&self.generator))?, &Summary::of(&self.explorer)?)
    }

    /// Seconds of training, summed over the threads that trained at the same time.
    pub fn training_seconds(&self) -> f64 {
        self.record.candidates.iter().filter_map(|c| c.outcome.as_ref()).map(|outcome| outcome.seconds).sum()
    }

    /// Number of refits and their seconds.
    pub fn refits(&self) -> (usize, f64) {
        let seconds = self.record.iterations.iter().filter_map(|i| i.refit.as_ref()).map(|refit| refit.seconds);
        (seconds.clone().count(), seconds.sum())
    }

    /// Training images that an oracle shows a network in an epoch.
    pub fn images_an_epoch(&self) -> u64 {
        (self.manifest.data.training_images as f64 * self.record.config.oracle.training.data_fraction).round() as u64
    }

    /// Images times epochs of all candidates, failed ones up to where they failed.
    pub fn images_trained(&self) -> u64 {
        let epochs = self.record.candidates.iter().filter_map(|c| c.outcome.as_ref()).map(|o| o.training_losses.len());
        epochs.sum::<usize>() as u64 * self.images_an_epoch()
    }

    /// Number and seconds of the candidate whose evaluation took longest.
    pub fn longest_evaluation(&self) -> Option<(u64, f64)> {
        let seconds = self.record.candidates.iter().filter_map(|c| Some((c.number, c.outcome.as_ref()?.seconds)));
        seconds.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

fn evaluated(candidate: &CandidateRecord) -> Option<Evaluated<'_>> {
    let outcome = candidate.outcome.as_ref()?;
    let accuracy = outcome.validation_accuracy.filter(|accuracy| accuracy.is_finite())?;
    Some(Evaluated { candidate, outcome, accuracy })
}

pub fn is_generator(origin: Origin) -> bool {
    origin == Origin::Generator
}

/// `explorer (WS)` or `generator`
pub fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Explorer(ClassicalKind::Ws) => "explorer (WS)",
        Origin::Explorer(ClassicalKind::Er) => "explorer (ER)",
        Origin::Explorer(ClassicalKind::Ba) => "explorer (BA)",
        Origin::Explorer(ClassicalKind::Uniform) => "explorer (uniform)",
        Origin::Explorer(ClassicalKind::Full) => "explorer (full)",
        Origin::Generator => "generator",
    }
}

/// What a reader must know of the data before any number.
pub fn data_statement(facts: &Facts) -> String {
    let data = &facts.manifest.data;
    if facts.tabular() {
        return format!(
            "Nothing was trained in this run. Validation accuracies, which are the reward, and test accuracies were looked \
             up in {}.",
            data.name
        );
    }
    let parts = format!(
        "{} images for training, {} for validation (the reward) and {} for the final test",
        super::format::count(data.training_images as u64),
        super::format::count(data.validation_images as u64),
        super::format::count(data.test_images as u64)
    );
    match facts.record.config.data.source {
        DataSource::Embedded => format!(
            "The data are the 10,000 official Fashion-MNIST test images, split anew by this program into {parts}. The \
             60,000 official training images are not used. Numbers on this page are therefore not comparable to \
             published Fashion-MNIST results."
        ),
        DataSource::FashionMnist => format!(
            "The data are Fashion-MNIST: {parts}. Training and validation images come from the official training \
             images; the official test images serve for the final test only."
        ),
        DataSource::Cifar10 | DataSource::TinyImagenet | DataSource::Folder => format!(
            "The data are {}: {parts}, in {} classes. Validation images were held out from the training part.",
            data.name,
            data.classes.len()
        ),
        DataSource::Synthetic => format!(
            "The data are synthetic images made from the seed: {parts}. Accuracies on them say nothing about real \
             images; they are for testing the program."
        ),
    }
}
