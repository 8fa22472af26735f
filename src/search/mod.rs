//! The search loop: propose, journal, evaluate, learn; until the budget of distinct architectures is spent.
//!
//! The loop knows a space, a strategy and an oracle only by the traits [`SearchSpace`], [`Strategy`] and
//! [`Oracle`](crate::oracle::Oracle). It prints nothing: an [`Observer`] hears what happens. All that a later step
//! depends on is read from the journal, so a resumed run repeats what an uninterrupted one does.

mod adapters;
mod error;
mod evaluate;
mod explore;
mod observer;
mod parts;
mod propose;
mod replay;
mod run;
mod schedule;
mod shaping;
mod strategy;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toys;

pub use adapters::{GeneratorProposer, Model, ModelProposer, RnnProposer};
pub use error::{BoxError, SearchError};
pub use observer::{Event, Observer, Silent};
pub use parts::{Draw, Proposer, SearchSpace};
pub use replay::{best, top};
pub use run::{Ending, Search};
pub use schedule::explored;
pub use strategy::{
    Context, Learned, LocalSearch, RandomSearch, RegularizedEvolution, Reinforce, Selected, Share, Situation, Strategy,
    Suggestion, strategy_overrides,
};
