//! The benchmark workload, whose losses an independent PyTorch program published.
//!
//! Adam's first steps move every parameter by the learning rate whatever its gradient's size, so rounding decides where a
//! gradient is nearly zero: in f64 the same program gives 190.97242 190.91288 190.87829 190.83534 without attention, and
//! in f32 with another order of the products 190.97243 190.91290 190.88258 190.81801.

use crate::generator::fit::{Crew, Minibatch, Trainer};
use crate::generator::passes::Example;
use crate::generator::{Gran, GranConfig};
use crate::graph::{Dag, LabelledGraph};
use crate::random::{Purpose, StreamKey};

/// 12 graphs of 32 nodes and 64 edges.
const GRAPHS: &str = include_str!("watts-strogatz-32.json");

/// `u(stream, k)` of the workload's definition, in [0, 1).
fn fill(stream: u64, k: u64) -> f64 {
    let mut z = (stream << 32).wrapping_add(k).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ z >> 31) >> 40) as f64 / f64::from(1 << 24)
}

/// The workload's generator and its starting values: weights filled, biases zero but the last of theta -2.
fn generator(attention: bool) -> Gran {
    let key = StreamKey { seed: 0, purpose: Purpose::GeneratorInitialise, candidate: 0, epoch: 0 };
    let mut gran = Gran::new(GranConfig::workload(attention), &mut key.stream()).unwrap();
    let mut stream = 2_000_000;
    for tensor in gran.layout.tensors.clone() {
        let values = &mut gran.parameters[tensor.range()];
        if tensor.dimensions.len() == 2 {
            stream += 1;
            let scale = (tensor.dimensions[1] as f64).sqrt();
            for (value, k) in values.iter_mut().zip(0..) {
                *value = ((2.0 * fill(stream, k) - 1.0) / scale) as f32;
            }
        } else {
            values.fill(if tensor.name == "theta.2.bias" { -2.0 } else { 0.0 });
        }
    }
    gran
}

fn check(attention: bool, parameters: usize, losses: [f64; 4]) {
    let dags: Vec<Dag> = serde_json::from_str(GRAPHS).unwrap();
    let graphs: Vec<_> = dags.into_iter().map(|dag| LabelledGraph { dag, operators: Vec::new() }).collect();
    let gran = generator(attention);
    assert_eq!(gran.parameter_count(), parameters);
    let (mut crew, mut trainers) = (Crew::new(2), [Trainer::new(gran, 1e-3)]);
    for (expected, tolerance) in losses.into_iter().zip([1e-6, 1e-6, 1e-4, 3e-4]) {
        let example = |_: usize, index: usize| Example { graph: &graphs[index % graphs.len()], rho: 1.0 };
        let loss = crew.step(&mut trainers, Minibatch { count: 16, example: &example });
        assert!((loss - expected).abs() <= tolerance * expected, "{loss} instead of {expected}");
    }
}

#[test]
fn reproduces_the_published_losses() {
    check(false, 1_001_896, [190.97243, 190.91289, 190.87868, 190.80922]);
}

#[test]
fn reproduces_the_published_losses_with_attention() {
    check(true, 1_234_856, [190.97214, 190.92981, 190.89430, 190.87393]);
}
