//! The loop.

use super::evaluate::{Progress, Task, evaluate};
use super::propose::{Request, propose};
use super::schedule::explored;
use super::{Event, Observer, Proposer, SearchError, SearchSpace, replay, shaping};
use crate::graph::LabelledGraph;
use crate::oracle::Oracle;
use crate::store::{CandidateRecord, IterationRecord, Journal, RefitRecord, RunRecord, SamplingRecord};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A distribution cannot be learnt from fewer architectures.
const LEAST_BUFFER: usize = 2;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The budget is spent and the proposer is fitted to the best of the whole history.
    Finished,
    /// `stop` was raised; the journal can be resumed.
    Stopped,
}

/// The parts of a search. The configuration is the journal's.
pub struct Search<'a> {
    /// Where architectures come from.
    pub space: &'a dyn SearchSpace,
    /// What learns to propose them.
    pub proposer: &'a mut dyn Proposer,
    /// What scores them.
    pub oracle: &'a dyn Oracle,
    /// Who hears what happens.
    pub observer: &'a dyn Observer,
    /// Candidates evaluated at the same time, each on its own thread. Changes no result.
    pub threads: usize,
    /// Raised from outside, it ends the search soon.
    pub stop: &'a AtomicBool,
}

impl Search<'_> {
    /// Begins the journal's search, or takes it up where the journal ends, and runs it to its end: evaluates what an
    /// interrupted iteration left open, then proposes and evaluates until `search.budget` distinct architectures have
    /// their outcomes, then fits the proposer once more. That last fit is repeated when a complete search is resumed, so
    /// that the proposer is fitted whenever this returns [`Ending::Finished`].
    ///
    /// # Errors
    /// See [`SearchError`]; the journal is whole afterwards.
    pub fn run(&mut self, journal: &mut Journal) -> Result<Ending, SearchError> {
        let mut record = journal.record()?;
        let budget = record.config.search.budget;
        let evaluated = record.candidates.iter().filter(|candidate| candidate.outcome.is_some()).count();
        self.observer.event(Event::Started { evaluated, budget });
        while self.evaluate_pending(journal, &mut record)? {
            if record.candidates.len() >= budget {
                return self.fit_last(journal, &mut record);
            }
            if !self.begin_iteration(journal, &mut record)? {
                break;
            }
        }
        Ok(Ending::Stopped)
    }

    /// Evaluates every candidate without an outcome. `false`: stopped.
    fn evaluate_pending(&self, journal: &mut Journal, record: &mut RunRecord) -> Result<bool, SearchError> {
        let pending = record.candidates.iter().filter(|candidate| candidate.outcome.is_none());
        let tasks: Vec<Task> =
            pending.map(|c| Task { number: c.number, architecture: c.architecture.clone() }).collect();
        evaluate(self.oracle, &tasks, self.threads, self.stop, |progress| {
            match progress {
                Progress::Started(number) => self.observer.event(Event::CandidateStarted { number }),
                Progress::Done(number, outcome) => {
                    journal.record_outcome(number, &outcome)?;
                    if let Some(candidate) = record.candidates.get_mut(number as usize) {
                        candidate.outcome = Some(outcome);
                        self.observer.event(Event::CandidateDone { record: candidate });
                    }
                }
                Progress::Panicked(..) => {}
            }
            Ok(())
        })
    }

    /// Proposes the next iteration's candidates and journals them. `false`: stopped.
    fn begin_iteration(&mut self, journal: &mut Journal, record: &mut RunRecord) -> Result<bool, SearchError> {
        let iteration = next_iteration(&record.candidates);
        let size =
            record.config.search.samples_per_iteration.min(record.config.search.budget - record.candidates.len());
        let Some((explored, refit)) = self.divide(record, iteration, size)? else { return Ok(false) };
        let search = &record.config.search;
        let seed = record.config.run.seed;
        let request = Request { seed, search, iteration, size, explored, history: &record.candidates };
        let proposal = propose(self.space, self.proposer, &request)?;
        let iteration = IterationRecord { iteration, refit, sampling: proposal.sampling };
        journal.begin_iteration(&iteration, &proposal.candidates)?;
        self.observer.event(Event::IterationStarted {
            iteration: iteration.iteration,
            candidates: &proposal.candidates,
            sampling: &iteration.sampling,
        });
        record.iterations.push(iteration);
        record.candidates.extend(proposal.candidates);
        Ok(!self.stop.load(Ordering::Relaxed))
    }

    /// The explorer's part of an iteration, and the fit for the generator's part; none where the explorer does it all,
    /// as it must while there is too little to learn from. `None`: stopped.
    fn divide(
        &mut self,
        record: &RunRecord,
        iteration: u64,
        size: usize,
    ) -> Result<Option<(usize, Option<RefitRecord>)>, SearchError> {
        let explored = explored(record.config.search.exploration, iteration, size);
        if explored == size || learnable(record) < LEAST_BUFFER {
            return Ok(Some((size, None)));
        }
        Ok(self.refit(record, iteration)?.map(|refit| (explored, Some(refit))))
    }

    /// Fits the proposer that is kept.
    fn fit_last(&mut self, journal: &mut Journal, record: &mut RunRecord) -> Result<Ending, SearchError> {
        let iteration = next_iteration(&record.candidates);
        let succeeded = learnable(record);
        if succeeded < LEAST_BUFFER {
            let last_failure = record.candidates.iter().rev().find_map(|c| c.outcome.as_ref()?.failure.clone());
            return Err(SearchError::NothingLearnt { succeeded, evaluated: record.candidates.len(), last_failure });
        }
        let Some(refit) = self.refit(record, iteration)? else { return Ok(Ending::Stopped) };
        // There already when a complete search is resumed.
        if record.iterations.len() as u64 == iteration {
            let last = IterationRecord { iteration, refit: Some(refit), sampling: SamplingRecord::default() };
            journal.begin_iteration(&last, &[])?;
            record.iterations.push(last);
        }
        Ok(Ending::Finished)
    }

    /// Fits the proposer to the replay buffer. `None`: stopped.
    fn refit(&mut self, record: &RunRecord, iteration: u64) -> Result<Option<RefitRecord>, SearchError> {
        let start = Instant::now();
        let buffer = replay::top(&record.candidates, record.config.search.keep_top);
        let weights = shaping::weights(&record.config.search, &record.candidates, &buffer);
        let graphs = buffer.iter().map(|candidate| self.components(candidate)).collect::<Result<Vec<_>, _>>()?;
        self.observer.event(Event::RefitStarted { iteration, buffer: buffer.len() });
        let losses = self
            .proposer
            .refit(&graphs, &weights, iteration, self.stop)
            .map_err(|source| SearchError::Generator { iteration, source })?;
        let Some(losses) = losses else { return Ok(None) };
        let numbers = buffer.iter().map(|candidate| candidate.number).collect();
        let refit = RefitRecord { buffer: numbers, losses, seconds: start.elapsed().as_secs_f64() };
        self.observer.event(Event::RefitDone { iteration, refit: &refit });
        Ok(Some(refit))
    }

    fn components(&self, candidate: &CandidateRecord) -> Result<Vec<LabelledGraph>, SearchError> {
        let number = candidate.number;
        self.space.disassemble(&candidate.architecture).map_err(|source| SearchError::Space { number, source })
    }
}

/// The number after the last iteration that has candidates.
fn next_iteration(history: &[CandidateRecord]) -> u64 {
    history.last().map_or(0, |candidate| candidate.iteration + 1)
}

/// Candidates that the buffer could hold, as far as matters.
fn learnable(record: &RunRecord) -> usize {
    replay::top(&record.candidates, usize::MAX).len()
}
