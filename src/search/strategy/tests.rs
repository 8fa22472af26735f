//! The rivals on a space of all graphs of seven nodes, where an accuracy is the share of edges that a hidden graph has too.

use super::*;
use crate::config::{ClassicalKind, Config};
use crate::oracle::{Candidate, Oracle, OracleError, Outcome};
use crate::search::toys::{ToyProposer, ToySpace, architecture, config, graph, outcome, stage};
use crate::search::{Draw, Ending, Proposer, Search, best};
use crate::store::{Journal, Origin, RunRecord, fingerprint};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

const NODES: usize = 5;
/// Ten possible edges.
const HIDDEN: u64 = 0b10_0110_1101;

/// Counts agreements with the hidden graph, which has no local optimum but itself.
struct Agreement;

impl Oracle for Agreement {
    fn evaluate(&self, group: &[Candidate], stop: &AtomicBool) -> Result<Option<Vec<Outcome>>, OracleError> {
        let agreement = |candidate: &Candidate| {
            let (dag, hidden) = (stage(&candidate.architecture), graph(NODES, HIDDEN));
            let pairs = (0..NODES).flat_map(|to| (0..to).map(move |from| (from, to)));
            let agreeing = pairs.filter(|&(from, to)| dag.has_edge(from, to) == hidden.has_edge(from, to)).count();
            outcome(Some(agreeing as f64 / 10.0), None)
        };
        Ok((!stop.load(Ordering::Relaxed)).then(|| group.iter().map(agreement).collect()))
    }
}

fn settings(strategy: &str, more: &str) -> Config {
    config(&format!(
        "[search]\nstrategy = \"{strategy}\"\nbudget = 60\nsamples_per_iteration = 3\npopulation = 12\ntournament = 4\n\
         {more}\n[space]\nnodes = {NODES}\n[search.exploration]\nschedule = \"none\""
    ))
}

type Make = Box<dyn Fn() -> Box<dyn Strategy>>;

fn strategies() -> Vec<(&'static str, Make)> {
    vec![
        ("random", Box::new(|| Box::new(RandomSearch))),
        ("regularized-evolution", Box::new(|| Box::new(RegularizedEvolution))),
        ("local-search", Box::new(|| Box::new(LocalSearch::default()))),
        ("reinforce", Box::new(|| Box::new(Reinforce::default()))),
        ("graphpnas", Box::new(|| Box::new(Learned::new(ToyProposer::new(NODES))))),
    ]
}

/// Runs a search of at most so many iterations more; the whole of it with `u64::MAX`.
fn run(journal: &mut Journal, strategy: &mut dyn Strategy, threads: usize, stop_after: u64) -> Ending {
    let stop = AtomicBool::new(false);
    let counter = StopAfter { left: std::cell::Cell::new(stop_after), stop: &stop };
    let space = ToySpace { nodes: NODES };
    let mut search = Search { space: &space, strategy, oracle: &Agreement, observer: &counter, threads, stop: &stop };
    search.run(journal).unwrap()
}

struct StopAfter<'a> {
    left: std::cell::Cell<u64>,
    stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn event(&self, event: crate::search::Event<'_>) {
        if matches!(event, crate::search::Event::IterationStarted { .. }) {
            self.left.set(self.left.get().saturating_sub(1));
            self.stop.store(self.left.get() == 0, Ordering::Relaxed);
        }
    }
}

fn whole(config: &Config, strategy: &mut dyn Strategy, threads: usize) -> RunRecord {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(directory.path(), config).unwrap();
    assert_eq!(run(&mut journal, strategy, threads, u64::MAX), Ending::Finished);
    journal.record().unwrap()
}

