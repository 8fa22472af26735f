//! All memory of a network is planned before its first step: steps ask the allocator for nothing. Fitting a generator
//! finds what memory it needs in its first steps, and asks for no more after them.

use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use graphpnas_fast::generator::{FitSettings, Generator, Gran, GranConfig};
use graphpnas_fast::graph::{Dag, LabelledGraph};
use graphpnas_fast::net::Workload;
use graphpnas_fast::random::{Purpose, StreamKey};
use std::sync::atomic::AtomicBool;

#[test]
fn steps_allocate_nothing() {
    let json = std::fs::read_to_string("tests/data/workloads/W1.json").unwrap();
    let workload = Workload::from_json(&json).unwrap();
    let (pixels, labels) = (workload.images(), workload.labels());
    let batch = Batch { pixels: &pixels, labels: &labels };
    for threads in [1, 2] {
        let options = NetworkOptions { batch: workload.batch, threads, set: InstructionSet::best() };
        let mut network = Network::new(&workload.plan, options);
        network.load(&workload.weights());
        let mask = vec![1.0; workload.batch * network.features()];
        let dropout = Some(&mask[..]);
        let step = Step {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-5,
            gradient_clip: None,
            label_smoothing: 0.1,
            dropout,
        };
        let counted = allocation_counter::measure(|| {
            network.train(batch, step);
            network.evaluate(batch, 0.1);
        });
        assert_eq!(counted.count_total, 0, "{threads} threads: {counted:?}");
    }
}

/// Allocations of a fit of so many epochs; only the caller's thread is counted, so it does all.
fn allocations_of_a_fit(config: &GranConfig, epochs: usize) -> u64 {
    let stream = &mut StreamKey { seed: 1, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream();
    let mut generator = Generator::from_components(vec![Gran::new(config.clone(), stream).unwrap()]);
    let chain = |length: usize| {
        let edges: Vec<[usize; 2]> = (1..length).map(|to| [to - 1, to]).collect();
        let operators = vec![0; if config.operators > 0 { config.nodes } else { 0 }];
        vec![LabelledGraph { dag: Dag::new(config.nodes, &edges).unwrap(), operators }]
    };
    let buffer: Vec<_> = (2..=config.nodes).map(chain).collect();
    let weights = vec![1.0; buffer.len()];
    let settings = FitSettings { epochs, batch: buffer.len(), learning_rate: 1e-3, seed: 1, iteration: 0, threads: 1 };
    allocation_counter::measure(|| {
        generator.fit(&buffer, &weights, &settings, &AtomicBool::new(false)).unwrap();
    })
    .count_total
}

#[test]
fn later_steps_of_a_fit_allocate_nothing() {
    let released = GranConfig::released(7, 5, 24);
    let plain = GranConfig { attention: None, ..released.clone() };
    for config in [released, plain] {
        assert_eq!(allocations_of_a_fit(&config, 60), allocations_of_a_fit(&config, 20), "{config:?}");
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}
