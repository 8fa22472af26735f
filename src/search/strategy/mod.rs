//! Who proposes an iteration's candidates.
//!
//! A strategy is a function of the history, the configuration and the iteration's random streams. Nothing else may decide
//! what it draws, so a run that was killed and resumed goes on as if nothing had happened.

mod evolution;
mod learned;
mod local;
mod policy;
mod random;
mod reinforce;
mod selection;
#[cfg(test)]
mod tests;

pub use evolution::RegularizedEvolution;
pub use learned::Learned;
pub use local::LocalSearch;
pub use random::RandomSearch;
pub use reinforce::Reinforce;
pub use selection::{Selected, strategy_overrides};

use super::replay::top;
use super::{Observer, SearchError, SearchSpace};
use crate::config::SearchConfig;
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::space::Architecture;
use crate::store::{CandidateRecord, RefitRecord};
use std::sync::atomic::AtomicBool;

/// What a strategy knows when it proposes an iteration's candidates.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// Where architectures come from.
    pub space: &'a dyn SearchSpace,
    /// `[search]`
    pub search: &'a SearchConfig,
    /// The run's seed.
    pub seed: u64,
    /// The iteration, from 0.
    pub iteration: u64,
    /// Candidates of the iteration.
    pub size: usize,
    /// All earlier candidates, with their outcomes.
    pub history: &'a [CandidateRecord],
}

impl Situation<'_> {
    /// Number of earlier candidates that have an accuracy.
    pub(super) fn succeeded(&self) -> usize {
        top(self.history, usize::MAX).len()
    }

    /// The graphs of a candidate.
    pub(super) fn components(&self, candidate: &CandidateRecord) -> Result<Vec<LabelledGraph>, SearchError> {
        let number = candidate.number;
        self.space.disassemble(&candidate.architecture).map_err(|source| SearchError::Space { number, source })
    }
}

/// Who hears what a strategy does, and what may stop it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Hears of fits.
    pub observer: &'a dyn Observer,
    /// Raised from outside, it ends the search soon.
    pub stop: &'a AtomicBool,
}

/// How an iteration is shared out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Candidates that the explorer draws.
    pub explored: usize,
    /// The fit that the strategy's own draws come from, if any.
    pub refit: Option<RefitRecord>,
}

/// What a strategy draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Suggestion {
    /// One graph a component; perhaps no legal architecture.
    Graphs {
        /// The graphs.
        components: Vec<LabelledGraph>,
        /// Natural logarithm of the probability of drawing them.
        log_probability: f64,
    },
    /// A legal architecture.
    Architecture(Architecture),
}

/// Who proposes candidates.
pub trait Strategy {
    /// Makes ready for an iteration and says which part of it is the explorer's. `None`: stopped.
    ///
    /// # Errors
    /// Where the history is not of the space, or a fit fails.
    fn prepare(&mut self, situation: &Situation, context: &Context) -> Result<Option<Share>, SearchError>;

    /// About `count` suggestions for the iteration that was prepared, fewer where there are no more. Those that are
    /// known or illegal are dropped by the loop.
    fn draw(&self, situation: &Situation, stream: &mut Stream, count: usize) -> Vec<Suggestion>;

    /// The fit that is kept when the budget is spent; a strategy without a model has none. `None`: stopped.
    ///
    /// # Errors
    /// Where there is too little to learn from, or the fit fails.
    fn finish(&mut self, _: &Situation, _: &Context) -> Result<Option<Option<RefitRecord>>, SearchError> {
        Ok(Some(None))
    }
}
