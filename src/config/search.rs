//! The section `[search]`: who proposes candidates, how many, and what is learnt from them.

use serde::{Deserialize, Serialize};

/// `[search]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchConfig {
    /// Who proposes candidates.
    pub strategy: StrategyKind,
    /// Distinct architectures evaluated in all.
    pub budget: usize,
    /// Distinct architectures proposed in an iteration.
    pub samples_per_iteration: usize,
    /// Size of the replay buffer: the best so many of the history.
    pub keep_top: usize,
    /// The worst so many of the rest, which are learnt with negative weights.
    pub keep_worst: usize,
    /// Their weight is less than 0 by this.
    pub worst_weight: f64,
    /// How rewards become weights.
    pub reward: RewardShaping,
    /// Exponent of a `cdf` reward.
    pub rank_power: f64,
    /// Weight of the old value in the moving average that is subtracted from `accuracy` rewards; 0: no baseline.
    pub baseline: f64,
    /// When the explorer proposes instead of the generator.
    pub exploration: Exploration,
    /// After every so many iterations in a row without a new best the explorer has one; 0: never.
    pub patience: u64,
    /// What the explorer draws in turn, for instance `["ws", "er", "ba"]`; which ones there are depends on the space.
    pub explorer: Vec<ClassicalKind>,
    /// Rewiring probability of Watts-Strogatz graphs.
    pub ws_rewiring: f64,
    /// Neighbours of a node in the ring of Watts-Strogatz graphs, even.
    pub ws_neighbours: usize,
    /// Edge probability of Erdos-Renyi graphs.
    pub er_probability: f64,
    /// Edges that a new node brings in Barabasi-Albert graphs.
    pub ba_edges: usize,
    /// Rounds of draws from the generator before the explorer fills an iteration.
    pub sampling_rounds: usize,
    /// Of so many draws of the generator for each one that is looked at, the most probable is.
    pub draws: usize,
    /// Probability that a model's draw that is known is replaced with one of its new neighbours.
    pub mutate_known: f64,
    /// Round t = 0, 1, ... draws `sampling_growth * t + 1` graphs for each candidate wanted.
    pub sampling_growth: usize,
    /// The explorer's draws of one kind for one candidate before the kind counts as exhausted.
    pub explorer_tries: usize,
    /// Of so many of the explorer's draws the one with the rarest choices is taken.
    pub explorer_draws: usize,
    /// Regularised evolution: candidates that are alive, the newest.
    pub population: usize,
    /// Regularised evolution: candidates of a tournament.
    pub tournament: usize,
    /// Local search: which better neighbour is gone to.
    pub improvement: Improvement,
    /// REINFORCE: Adam's learning rate.
    pub policy_learning_rate: f64,
    /// REINFORCE: weight of the old value in the moving average that is the baseline.
    pub policy_baseline: f64,
}

/// Who proposes candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// The graph generator, refitted to the best.
    #[serde(rename = "graphpnas")]
    GraphPnas,
    /// The same with an LSTM.
    Rnn,
    /// The explorer.
    Random,
    /// The explorer with Erdos-Renyi graphs only.
    Er,
    /// The explorer with Watts-Strogatz graphs only.
    Ws,
    /// The explorer with Barabasi-Albert graphs only.
    Ba,
    /// Regularised evolution.
    RegularizedEvolution,
    /// Local search.
    LocalSearch,
    /// Policy gradient on independent decisions.
    Reinforce,
}

impl StrategyKind {
    /// Every strategy's name, in the order of the reference.
    pub const NAMES: &[&str] =
        &["graphpnas", "rnn", "random", "er", "ws", "ba", "regularized-evolution", "local-search", "reinforce"];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            StrategyKind::GraphPnas => "graphpnas",
            StrategyKind::Rnn => "rnn",
            StrategyKind::Random => "random",
            StrategyKind::Er => "er",
            StrategyKind::Ws => "ws",
            StrategyKind::Ba => "ba",
            StrategyKind::RegularizedEvolution => "regularized-evolution",
            StrategyKind::LocalSearch => "local-search",
            StrategyKind::Reinforce => "reinforce",
        }
    }

    /// Whether it fits a generator, which a run then leaves.
    pub fn fits_a_generator(self) -> bool {
        matches!(self, StrategyKind::GraphPnas | StrategyKind::Rnn)
    }
}

/// Which better neighbour a local search goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Improvement {
    /// The best of all.
    Best,
    /// The first that is found.
    First,
}

/// How validation accuracies become the weights of the refit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RewardShaping {
    /// Rank within the buffer over its size, the best 1.
    Cdf,
    /// The accuracy itself.
    Accuracy,
}

/// The share of an iteration's candidates that the explorer draws (method: none, constant, harmonic, exponential,
/// first iterations). `t` counts iterations from 0. The first iteration is always the explorer's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "schedule")]
pub enum Exploration {
    /// Only the first iteration.
    None,
    /// This share of every iteration.
    Constant {
        /// In 0..=1.
        share: f64,
    },
    /// `2 / (t + 2)`
    Harmonic,
    /// `2^(-t/2)`
    Exponential,
    /// All of the first so many iterations, none later.
    First {
        /// At least 1.
        iterations: usize,
    },
}

/// The explorers: the classical random graphs, and what a space of operators has instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassicalKind {
    /// Watts-Strogatz.
    Ws,
    /// Erdos-Renyi.
    Er,
    /// Barabasi-Albert.
    Ba,
    /// The explorer of the authors of GraphPNAS for a benchmark's space; a uniform row of a table.
    Uniform,
    /// Every cell as it is written down (adjacency matrix and operators) with the same probability.
    Full,
}

impl ClassicalKind {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClassicalKind::Ws => "ws",
            ClassicalKind::Er => "er",
            ClassicalKind::Ba => "ba",
            ClassicalKind::Uniform => "uniform",
            ClassicalKind::Full => "full",
        }
    }
}
