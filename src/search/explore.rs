//! The explorer: random architectures, of each configured kind in turn.

use super::{BoxError, SearchError, SearchSpace, Situation};
use crate::config::ClassicalKind;
use crate::graph::LabelledGraph;
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::Architecture;
use crate::store::{CandidateRecord, Origin};
use std::collections::{HashMap, HashSet};

/// Where an explorer's draw is wanted.
pub(super) struct Slot<'a> {
    /// The iteration.
    pub situation: &'a Situation<'a>,
    /// The iteration's candidates so far.
    pub before: &'a [CandidateRecord],
    /// Keys of all candidates so far.
    pub known: &'a HashSet<String>,
}

/// A new architecture.
pub(super) struct Found {
    pub architecture: Architecture,
    pub key: String,
    pub kind: ClassicalKind,
}

/// Draws until an architecture is new. Where a kind gives none in `explorer_tries` draws, the next one has its turn. With
/// `explorer_draws` above 1, of so many new ones the one is taken whose choices the explorer has made least so far: every
/// choice then comes about equally often, as in a Latin hypercube.
///
/// # Errors
/// [`SearchError::Exhausted`] where no kind gives one.
pub(super) fn explore(slot: &Slot) -> Result<Found, SearchError> {
    let search = slot.situation.search;
    if search.explorer_draws <= 1 {
        return draw_new(slot, &mut slot.stream());
    }
    let usage = Usage::of(slot)?;
    let mut stream = slot.stream();
    let mut best: Option<(usize, Found)> = None;
    for _ in 0..search.explorer_draws {
        let found = draw_new(slot, &mut stream)?;
        let graphs = slot.situation.space.disassemble(&found.architecture);
        let number = slot.number();
        let count = usage.count(&graphs.map_err(|source| SearchError::Space { number, source })?);
        if best.as_ref().is_none_or(|(least, _)| count < *least) {
            best = Some((count, found));
        }
    }
    best.map(|(_, found)| found).ok_or(slot.exhausted(None))
}

impl Slot<'_> {
    fn stream(&self) -> Stream {
        let Situation { seed, iteration, .. } = *self.situation;
        let epoch = self.before.len() as u64;
        StreamKey { seed, purpose: Purpose::Explore, candidate: iteration, epoch }.stream()
    }

    /// The candidate's number in the run; it says whose turn it is.
    fn number(&self) -> u64 {
        (self.situation.history.len() + self.before.len()) as u64
    }

    fn exhausted(&self, last_error: Option<String>) -> SearchError {
        let tries = self.situation.search.explorer_tries;
        SearchError::Exhausted { tries, known: self.known.len(), last_error }
    }
}

fn draw_new(slot: &Slot, stream: &mut Stream) -> Result<Found, SearchError> {
    let Situation { space, search, .. } = *slot.situation;
    let kinds = search.explorer.len().max(1);
    let first = (slot.number() % kinds as u64) as usize;
    let mut last_error = None;
    for &kind in search.explorer.iter().cycle().skip(first).take(kinds) {
        for _ in 0..search.explorer_tries {
            match draw(space, stream, kind) {
                Ok(found) if slot.known.contains(&found.key) => {}
                Ok(found) => return Ok(found),
                Err(error) => last_error = Some(error.to_string()),
            }
        }
    }
    Err(slot.exhausted(last_error))
}

fn draw(space: &dyn SearchSpace, stream: &mut Stream, kind: ClassicalKind) -> Result<Found, BoxError> {
    let architecture = space.explore(stream, kind)?;
    let key = space.key(&architecture)?;
    Ok(Found { architecture, key, kind })
}

/// How often the explorer made each choice.
#[derive(Default)]
struct Usage {
    /// By the decision's number and the choice.
    counts: HashMap<(usize, u8), usize>,
}

impl Usage {
    fn of(slot: &Slot) -> Result<Usage, SearchError> {
        let mut usage = Usage::default();
        let explored = |candidate: &&CandidateRecord| matches!(candidate.origin, Origin::Explorer(_));
        for candidate in slot.situation.history.iter().chain(slot.before).filter(explored) {
            for choice in choices(&slot.situation.components(candidate)?) {
                *usage.counts.entry(choice).or_default() += 1;
            }
        }
        Ok(usage)
    }

    /// How often these graphs' choices were made, summed.
    fn count(&self, graphs: &[LabelledGraph]) -> usize {
        choices(graphs).filter_map(|choice| self.counts.get(&choice)).sum()
    }
}

/// Every possible edge's presence and every node's operator, numbered.
fn choices(graphs: &[LabelledGraph]) -> impl Iterator<Item = (usize, u8)> {
    let of = |graph: &LabelledGraph| {
        let nodes = graph.dag.nodes();
        let pairs = (0..nodes).flat_map(|to| (0..to).map(move |from| (from, to)));
        let edges = pairs.map(|(from, to)| u8::from(graph.dag.has_edge(from, to)));
        edges.chain(graph.operators.iter().copied()).collect::<Vec<u8>>()
    };
    graphs.iter().flat_map(of).enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::toys::{ToySpace, config};

    /// Largest difference of any edge's share from one half over the first twelve draws.
    fn imbalance(draws: usize) -> f64 {
        let mut config = config("[search]\nexplorer = [\"er\"]");
        config.search.explorer_draws = draws;
        let space = ToySpace { nodes: 4 };
        let (mut known, mut before, mut counts) = (HashSet::new(), Vec::new(), [0.0; 6]);
        for number in 0..12 {
            let (search, history) = (&config.search, &[][..]);
            let situation = Situation { space: &space, search, seed: 4, iteration: 0, size: 12, history };
            let found = explore(&Slot { situation: &situation, before: &before, known: &known }).unwrap();
            assert!(known.insert(found.key.clone()));
            let graphs = space.disassemble(&found.architecture).unwrap();
            choices(&graphs).for_each(|(decision, choice)| counts[decision] += f64::from(choice));
            let origin = Origin::Explorer(found.kind);
            let (architecture, key) = (found.architecture, found.key);
            let (log_probability, outcome) = (None, None);
            before.push(CandidateRecord { number, iteration: 0, origin, architecture, key, log_probability, outcome });
        }
        counts.map(|count: f64| (count / 12.0 - 0.5).abs()).into_iter().fold(0.0, f64::max)
    }

    #[test]
    fn choices_are_balanced_by_taking_the_rarest_of_several_draws() {
        // An edge is there in a fifth of the draws.
        let (plain, balanced) = (imbalance(1), imbalance(40));
        assert!(plain >= 0.25 && balanced <= 0.1, "{plain} {balanced}");
    }
}
