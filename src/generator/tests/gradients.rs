//! Every hand-written backward pass against central differences of the f64 reference.

use super::reference::{Parameters, central_differences, prefix_edges, values};
use super::{random_graph, small, stream};
use crate::device::cpu::gang::Gang;
use crate::device::cpu::matrix::{Matrix, Sum};
use crate::generator::fit::{Crew, Minibatch, Trainer};
use crate::generator::gru::{GruInputs, GruState};
use crate::generator::head::{BoundHead, HeadState};
use crate::generator::mixture::{Mixture, Operators, RowLogits};
use crate::generator::pass::{Backward, Forward, RoundGraph, Scratch};
use crate::generator::passes::Example;
use crate::generator::prefixes::{PrefixBatch, Stage};
use crate::generator::round::{BoundRound, RoundState};
use crate::generator::shares::surplus;
use crate::generator::weights::Weights;
use crate::generator::{Gran, InputLayout, LossScale};
use crate::graph::{Dag, LabelledGraph};
use rand::RngExt;

const LAYOUTS: [InputLayout; 2] = [InputLayout::Released, InputLayout::Plain];
const ATTENTIONS: [Option<usize>; 2] = [None, Some(5)];

fn matrix(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut stream = stream(seed);
    let mut matrix = Matrix::default();
    matrix.reshape(rows, cols);
    matrix.data_mut().iter_mut().for_each(|value| *value = 2.0 * stream.random::<f32>() - 1.0);
    matrix
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn rows(values: &[f64], cols: usize) -> Vec<Vec<f64>> {
    values.chunks_exact(cols).map(<[f64]>::to_vec).collect()
}

/// `sum_i factors_i values_i`
fn weighted_sum(factors: &[f32], values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().zip(factors).map(|(value, factor)| value * f64::from(*factor)).sum()
}

fn assert_close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(error <= 2e-5 * largest + 1e-7, "{what}, element {index}: {got} instead of {expected}");
    }
}

/// Compares the gradient of all parameters, those that take no part included.
fn assert_parameters(what: &str, gran: &Gran, gradient: &[f32], f: impl Fn(Parameters) -> f64) {
    let expected = central_differences(&values(gran), |values| f(Parameters { gran, values }));
    assert_close(what, gradient, &expected);
}

fn weights(gran: &Gran) -> Weights {
    let mut weights = Weights::default();
    weights.set(gran, &mut Gang::new(1), true);
    weights
}

fn zero_gradient(gran: &Gran) -> Vec<f32> {
    vec![0.0; gran.layout.gradient_len()]
}

/// The gradient of the parameters.
fn unfolded(gran: &Gran, weights: &mut Weights, mut gradient: Vec<f32>) -> Vec<f32> {
    weights.unfold_gradient(gran, &mut gradient);
    gradient.truncate(gran.parameters.len());
    gradient
}

#[test]
fn gru() {
    // With a gate the cell's input layer is its own.
    let gran = small(4, 0, Some(5), InputLayout::Plain);
    let hidden = gran.config.hidden;
    let (x, h, factors) = (matrix(3, hidden, 1), matrix(3, hidden, 2), matrix(3, hidden, 3));
    let (parameters, weights) = (&gran.parameters[..], weights(&gran));
    let (scratch, kept, out) = (&mut Scratch::default(), &mut GruState::default(), &mut Matrix::default());
    // The prefix of two nodes without edges has three nodes; the cell does not ask for the edges between them.
    let mut batch = PrefixBatch::default();
    batch.clear(1, false);
    batch.push(0, &[0, 0], 2..3);
    let [.., level] = &batch.levels;
    let stage: &Stage = &batch.stages[2];
    let graph = RoundGraph { stage, input: level, output: level };
    let cell = BoundRound { layers: &gran.layout.rounds[1], weights: &weights.rounds[1], graph };
    let inputs = GruInputs { received: &x, state: &h };
    cell.gru_forward(&mut Forward { parameters, scratch }, inputs, out, kept);
    let mut gradient = zero_gradient(&gran);
    let (mut dh, mut dx) = (Matrix::default(), Matrix::default());
    let pass = &mut Backward { parameters, gradient: &mut gradient, sum: Sum::Fresh, scratch };
    cell.gru_backward(pass, (inputs, kept), &factors, [&mut dx, &mut dh]);

    let run = |parameters: &Parameters, x: &[f64], h: &[f64]| -> Vec<f64> {
        let cells = rows(x, hidden).into_iter().zip(rows(h, hidden));
        cells.flat_map(|(x, h)| parameters.gru("rounds.1.gru", &x, &h)).collect()
    };
    let (x, h, exact) = (wide(x.data()), wide(h.data()), values(&gran));
    let own = Parameters { gran: &gran, values: &exact };
    assert_close("output", out.data(), &run(&own, &x, &h));
    let loss = |values: Vec<f64>| weighted_sum(factors.data(), values);
    assert_close("x", dx.data(), &central_differences(&x, |x| loss(run(&own, x, &h))));
    assert_close("h", dh.data(), &central_differences(&h, |h| loss(run(&own, &x, h))));
    assert_parameters("parameters", &gran, &gradient, |parameters| loss(run(&parameters, &x, &h)));
}

