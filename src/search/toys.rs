//! A space, a generator and an oracle that are small enough to reason about, for the tests.

use super::{BoxError, Draw, Event, Observer, Proposer, SearchSpace};
use crate::config::{ClassicalKind, Config};
use crate::device::cuda::CudaError;
use crate::graph::{Dag, LabelledGraph};
use crate::oracle::{Candidate, Oracle, OracleError, Outcome};
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::Architecture;
use crate::store::{CandidateRecord, Origin};
use rand::RngExt;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The default configuration with changes.
pub fn config(toml: &str) -> Config {
    Config::from_toml(toml, &[]).unwrap()
}

/// Candidates of which only iteration and accuracy (`None`: failed) matter.
pub fn evaluated(results: &[(u64, Option<f64>)]) -> Vec<CandidateRecord> {
    let candidate = |(number, &(iteration, accuracy)): (usize, &(u64, Option<f64>))| CandidateRecord {
        number: number as u64,
        iteration,
        origin: Origin::Generator,
        architecture: architecture(&graph(3, 1)),
        key: number.to_string(),
        log_probability: None,
        outcome: Some(outcome(accuracy, accuracy.is_none().then(|| "diverged".to_string()))),
    };
    results.iter().enumerate().map(candidate).collect()
}

pub fn outcome(validation_accuracy: Option<f64>, failure: Option<String>) -> Outcome {
    let training_losses = vec![1.5, 0.1 + 0.2];
    Outcome {
        validation_accuracy,
        test_accuracy: None,
        cost: None,
        training_losses,
        failure,
        parameters: 10,
        multiply_adds: 20,
        seconds: 0.5,
    }
}

/// The graph whose i-th possible edge is there when bit i is set.
pub fn graph(nodes: usize, bits: u64) -> Dag {
    let pairs = (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to]));
    let edges: Vec<[usize; 2]> =
        pairs.enumerate().filter(|(index, _)| bits >> index & 1 == 1).map(|(_, edge)| edge).collect();
    Dag::new(nodes, &edges).unwrap()
}

pub fn architecture(dag: &Dag) -> Architecture {
    Architecture::RandWire { stages: vec![dag.clone()] }
}

pub fn components(dag: &Dag) -> Vec<LabelledGraph> {
    vec![LabelledGraph { dag: dag.clone(), operators: Vec::new() }]
}

pub fn stage(architecture: &Architecture) -> &Dag {
    let Architecture::RandWire { stages } = architecture else { panic!("a toy is of the RandWire space") };
    &stages[0]
}

/// All graphs of so many nodes but the one without edges. Graphs with the same edges are the same architecture.
pub struct ToySpace {
    pub nodes: usize,
}

