//! The whole generator on the device against the CPU.

use super::{Bits, random_rows};
use crate::support::device;
use graphpnas_fast::config::Config;
use graphpnas_fast::generator::{
    CudaSampler, FitSettings, Generator, Gran, GranConfig, InputLayout, LossScale, Sampler,
};
use graphpnas_fast::graph::{Dag, LabelledGraph};
use graphpnas_fast::random::{Purpose, Stream, StreamKey};
use graphpnas_fast::search::{GeneratorProposer, Proposer};
use graphpnas_fast::space::space_of;
use rand::RngExt;
use std::sync::atomic::AtomicBool;

fn stream(seed: u64) -> Stream {
    StreamKey { seed, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream()
}

fn config(nodes: usize, operators: usize) -> GranConfig {
    GranConfig { layers: 2, mixtures: 3, attention: None, ..GranConfig::released(nodes, operators, nodes + 5) }
}

/// Generators of every kind: with and without a gate, with and without numbers and operators, of one round and of none,
/// with few and with many components, of one node.
fn configs() -> Vec<GranConfig> {
    let plain = |config: GranConfig| GranConfig {
        input: InputLayout::Plain,
        alpha_self_pair: false,
        loss: LossScale::Sum,
        last_theta_bias: Some(-0.5),
        ..config
    };
    vec![
        config(5, 0),
        config(4, 3),
        GranConfig { attention: Some(9), ..config(5, 2) },
        GranConfig { mixtures: 1, layers: 1, hidden: 17, ..plain(config(6, 0)) },
        GranConfig { attention: Some(16), mixtures: 20, layers: 3, ..plain(config(4, 0)) },
        GranConfig { layers: 0, mixtures: 35, ..plain(config(4, 2)) },
        config(1, 4),
        config(1, 0),
    ]
}

fn generator(configs: &[GranConfig]) -> Generator {
    let mut stream = stream(3);
    Generator::from_components(configs.iter().map(|config| Gran::new(config.clone(), &mut stream).unwrap()).collect())
}

fn buffer(configs: &[GranConfig], count: usize) -> Vec<Vec<LabelledGraph>> {
    let mut bits = Bits(7);
    let mut graph = |config: &GranConfig| {
        let rows = random_rows(config.nodes, &mut bits);
        let edges = (0..config.nodes)
            .flat_map(|to| (0..to).filter(|from| rows[to] >> from & 1 == 1).map(|from| [from, to]).collect::<Vec<_>>());
        let dag = Dag::new(config.nodes, &edges.collect::<Vec<_>>()).unwrap();
        let count = if config.operators > 0 { config.nodes } else { 0 };
        let operators = (0..count).map(|_| (bits.next() % config.operators as u64) as u8).collect();
        LabelledGraph { dag, operators }
    };
    (0..count).map(|_| configs.iter().map(&mut graph).collect()).collect()
}

const RHOS: [f64; 4] = [1.0, 0.4, -0.7, 0.0];

#[test]
fn losses_and_gradients_are_the_cpus() {
    let Some(device) = device() else { return };
    for config in configs() {
        let configs = [config];
        let (generator, buffer) = (generator(&configs), buffer(&configs, RHOS.len()));
        let cpu = generator.loss_gradient(&buffer, &RHOS).unwrap();
        let cuda = generator.loss_gradient_on(&device, &buffer, &RHOS).unwrap();
        let what = format!("{:?}", configs[0]);
        assert!(
            (cpu.loss - cuda.loss).abs() <= 1e-6 * (1.0 + cpu.loss.abs()),
            "{what}: {} and {}",
            cpu.loss,
            cuda.loss
        );
        let most = cpu.gradients[0].iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (index, (a, b)) in cpu.gradients[0].iter().zip(&cuda.gradients[0]).enumerate() {
            assert!((a - b).abs() <= 2e-5 * most + 1e-4 * a.abs(), "{what}: parameter {index}: {a} and {b} of {most}");
        }
        let moving = cpu.gradients[0].iter().any(|&value| value != 0.0);
        assert!(moving || configs[0].nodes == 1, "{what}: nothing to compare");
    }
}

fn settings(epochs: usize) -> FitSettings {
    FitSettings { epochs, batch: 3, learning_rate: 2e-3, seed: 1, iteration: 0, threads: 1 }
}

/// Several components, minibatches of two sizes, and enough steps that captured ones are replayed.
#[test]
fn fits_follow_the_cpus() {
    let Some(device) = device() else { return };
    let configs = [config(4, 0), GranConfig { attention: Some(8), layers: 1, ..config(3, 2) }];
    let buffer = buffer(&configs, RHOS.len());
    let (mut cpu, mut cuda) = (generator(&configs), generator(&configs));
    let stop = AtomicBool::new(false);
    let expected = cpu.fit(&buffer, &RHOS, &settings(4), &stop).unwrap().unwrap();
    let report = cuda.fit_on(&device, (&buffer, &RHOS), &settings(4), &stop).unwrap().unwrap();
    assert_eq!(report.losses.len(), expected.losses.len());
    for (a, b) in report.losses.iter().zip(&expected.losses) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{:?}, not {:?}", report.losses, expected.losses);
    }
    assert!(report.losses[3] < report.losses[0], "{:?}", report.losses);
    for graphs in &buffer {
        let [a, b] = [&cpu, &cuda].map(|generator| generator.log_probability(graphs).unwrap());
        assert!((a - b).abs() <= 1e-3 * (1.0 + a.abs()), "{a} and {b}");
    }
    // The same again, bit for bit.
    let mut again = generator(&configs);
    assert_eq!(again.fit_on(&device, (&buffer, &RHOS), &settings(4), &stop).unwrap().unwrap(), report);
    assert_eq!(again.to_bytes().unwrap(), cuda.to_bytes().unwrap());
    assert_eq!(again.fit_on(&device, (&buffer, &RHOS), &settings(4), &AtomicBool::new(true)).unwrap(), None);
    let error = again.fit_on(&device, (&buffer, &RHOS[..3]), &settings(4), &stop).unwrap_err();
    assert_eq!(error.to_string(), "3 weights for 4 architectures");
}

