//! An iteration's candidates: new and legal architectures from the strategy and the explorer.

use super::explore::{Slot, explore};
use super::{BoxError, SearchError, Situation, Strategy, Suggestion};
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::Architecture;
use crate::store::{CandidateRecord, Origin, SamplingRecord};
use rand::RngExt;
use std::collections::HashSet;

/// The candidates, and how they were found.
pub(super) struct Proposal {
    pub candidates: Vec<CandidateRecord>,
    pub sampling: SamplingRecord,
}

/// Draws the iteration's candidates: the strategy's first, then the `explored` ones of the explorer, which also fills
/// what the strategy left open.
///
/// # Errors
/// [`SearchError::Exhausted`] where the explorer finds nothing new.
pub(super) fn propose(
    strategy: &dyn Strategy,
    situation: &Situation,
    explored: usize,
) -> Result<Proposal, SearchError> {
    let mut drawing = Drawing {
        situation,
        known: situation.history.iter().map(|candidate| candidate.key.clone()).collect(),
        candidates: Vec::with_capacity(situation.size),
        sampling: SamplingRecord::default(),
    };
    let wanted = situation.size - explored.min(situation.size);
    drawing.generate(strategy, wanted);
    drawing.sampling.filled_by_explorer = (wanted - drawing.candidates.len()) as u64;
    while drawing.candidates.len() < situation.size {
        drawing.explore()?;
    }
    Ok(Proposal { candidates: drawing.candidates, sampling: drawing.sampling })
}

/// A legal architecture that was drawn.
struct Legal {
    architecture: Architecture,
    key: String,
    log_probability: Option<f64>,
}

/// An iteration's candidates so far.
struct Drawing<'a> {
    situation: &'a Situation<'a>,
    /// Keys of the history and of this iteration.
    known: HashSet<String>,
    candidates: Vec<CandidateRecord>,
    sampling: SamplingRecord,
}

impl Drawing<'_> {
    /// Rejection sampling: round t draws `wanted * (growth * t + 1)` graphs, until enough of them are legal and new.
    fn generate(&mut self, strategy: &dyn Strategy, wanted: usize) {
        for round in 0..self.situation.search.sampling_rounds {
            if self.candidates.len() >= wanted {
                return;
            }
            self.sampling.rounds += 1;
            let mut stream = StreamKey {
                seed: self.situation.seed,
                purpose: Purpose::Sample,
                candidate: self.situation.iteration,
                epoch: round as u64,
            }
            .stream();
            let count = wanted * (self.situation.search.sampling_growth * round + 1);
            for suggestion in strategy.draw(self.situation, &mut stream, count) {
                if self.candidates.len() >= wanted {
                    return;
                }
                self.take(suggestion, &mut stream);
            }
        }
    }

    /// Takes what the strategy drew, or counts why not.
    fn take(&mut self, suggestion: Suggestion, stream: &mut Stream) {
        self.sampling.drawn += 1;
        match self.legal(suggestion) {
            Err(_) => self.sampling.invalid += 1,
            Ok(legal) if self.known.contains(&legal.key) => {
                self.sampling.duplicates += 1;
                if let Some(neighbour) = self.new_neighbour(&legal, stream) {
                    self.take_legal(neighbour);
                }
            }
            Ok(legal) => self.take_legal(legal),
        }
    }

    /// Of a model's draw that is known, with probability `search.mutate_known` one of its new neighbours, each as likely.
    /// What a model never saw in its buffer it does not draw, so a choice that all of the buffer share would stay for ever.
    fn new_neighbour(&self, known: &Legal, stream: &mut Stream) -> Option<Legal> {
        let Situation { search, space, .. } = *self.situation;
        if known.log_probability.is_none() || !stream.random_bool(search.mutate_known) {
            return None;
        }
        let keyed = |architecture| {
            let key = space.key(&architecture).ok()?;
            (!self.known.contains(&key)).then_some(Legal { architecture, key, log_probability: None })
        };
        let mut new: Vec<Legal> = space.neighbours(&known.architecture).ok()?.into_iter().filter_map(keyed).collect();
        (!new.is_empty()).then(|| new.swap_remove(stream.random_range(0..new.len())))
    }

    fn take_legal(&mut self, legal: Legal) {
        let Legal { architecture, key, log_probability } = legal;
        let mut candidate = self.candidate(Origin::Generator, architecture, key);
        candidate.log_probability = log_probability;
        self.add(candidate);
    }

    fn legal(&self, suggestion: Suggestion) -> Result<Legal, BoxError> {
        let space = self.situation.space;
        let (architecture, log_probability) = match suggestion {
            Suggestion::Architecture(architecture) => (architecture, None),
            Suggestion::Graphs { components, log_probability } => (space.assemble(components)?, Some(log_probability)),
        };
        let key = space.key(&architecture)?;
        Ok(Legal { architecture, key, log_probability })
    }

    fn explore(&mut self) -> Result<(), SearchError> {
        let slot = Slot { situation: self.situation, before: &self.candidates, known: &self.known };
        let found = explore(&slot)?;
        let candidate = self.candidate(Origin::Explorer(found.kind), found.architecture, found.key);
        self.add(candidate);
        Ok(())
    }

    fn next_number(&self) -> u64 {
        (self.situation.history.len() + self.candidates.len()) as u64
    }

    fn candidate(&self, origin: Origin, architecture: Architecture, key: String) -> CandidateRecord {
        CandidateRecord {
            number: self.next_number(),
            iteration: self.situation.iteration,
            origin,
            architecture,
            key,
            log_probability: None,
            outcome: None,
        }
    }

    fn add(&mut self, candidate: CandidateRecord) {
        self.known.insert(candidate.key.clone());
        self.candidates.push(candidate);
    }
}