#[test]
fn every_strategy_spends_the_budget_on_distinct_architectures_whatever_the_threads() {
    for (name, make) in strategies() {
        let config = settings(name, "");
        let record = whole(&config, make().as_mut(), 1);
        let keys: HashSet<&String> = record.candidates.iter().map(|candidate| &candidate.key).collect();
        assert_eq!((record.candidates.len(), keys.len()), (60, 60), "{name}");
        assert_eq!(fingerprint(&record), fingerprint(&whole(&config, make().as_mut(), 3)), "{name}");
        let mut in_memory = Journal::in_memory(&config).unwrap();
        assert_eq!(run(&mut in_memory, make().as_mut(), 2, u64::MAX), Ending::Finished);
        assert_eq!(fingerprint(&in_memory.record().unwrap()), fingerprint(&record), "{name}");
        let other = Config { run: crate::config::RunConfig { seed: 9, ..config.run.clone() }, ..config };
        assert_ne!(fingerprint(&record), fingerprint(&whole(&other, make().as_mut(), 1)), "{name}");
    }
}

#[test]
fn every_strategy_goes_on_from_the_journal_alone() {
    for (name, make) in strategies() {
        for improvement in ["best", "first"] {
            let config = settings(name, &format!("improvement = \"{improvement}\""));
            let expected = fingerprint(&whole(&config, make().as_mut(), 1));
            for stop_after in [1, 2, 5, 8, 13, 19] {
                let directory = tempfile::tempdir().unwrap();
                let mut journal = Journal::create(directory.path(), &config).unwrap();
                assert_eq!(run(&mut journal, make().as_mut(), 1, stop_after), Ending::Stopped);
                assert_eq!(run(&mut journal, make().as_mut(), 2, 1), Ending::Stopped);
                assert_eq!(run(&mut journal, make().as_mut(), 2, u64::MAX), Ending::Finished);
                assert_eq!(fingerprint(&journal.record().unwrap()), expected, "{name} {stop_after}");
            }
        }
    }
}

fn best_accuracy(record: &RunRecord) -> f64 {
    best(&record.candidates).unwrap().outcome.as_ref().unwrap().validation_accuracy.unwrap()
}

/// Architectures that differ in one edge from some earlier candidate.
fn near_earlier_ones(record: &RunRecord) -> usize {
    let space = ToySpace { nodes: NODES };
    let near = |number: usize| {
        let neighbours = space.neighbours(&record.candidates[number].architecture).unwrap();
        let keys: HashSet<String> = neighbours.iter().map(|one| space.key(one).unwrap()).collect();
        record.candidates[..number].iter().any(|earlier| keys.contains(&earlier.key))
    };
    (0..record.candidates.len())
        .filter(|&number| record.candidates[number].origin == Origin::Generator)
        .filter(|&n| near(n))
        .count()
}

#[test]
fn evolution_mutates_the_winners_of_the_newest() {
    let record = whole(&settings("regularized-evolution", ""), &mut RegularizedEvolution, 1);
    let explored = record
        .candidates
        .iter()
        .filter(|c| c.origin == Origin::Explorer(ClassicalKind::Ws) || c.origin == Origin::Explorer(ClassicalKind::Er));
    assert!(explored.count() >= 12 && record.candidates[11].origin != Origin::Generator);
    assert_eq!(record.candidates[12].origin, Origin::Generator);
    let children = record.candidates.iter().filter(|c| c.origin == Origin::Generator).count();
    assert_eq!(near_earlier_ones(&record), children);
    assert!(best_accuracy(&record) >= 0.9);
    // With a tournament of the whole population the parent is always the best of the newest twelve.
    let config = settings("regularized-evolution", "");
    let config = Config { search: SearchConfig { tournament: 12, ..config.search }, ..config };
    let record = whole(&config, &mut RegularizedEvolution, 1);
    let space = ToySpace { nodes: NODES };
    for candidate in record.candidates.iter().filter(|c| c.origin == Origin::Generator) {
        let first = record.candidates.partition_point(|other| other.iteration < candidate.iteration);
        let alive = &record.candidates[first - 12..first];
        let most = alive.iter().filter_map(super::super::replay::accuracy).fold(0.0, f64::max);
        let parent = alive.iter().find(|c| super::super::replay::accuracy(c) == Some(most)).unwrap();
        let neighbours = space.neighbours(&parent.architecture).unwrap();
        assert!(neighbours.iter().any(|one| space.key(one).unwrap() == candidate.key));
    }
}