#[test]
fn output_head() {
    let gran = small(4, 3, None, InputLayout::Plain);
    let hidden = gran.config.hidden;
    let (x, factors) = (matrix(5, hidden, 1), matrix(5, 3, 2));
    let (parameters, mut weights) = (&gran.parameters[..], weights(&gran));
    let (scratch, mut kept) = (&mut Scratch::default(), HeadState::default());
    let layers = gran.layout.operator.unwrap();
    let head = BoundHead { layers: &layers, weights: &weights.heads[2] };
    head.forward(&mut Forward { parameters, scratch }, x.view(), &mut kept);
    kept.dout = factors.clone();
    let mut gradient = zero_gradient(&gran);
    let mut dx = Matrix::default();
    dx.reshape_zeroed(5, hidden);
    head.backward(
        &mut Backward { parameters, gradient: &mut gradient, sum: Sum::Fresh, scratch },
        x.view(),
        &kept,
        &mut dx,
    );
    let gradient = unfolded(&gran, &mut weights, gradient);

    let run = |parameters: &Parameters, x: &[f64]| -> Vec<f64> {
        rows(x, hidden).iter().flat_map(|row| parameters.layers("operator", 3, row)).collect()
    };
    let (x, exact) = (wide(x.data()), values(&gran));
    let own = Parameters { gran: &gran, values: &exact };
    assert_close("output", kept.out.data(), &run(&own, &x));
    let loss = |values: Vec<f64>| weighted_sum(factors.data(), values);
    assert_close("x", dx.data(), &central_differences(&x, |x| loss(run(&own, x))));
    assert_parameters("parameters", &gran, &gradient, |parameters| loss(run(&parameters, &x)));
}

#[test]
fn round_of_message_passing() {
    let (nodes, step) = (5, 4);
    for input in LAYOUTS {
        for attention in ATTENTIONS {
            let gran = small(nodes, 0, attention, input);
            let hidden = gran.config.hidden;
            let graph = random_graph(nodes, 0, &mut stream(5));
            let bits: Vec<u128> = (0..nodes).map(|node| graph.dag.predecessor_bits(node)).collect();
            let mut batch = PrefixBatch::default();
            batch.clear(1, input == InputLayout::Released);
            batch.push(0, &bits, step..step + 1);
            let (state, factors) = (matrix(step + 1, hidden, 1), matrix(step + 1, hidden, 2));
            let (parameters, mut weights) = (&gran.parameters[..], weights(&gran));
            let (scratch, kept, out) = (&mut Scratch::default(), &mut RoundState::default(), &mut Matrix::default());
            let level = &batch.levels[2];
            let bound = RoundGraph { stage: &batch.stages[2], input: level, output: level };
            let round = BoundRound { layers: &gran.layout.rounds[1], weights: &weights.rounds[1], graph: bound };
            round.forward(&mut Forward { parameters, scratch }, &state, out, kept);
            let mut gradient = zero_gradient(&gran);
            let mut dstate = factors.clone();
            let pass = &mut Backward { parameters, gradient: &mut gradient, sum: Sum::Fresh, scratch };
            round.backward(pass, &state, kept, &mut dstate);
            let gradient = unfolded(&gran, &mut weights, gradient);

            let edges = prefix_edges(&graph, step);
            let run = |parameters: &Parameters, state: &[f64]| -> Vec<f64> {
                parameters.round(1, &rows(state, hidden), &edges).concat()
            };
            let (state, exact) = (wide(state.data()), values(&gran));
            let own = Parameters { gran: &gran, values: &exact };
            let what = format!("{input:?}, attention {attention:?}");
            assert_close(&what, out.data(), &run(&own, &state));
            let loss = |values: Vec<f64>| weighted_sum(factors.data(), values);
            assert_close(&what, dstate.data(), &central_differences(&state, |state| loss(run(&own, state))));
            assert_parameters(&what, &gran, &gradient, |parameters| loss(run(&parameters, &state)));
        }
    }
}

