//! Regularised evolution (Real et al. 2019): the best of a tournament has a child, and the oldest dies.

use super::{Context, Share, Situation, Strategy, Suggestion};
use crate::random::Stream;
use crate::search::SearchError;
use crate::search::replay::accuracy;
use crate::store::CandidateRecord;
use rand::seq::index;

/// Regularised evolution. The population is the newest `search.population` candidates; the first ones are the explorer's.
/// Parents are the best of `search.tournament` drawn without replacement.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegularizedEvolution;

impl Strategy for RegularizedEvolution {
    fn prepare(&mut self, situation: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
        let missing = situation.search.population.saturating_sub(situation.history.len());
        Ok(Some(Share { explored: missing.min(situation.size), refit: None }))
    }

    /// Children of as many tournaments. A child that is known or could not be made is drawn anew, from a tournament of its
    /// own, by the loop's rejection of duplicates.
    fn draw(&self, situation: &Situation, stream: &mut Stream, count: usize) -> Vec<Suggestion> {
        let age = situation.history.len().saturating_sub(situation.search.population);
        let population = &situation.history[age..];
        let children = (0..count).filter_map(|_| {
            let parent = tournament(population, situation.search.tournament, stream)?;
            situation.space.mutate(&parent.architecture, stream).ok()
        });
        children.map(Suggestion::Architecture).collect()
    }
}

/// The best of a sample of the population; of equals the older. Failures are worse than any accuracy.
fn tournament<'a>(population: &'a [CandidateRecord], size: usize, stream: &mut Stream) -> Option<&'a CandidateRecord> {
    let mut sample = index::sample(stream, population.len(), size.min(population.len())).into_vec();
    sample.sort_unstable();
    let reward = |candidate: &CandidateRecord| accuracy(candidate).unwrap_or(f64::NEG_INFINITY);
    sample.into_iter().map(|place| &population[place]).reduce(
        |best, next| {
            if reward(next) > reward(best) { next } else { best }
        },
    )
}
