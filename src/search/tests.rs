use super::toys::{At, ToyOracle, ToyProposer, ToySpace, components, config, evaluated, graph};
use super::*;
use crate::config::{ClassicalKind, Config};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::store::{Journal, Origin, RunRecord, fingerprint};
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const NODES: usize = 7;

/// Two iterations of the explorer and two of the generator, the last one short.
fn small() -> Config {
    config(
        "[search]\nbudget = 11\nsamples_per_iteration = 3\nexploration = { schedule = \"first\", iterations = 2 }\nkeep_top = 4\n[space]\nnodes = 7",
    )
}

/// One attempt at a search with the toys.
struct Attempt<'a> {
    threads: usize,
    oracle: ToyOracle,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

impl Attempt<'_> {
    fn run(&self, directory: &Path) -> Result<Ending, SearchError> {
        self.run_with(directory, &mut ToyProposer::new(NODES))
    }

    fn run_with(&self, directory: &Path, proposer: &mut dyn Proposer) -> Result<Ending, SearchError> {
        let mut journal = Journal::open(directory)?;
        let space = ToySpace { nodes: NODES };
        let Attempt { threads, oracle, observer, stop } = self;
        let mut strategy = Learned::new(proposer);
        let strategy: &mut dyn Strategy = &mut strategy;
        Search { space: &space, strategy, oracle, observer: *observer, threads: *threads, stop }.run(&mut journal)
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);

fn plain(threads: usize) -> Attempt<'static> {
    Attempt { threads, oracle: ToyOracle::default(), observer: &Silent, stop: &NEVER }
}

fn begin(config: &Config) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Journal::create(directory.path(), config).unwrap();
    directory
}

fn finish(directory: &Path, threads: usize) -> RunRecord {
    assert_eq!(plain(threads).run(directory).unwrap(), Ending::Finished);
    Journal::read(directory).unwrap()
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let prints: HashSet<String> =
        [1, 2, 4].map(|threads| fingerprint(&finish(begin(&small()).path(), threads))).into_iter().collect();
    assert_eq!(prints.len(), 1);
    let other_seed = config("[run]\nseed = 2\n[search]\nbudget = 11\nsamples_per_iteration = 3\n[space]\nnodes = 7");
    assert!(!prints.contains(&fingerprint(&finish(begin(&other_seed).path(), 1))));
}

#[test]
fn a_search_spends_its_budget_on_distinct_architectures_and_learns() {
    let config = config(
        "[search]\nbudget = 45\nsamples_per_iteration = 9\nexploration = { schedule = \"first\", iterations = 2 }\n[space]\nnodes = 7",
    );
    let record = finish(begin(&config).path(), 2);
    let keys: HashSet<&String> = record.candidates.iter().map(|candidate| &candidate.key).collect();
    assert_eq!((record.candidates.len(), keys.len()), (45, 45));
    assert!(record.candidates.iter().all(|candidate| candidate.outcome.is_some()));
    // Two iterations explore, three are the generator's, and one fit ends the run.
    let refitted: Vec<bool> = record.iterations.iter().map(|iteration| iteration.refit.is_some()).collect();
    assert_eq!(refitted, [false, false, true, true, true, true]);
    for candidate in &record.candidates {
        let explored = matches!(candidate.origin, Origin::Explorer(_));
        assert_eq!(explored, candidate.iteration < 2, "candidate {}", candidate.number);
        assert_eq!(candidate.log_probability, (!explored).then_some(-1.25));
    }
    let mean = |iteration| {
        let of = record.candidates.iter().filter(|candidate| candidate.iteration == iteration);
        let accuracies: Vec<f64> = of.filter_map(replay::accuracy).collect();
        accuracies.iter().sum::<f64>() / accuracies.len() as f64
    };
    assert!(mean(4) > mean(0) + 0.1, "{} {}", mean(4), mean(0));
    let kinds: Vec<Origin> = record.candidates[..4].iter().map(|candidate| candidate.origin).collect();
    let (ws, er) = (Origin::Explorer(ClassicalKind::Ws), Origin::Explorer(ClassicalKind::Er));
    assert_eq!(kinds, [ws, er, ws, er]);
}

#[test]
fn a_diverged_candidate_is_recorded_and_never_learnt_from() {
    let record = finish(begin(&small()).path(), 2);
    let failed = &record.candidates[4];
    let outcome = failed.outcome.as_ref().unwrap();
    assert_eq!(outcome.validation_accuracy, None);
    assert_eq!(outcome.failure.as_deref(), Some("the validation accuracy was NaN"));
    assert!(outcome.training_losses[2].is_nan());
    assert_eq!(record.candidates.len(), 11);
    for refit in record.iterations.iter().filter_map(|iteration| iteration.refit.as_ref()) {
        assert!(!refit.buffer.contains(&4), "{:?}", refit.buffer);
        assert_eq!(refit.buffer.len(), 4);
    }
}

