//! REINFORCE (Williams 1992) on a policy of independent decisions, as the rival without a model of the graph.

use super::policy::Policy;
use super::{Context, Share, Situation, Strategy, Suggestion};
use crate::random::{Purpose, Stream, StreamKey};
use crate::search::SearchError;
use crate::search::replay::accuracy;

/// The explorer's draws that show what can be decided.
const EXAMPLES: usize = 256;

/// Policy gradient ascent on the validation accuracy less a moving average of it, one step of Adam for every candidate in
/// the order of their numbers. Before the first candidate every decision is uniform over what the explorer's draws show.
#[derive(Clone, Debug, Default)]
pub struct Reinforce {
    policy: Option<Policy>,
    /// Candidates learnt from.
    seen: usize,
    baseline: Option<f64>,
}

impl Reinforce {
    fn initial_policy(situation: &Situation) -> Policy {
        let key = StreamKey { seed: situation.seed, purpose: Purpose::Policy, candidate: 0, epoch: 0 };
        let mut stream = key.stream();
        let kinds = situation.search.explorer.iter().cycle().take(EXAMPLES);
        let examples = kinds.filter_map(|&kind| {
            let architecture = situation.space.explore(&mut stream, kind).ok()?;
            situation.space.disassemble(&architecture).ok()
        });
        Policy::uniform_over(&examples.collect::<Vec<_>>())
    }

    /// The moving average before this reward, which then takes part in it; the first reward is its own baseline.
    fn advantage(&mut self, reward: f64, keep: f64) -> f64 {
        let baseline = self.baseline.unwrap_or(reward);
        self.baseline = Some(keep * baseline + (1.0 - keep) * reward);
        reward - baseline
    }
}

impl Strategy for Reinforce {
    fn prepare(&mut self, situation: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
        let mut policy = self.policy.take().unwrap_or_else(|| Self::initial_policy(situation));
        let search = situation.search;
        for candidate in situation.history.get(self.seen..).unwrap_or(&[]) {
            if let Some(reward) = accuracy(candidate) {
                let advantage = self.advantage(reward, search.policy_baseline);
                policy.learn(&situation.components(candidate)?, advantage, search.policy_learning_rate);
            }
        }
        self.seen = situation.history.len();
        self.policy = Some(policy);
        Ok(Some(Share::default()))
    }

    fn draw(&self, _: &Situation, stream: &mut Stream, count: usize) -> Vec<Suggestion> {
        let draws = self.policy.iter().flat_map(|policy| (0..count).map(|_| policy.draw(stream)).collect::<Vec<_>>());
        draws.map(|(components, log_probability)| Suggestion::Graphs { components, log_probability }).collect()
    }
}