#[test]
fn local_search_climbs_to_the_top_and_starts_anew_there() {
    for improvement in ["best", "first"] {
        let mut config = settings("local-search", &format!("improvement = \"{improvement}\""));
        (config.search.samples_per_iteration, config.search.budget) = (1, 120);
        let record = whole(&config, &mut LocalSearch::default(), 1);
        assert_eq!(best_accuracy(&record), 1.0, "{improvement}");
        // From the first candidate every candidate is a neighbour of where the walk is, until the top's are all known.
        let top = record
            .candidates
            .iter()
            .position(|c| c.key == ToySpace { nodes: NODES }.key(&architecture(&graph(NODES, HIDDEN))).unwrap());
        let top = top.unwrap();
        assert!(record.candidates[1..=top].iter().all(|c| c.origin == Origin::Generator));
        let restart = record.candidates.iter().skip(1).find(|c| c.origin != Origin::Generator).unwrap();
        let known: HashSet<&String> = record.candidates[..restart.number as usize].iter().map(|c| &c.key).collect();
        let space = ToySpace { nodes: NODES };
        for neighbour in space.neighbours(&architecture(&graph(NODES, HIDDEN))).unwrap() {
            assert!(known.contains(&space.key(&neighbour).unwrap()));
        }
        let fallbacks: u64 = record.iterations.iter().map(|iteration| iteration.sampling.filled_by_explorer).sum();
        assert_eq!(fallbacks, 0);
    }
}

#[test]
fn reinforce_learns_what_is_rewarded() {
    let mut config = settings("reinforce", "policy_learning_rate = 0.1");
    config.search.budget = 120;
    let record = whole(&config, &mut Reinforce::default(), 1);
    let mean =
        |of: &[CandidateRecord]| of.iter().filter_map(super::super::replay::accuracy).sum::<f64>() / of.len() as f64;
    let (early, late) = (mean(&record.candidates[..30]), mean(&record.candidates[90..]));
    assert!(late > early + 0.1, "{early} {late}");
    assert!(record.candidates.iter().filter(|c| c.origin == Origin::Generator).all(|c| c.log_probability.is_some()));
}

/// The toy proposer, which remembers all fits it has seen.
struct Warm {
    toy: ToyProposer,
    sum: f64,
}

impl Proposer for Warm {
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, crate::search::BoxError> {
        let Some(losses) = self.toy.refit(buffer, weights, iteration, stop)? else { return Ok(None) };
        self.sum += losses[0];
        Ok(Some(vec![self.sum]))
    }

    fn is_warm(&self) -> bool {
        true
    }

    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        self.toy.sample(stream, count)
    }
}

#[test]
fn a_resumed_run_repeats_the_fits_that_a_warm_model_remembers() {
    let config = settings("graphpnas", "keep_worst = 2");
    let make = || Learned::new(Warm { toy: ToyProposer::new(NODES), sum: 0.0 });
    let expected = whole(&config, &mut make(), 1);
    for stop_after in [1, 2, 7, 19] {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(directory.path(), &config).unwrap();
        assert_eq!(run(&mut journal, &mut make(), 1, stop_after), Ending::Stopped);
        assert_eq!(run(&mut journal, &mut make(), 1, u64::MAX), Ending::Finished);
        assert_eq!(fingerprint(&journal.record().unwrap()), fingerprint(&expected));
    }
    let negative = expected.iterations.iter().filter_map(|iteration| iteration.refit.as_ref()).map(|r| r.buffer.len());
    assert_eq!(negative.max(), Some(17));
}

