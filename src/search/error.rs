//! Why a search could not go on.

use crate::oracle::OracleError;
use crate::store::StoreError;
use thiserror::Error;

/// The error of a space or a generator, whichever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a search could not go on. The journal is whole in every case, and the run can be resumed.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The journal failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The explorer finds nothing new.
    #[error(
        "no new architecture in {tries} tries of every kind in search.explorer, after {known} distinct ones\
         {}; lower search.budget or enlarge the space",
        .last_error.as_ref().map(|error| format!(" (last error: {error})")).unwrap_or_default()
    )]
    Exhausted {
        /// `search.explorer_tries`
        tries: usize,
        /// Distinct architectures of the run so far.
        known: usize,
        /// What the space last said against a draw, if anything.
        last_error: Option<String>,
    },
    /// The space does not take one of its own architectures apart.
    #[error("candidate {number} of the journal is not of the configured space: {source}")]
    Space {
        /// The candidate.
        number: u64,
        /// The space's error.
        source: BoxError,
    },
    /// The generator could not be fitted.
    #[error("the generator's fit for iteration {iteration} failed: {source}")]
    Generator {
        /// The iteration whose candidates it was to propose.
        iteration: u64,
        /// The generator's error.
        source: BoxError,
    },
    /// The device that candidates are trained on failed.
    #[error(transparent)]
    Device {
        /// What happened.
        source: OracleError,
    },
    /// A fault of the program in an evaluation.
    #[error("the evaluation of candidate {number} broke down: {message}")]
    OraclePanicked {
        /// The candidate.
        number: u64,
        /// The panic's text.
        message: String,
    },
    /// Nearly every candidate failed.
    #[error("only {succeeded} of {evaluated} candidates could be evaluated, too few to learn from{}",
        .last_failure.as_ref().map(|failure| format!("; the last failure: {failure}")).unwrap_or_default())]
    NothingLearnt {
        /// Candidates with an accuracy.
        succeeded: usize,
        /// All candidates.
        evaluated: usize,
        /// Why the last one failed.
        last_failure: Option<String>,
    },
}
