//! The same search by several strategies over several seeds, and what the difference is worth.

mod contest;
mod paired;
mod result;

pub use contest::{Contest, Entrant, Finished};
pub use paired::{Paired, paired};
pub use result::{Comparison, Moments, RunResult, StrategyResult, Test};

use crate::search::SearchError;
use crate::store::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a comparison could not be made.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A run failed.
    #[error("{strategy}, seed {seed}: {source}")]
    Run {
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// Why.
        source: SearchError,
    },
    /// A run's journal failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run's directory holds another run.
    #[error("{directory} holds a run of another configuration, which differs in {keys}; name another directory")]
    OtherRun {
        /// The directory.
        directory: PathBuf,
        /// The keys.
        keys: String,
    },
    /// No candidate of a run could be evaluated.
    #[error("{strategy}, seed {seed}: no candidate could be evaluated{}",
        .failure.as_ref().map(|failure| format!("; the last failure: {failure}")).unwrap_or_default())]
    NothingEvaluated {
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// Why the last one failed.
        failure: Option<String>,
    },
    /// What scores the candidates of a run could not be had.
    #[error("{strategy}, seed {seed}: {message}")]
    Oracle {
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// Why.
        message: String,
    },
}