#[test]
fn draws_are_the_cpus() {
    let Some(device) = device() else { return };
    let configs = [config(4, 0), GranConfig { attention: Some(8), layers: 1, ..config(3, 2) }, config(1, 3)];
    let generator = generator(&configs);
    let expected = generator.sample(&mut stream(5), 9, &mut Sampler::new(1));
    let mut sampler = CudaSampler::new(&device);
    for count in [9, 4, 0] {
        let draws = generator.sample_on(&mut stream(5), count, &mut sampler).unwrap();
        assert_eq!(draws.len(), count);
        for (draw, expected) in draws.iter().zip(&expected) {
            assert_eq!(draw.components, expected.components);
            let bound = 1e-5 * (1.0 + expected.log_probability.abs());
            assert!((draw.log_probability - expected.log_probability).abs() <= bound);
            let alone = generator.log_probability(&draw.components).unwrap();
            assert!((draw.log_probability - alone).abs() <= bound);
        }
    }
}

/// Four a round forward, four or with a gate six backward, and 19 or with a gate 16 for the rest.
#[test]
fn launches_do_not_depend_on_the_number_of_graphs() {
    let Some(device) = device() else { return };
    for (config, expected) in
        [(config(3, 2), 2 * 8 + 19), (GranConfig { attention: Some(8), ..config(3, 0) }, 2 * 10 + 16)]
    {
        for count in [1, 5] {
            let configs = [config.clone()];
            let (generator, buffer) = (generator(&configs), buffer(&configs, count));
            let step = generator.loss_gradient_on(&device, &buffer, &vec![1.0; count]).unwrap();
            assert_eq!(step.launches, expected, "{count} graphs");
        }
    }
}

/// What the search sees of a generator on a device.
#[test]
fn a_proposer_fits_and_draws_on_the_device() {
    const SMALL: &str = "[space]\nnodes = 5\nstages = 2\n[generator]\nhidden = 8\nlayers = 1\nmixtures = 2\nepochs = 3";
    let Some(device) = device() else { return };
    let config = Config::from_toml(SMALL, &[]).unwrap();
    let space = space_of(&config).unwrap();
    let shapes: Vec<_> = space.components().iter().map(|shape| self::config(shape.nodes, shape.operators)).collect();
    let (buffer, stop) = (buffer(&shapes, 3), AtomicBool::new(false));
    let mut cpu = GeneratorProposer::new(space.as_ref(), &config, 1);
    let mut cuda = GeneratorProposer::new(space.as_ref(), &config, 1).on(Some(&device));
    assert!(cuda.sample(&mut stream(5), 3).is_empty());
    let expected = cpu.refit(&buffer, &RHOS[..3], 1, &stop).unwrap().unwrap();
    let losses = cuda.refit(&buffer, &RHOS[..3], 1, &stop).unwrap().unwrap();
    for (a, b) in losses.iter().zip(&expected) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{losses:?}, not {expected:?}");
    }
    let (mut ours, mut theirs) = (stream(5), stream(5));
    let (draws, expected) = (cuda.sample(&mut ours, 4), cpu.sample(&mut theirs, 4));
    assert_eq!(draws.len(), 4);
    for (draw, expected) in draws.iter().zip(&expected) {
        assert_eq!(draw.components, expected.components);
    }
    assert_eq!(ours.random::<u64>(), theirs.random::<u64>(), "the streams are not equally far");
}