/// Number of events of an uninterrupted run, and its fingerprint.
fn uninterrupted(config: &Config) -> (usize, String) {
    let directory = begin(config);
    let observer = At { event: usize::MAX, action: || (), seen: Cell::new(0) };
    let attempt = Attempt { observer: &observer, ..plain(1) };
    assert_eq!(attempt.run(directory.path()).unwrap(), Ending::Finished);
    (observer.seen.get(), fingerprint(&Journal::read(directory.path()).unwrap()))
}

#[test]
fn a_run_stopped_at_any_event_and_resumed_is_the_same_run() {
    let (events, expected) = uninterrupted(&small());
    let mut stopped = 0;
    for event in 0..events {
        let directory = begin(&small());
        let stop = AtomicBool::new(false);
        let observer = At { event, action: || stop.store(true, Ordering::Relaxed), seen: Cell::new(0) };
        let attempt = Attempt { observer: &observer, stop: &stop, ..plain(1 + event % 2) };
        stopped += usize::from(attempt.run(directory.path()).unwrap() == Ending::Stopped);
        assert_eq!(fingerprint(&finish(directory.path(), 2)), expected, "stopped at event {event}");
    }
    // Only a stop at the very last fit comes too late.
    assert!(stopped >= events - 2, "{stopped} of {events}");
}

#[test]
fn a_run_that_dies_at_any_event_and_is_resumed_is_the_same_run() {
    let (events, expected) = uninterrupted(&small());
    for event in 0..events {
        let directory = begin(&small());
        let observer = At { event, action: || std::panic::resume_unwind(Box::new("killed")), seen: Cell::new(0) };
        let attempt = Attempt { observer: &observer, ..plain(1 + event % 2) };
        assert!(catch_unwind(AssertUnwindSafe(|| attempt.run(directory.path()))).is_err());
        assert_eq!(fingerprint(&finish(directory.path(), 2)), expected, "died at event {event}");
    }
}

#[test]
fn a_panicking_oracle_ends_the_run_but_loses_nothing() {
    let (_, expected) = uninterrupted(&small());
    for threads in [1, 2] {
        let directory = begin(&small());
        let oracle = ToyOracle { panics_on: Some(5), ..ToyOracle::default() };
        let error = Attempt { oracle, ..plain(threads) }.run(directory.path()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("candidate 5") && message.contains("toy panic"), "{message}");
        let record = Journal::read(directory.path()).unwrap();
        let evaluated: Vec<u64> = record.candidates.iter().filter(|c| c.outcome.is_some()).map(|c| c.number).collect();
        assert_eq!(evaluated, [0, 1, 2, 3, 4]);
        assert_eq!(fingerprint(&finish(directory.path(), threads)), expected);
    }
}

#[test]
fn groups_change_nothing_and_a_failed_device_ends_the_run_but_loses_nothing() {
    let (_, expected) = uninterrupted(&small());
    let together = |together| ToyOracle { together, ..ToyOracle::default() };
    for (threads, size) in [(1, 2), (1, 50), (2, 2)] {
        let directory = begin(&small());
        Attempt { oracle: together(size), ..plain(threads) }.run(directory.path()).unwrap();
        assert_eq!(fingerprint(&Journal::read(directory.path()).unwrap()), expected, "{size} together");
    }
    let directory = begin(&small());
    let oracle = ToyOracle { device_fails_on: Some(5), ..together(2) };
    let error = Attempt { oracle, ..plain(1) }.run(directory.path()).unwrap_err();
    assert!(matches!(error, SearchError::Device { .. }), "{error}");
    let record = Journal::read(directory.path()).unwrap();
    let evaluated: Vec<u64> = record.candidates.iter().filter(|c| c.outcome.is_some()).map(|c| c.number).collect();
    // Iterations have three candidates: groups are 0 and 1, 2, 3 and 4, 5.
    assert_eq!(evaluated, [0, 1, 2, 3, 4]);
    assert_eq!(fingerprint(&finish(directory.path(), 1)), expected);
}

#[test]
fn resuming_a_complete_search_fits_the_generator_and_writes_nothing() {
    let directory = begin(&small());
    let first = finish(directory.path(), 1);
    let mut proposer = ToyProposer::new(NODES);
    assert_eq!(plain(1).run_with(directory.path(), &mut proposer).unwrap(), Ending::Finished);
    assert_eq!(proposer.fits.get(), 1);
    assert_eq!(fingerprint(&Journal::read(directory.path()).unwrap()), fingerprint(&first));
}

#[test]
fn a_search_without_a_success_says_so() {
    let directory = begin(&small());
    let oracle = ToyOracle { always_fails: true, ..ToyOracle::default() };
    let message = Attempt { oracle, ..plain(2) }.run(directory.path()).unwrap_err().to_string();
    assert!(message.contains("only 0 of 11") && message.contains("always"), "{message}");
    let record = Journal::read(directory.path()).unwrap();
    // With nothing to learn from, the explorer proposes all along.
    assert!(record.candidates.iter().all(|candidate| matches!(candidate.origin, Origin::Explorer(_))));
}

