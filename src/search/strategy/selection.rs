//! The strategies by name.

use super::{
    Context, Learned, LocalSearch, RandomSearch, RegularizedEvolution, Reinforce, Share, Situation, Strategy,
    Suggestion,
};
use crate::config::{Config, Override, StrategyKind};
use crate::device::cuda::Device;
use crate::generator::GeneratorError;
use crate::random::Stream;
use crate::search::{GeneratorProposer, RnnProposer, SearchError};
use crate::space::Space;
use crate::store::RefitRecord;
use std::sync::Arc;

/// The strategy of a configuration.
pub enum Selected {
    /// `graphpnas`
    GraphPnas(Learned<GeneratorProposer>),
    /// `rnn`
    Rnn(Learned<RnnProposer>),
    /// `random`, `er`, `ws`, `ba`
    Random(RandomSearch),
    /// `regularized-evolution`
    RegularizedEvolution(RegularizedEvolution),
    /// `local-search`
    LocalSearch(LocalSearch),
    /// `reinforce`
    Reinforce(Reinforce),
}

impl Selected {
    /// `search.strategy` for this space. `threads` change no result.
    pub fn new(space: &dyn Space, config: &Config, threads: usize) -> Selected {
        match config.search.strategy {
            StrategyKind::GraphPnas => {
                Selected::GraphPnas(Learned::new(GeneratorProposer::new(space, config, threads)))
            }
            StrategyKind::Rnn => Selected::Rnn(Learned::new(RnnProposer::new(space, config, threads))),
            StrategyKind::Random | StrategyKind::Er | StrategyKind::Ws | StrategyKind::Ba => {
                Selected::Random(RandomSearch)
            }
            StrategyKind::RegularizedEvolution => Selected::RegularizedEvolution(RegularizedEvolution),
            StrategyKind::LocalSearch => Selected::LocalSearch(LocalSearch::default()),
            StrategyKind::Reinforce => Selected::Reinforce(Reinforce::default()),
        }
    }

    /// With fits and draws on a CUDA device, if there is one and the model has kernels.
    pub fn on(self, device: Option<&Arc<Device>>) -> Selected {
        match self {
            Selected::GraphPnas(learned) => Selected::GraphPnas(learned.map(|proposer| proposer.on(device))),
            other => other,
        }
    }

    /// The checkpoint of the model as last fitted; `None` where there is no model, or no fit yet.
    ///
    /// # Errors
    /// Where it cannot be written as one.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>, GeneratorError> {
        match self {
            Selected::GraphPnas(learned) => {
                learned.proposer().model().map(crate::generator::Generator::to_bytes).transpose()
            }
            Selected::Rnn(learned) => {
                learned.proposer().model().map(crate::generator::LstmGenerator::to_bytes).transpose()
            }
            _ => Ok(None),
        }
    }

    fn inner(&self) -> &dyn Strategy {
        match self {
            Selected::GraphPnas(strategy) => strategy,
            Selected::Rnn(strategy) => strategy,
            Selected::Random(strategy) => strategy,
            Selected::RegularizedEvolution(strategy) => strategy,
            Selected::LocalSearch(strategy) => strategy,
            Selected::Reinforce(strategy) => strategy,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Strategy {
        match self {
            Selected::GraphPnas(strategy) => strategy,
            Selected::Rnn(strategy) => strategy,
            Selected::Random(strategy) => strategy,
            Selected::RegularizedEvolution(strategy) => strategy,
            Selected::LocalSearch(strategy) => strategy,
            Selected::Reinforce(strategy) => strategy,
        }
    }
}

impl Strategy for Selected {
    fn prepare(&mut self, situation: &Situation, context: &Context) -> Result<Option<Share>, SearchError> {
        self.inner_mut().prepare(situation, context)
    }

    fn draw(&self, situation: &Situation, stream: &mut Stream, count: usize) -> Vec<Suggestion> {
        self.inner().draw(situation, stream, count)
    }

    fn finish(&mut self, situation: &Situation, context: &Context) -> Result<Option<Option<RefitRecord>>, SearchError> {
        self.inner_mut().finish(situation, context)
    }
}

/// What must be set for a strategy of this name: itself and, for a kind of random graphs, the explorer.
pub fn strategy_overrides(name: &str) -> Vec<Override> {
    let strategy = ("search.strategy".to_string(), name.to_string());
    let explorer = matches!(name, "er" | "ws" | "ba").then(|| ("search.explorer".into(), format!("[\"{name}\"]")));
    std::iter::once(strategy).chain(explorer).collect()
}
