//! The loop.

use super::evaluate::{Progress, evaluate};
use super::propose::propose;
use super::{Context, Event, Observer, SearchError, SearchSpace, Situation, Strategy};
use crate::oracle::{Candidate, Oracle};
use crate::store::{CandidateRecord, IterationRecord, Journal, RunRecord, SamplingRecord};
use std::sync::atomic::{AtomicBool, Ordering};

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The budget is spent, and what the strategy learns has been learnt from the whole history.
    Finished,
    /// `stop` was raised; the journal can be resumed.
    Stopped,
}

/// The parts of a search. The configuration is the journal's.
pub struct Search<'a> {
    /// Where architectures come from.
    pub space: &'a dyn SearchSpace,
    /// Who proposes them.
    pub strategy: &'a mut dyn Strategy,
    /// What scores them.
    pub oracle: &'a dyn Oracle,
    /// Who hears what happens.
    pub observer: &'a dyn Observer,
    /// Candidates evaluated at the same time, each on its own thread, where the oracle uses threads. Changes no result.
    pub threads: usize,
    /// Raised from outside, it ends the search soon.
    pub stop: &'a AtomicBool,
}

impl Search<'_> {
    /// Begins the journal's search, or takes it up where the journal ends, and runs it to its end: evaluates what an
    /// interrupted iteration left open, then proposes and evaluates until `search.budget` distinct architectures have
    /// their outcomes, then lets a strategy that has a model fit it once more. That last fit is repeated when a complete
    /// search is resumed, so that the model is fitted whenever this returns [`Ending::Finished`].
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
        let waiting: Vec<Candidate> =
            pending.map(|c| Candidate { number: c.number, architecture: c.architecture.clone() }).collect();
        evaluate(self.oracle, &waiting, self.threads, self.stop, |progress| {
            match progress {
                Progress::Started(number) => self.observer.event(Event::CandidateStarted { number }),
                Progress::Done(number, outcome) => {
                    journal.record_outcome(number, &outcome)?;
                    if let Some(candidate) = record.candidates.get_mut(number as usize) {
                        candidate.outcome = Some(outcome);
                        self.observer.event(Event::CandidateDone { record: candidate });
                    }
                }
                Progress::Failed(_) | Progress::Panicked(..) => {}
            }
            Ok(())
        })
    }

    /// Proposes the next iteration's candidates and journals them. `false`: stopped.
    fn begin_iteration(&mut self, journal: &mut Journal, record: &mut RunRecord) -> Result<bool, SearchError> {
        let search = &record.config.search;
        let size = search.samples_per_iteration.min(search.budget - record.candidates.len());
        let situation = situation(self.space, record, size);
        let context = Context { observer: self.observer, stop: self.stop };
        let Some(share) = self.strategy.prepare(&situation, &context)? else { return Ok(false) };
        let proposal = propose(self.strategy, &situation, share.explored)?;
        let iteration =
            IterationRecord { iteration: situation.iteration, refit: share.refit, sampling: proposal.sampling };
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

    /// Makes the fit that is kept, where the strategy has one.
    fn fit_last(&mut self, journal: &mut Journal, record: &mut RunRecord) -> Result<Ending, SearchError> {
        let situation = situation(self.space, record, 0);
        let iteration = situation.iteration;
        let context = Context { observer: self.observer, stop: self.stop };
        let Some(refit) = self.strategy.finish(&situation, &context)? else { return Ok(Ending::Stopped) };
        // There already when a complete search is resumed.
        if refit.is_some() && record.iterations.len() as u64 == iteration {
            let last = IterationRecord { iteration, refit, sampling: SamplingRecord::default() };
            journal.begin_iteration(&last, &[])?;
            record.iterations.push(last);
        }
        Ok(Ending::Finished)
    }
}

/// The next iteration, of so many candidates.
fn situation<'a>(space: &'a dyn SearchSpace, record: &'a RunRecord, size: usize) -> Situation<'a> {
    Situation {
        space,
        search: &record.config.search,
        seed: record.config.run.seed,
        iteration: next_iteration(&record.candidates),
        size,
        history: &record.candidates,
    }
}

/// The number after the last iteration that has candidates.
fn next_iteration(history: &[CandidateRecord]) -> u64 {
    history.last().map_or(0, |candidate| candidate.iteration + 1)
}
