//! An iteration's candidates: new and legal architectures from the generator and the explorer.

use super::explore::{Slot, explore};
use super::{Draw, Proposer, SearchError, SearchSpace};
use crate::config::SearchConfig;
use crate::random::{Purpose, StreamKey};
use crate::store::{CandidateRecord, Origin, SamplingRecord};
use std::collections::HashSet;

/// What is wanted of whom.
pub(super) struct Request<'a> {
    /// The run's seed.
    pub seed: u64,
    /// `[search]`
    pub search: &'a SearchConfig,
    /// The iteration, from 0.
    pub iteration: u64,
    /// Candidates of the iteration.
    pub size: usize,
    /// Of these, the explorer's.
    pub explored: usize,
    /// All earlier candidates.
    pub history: &'a [CandidateRecord],
}

/// The candidates, and how they were found.
pub(super) struct Proposal {
    pub candidates: Vec<CandidateRecord>,
    pub sampling: SamplingRecord,
}

/// Draws the iteration's candidates: the generator's first, then the explorer's, which also fills what the generator
/// left open.
///
/// # Errors
/// [`SearchError::Exhausted`] where the explorer finds nothing new.
pub(super) fn propose(
    space: &dyn SearchSpace,
    proposer: &dyn Proposer,
    request: &Request,
) -> Result<Proposal, SearchError> {
    let mut drawing = Drawing {
        space,
        request,
        known: request.history.iter().map(|candidate| candidate.key.clone()).collect(),
        candidates: Vec::with_capacity(request.size),
        sampling: SamplingRecord::default(),
    };
    let wanted = request.size - request.explored;
    drawing.generate(proposer, wanted);
    drawing.sampling.filled_by_explorer = (wanted - drawing.candidates.len()) as u64;
    while drawing.candidates.len() < request.size {
        drawing.explore()?;
    }
    Ok(Proposal { candidates: drawing.candidates, sampling: drawing.sampling })
}

/// An iteration's candidates so far.
struct Drawing<'a> {
    space: &'a dyn SearchSpace,
    request: &'a Request<'a>,
    /// Keys of the history and of this iteration.
    known: HashSet<String>,
    candidates: Vec<CandidateRecord>,
    sampling: SamplingRecord,
}

impl Drawing<'_> {
    /// Rejection sampling: round t draws `wanted * (growth * t + 1)` graphs, until enough of them are legal and new.
    fn generate(&mut self, proposer: &dyn Proposer, wanted: usize) {
        for round in 0..self.request.search.sampling_rounds {
            if self.candidates.len() >= wanted {
                return;
            }
            self.sampling.rounds += 1;
            let mut stream = StreamKey {
                seed: self.request.seed,
                purpose: Purpose::Sample,
                candidate: self.request.iteration,
                epoch: round as u64,
            }
            .stream();
            let count = wanted * (self.request.search.sampling_growth * round + 1);
            for draw in proposer.sample(&mut stream, count) {
                if self.candidates.len() >= wanted {
                    return;
                }
                self.take(draw);
            }
        }
    }

    /// Takes a draw of the generator, or counts why not.
    fn take(&mut self, draw: Draw) {
        self.sampling.drawn += 1;
        let legal = self.space.assemble(draw.components).and_then(|architecture| {
            let key = self.space.key(&architecture)?;
            Ok((architecture, key))
        });
        match legal {
            Err(_) => self.sampling.invalid += 1,
            Ok((_, key)) if self.known.contains(&key) => self.sampling.duplicates += 1,
            Ok((architecture, key)) => {
                let mut candidate = self.candidate(Origin::Generator, architecture, key);
                candidate.log_probability = Some(draw.log_probability);
                self.add(candidate);
            }
        }
    }

    fn explore(&mut self) -> Result<(), SearchError> {
        let slot = Slot {
            seed: self.request.seed,
            iteration: self.request.iteration,
            place: self.candidates.len() as u64,
            number: self.next_number(),
        };
        let found = explore(self.space, self.request.search, &slot, &self.known)?;
        let candidate = self.candidate(Origin::Explorer(found.kind), found.architecture, found.key);
        self.add(candidate);
        Ok(())
    }

    fn next_number(&self) -> u64 {
        (self.request.history.len() + self.candidates.len()) as u64
    }

    fn candidate(&self, origin: Origin, architecture: crate::space::Architecture, key: String) -> CandidateRecord {
        CandidateRecord {
            number: self.next_number(),
            iteration: self.request.iteration,
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