impl SearchSpace for ToySpace {
    fn assemble(&self, components: Vec<LabelledGraph>) -> Result<Architecture, BoxError> {
        let dag = &components[0].dag;
        if dag.edge_count() == 0 { Err("no edge".into()) } else { Ok(architecture(dag)) }
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, BoxError> {
        Ok(components(stage(architecture)))
    }

    fn key(&self, architecture: &Architecture) -> Result<String, BoxError> {
        Ok(format!("{:?}", stage(architecture).edges().collect::<Vec<_>>()))
    }

    fn explore(&self, stream: &mut Stream, kind: ClassicalKind) -> Result<Architecture, BoxError> {
        let p = if kind == ClassicalKind::Ws { 0.3 } else { 0.2 };
        self.assemble(components(&random_graph(self.nodes, stream, |_, _| p)))
    }

    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, BoxError> {
        let pairs = (0..self.nodes).flat_map(|to| (0..to).map(move |from| (from, to)));
        let flipped = pairs.map(|(from, to)| {
            let mut dag = stage(architecture).clone();
            dag.flip_edge(from, to);
            dag
        });
        Ok(flipped.filter(|dag| dag.edge_count() > 0).map(|dag| super::toys::architecture(&dag)).collect())
    }

    fn mutate(&self, architecture: &Architecture, stream: &mut Stream) -> Result<Architecture, BoxError> {
        let neighbours = self.neighbours(architecture)?;
        Ok(neighbours[stream.random_range(0..neighbours.len())].clone())
    }
}

fn random_graph(nodes: usize, stream: &mut Stream, p: impl Fn(usize, usize) -> f64) -> Dag {
    let mut dag = Dag::without_edges(nodes).unwrap();
    for to in 0..nodes {
        for from in 0..to {
            if stream.random_bool(p(from, to)) {
                dag.add_edge(from, to);
            }
        }
    }
    dag
}

/// Learns how often each edge occurs, weighted, and draws edges independently.
pub struct ToyProposer {
    pub nodes: usize,
    pub seed: u64,
    pub fits: Cell<usize>,
    pub frequency: RefCell<Vec<Vec<f64>>>,
}

impl ToyProposer {
    pub fn new(nodes: usize) -> Self {
        ToyProposer { nodes, seed: 3, fits: Cell::new(0), frequency: RefCell::default() }
    }
}

impl Proposer for ToyProposer {
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError> {
        assert_eq!(buffer.len(), weights.len());
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.fits.set(self.fits.get() + 1);
        let total: f64 = weights.iter().sum();
        let share = |from, to| {
            let held = buffer.iter().zip(weights).filter(|(graphs, _)| graphs[0].dag.has_edge(from, to));
            (0.9 * held.map(|(_, weight)| weight).sum::<f64>() / total + 0.05).clamp(0.0, 1.0)
        };
        self.frequency =
            RefCell::new((0..self.nodes).map(|to| (0..to).map(|from| share(from, to)).collect()).collect());
        let key = StreamKey { seed: self.seed, purpose: Purpose::GeneratorInitialise, candidate: iteration, epoch: 0 };
        Ok(Some(vec![key.stream().random::<f64>(), total]))
    }

    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        let frequency = self.frequency.borrow();
        let draw = |_| Draw {
            components: components(&random_graph(self.nodes, stream, |from, to| frequency[to][from])),
            log_probability: -1.25,
        };
        (0..count).map(draw).collect()
    }
}

/// The share of possible edges that are there. Every seventh candidate diverges; evaluations take uneven times.
#[derive(Default)]
pub struct ToyOracle {
    /// Panics on this candidate.
    pub panics_on: Option<u64>,
    /// Every candidate fails.
    pub always_fails: bool,
    /// So many are evaluated together; 0: each alone.
    pub together: usize,
    /// The device fails with this candidate.
    pub device_fails_on: Option<u64>,
}

impl ToyOracle {
    fn one(&self, Candidate { number, architecture }: &Candidate, stop: &AtomicBool) -> Option<Outcome> {
        let number = *number;
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        assert_ne!(self.panics_on, Some(number), "toy panic");
        std::thread::sleep(Duration::from_micros(number * 7919 % 500));
        if self.always_fails {
            return Some(outcome(None, Some("always".into())));
        }
        let dag = stage(architecture);
        let possible = dag.nodes() * (dag.nodes() - 1) / 2;
        let accuracy = dag.edge_count() as f64 / possible as f64;
        let mut result = outcome(Some(if number % 7 == 4 { f64::NAN } else { accuracy }), None);
        result.training_losses.push(if number % 7 == 4 { f64::NAN } else { number as f64 / 3.0 });
        Some(result)
    }
}

impl Oracle for ToyOracle {
    fn evaluate(&self, group: &[Candidate], stop: &AtomicBool) -> Result<Option<Vec<Outcome>>, OracleError> {
        assert!(group.len() == 1 || group.len() <= self.together);
        if self.device_fails_on.is_some_and(|number| group.iter().any(|candidate| candidate.number == number)) {
            return Err(OracleError::Device(CudaError::NoDriver));
        }
        Ok(group.iter().map(|candidate| self.one(candidate, stop)).collect())
    }

    fn group_size(&self, _: &[Candidate]) -> usize {
        self.together
    }
}

/// Counts events, and does something at one of them.
pub struct At<F: Fn()> {
    pub event: usize,
    pub action: F,
    pub seen: Cell<usize>,
}

impl<F: Fn()> Observer for At<F> {
    fn event(&self, _: Event<'_>) {
        if self.seen.replace(self.seen.get() + 1) == self.event {
            (self.action)();
        }
    }
}
