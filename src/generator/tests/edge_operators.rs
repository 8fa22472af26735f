//! Operators on edges, and operators that enter the network: a distribution, the reference's, with the gradients of it.

use super::gradients::check_end_to_end;
use super::probabilities::{assert_frequencies, probability};
use super::reference::{Parameters, values};
use super::{all_graphs, random_graph, small, stream};
use crate::generator::{Generator, Gran, GranConfig, InputLayout, LossScale, Sampler};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::space::ComponentShape;
use rand::RngExt;

/// Operators of nodes and edges, and whether they enter the network.
const CASES: [(usize, usize, bool); 5] = [(0, 2, false), (0, 2, true), (2, 2, false), (2, 2, true), (3, 0, true)];

fn gran(nodes: usize, (operators, edge_operators, condition_on_operators): (usize, usize, bool)) -> Gran {
    let config = small(nodes, operators, Some(5), InputLayout::Released).config;
    let config = GranConfig { edge_operators, condition_on_operators, ..config };
    let mut gran = Gran::new(config, &mut stream(7)).unwrap();
    gran.parameters.iter_mut().for_each(|value| *value *= 1.6);
    gran
}

/// How many choices each label of a wiring has, row by row; 1 for an edge that is not there.
fn choices(shape: &ComponentShape, wiring: &LabelledGraph) -> Vec<u8> {
    let row = |node: usize| {
        let own = (shape.operators > 0).then_some(shape.operators as u8);
        let edge = move |from| if wiring.dag.has_edge(from, node) { shape.edge_operators as u8 } else { 1 };
        own.into_iter().chain((0..node).filter(|_| shape.edge_operators > 0).map(edge))
    };
    (0..shape.nodes).flat_map(row).collect()
}

fn all_labelled(shape: &ComponentShape) -> Vec<LabelledGraph> {
    let mut all = Vec::new();
    for wiring in all_graphs(shape.nodes, 0) {
        let choices = choices(shape, &wiring);
        let count: usize = choices.iter().map(|&choices| usize::from(choices)).product();
        for mut number in 0..count {
            let digit = |&choices: &u8| {
                let digit = number % usize::from(choices);
                number /= usize::from(choices);
                digit as u8
            };
            let operators = choices.iter().map(digit).collect();
            all.push(LabelledGraph { operators, ..wiring.clone() });
        }
    }
    all
}

fn random_labelled(shape: &ComponentShape, stream: &mut Stream) -> LabelledGraph {
    let wiring = random_graph(shape.nodes, 0, stream);
    let operators = choices(shape, &wiring).into_iter().map(|choices| stream.random_range(0..choices)).collect();
    LabelledGraph { operators, ..wiring }
}

#[test]
fn probabilities_of_all_graphs_sum_to_one() {
    for case in CASES {
        let gran = gran(3, case);
        let all = all_labelled(&gran.config.shape());
        let generator = Generator { components: vec![gran] };
        let total: f64 = all.iter().map(|graph| probability(&generator, graph)).sum();
        assert!((total - 1.0).abs() <= 1e-5, "{case:?}: {total}");
    }
}

#[test]
fn log_probabilities_are_those_of_the_reference() {
    for case in CASES {
        let gran = gran(6, case);
        let (shape, exact) = (gran.config.shape(), values(&gran));
        let generator = Generator { components: vec![gran.clone()] };
        let mut stream = stream(4);
        for _ in 0..10 {
            let graph = random_labelled(&shape, &mut stream);
            let expected = Parameters { gran: &gran, values: &exact }.log_probability(&graph);
            let got = generator.log_probability(std::slice::from_ref(&graph)).unwrap();
            assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{case:?}: {got} instead of {expected}");
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let rhos = [1.0, 0.4, -0.7];
    for case in CASES {
        for loss in [LossScale::Mean, LossScale::Sum] {
            let mut gran = gran(4, case);
            gran.config.loss = loss;
            let (shape, mut stream) = (gran.config.shape(), stream(11));
            let graphs: Vec<_> = rhos.iter().map(|_| random_labelled(&shape, &mut stream)).collect();
            check_end_to_end(gran, &graphs, &rhos);
        }
    }
}

#[test]
fn frequencies_of_draws_are_the_probabilities() {
    for case in CASES {
        let gran = gran(3, case);
        let all = all_labelled(&gran.config.shape());
        assert_frequencies(&Generator { components: vec![gran] }, &all);
    }
}

#[test]
fn draws_carry_their_log_probability_and_do_not_depend_on_threads() {
    for case in CASES {
        let gran = gran(6, case);
        let shape = gran.config.shape();
        let generator = Generator { components: vec![gran] };
        let draws = generator.sample(&mut stream(1), 100, &mut Sampler::new(1));
        for draw in &draws {
            assert!(shape.has_operators_of(&draw.components[0]));
            let expected = generator.log_probability(&draw.components).unwrap();
            assert!((draw.log_probability - expected).abs() <= 1e-9 * expected.abs());
        }
        assert_eq!(generator.sample(&mut stream(1), 100, &mut Sampler::new(2)), draws);
    }
}

#[test]
fn checkpoints_and_refusals_know_the_operators_of_edges() {
    let gran = gran(4, (0, 2, true));
    let graph = random_labelled(&gran.config.shape(), &mut stream(2));
    let generator = Generator { components: vec![gran] };
    let back = Generator::from_bytes(&generator.to_bytes().unwrap()).unwrap();
    let probability = |generator: &Generator| generator.log_probability(std::slice::from_ref(&graph)).unwrap();
    assert_eq!(probability(&back), probability(&generator));
    for operators in [vec![0; 5], vec![0, 0, 0, 0, 0, 2]] {
        let wrong = LabelledGraph { operators, ..graph.clone() };
        let error = generator.log_probability(&[wrong]).unwrap_err().to_string();
        assert!(error.contains("operator below 2 on each of its possible edges"), "{error}");
    }
}
