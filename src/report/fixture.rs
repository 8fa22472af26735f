//! A made-up run for tests: 64 networks in 8 iterations, one of them failed.

use super::manifest::{DataFacts, DeviceFacts, FileChecksum, Host, Manifest, Session};
use crate::config::*;
use crate::graph::Dag;
use crate::oracle::Outcome;
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::Architecture;
use crate::store::*;
use rand::RngExt;

const NODES: usize = 32;

fn training(epochs: usize) -> TrainingConfig {
    TrainingConfig {
        data_fraction: 0.5,
        epochs,
        batch: 64,
        learning_rate: 0.1,
        label_smoothing: 0.1,
        augmentation: true,
        ..Config::from_toml("", &[]).unwrap().retrain.training
    }
}

pub fn config() -> Config {
    Config {
        run: RunConfig {
            name: "quick-start".into(),
            seed: 21,
            device: DeviceChoice::Auto,
            precision: Default::default(),
            threads: 2,
        },
        data: DataConfig { validation_images: 2000, ..DataConfig::of(DataSource::Embedded) },
        space: SpaceConfig {
            kind: SpaceKind::Randwire,
            nodes: NODES,
            stages: 3,
            channels: 16,
            stem_stride: 2,
            head: 128,
            vertices: 7,
            encoding: CellEncoding::LineGraph,
            ..crate::config::Config::from_toml("", &[]).unwrap().space
        },
        generator: GeneratorConfig {
            kind: GeneratorKind::Gran,
            hidden: 64,
            layers: 7,
            mixtures: 10,
            attention: true,
            epochs: 40,
            batch: 2,
            learning_rate: 1e-3,
            ..crate::config::Config::from_toml("", &[]).unwrap().generator
        },
        search: SearchConfig {
            budget: 64,
            samples_per_iteration: 8,
            keep_top: 15,
            reward: RewardShaping::Cdf,
            baseline: 0.0,
            exploration: Exploration::First { iterations: 3 },
            explorer: vec![ClassicalKind::Ws, ClassicalKind::Er],
            ws_rewiring: 0.75,
            ws_neighbours: 4,
            er_probability: 0.2,
            ba_edges: 5,
            sampling_rounds: 20,
            sampling_growth: 5,
            explorer_tries: 1000,
            ..crate::config::Config::from_toml("", &[]).unwrap().search
        },
        oracle: OracleConfig {
            kind: OracleKind::Training,
            supernet: crate::config::Config::from_toml("", &[]).unwrap().oracle.supernet,
            table: None,
            dataset: BenchmarkDataset::Cifar10,
            table_epochs: 0,
            candidates_per_batch: 0,
            training: training(3),
        },
        retrain: RetrainConfig { channels: 0, training: training(12) },
    }
}

pub fn manifest() -> Manifest {
    let file = |name: &str, digit: &str| FileChecksum { name: name.into(), sha256: digit.repeat(64) };
    Manifest {
        program: "graphpnas-fast".into(),
        version: "0.1.0".into(),
        seed: 21,
        host: Host { cpu: "Example CPU @ 2.60GHz".into(), cores: 2, system: "linux x86_64".into() },
        device: DeviceFacts { name: "cpu".into(), instruction_set: "avx512".into(), threads: 2 },
        data: DataFacts {
            name: "Fashion-MNIST test images, split anew".into(),
            training_images: 6000,
            validation_images: 2000,
            test_images: 2000,
            classes: (0..10).map(|class| format!("class {class}")).collect(),
            files: vec![file("t10k-images-idx3-ubyte.gz", "a"), file("t10k-labels-idx1-ubyte.gz", "b")],
        },
        sessions: vec![Session { started: "2026-01-05T09:30:00Z".into(), ended: Some("2026-01-05T09:34:12Z".into()) }],
        config: config(),
    }
}

/// A ring of four neighbours, rewired at random: like Watts-Strogatz graphs.
fn wiring(random: &mut Stream) -> Dag {
    let mut dag = Dag::without_edges(NODES).unwrap();
    for node in 0..NODES {
        for step in 1..=2 {
            let near = (node + step) % NODES;
            let other = if random.random_bool(0.6) { random.random_range(0..NODES) } else { near };
            if other != node {
                dag.add_edge(node.min(other), node.max(other));
            }
        }
    }
    dag
}

fn candidate(number: u64) -> CandidateRecord {
    let mut random = StreamKey { seed: 3, purpose: Purpose::Explore, candidate: number, epoch: 0 }.stream();
    let iteration = number / 8;
    let origin = match (iteration, number % 2) {
        (3.., _) => Origin::Generator,
        (_, 0) => Origin::Explorer(ClassicalKind::Ws),
        _ => Origin::Explorer(ClassicalKind::Er),
    };
    let stages = (0..3).map(|_| wiring(&mut random)).collect();
    let noise = (0..6).map(|_| random.random_range(-0.01..0.01)).sum::<f64>();
    let accuracy = 0.828 + 0.002 * iteration as f64 * f64::from(u8::from(iteration > 2)) + 0.7 * noise;
    let failed = number == 13;
    CandidateRecord {
        number,
        iteration,
        origin,
        architecture: Architecture::RandWire { stages },
        key: format!("{:032x}", random.random::<u128>()),
        log_probability: (origin == Origin::Generator).then(|| -310.0 + 12.0 * iteration as f64 + 900.0 * noise),
        outcome: Some(Outcome {
            validation_accuracy: (!failed).then_some(accuracy),
            test_accuracy: None,
            cost: None,
            training_losses: if failed { vec![2.3] } else { vec![1.62, 1.05, 0.93] },
            failure: failed.then(|| "the loss of epoch 2 is not a number".into()),
            parameters: 120_000 + random.random_range(0..9_000),
            multiply_adds: 6_100_000 + random.random_range(0..300_000),
            seconds: random.random_range(3.1..4.4),
        }),
    }
}

fn iteration(number: u64) -> IterationRecord {
    let refit = (number >= 3).then(|| RefitRecord {
        buffer: (0..15).collect(),
        losses: (0..40).map(|e| 0.36 * (-f64::from(e) / 9.0).exp() + 0.19 - 0.006 * number as f64).collect(),
        seconds: 4.2 + 0.1 * number as f64,
    });
    let sampling = match number {
        3..=7 => SamplingRecord { rounds: 2, drawn: 56, invalid: 3, duplicates: number - 3, filled_by_explorer: 0 },
        _ => SamplingRecord::default(),
    };
    IterationRecord { iteration: number, refit, sampling }
}

/// A finished run.
pub fn record() -> RunRecord {
    let candidates: Vec<CandidateRecord> = (0..64).map(candidate).collect();
    let accuracy = |c: &CandidateRecord| c.outcome.as_ref().and_then(|o| o.validation_accuracy).unwrap_or(0.0);
    let best = candidates.iter().max_by(|a, b| accuracy(a).total_cmp(&accuracy(b))).unwrap().number;
    RunRecord {
        config: config(),
        candidates,
        iterations: (0..9).map(iteration).collect(),
        finished: Some(FinalRecord {
            candidate: best,
            training_losses: vec![0.7; 12],
            validation_accuracy: None,
            test_accuracy: 0.8915,
            seconds: 31.6,
        }),
    }
}