#[test]
fn mixture_of_bernoullis() {
    // Row 0b101 of three entries, three components; theta has rows 0..3, alpha one more for the self pair.
    let (row, pairs) = (0b101, 0..3);
    for self_pair in [None, Some(3)] {
        let (theta, alpha) = (matrix(3, 3, 1), matrix(4, 3, 2));
        let (mut dtheta, mut dalpha) = (Matrix::default(), Matrix::default());
        dtheta.reshape_zeroed(3, 3);
        dalpha.reshape_zeroed(4, 3);
        let logits = RowLogits { theta: &theta, alpha: &alpha, pairs: &pairs, self_pair };
        let mut mixture = Mixture::default();
        let got = mixture.log_probability(logits, row);
        mixture.gradient(logits, row, 0.7, [&mut dtheta, &mut dalpha]);

        let count = if self_pair.is_some() { 4 } else { 3 };
        let exact = |theta: &[f64], alpha: &[f64]| -> f64 {
            let weights: Vec<f64> = (0..3)
                .map(|k| (alpha.chunks_exact(3).take(count).map(|row| row[k]).sum::<f64>() / count as f64).exp())
                .collect();
            let component = |k: usize| -> f64 {
                let entry = |j: usize| {
                    let p = 1.0 / (1.0 + (-theta[3 * j + k]).exp());
                    if row >> j & 1 == 1 { p } else { 1.0 - p }
                };
                weights[k] / weights.iter().sum::<f64>() * (0..3).map(entry).product::<f64>()
            };
            (0..3).map(component).sum::<f64>().ln()
        };
        let (theta, alpha) = (wide(theta.data()), wide(alpha.data()));
        assert!((got - exact(&theta, &alpha)).abs() <= 1e-12);
        assert_close("theta", dtheta.data(), &central_differences(&theta, |theta| 0.7 * exact(theta, &alpha)));
        assert_close("alpha", dalpha.data(), &central_differences(&alpha, |alpha| 0.7 * exact(&theta, alpha)));
    }
}

#[test]
fn softmax_over_operators() {
    let logits = matrix(1, 4, 1);
    let mut gradient = [0.0; 4];
    let mut operators = Operators::default();
    let got = operators.log_probability(logits.data(), 2);
    operators.gradient(logits.data(), 2, -0.3, &mut gradient);
    let exact = |logits: &[f64]| logits[2] - logits.iter().map(|value| value.exp()).sum::<f64>().ln();
    let logits = wide(logits.data());
    assert!((got - exact(&logits)).abs() <= 1e-12);
    assert_close("logits", &gradient, &central_differences(&logits, |logits| -0.3 * exact(logits)));
    assert_eq!(operators.log_probability(&[0.0; 4], 9), f64::NEG_INFINITY);
}

pub fn check_end_to_end(gran: Gran, graphs: &[LabelledGraph], rhos: &[f64]) {
    let what = format!("{:?}", gran.config);
    let mut trainers = [Trainer::new(gran, 1e-3)];
    let example = |_: usize, index: usize| Example { graph: &graphs[index], rho: rhos[index] };
    let minibatch = Minibatch { count: graphs.len(), example: &example };
    let loss = Crew::new(1).evaluate(&mut trainers, minibatch);
    let [trainer] = &trainers;
    let exact = values(&trainer.gran);
    let expected = Parameters { gran: &trainer.gran, values: &exact }.loss(graphs, rhos);
    assert!((loss - expected).abs() <= 1e-6 * (1.0 + expected.abs()), "{what}: {loss} instead of {expected}");
    assert_parameters(&what, &trainer.gran, trainer.gradient(), |parameters| parameters.loss(graphs, rhos));
}

