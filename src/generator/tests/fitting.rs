//! Fitting does what its weights say, whatever the number of threads, and refuses what it cannot do.

use super::{random_graph, stream};
use crate::config::{GeneratorConfig, GeneratorKind};
use crate::generator::{FitSettings, Generator, GeneratorError};
use crate::graph::LabelledGraph;
use crate::space::ComponentShape;
use std::sync::atomic::AtomicBool;

const SHAPES: [ComponentShape; 2] = [
    ComponentShape { nodes: 5, operators: 0, edge_operators: 0 },
    ComponentShape { nodes: 12, operators: 3, edge_operators: 0 },
];
const SETTINGS: FitSettings =
    FitSettings { epochs: 20, batch: 2, learning_rate: 2e-3, seed: 1, iteration: 0, threads: 1 };

fn config() -> GeneratorConfig {
    GeneratorConfig {
        warm: false,
        condition_on_operators: false,
        rnn_hidden: 128,
        kind: GeneratorKind::Gran,
        hidden: 16,
        layers: 2,
        mixtures: 4,
        attention: true,
        epochs: SETTINGS.epochs,
        batch: SETTINGS.batch,
        learning_rate: SETTINGS.learning_rate,
    }
}

fn generator() -> Generator {
    Generator::new(&SHAPES, &config(), 1, 0).unwrap()
}

fn buffer(count: usize) -> Vec<Vec<LabelledGraph>> {
    let mut stream = stream(9);
    let architecture = |_| SHAPES.iter().map(|shape| random_graph(shape.nodes, shape.operators, &mut stream)).collect();
    (0..count).map(architecture).collect()
}

fn fit(generator: &mut Generator, buffer: &[Vec<LabelledGraph>], weights: &[f64], settings: &FitSettings) -> Vec<f64> {
    generator.fit(buffer, weights, settings, &AtomicBool::new(false)).unwrap().unwrap().losses
}

#[test]
fn raises_the_probability_of_good_graphs() {
    let buffer = buffer(5);
    let mut generator = generator();
    let before: Vec<f64> = buffer.iter().map(|graphs| generator.log_probability(graphs).unwrap()).collect();
    let losses = fit(&mut generator, &buffer, &[1.0, 0.8, 0.6, 0.4, 0.2], &FitSettings { epochs: 150, ..SETTINGS });
    assert_eq!(losses.len(), 150);
    assert!(losses[149] < 0.7 * losses[0], "{losses:?}");
    for (graphs, before) in buffer.iter().zip(before) {
        assert!(generator.log_probability(graphs).unwrap() > before);
    }
}

#[test]
fn lowers_the_probability_of_bad_graphs() {
    let buffer = buffer(1);
    let mut generator = generator();
    let before = generator.log_probability(&buffer[0]).unwrap();
    fit(&mut generator, &buffer, &[-1.0], &SETTINGS);
    assert!(generator.log_probability(&buffer[0]).unwrap() < before - 1.0);
}

#[test]
fn does_not_depend_on_threads() {
    let buffer = buffer(7);
    let weights = [1.0, 0.9, 0.5, -0.2, 0.3, 0.0, 0.7];
    let settings = FitSettings { epochs: 3, batch: 5, ..SETTINGS };
    let mut one = generator();
    let losses = fit(&mut one, &buffer, &weights, &settings);
    for threads in [2, 5] {
        let mut many = generator();
        let other = fit(&mut many, &buffer, &weights, &FitSettings { threads, ..settings });
        assert_eq!(other, losses);
        assert_eq!(many.to_bytes().unwrap(), one.to_bytes().unwrap());
    }
}

#[test]
fn depends_on_seed_and_iteration() {
    let fresh = |seed, iteration| Generator::new(&SHAPES, &config(), seed, iteration).unwrap().to_bytes().unwrap();
    assert_eq!(fresh(1, 0), fresh(1, 0));
    assert_ne!(fresh(1, 0), fresh(2, 0));
    assert_ne!(fresh(1, 0), fresh(1, 1));
}

#[test]
fn stops_when_told() {
    let buffer = buffer(2);
    let mut generator = generator();
    let before = generator.to_bytes().unwrap();
    let report = generator.fit(&buffer, &[1.0, 0.5], &SETTINGS, &AtomicBool::new(true)).unwrap();
    assert_eq!(report, None);
    assert_eq!(generator.to_bytes().unwrap(), before);
}

#[test]
fn names_what_is_wrong() {
    let good = buffer(2);
    let swapped: Vec<Vec<_>> = good.iter().map(|graphs| graphs.iter().rev().cloned().collect()).collect();
    let mut unknown = good.clone();
    unknown[1][1].operators[3] = 3;
    let short: Vec<Vec<_>> = good.iter().map(|graphs| graphs[..1].to_vec()).collect();
    let refusal = |buffer: &[Vec<LabelledGraph>], weights: &[f64], settings: FitSettings| -> String {
        generator().fit(buffer, weights, &settings, &AtomicBool::new(false)).unwrap_err().to_string()
    };
    let weights = [1.0, 0.5];
    for (message, expected) in [
        (refusal(&swapped, &weights, SETTINGS), "graph 0 has 12 nodes, but the generator draws 5"),
        (refusal(&unknown, &weights, SETTINGS), "graph 1 must have one operator below 3 on each of its 12 nodes"),
        (refusal(&short, &weights, SETTINGS), "an architecture has 1 graphs, but the generator draws 2"),
        (refusal(&good, &[1.0], SETTINGS), "1 weights for 2 architectures"),
        (refusal(&good, &[1.0, f64::NAN], SETTINGS), "the weight of architecture 1 is NaN, not a finite number"),
        (
            refusal(&good, &weights, FitSettings { learning_rate: f64::NAN, ..SETTINGS }),
            "generator.learning_rate is NaN, but must be a positive number",
        ),
    ] {
        assert_eq!(message, expected);
    }
    assert!(refusal(&good, &weights, FitSettings { batch: 0, ..SETTINGS }).starts_with("generator.batch is 0"));
    let error = refusal(&good, &[1e300, 1.0], FitSettings { learning_rate: 1e30, ..SETTINGS });
    assert!(error.contains("try a smaller generator.learning_rate"), "{error}");
}

#[test]
fn refuses_a_hidden_width_that_cannot_hold_the_node_numbers() {
    let error = Generator::new(&SHAPES, &GeneratorConfig { hidden: 14, ..config() }, 1, 0).unwrap_err();
    assert!(matches!(error, GeneratorError::HiddenTooSmall { hidden: 14, nodes: 12 }));
    assert_eq!(error.to_string(), "generator.hidden is 14, but graphs of 12 nodes need at least 15");
}