#[test]
fn the_most_probable_of_several_draws_come_first() {
    struct Counting;
    impl Proposer for Counting {
        fn refit(
            &mut self,
            _: &[Vec<LabelledGraph>],
            _: &[f64],
            _: u64,
            _: &AtomicBool,
        ) -> Result<Option<Vec<f64>>, crate::search::BoxError> {
            Ok(Some(vec![]))
        }
        fn sample(&self, _: &mut Stream, count: usize) -> Vec<Draw> {
            (0..count).map(|n| Draw { components: vec![], log_probability: -((n * 7 % count) as f64) }).collect()
        }
    }
    let mut search = settings("graphpnas", "").search;
    let space = ToySpace { nodes: NODES };
    let mut stream =
        crate::random::StreamKey { seed: 1, purpose: crate::random::Purpose::Sample, candidate: 0, epoch: 0 }.stream();
    let mut logs = |draws: usize| -> Vec<f64> {
        search.draws = draws;
        let situation = Situation { space: &space, search: &search, seed: 1, iteration: 1, size: 2, history: &[] };
        let suggestions = Learned::new(Counting).draw(&situation, &mut stream, 2);
        let log = |one: Suggestion| match one {
            Suggestion::Graphs { log_probability, .. } => log_probability,
            Suggestion::Architecture(_) => f64::NAN,
        };
        suggestions.into_iter().map(log).collect()
    };
    assert_eq!(logs(1), [0.0, -1.0]);
    assert_eq!(logs(5), [0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0]);
}

#[test]
fn a_strategy_that_finds_nothing_new_falls_back_to_the_explorer_and_says_so() {
    struct Stuck;
    impl Strategy for Stuck {
        fn prepare(&mut self, _: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
            Ok(Some(Share::default()))
        }
        fn draw(&self, situation: &Situation, _: &mut Stream, count: usize) -> Vec<Suggestion> {
            let known = situation.history.first().map(|candidate| candidate.architecture.clone());
            (0..count).filter_map(|_| known.clone()).map(Suggestion::Architecture).collect()
        }
    }
    let mut config = settings("random", "sampling_rounds = 2");
    config.search.budget = 6;
    let record = whole(&config, &mut Stuck, 1);
    assert_eq!(record.candidates.len(), 6);
    let second = record.iterations[1].sampling;
    // 3 * (0 * 5 + 1) + 3 * (1 * 5 + 1) draws, all known.
    assert_eq!((second.drawn, second.duplicates, second.invalid, second.filled_by_explorer), (21, 21, 0, 3));
}

/// A model that has collapsed: it draws one known architecture for ever.
struct Collapsed;

impl Strategy for Collapsed {
    fn prepare(&mut self, _: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
        Ok(Some(Share::default()))
    }

    fn draw(&self, situation: &Situation, _: &mut Stream, count: usize) -> Vec<Suggestion> {
        let Some(first) = situation.history.first() else { return Vec::new() };
        let components = situation.components(first).unwrap();
        (0..count).map(|_| Suggestion::Graphs { components: components.clone(), log_probability: -0.1 }).collect()
    }
}

#[test]
fn a_models_known_draws_give_way_to_new_neighbours_where_that_is_wanted() {
    let with = |share: f64| {
        let mut config = settings("random", "sampling_rounds = 9");
        (config.search.budget, config.search.mutate_known) = (9, share);
        whole(&config, &mut Collapsed, 1)
    };
    let own = |record: &RunRecord| record.candidates.iter().filter(|c| c.origin == Origin::Generator).count();
    assert_eq!(own(&with(0.0)), 0);
    for share in [0.2, 1.0] {
        let record = with(share);
        // All but the first iteration, which knows nothing yet.
        assert_eq!(own(&record), record.candidates.iter().filter(|c| c.iteration > 0).count(), "{share}");
        let space = ToySpace { nodes: NODES };
        let neighbours = space.neighbours(&record.candidates[0].architecture).unwrap();
        let keys: HashSet<String> = neighbours.iter().map(|one| space.key(one).unwrap()).collect();
        for candidate in record.candidates.iter().filter(|c| c.origin == Origin::Generator) {
            assert!(keys.contains(&candidate.key) && candidate.log_probability.is_none());
        }
        let sampling = record.iterations[1].sampling;
        assert_eq!(sampling.drawn, sampling.duplicates);
    }
    let drawn = |share: f64| with(share).iterations[1].sampling.drawn;
    // Every draw finds a new neighbour while there is one.
    assert_eq!(drawn(1.0), 3);
    assert!(drawn(0.1) > 2 * drawn(1.0), "{} {}", drawn(0.1), drawn(1.0));
}
