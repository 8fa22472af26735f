//! What a journal holds, as its readers (report, export, resume) see it.

use crate::config::{ClassicalKind, Config};
use crate::oracle::Outcome;
use crate::space::Architecture;
use serde::{Deserialize, Serialize};

/// Who proposed a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The explorer, with this classical generator.
    Explorer(ClassicalKind),
    /// The fitted generator.
    Generator,
}

/// One candidate. Its row is written before it is trained, its outcome before it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// 0, 1, 2, ... in the order of proposal.
    pub number: u64,
    /// The iteration that proposed it, from 0.
    pub iteration: u64,
    /// Who proposed it.
    pub origin: Origin,
    /// The architecture.
    pub architecture: Architecture,
    /// Its isomorphism-invariant key, hexadecimal.
    pub key: String,
    /// Log-probability under the generator that drew it; `None` for the explorer's.
    pub log_probability: Option<f64>,
    /// `None` until it is evaluated.
    pub outcome: Option<Outcome>,
}

/// How an iteration's candidates were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplingRecord {
    /// Rounds of drawing from the generator.
    pub rounds: u64,
    /// Architectures drawn from the generator and looked at; what a round draws beyond the last one needed is not counted.
    pub drawn: u64,
    /// Of these, refused as invalid.
    pub invalid: u64,
    /// Of these, refused because an isomorphic one was known already.
    pub duplicates: u64,
    /// Candidates that the explorer had to supply because the rounds ran out.
    pub filled_by_explorer: u64,
}

/// One refit of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefitRecord {
    /// The candidates of the replay buffer, best first.
    pub buffer: Vec<u64>,
    /// Mean loss of every epoch.
    pub losses: Vec<f64>,
    /// Wall-clock seconds; not part of what is reproducible.
    pub seconds: f64,
}

/// One iteration of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// From 0. The refit that ends the run (the generator that is kept) has the number after the last iteration.
    pub iteration: u64,
    /// The refit that made this iteration's generator; `None` where the explorer proposed everything.
    pub refit: Option<RefitRecord>,
    /// How the candidates were found.
    pub sampling: SamplingRecord,
}

/// The best network, trained anew on all training data and tested once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalRecord {
    /// The best candidate by validation accuracy.
    pub candidate: u64,
    /// Mean training loss of every epoch.
    pub training_losses: Vec<f64>,
    /// Validation accuracy after retraining; `None` where the validation images were trained on too.
    pub validation_accuracy: Option<f64>,
    /// Test accuracy, 0..=1.
    pub test_accuracy: f64,
    /// Wall-clock seconds; not part of what is reproducible.
    pub seconds: f64,
}

/// A whole journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// The configuration of the run.
    pub config: Config,
    /// All candidates, by number.
    pub candidates: Vec<CandidateRecord>,
    /// All iterations, in order.
    pub iterations: Vec<IterationRecord>,
    /// Present when the run is finished.
    pub finished: Option<FinalRecord>,
}
