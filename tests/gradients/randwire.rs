//! RandWire networks.

use crate::case::{Case, Tally};
use graphpnas_fast::device::cpu::InstructionSet;
use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{ImageShape, RandWireShape, randwire};
use graphpnas_fast::random::{Purpose, StreamKey};
use proptest::test_runner::{Config as ProptestConfig, RngSeed, TestRunner};
use rand::RngExt;
use std::cell::Cell;

fn case(stages: &[Dag], shape: &RandWireShape, images: usize, seed: u64) -> Case {
    Case::new(randwire(stages, shape), images, seed)
}

fn dag(nodes: usize, edges: &[[usize; 2]]) -> Dag {
    Dag::new(nodes, edges).unwrap()
}

fn shape(side: (usize, usize), channels: usize, strides: &[usize]) -> RandWireShape {
    RandWireShape {
        image: ImageShape { channels: 2, height: side.0, width: side.1 },
        channels,
        stem_stride: 1,
        second_stem_stride: None,
        stage_strides: strides.to_vec(),
        head: 11,
        classes: 5,
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    // In-degrees 0 to 6 (more than one pass of a gather), several sources and sinks, an isolated node, odd sizes.
    let wide = dag(8, &[[0, 7], [1, 7], [2, 7], [3, 7], [4, 7], [5, 7], [0, 2], [1, 2], [2, 4], [2, 5], [0, 3]]);
    let deep = dag(4, &[[0, 1], [1, 2], [0, 2]]);
    let case = case(&[wide, deep], &shape((7, 5), 10, &[2, 2]), 3, 1);
    for tally in case.check_gradients_on([InstructionSet::best(), InstructionSet::Portable16], 1) {
        tally.assert_badly_conditioned_at_most(0.0);
    }
}

#[test]
fn gradients_agree_across_groups_and_partial_tiles() {
    let chain = dag(3, &[[0, 1], [1, 2]]);
    let fork = dag(3, &[[0, 2]]);
    let case = case(&[chain, fork], &shape((4, 4), 6, &[1, 2]), 37, 2);
    case.check_gradients(InstructionSet::best(), 7).assert_badly_conditioned_at_most(0.0);
}

#[test]
fn a_second_convolution_in_the_stem_agrees() {
    let wide = dag(5, &[[0, 2], [1, 2], [0, 3], [2, 4]]);
    let chain = dag(2, &[[0, 1]]);
    for (stride, seed) in [(1, 6), (2, 7)] {
        let shape = RandWireShape { second_stem_stride: Some(stride), ..shape((9, 6), 10, &[2, 1]) };
        let case = case(&[wide.clone(), chain.clone()], &shape, 19, seed);
        let sets = [InstructionSet::best(), InstructionSet::Portable16];
        for (set, tally) in sets.into_iter().zip(case.check_gradients_on(sets, 3)) {
            tally.assert_badly_conditioned_at_most(0.01);
            case.check_evaluation(set, 2);
        }
    }
}

#[test]
fn evaluation_agrees_with_the_reference() {
    let diamond = dag(4, &[[0, 1], [0, 2], [1, 3], [2, 3]]);
    let case = case(&[diamond.clone(), diamond], &shape((9, 6), 12, &[2, 2]), 21, 3);
    for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
        for threads in [1, 2] {
            case.check_evaluation(set, threads);
        }
    }
}

#[test]
fn a_diverged_network_shows() {
    let chain = dag(2, &[[0, 1]]);
    let case = case(&[chain], &shape((4, 4), 6, &[2]), 4, 4);
    let mut network = case.network(1, InstructionSet::best());
    let mut weights = case.weights.clone();
    weights.tensors[0].data[0] = f32::NAN;
    network.load(&weights);
    assert!(network.train(case.batch(), case.step()).loss.is_nan());
}

#[test]
fn weights_survive_the_device_bit_for_bit() {
    let case = case(&[dag(3, &[[0, 1], [0, 2]])], &shape((6, 6), 13, &[2]), 2, 5);
    for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
        assert_eq!(case.network(1, set).weights(), case.weights);
    }
}

#[test]
fn gradients_are_as_close_as_f32_allows_where_batch_norm_is_nearly_singular() {
    let mut total = Tally::default();
    for seed in 0..40 {
        // Two or three numbers a channel, now and then nearly equal.
        let chain = dag(3, &[[0, 1], [1, 2]]);
        let case = case(&[chain], &shape((1, 1), 9, &[1]), 2 + seed as usize % 2, seed);
        total.add(case.check_gradients(InstructionSet::best(), 5));
    }
    total.assert_badly_conditioned_at_most(0.02);
}

/// Both stages' wiring from one seed.
fn random_stages(seed: u64, nodes: usize, density: f64) -> [Dag; 2] {
    let mut stream = StreamKey { seed, purpose: Purpose::Explore, candidate: 0, epoch: 0 }.stream();
    std::array::from_fn(|_| {
        let mut graph = Dag::without_edges(nodes).unwrap();
        for to in 1..nodes {
            for from in 0..to {
                if stream.random_bool(density) {
                    graph.add_edge(from, to);
                }
            }
        }
        graph
    })
}

#[test]
fn gradients_agree_on_random_networks() {
    let config = ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let graphs = (0u64..1000, 1usize..6, 0.0f64..1.0);
    let shapes = (1usize..9, 1usize..9, 2usize..20, 2usize..6, 1usize..3);
    let total = Cell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&(graphs, shapes), |(graphs, shapes)| {
        let ((seed, nodes, density), (height, width, channels, images, stride)) = (graphs, shapes);
        let shape = shape((height, width), channels, &[stride, 2]);
        let case = case(&random_stages(seed, nodes, density), &shape, images, seed);
        let mut sum = total.get();
        sum.add(case.check_gradients(InstructionSet::best(), 13));
        total.set(sum);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    total.get().assert_badly_conditioned_at_most(0.02);
}
