//! A model of good architectures, fitted anew before every iteration and drawn from.

use super::{Context, Share, Situation, Strategy, Suggestion};
use crate::random::Stream;
use crate::search::schedule::{explored, is_stuck};
use crate::search::{Event, Proposer, SearchError, replay, shaping};
use crate::store::RefitRecord;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// A distribution cannot be learnt from fewer architectures.
const LEAST_BUFFER: usize = 2;

/// The strategy of GraphPNAS, whatever the model: reward-weighted likelihood on the best of the history.
pub struct Learned<P> {
    proposer: P,
    /// Fits of all earlier iterations are in the proposer.
    next: u64,
}

impl<P: Proposer> Learned<P> {
    /// A strategy around a model without a fit.
    pub fn new(proposer: P) -> Self {
        Learned { proposer, next: 0 }
    }

    /// The model as last fitted.
    pub fn proposer(&self) -> &P {
        &self.proposer
    }

    /// The same strategy around what becomes of its model.
    pub(super) fn map(self, change: impl FnOnce(P) -> P) -> Self {
        Learned { proposer: change(self.proposer), ..self }
    }

    /// Fits the model for an iteration. `None`: stopped.
    fn refit(&mut self, situation: &Situation, context: &Context) -> Result<Option<RefitRecord>, SearchError> {
        if self.proposer.is_warm() && !self.repeat_earlier_fits(situation, context.stop)? {
            return Ok(None);
        }
        let start = Instant::now();
        let iteration = situation.iteration;
        let fit = Fit::new(situation);
        context.observer.event(Event::RefitStarted { iteration, buffer: fit.numbers.len() });
        let Some(losses) = self.run(&fit, situation, context.stop)? else { return Ok(None) };
        self.next = iteration + 1;
        let refit = RefitRecord { buffer: fit.numbers, losses, seconds: start.elapsed().as_secs_f64() };
        context.observer.event(Event::RefitDone { iteration, refit: &refit });
        Ok(Some(refit))
    }

    fn run(&mut self, fit: &Fit, situation: &Situation, stop: &AtomicBool) -> Result<Option<Vec<f64>>, SearchError> {
        let buffer = fit.numbers.iter().map(|&number| &situation.history[number as usize]);
        let graphs = buffer.map(|candidate| situation.components(candidate)).collect::<Result<Vec<_>, _>>()?;
        let iteration = situation.iteration;
        let losses = self.proposer.refit(&graphs, &fit.weights, iteration, stop);
        losses.map_err(|source| SearchError::Generator { iteration, source })
    }

    /// Where fits begin with the parameters of the last one, a resumed run has to repeat them all. `false`: stopped.
    fn repeat_earlier_fits(&mut self, situation: &Situation, stop: &AtomicBool) -> Result<bool, SearchError> {
        for iteration in self.next..situation.iteration {
            let before = situation.history.partition_point(|candidate| candidate.iteration < iteration);
            let after = situation.history.partition_point(|candidate| candidate.iteration <= iteration);
            let past =
                Situation { iteration, size: after - before, history: &situation.history[..before], ..*situation };
            if own_part(&past).is_some() && self.run(&Fit::new(&past), &past, stop)?.is_none() {
                return Ok(false);
            }
            self.next = iteration + 1;
        }
        Ok(true)
    }
}

/// The explorer's part where the model draws anything at all.
fn own_part(situation: &Situation) -> Option<usize> {
    let Situation { search, iteration, size, history, .. } = *situation;
    let explored = explored(search, iteration, size);
    let draws = explored < size && situation.succeeded() >= LEAST_BUFFER && !is_stuck(search, iteration, history);
    draws.then_some(explored)
}

/// What a model is fitted to.
struct Fit {
    numbers: Vec<u64>,
    weights: Vec<f64>,
}

impl Fit {
    fn new(situation: &Situation) -> Fit {
        let buffer = replay::buffer(situation.history, situation.search);
        let weights = shaping::weights(situation.search, situation.history, &buffer);
        Fit { numbers: buffer.all().map(|candidate| candidate.number).collect(), weights }
    }
}

impl<P: Proposer> Strategy for Learned<P> {
    fn prepare(&mut self, situation: &Situation, context: &Context) -> Result<Option<Share>, SearchError> {
        let Some(explored) = own_part(situation) else {
            return Ok(Some(Share { explored: situation.size, refit: None }));
        };
        Ok(self.refit(situation, context)?.map(|refit| Share { explored, refit: Some(refit) }))
    }

    /// Of `search.draws` draws for each suggestion the most probable come first.
    fn draw(&self, situation: &Situation, stream: &mut Stream, count: usize) -> Vec<Suggestion> {
        let several = situation.search.draws.max(1);
        let mut draws = self.proposer.sample(stream, count * several);
        if several > 1 {
            draws.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
        }
        let suggestion = |draw: crate::search::Draw| Suggestion::Graphs {
            components: draw.components,
            log_probability: draw.log_probability,
        };
        draws.into_iter().map(suggestion).collect()
    }

    fn finish(&mut self, situation: &Situation, context: &Context) -> Result<Option<Option<RefitRecord>>, SearchError> {
        let succeeded = situation.succeeded();
        if succeeded < LEAST_BUFFER {
            let last_failure = situation.history.iter().rev().find_map(|c| c.outcome.as_ref()?.failure.clone());
            return Err(SearchError::NothingLearnt { succeeded, evaluated: situation.history.len(), last_failure });
        }
        Ok(self.refit(situation, context)?.map(Some))
    }
}