#[test]
fn end_to_end() {
    let rhos = [1.0, 0.4, -0.7, 0.0];
    for input in LAYOUTS {
        for attention in ATTENTIONS {
            for (operators, loss) in [(0, LossScale::Sum), (3, LossScale::Mean)] {
                let mut gran = small(4, operators, attention, input);
                gran.config.loss = loss;
                let mut stream = stream(11);
                let graphs: Vec<_> = rhos.iter().map(|_| random_graph(4, operators, &mut stream)).collect();
                check_end_to_end(gran, &graphs, &rhos);
            }
        }
    }
}

/// The graph with more edges gives some of its prefixes to the other one's group.
#[test]
fn end_to_end_with_a_divided_graph() {
    let chain = Dag::new(5, &[[0, 1], [1, 2], [2, 3], [3, 4]]).unwrap();
    let full: Vec<[usize; 2]> = (0..5).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    let graphs = [chain, Dag::new(5, &full).unwrap()].map(|dag| LabelledGraph { dag, operators: vec![0, 2, 1, 0, 2] });
    let rhos = [-0.4, 0.7];
    for input in LAYOUTS {
        let gran = small(5, 3, Some(12), input);
        let pair = [0, 1].map(|index| Example { graph: &graphs[index], rho: rhos[index] });
        assert_eq!(surplus(&gran.config, pair).map(|part| part.example), Some(1));
        check_end_to_end(gran, &graphs, &rhos);
    }
}

/// Enough nodes for several tasks, and rows of more than one panel.
#[test]
fn end_to_end_in_several_tasks() {
    let mut config = small(13, 2, Some(9), InputLayout::Released).config;
    config.hidden = 18;
    config.layers = 1;
    let gran = Gran::new(config, &mut stream(1)).unwrap();
    let mut stream = stream(2);
    let graphs: Vec<_> = (0..5).map(|_| random_graph(13, 2, &mut stream)).collect();
    let rhos = [0.2, -0.5, 1.0, 0.6, 0.9];
    let mut trainers = [Trainer::new(gran, 1e-3)];
    let example = |_: usize, index: usize| Example { graph: &graphs[index], rho: rhos[index] };
    let minibatch = Minibatch { count: graphs.len(), example: &example };
    let loss = Crew::new(2).evaluate(&mut trainers, minibatch);
    let [trainer] = &trainers;
    let exact = values(&trainer.gran);
    let run = |values: &[f64]| Parameters { gran: &trainer.gran, values }.loss(&graphs, &rhos);
    assert!((loss - run(&exact)).abs() <= 1e-6);
    // Every 37th parameter: the naive reference is slow.
    let picked: Vec<usize> = (0..exact.len()).step_by(37).collect();
    let start: Vec<f64> = picked.iter().map(|&index| exact[index]).collect();
    let expected = central_differences(&start, |moved| {
        let mut values = exact.clone();
        picked.iter().zip(moved).for_each(|(&index, value)| values[index] = *value);
        run(&values)
    });
    let got: Vec<f32> = picked.iter().map(|&index| trainer.gradient()[index]).collect();
    assert_close("parameters", &got, &expected);
}

/// The memory of gradients is not cleared from step to step, and changes hands between components of other shapes.
#[test]
fn what_a_crew_did_before_changes_no_gradient() {
    for attention in ATTENTIONS {
        let grans = || [small(6, 2, attention, InputLayout::Released), small(4, 0, attention, InputLayout::Released)];
        let mut stream = stream(5);
        let mut graphs =
            |nodes, operators| -> Vec<_> { (0..9).map(|_| random_graph(nodes, operators, &mut stream)).collect() };
        let graphs = [graphs(6, 2), graphs(4, 0)];
        let example = |component: usize, index: usize| Example { graph: &graphs[component][index], rho: 0.5 };
        let later = |component: usize, index: usize| example(component, 8 - index);
        let evaluate = |crew: &mut Crew, minibatch| {
            let mut trainers = grans().map(|gran| Trainer::new(gran, 1e-3));
            let loss = crew.evaluate(&mut trainers, minibatch);
            (loss, trainers.map(|trainer| trainer.gradient().to_vec()))
        };
        let mut used = Crew::new(2);
        for count in [9, 2, 8] {
            evaluate(&mut used, Minibatch { count, example: &example });
            let minibatch = Minibatch { count: 3, example: &later };
            assert_eq!(evaluate(&mut used, minibatch), evaluate(&mut Crew::new(2), minibatch));
        }
    }
}