#[test]
fn an_exhausted_space_is_named() {
    // Three nodes have 2^3 - 1 = 7 graphs with an edge.
    let config = config("[search]\nbudget = 8\nsamples_per_iteration = 8\nexplorer_tries = 500\n[space]\nnodes = 5");
    let directory = begin(&config);
    let mut journal = Journal::open(directory.path()).unwrap();
    let (space, mut proposer) = (ToySpace { nodes: 3 }, ToyProposer::new(3));
    let (oracle, observer, stop) = (&ToyOracle::default(), &Silent, &NEVER);
    let error =
        Search { space: &space, strategy: &mut Learned::new(&mut proposer), oracle, observer, threads: 1, stop }
            .run(&mut journal)
            .unwrap_err();
    assert!(matches!(error, SearchError::Exhausted { tries: 500, known: 7, .. }), "{error}");
    assert!(error.to_string().contains("search.budget"));
}

/// Draws a given sequence of graphs, without end.
struct Script(Vec<u64>, Cell<usize>, &'static str);

impl Proposer for Script {
    fn refit(
        &mut self,
        _: &[Vec<LabelledGraph>],
        _: &[f64],
        _: u64,
        _: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError> {
        if self.2.is_empty() { Ok(Some(Vec::new())) } else { Err(self.2.into()) }
    }

    fn sample(&self, _: &mut Stream, count: usize) -> Vec<Draw> {
        let next = || self.0[self.1.replace(self.1.get() + 1) % self.0.len()];
        (0..count).map(|_| Draw { components: components(&graph(NODES, next())), log_probability: -2.0 }).collect()
    }
}

#[test]
fn draws_are_counted_and_the_explorer_fills_what_they_leave_open() {
    let toml = "[search]\nbudget = 6\nsamples_per_iteration = 3\nsampling_rounds = 4\n\
                exploration = \"none\"\n[space]\nnodes = 7";
    // An empty graph, a new one, the same again: round 0 draws three.
    let complete = (1 << 21) - 1;
    let directory = begin(&config(toml));
    let mut script = Script(vec![0, complete, complete], Cell::new(0), "");
    plain(1).run_with(directory.path(), &mut script).unwrap();
    let sampling = Journal::read(directory.path()).unwrap().iterations[1].sampling;
    // Rounds of 3, 18, 33 and 48 draws; a third of them is invalid, and all others but the first are known.
    assert_eq!((sampling.rounds, sampling.drawn, sampling.invalid), (4, 102, 34));
    assert_eq!((sampling.duplicates, sampling.filled_by_explorer), (67, 2));

    // Three new ones among the first five: the second round ends early, and no draw after that counts.
    let directory = begin(&config(toml));
    let mut script = Script(vec![complete, complete - 1, complete, complete, complete - 2, 0, 0], Cell::new(0), "");
    plain(1).run_with(directory.path(), &mut script).unwrap();
    let record = Journal::read(directory.path()).unwrap();
    let sampling = record.iterations[1].sampling;
    assert_eq!((sampling.rounds, sampling.drawn, sampling.invalid), (2, 5, 0));
    assert_eq!((sampling.duplicates, sampling.filled_by_explorer), (2, 0));
    assert!(record.candidates[3..].iter().all(|candidate| candidate.origin == Origin::Generator));
}

#[test]
fn a_generator_that_fails_is_named() {
    let directory = begin(&small());
    let mut script = Script(vec![1], Cell::new(0), "singular");
    let message = plain(1).run_with(directory.path(), &mut script).unwrap_err().to_string();
    assert!(message.contains("iteration 2") && message.contains("singular"), "{message}");
    assert_eq!(finish(directory.path(), 1).candidates.len(), 11);
}

#[test]
fn a_mixed_iteration_has_both_origins() {
    let toml = "[search]\nbudget = 16\nsamples_per_iteration = 8\n[space]\nnodes = 7";
    let config = config(&format!("{toml}\n[search.exploration]\nschedule = \"constant\"\nshare = 0.25"));
    let record = finish(begin(&config).path(), 1);
    let generated = record.candidates[8..].iter().filter(|candidate| candidate.origin == Origin::Generator).count();
    assert_eq!(generated, 6);
}

#[test]
fn the_buffer_holds_the_best_and_equals_by_number() {
    let history = evaluated(&[(0, Some(0.5)), (0, None), (1, Some(0.9)), (1, Some(0.5)), (2, Some(0.1))]);
    let numbers = |keep| top(&history, keep).iter().map(|candidate| candidate.number).collect::<Vec<_>>();
    assert_eq!(numbers(3), [2, 0, 3]);
    assert_eq!(numbers(10), [2, 0, 3, 4]);
    assert_eq!(best(&history).map(|candidate| candidate.number), Some(2));
    assert!(best(&history[1..2]).is_none());
}
