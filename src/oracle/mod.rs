//! Architecture -> reward.

use crate::space::Architecture;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Validation accuracy in 0..=1; `None` when the evaluation failed (see `failure`).
    pub validation_accuracy: Option<f64>,
    /// Mean training loss of every epoch.
    pub training_losses: Vec<f64>,
    /// Why there is no accuracy, in one line: for instance a loss that was not a number.
    pub failure: Option<String>,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-adds per image, forward.
    pub multiply_adds: u64,
    /// Wall-clock seconds; not part of what is reproducible.
    pub seconds: f64,
}

/// Evaluates candidates. Implementations are deterministic in (architecture, candidate number).
pub trait Oracle: Sync {
    /// Evaluates one candidate on one thread. `None` when `stop` was raised before it was done.
    fn evaluate(&self, architecture: &Architecture, candidate: u64, stop: &AtomicBool) -> Option<Outcome>;
}
