//! Architecture -> reward: lowers an architecture to a plan, trains it, and measures it on held-out images.

mod candidate;
mod initial;
mod training;

pub use candidate::{TrainingOracle, lower};
pub use training::{EpochReport, Evaluation, Trained, Training, evaluate};

use crate::space::Architecture;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;
use thiserror::Error;

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

/// Why a network could not be trained.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum OracleError {
    /// The loss stopped being a number.
    #[error("training diverged: the loss is {loss} at step {step} of epoch {epoch}; a smaller learning_rate may help")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// No training or no evaluation images.
    #[error("there are no images to {0}")]
    NoImages(&'static str),
    /// The architecture is empty.
    #[error("an architecture of no stages is no network")]
    NoStages,
}
