//! What a search tells while it runs.

use crate::store::{CandidateRecord, RefitRecord, SamplingRecord};

/// Something that happened. Events come from the loop's own thread; iterations and outcomes are told when they are in
/// the journal.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The search begins, or goes on.
    Started {
        /// Candidates with an outcome already.
        evaluated: usize,
        /// All candidates that there will be.
        budget: usize,
    },
    /// The generator is being fitted.
    RefitStarted {
        /// The iteration whose candidates it will propose; after the last one, the fit that is kept.
        iteration: u64,
        /// Architectures in the replay buffer.
        buffer: usize,
    },
    /// The generator is fitted.
    RefitDone {
        /// As above.
        iteration: u64,
        /// Buffer and losses.
        refit: &'a RefitRecord,
    },
    /// An iteration's candidates are chosen.
    IterationStarted {
        /// From 0.
        iteration: u64,
        /// Its candidates.
        candidates: &'a [CandidateRecord],
        /// How they were found.
        sampling: &'a SamplingRecord,
    },
    /// A candidate's evaluation begins.
    CandidateStarted {
        /// The candidate.
        number: u64,
    },
    /// A candidate has its outcome.
    CandidateDone {
        /// With the outcome.
        record: &'a CandidateRecord,
    },
}

/// Hears what happens in a search, for instance to show progress.
pub trait Observer {
    /// Called for every event, in order.
    fn event(&self, event: Event<'_>);
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event<'_>) {}
}
