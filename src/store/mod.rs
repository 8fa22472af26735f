//! The journal: one SQLite file a run, the truth about it.
//!
//! Every change is one transaction, synchronised to the disk, so a kill at any instant leaves a whole journal. Between
//! transactions the file stands alone: a copy of `journal.sqlite` is a copy of the run.

mod directory;
mod error;
mod fingerprint;
mod journal;
mod reading;
mod records;
mod schema;

#[cfg(test)]
mod tests;

pub use directory::{DirectoryState, JOURNAL_FILE, inspect};
pub use error::StoreError;
pub use fingerprint::fingerprint;
pub use journal::Journal;
pub use records::{CandidateRecord, FinalRecord, IterationRecord, Origin, RefitRecord, RunRecord, SamplingRecord};
