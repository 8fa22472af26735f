//! What RandWire networks cost: the plan's figures against an independent count, and that count against the paper.

use graphpnas_fast::config::{ClassicalKind, Config};
use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{ImageShape, Plan, RandWireShape, randwire};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::space::{Architecture, space_of};
use std::path::Path;

const CHANNELS: u64 = 78;
const HEAD: u64 = 1280;
const CLASSES: u64 = 1000;
const SIDE: u64 = 224;

/// Wirings of the paper's small regime: three stages of WS(4, 0.75) graphs of 32 nodes.
fn wirings(count: u64) -> Vec<Vec<Dag>> {
    let config = Config::from_file(Path::new("configs/randwire-tiny-imagenet.toml"), &[]).unwrap();
    let space = space_of(&config).unwrap();
    let wiring = |number| {
        let key = StreamKey { seed: 1, purpose: Purpose::Explore, candidate: number, epoch: 0 };
        match space.explore(&mut key.stream(), ClassicalKind::Ws).unwrap() {
            Architecture::RandWire { stages } => stages,
            other => panic!("{other:?}"),
        }
    };
    (0..count).map(wiring).collect()
}

/// Parameters and multiply-adds, counted layer by layer from the wiring alone. `stem`: output channels of the dense 3x3
/// convolutions before the stages, each of which halves the image.
fn count(stages: &[Dag], stem: &[u64]) -> (u64, u64) {
    let (mut parameters, mut multiply_adds, mut side, mut input) = (0, 0, SIDE, 3);
    for &output in stem {
        side /= 2;
        parameters += 9 * input * output + 2 * output;
        multiply_adds += side * side * 9 * input * output;
        input = output;
    }
    for (stage, dag) in stages.iter().enumerate() {
        side /= 2;
        let channels = CHANNELS << stage;
        for node in 0..dag.nodes() {
            let edges = dag.in_degree(node) as u64;
            let from = if edges == 0 { input } else { channels };
            let weights = 9 * from + from * channels;
            parameters += weights + 2 * channels + if edges > 1 { edges } else { 0 };
            multiply_adds += side * side * weights;
        }
        input = channels;
    }
    parameters += input * HEAD + 2 * HEAD + HEAD * CLASSES + CLASSES;
    multiply_adds += side * side * input * HEAD + HEAD * CLASSES;
    (parameters, multiply_adds)
}

/// The networks' plans; `second`: with the second convolution of the paper's stem.
fn plan(stages: &[Dag], second: bool) -> Plan {
    let shape = RandWireShape {
        image: ImageShape { channels: 3, height: SIDE as usize, width: SIDE as usize },
        channels: CHANNELS as usize,
        stem_stride: 2,
        second_stem_stride: second.then_some(2),
        stage_strides: vec![2; stages.len()],
        head: HEAD as usize,
        classes: CLASSES as usize,
    };
    randwire(stages, &shape)
}

#[test]
fn plans_cost_what_an_independent_count_says() {
    for stages in wirings(10) {
        for (second, stem) in [(false, &[CHANNELS / 2][..]), (true, &[CHANNELS / 2, CHANNELS])] {
            let plan = plan(&stages, second);
            assert_eq!((plan.trained_parameters(), plan.multiply_adds()), count(&stages, stem));
        }
    }
}

/// Published are 5.6 M parameters and 583 M multiply-adds.
#[test]
fn the_small_regime_has_the_published_size() {
    let plans: Vec<Plan> = wirings(50).iter().map(|stages| plan(stages, true)).collect();
    let mean = |of: fn(&Plan) -> u64| plans.iter().map(of).sum::<u64>() as f64 / plans.len() as f64 / 1e6;
    let (parameters, multiply_adds) = (mean(Plan::trained_parameters), mean(Plan::multiply_adds));
    println!("{parameters:.3} M parameters, {multiply_adds:.1} M multiply-adds");
    assert!((parameters - 5.6).abs() <= 0.1, "{parameters}");
    assert!((multiply_adds - 583.0).abs() <= 0.03 * 583.0, "{multiply_adds}");
}
