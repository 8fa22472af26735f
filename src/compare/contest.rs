//! Runs every strategy with every seed, as many at once as there are threads, each on one thread.

use super::{CompareError, RunResult};
use crate::config::{Config, differences};
use crate::oracle::Oracle;
use crate::search::{BoxError, Ending, Search, Selected, Silent};
use crate::space::Space;
use crate::store::{DirectoryState, Journal, RunRecord, inspect};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

/// A strategy in the comparison.
pub struct Entrant {
    /// Its name in the results.
    pub name: String,
    /// The configuration of its runs, but for the seed.
    pub config: Config,
    /// The configuration's space.
    pub space: Box<dyn Space>,
}

/// Makes the oracle of a run.
pub type OracleOf<'a> = &'a (dyn Fn(&Config) -> Result<Box<dyn Oracle>, BoxError> + Sync);

/// A comparison to be made.
pub struct Contest<'a> {
    /// The strategies.
    pub entrants: &'a [Entrant],
    /// The seeds; every strategy has a run with each.
    pub seeds: &'a [u64],
    /// What scores candidates.
    pub oracle: OracleOf<'a>,
    /// Where the journals lie, DIR/STRATEGY/SEED; `None`: in memory. What is there already is gone on with.
    pub directory: Option<&'a Path>,
    /// Runs at the same time. Changes no result.
    pub threads: usize,
    /// Raised from outside, it ends the comparison soon.
    pub stop: &'a AtomicBool,
}

/// A run that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The strategy's name.
    pub strategy: &'a str,
    /// What came of it.
    pub result: &'a RunResult,
    /// Runs that are done.
    pub done: usize,
    /// All runs.
    pub total: usize,
}

impl Contest<'_> {
    /// Makes all runs and hears of each as it ends, on the caller's thread. The results by strategy and seed, in the given
    /// orders; `None`: stopped.
    ///
    /// # Errors
    /// The first run that fails; no further run begins then.
    pub fn run(&self, mut note: impl FnMut(Finished)) -> Result<Option<Vec<Vec<RunResult>>>, CompareError> {
        let (strategies, total) = (self.entrants.len(), self.entrants.len() * self.seeds.len());
        let mut results: Vec<Option<RunResult>> = vec![None; total];
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..self.threads.clamp(1, total.max(1)) {
                let (sender, next, failed) = (sender.clone(), &next, &failed);
                scope.spawn(move || {
                    while let Some(task) = self.take(next, total) {
                        match self.one(&self.entrants[task % strategies], self.seeds[task / strategies]) {
                            Ok(Some(result)) => drop(sender.send((task, result))),
                            Ok(None) => return,
                            Err(error) => {
                                next.store(total, Ordering::Relaxed);
                                if let Ok(mut first) = failed.lock() {
                                    first.get_or_insert(error);
                                }
                            }
                        }
                    }
                });
            }
            drop(sender);
            for (done, (task, result)) in receiver.iter().enumerate() {
                let strategy = &self.entrants[task % strategies].name;
                note(Finished { strategy, result: &result, done: done + 1, total });
                results[task] = Some(result);
            }
        });
        if let Ok(Some(error)) = failed.into_inner() {
            return Err(error);
        }
        let Some(results) = results.into_iter().collect::<Option<Vec<RunResult>>>() else { return Ok(None) };
        let of = |strategy: usize| results.iter().skip(strategy).step_by(strategies).cloned().collect();
        Ok(Some((0..strategies).map(of).collect()))
    }

    fn take(&self, next: &AtomicUsize, total: usize) -> Option<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&task| task < total)
    }

    /// One run to its end. `None`: stopped.
    fn one(&self, entrant: &Entrant, seed: u64) -> Result<Option<RunResult>, CompareError> {
        let mut config = entrant.config.clone();
        config.run.seed = seed;
        let strategy = &entrant.name;
        let oracle = (self.oracle)(&config).map_err(|error| CompareError::Oracle {
            strategy: strategy.clone(),
            seed,
            message: error.to_string(),
        })?;
        let mut journal = self.journal(entrant, &config)?;
        let start = Instant::now();
        let mut selected = Selected::new(entrant.space.as_ref(), &config, 1);
        let mut search = Search {
            space: &entrant.space,
            strategy: &mut selected,
            oracle: oracle.as_ref(),
            observer: &Silent,
            threads: 1,
            stop: self.stop,
        };
        let ending = search.run(&mut journal);
        let ending = ending.map_err(|source| CompareError::Run { strategy: strategy.clone(), seed, source })?;
        if ending == Ending::Stopped {
            return Ok(None);
        }
        let record: RunRecord = journal.record()?;
        let result = RunResult::new(&record, start.elapsed().as_secs_f64());
        let failure = || record.candidates.iter().rev().find_map(|c| c.outcome.as_ref()?.failure.clone());
        result.map(Some).ok_or_else(|| CompareError::NothingEvaluated {
            strategy: strategy.clone(),
            seed,
            failure: failure(),
        })
    }

    fn journal(&self, entrant: &Entrant, config: &Config) -> Result<Journal, CompareError> {
        let Some(directory) = self.directory else { return Ok(Journal::in_memory(config)?) };
        let directory: PathBuf = directory.join(&entrant.name).join(config.run.seed.to_string());
        if inspect(&directory)? != DirectoryState::Run {
            return Ok(Journal::create(&directory, config)?);
        }
        let mut journal = Journal::open(&directory)?;
        let keys = differences(&journal.record()?.config, config).join(", ");
        if keys.is_empty() { Ok(journal) } else { Err(CompareError::OtherRun { directory, keys }) }
    }
}
