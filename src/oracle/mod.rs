//! Architecture -> reward: lowers an architecture to a plan, trains it, and measures it on held-out images; or looks it
//! up in a table.

mod batched;
mod candidate;
mod checkpoint;
mod engine;
mod floor;
mod initial;
mod pace;
mod probe;
mod rate;
mod shared;
mod supernet;
mod tabular;
mod together;
mod training;

pub use candidate::{TrainingOracle, lower};
pub use checkpoint::TrainingState;
pub use engine::{CudaEngine, Engine};
pub use floor::{H100, Need, Roof, evaluation_floor, training_floor, training_need};
pub use probe::{Probe, Rates};
pub use supernet::SupernetOracle;
pub use tabular::TableOracle;
pub use training::{EpochDone, EpochReport, Evaluation, Trained, Training, evaluate};

use crate::device::cuda::CudaError;
use crate::space::Architecture;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;
use thiserror::Error;

/// Images in a batch of an evaluation; changes no result.
const EVALUATION_BATCH: usize = 128;

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Validation accuracy in 0..=1; `None` when the evaluation failed (see `failure`).
    pub validation_accuracy: Option<f64>,
    /// Test accuracy in 0..=1 where the oracle knows it, as a table does. The search must not look at it.
    pub test_accuracy: Option<f64>,
    /// What the evaluation would have cost, where a table says so; seconds of training in NAS-Bench-101.
    pub cost: Option<f64>,
    /// Mean training loss of every epoch; empty where nothing was trained.
    pub training_losses: Vec<f64>,
    /// Why there is no accuracy, in one line: for instance a loss that was not a number.
    pub failure: Option<String>,
    /// Trained parameters; 0 where a table does not know.
    pub parameters: u64,
    /// Multiply-adds per image, forward; 0 where a table does not know.
    pub multiply_adds: u64,
    /// Wall-clock seconds; not part of what is reproducible.
    pub seconds: f64,
}

/// An architecture to evaluate.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its number, which keys its random streams.
    pub number: u64,
    /// What it is.
    pub architecture: Architecture,
}

/// Evaluates candidates. Implementations are deterministic in (architecture, candidate number): which candidates are
/// evaluated together changes nothing.
pub trait Oracle: Sync {
    /// Evaluates candidates together, on one thread; their outcomes in the same order. `None` when `stop` was raised before
    /// all were done.
    ///
    /// # Errors
    /// The device failed. What a candidate itself is to blame for is part of its outcome.
    fn evaluate(&self, group: &[Candidate], stop: &AtomicBool) -> Result<Option<Vec<Outcome>>, OracleError>;

    /// How many of the candidates that wait are best evaluated together, from the first on.
    fn group_size(&self, _waiting: &[Candidate]) -> usize {
        1
    }

    /// How many groups may be evaluated at the same time where there are so many threads.
    fn groups_at_once(&self, threads: usize) -> usize {
        threads
    }
}

/// Why a network could not be trained.
#[derive(Debug, Error)]
pub enum OracleError {
    /// The device failed, or has too little memory for even one network.
    #[error(transparent)]
    Device(#[from] CudaError),
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
    /// What was to be kept between two epochs could not be.
    #[error("{0}")]
    NotKept(String),
    /// No training or no evaluation images.
    #[error("there are no images to {0}")]
    NoImages(&'static str),
    /// The architecture is empty.
    #[error("an architecture of no stages is no network")]
    NoStages,
    /// A network of other layers or channels than those that share their weights.
    #[error("the network is none of those whose weights the supernet shares")]
    NotShared,
    /// Explorer or generator draws no network to train.
    #[error("no network to train the supernet with: {0}")]
    Path(String),
    /// A cell whose input does not reach its output.
    #[error("a cell without a path from its input to its output is no network")]
    NoPath,
    /// The space's architectures are looked up in tables, not trained.
    #[error("architectures of the space {0} are looked up in a table; this program does not train them")]
    NoNetwork(&'static str),
}
