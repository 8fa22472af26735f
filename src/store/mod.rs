//! The journal: one SQLite file a run, the truth about it.

mod records;

pub use records::{CandidateRecord, FinalRecord, IterationRecord, Origin, RefitRecord, RunRecord, SamplingRecord};
