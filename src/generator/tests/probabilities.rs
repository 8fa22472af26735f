//! The generator is a probability distribution, the one that the reference defines, and draws from it.

use super::reference::{Parameters, values};
use super::{all_graphs, random_graph, small, stream};
use crate::generator::{Generator, GranConfig, InputLayout, Sampler};
use crate::graph::LabelledGraph;
use std::collections::HashMap;

const LAYOUTS: [InputLayout; 2] = [InputLayout::Released, InputLayout::Plain];

pub fn probability(generator: &Generator, graph: &LabelledGraph) -> f64 {
    generator.log_probability(std::slice::from_ref(graph)).unwrap().exp()
}

#[test]
fn probabilities_of_all_graphs_sum_to_one() {
    for input in LAYOUTS {
        for (nodes, operators) in [(1, 3), (4, 2), (4, 0), (5, 0)] {
            for attention in [None, Some(6)] {
                let generator = Generator { components: vec![small(nodes, operators, attention, input)] };
                let all = all_graphs(nodes, operators);
                let total: f64 = all.iter().map(|graph| probability(&generator, graph)).sum();
                assert!((total - 1.0).abs() <= 1e-5, "{nodes} nodes, {operators} operators: {total}");
            }
        }
    }
}

#[test]
fn log_probabilities_are_those_of_the_reference() {
    for input in LAYOUTS {
        let gran = small(6, 3, Some(6), input);
        let exact = values(&gran);
        let generator = Generator { components: vec![gran.clone()] };
        let mut stream = stream(4);
        for _ in 0..20 {
            let graph = random_graph(6, 3, &mut stream);
            let expected = Parameters { gran: &gran, values: &exact }.log_probability(&graph);
            let got = generator.log_probability(std::slice::from_ref(&graph)).unwrap();
            assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{got} instead of {expected}");
        }
    }
}

/// Pearson's statistic against its mean plus five standard deviations; cells with few expected draws are pooled.
pub fn assert_frequencies(generator: &Generator, all: &[LabelledGraph]) {
    let draws = generator.sample(&mut stream(3), 20_000, &mut Sampler::new(1));
    let mut counts: HashMap<&LabelledGraph, f64> = HashMap::new();
    draws.iter().for_each(|draw| *counts.entry(&draw.components[0]).or_default() += 1.0);
    let (mut statistic, mut cells, mut pooled) = (0.0, 0.0, [0.0, 0.0]);
    let mut add = |[count, expected]: [f64; 2]| {
        statistic += (count - expected).powi(2) / expected;
        cells += 1.0;
    };
    for graph in all {
        let expected = draws.len() as f64 * probability(generator, graph);
        let count = counts.remove(graph).unwrap_or(0.0);
        if expected >= 5.0 {
            add([count, expected]);
        } else {
            pooled = [pooled[0] + count, pooled[1] + expected];
        }
    }
    if pooled[1] >= 5.0 {
        add(pooled);
    }
    assert!(counts.is_empty(), "drew a graph that is none");
    let freedom: f64 = cells - 1.0;
    assert!(freedom >= 20.0, "the distribution is too narrow to test");
    let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
    assert!(statistic <= bound, "chi-square {statistic} with {freedom} degrees of freedom");
}

#[test]
fn frequencies_of_draws_are_the_probabilities() {
    for (nodes, operators) in [(5, 0), (4, 0), (3, 2)] {
        for input in LAYOUTS {
            let generator = Generator { components: vec![small(nodes, operators, Some(6), input)] };
            assert_frequencies(&generator, &all_graphs(nodes, operators));
        }
    }
}

#[test]
fn draws_carry_their_log_probability_and_do_not_depend_on_the_count() {
    let components = vec![small(7, 3, Some(6), InputLayout::Released), small(5, 0, None, InputLayout::Plain)];
    let generator = Generator { components };
    let mut sampler = Sampler::new(2);
    let draws = generator.sample(&mut stream(1), 200, &mut sampler);
    for draw in &draws {
        let expected = generator.log_probability(&draw.components).unwrap();
        assert!((draw.log_probability - expected).abs() <= 1e-9 * expected.abs());
    }
    assert_eq!(generator.sample(&mut stream(1), 3, &mut sampler), draws[..3]);
    assert_eq!(generator.sample(&mut stream(1), 3, &mut Sampler::new(1)), draws[..3]);
    assert_ne!(generator.sample(&mut stream(2), 3, &mut sampler), draws[..3]);
    assert!(generator.sample(&mut stream(1), 0, &mut sampler).is_empty());
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |config| crate::generator::Gran::new(config, &mut stream(0)).unwrap().parameter_count();
    assert_eq!(count(GranConfig::workload(false)), 1_001_896);
    assert_eq!(count(GranConfig::workload(true)), 1_234_856);
    // The released code has 108,769 for NAS-Bench-101: it also makes an edge-operator head, whose output is empty
    // there but whose two hidden layers (24 x 24 + 24 each) count.
    let edge = count(GranConfig { edge_operators: 1, ..GranConfig::released(7, 5, 24) });
    assert_eq!(edge - (24 + 1), 108_769);
    assert_eq!(count(GranConfig::released(7, 5, 24)) + 2 * (24 * 24 + 24), 108_769);
}
