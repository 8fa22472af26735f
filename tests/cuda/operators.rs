//! The networks of operators, ENAS's and NAS-Bench-101's: whole training steps and evaluations against the CPU.

use crate::network::{CLIPPED, Case, STEP, compare_in_16_bits, compare_with_the_cpu, dag, networks, shape, step};
use crate::support::device;
use graphpnas_fast::device::cpu::Batch;
use graphpnas_fast::device::cuda::{Batches, Storage};
use graphpnas_fast::net::{
    EnasShape, ImageShape, LayerOperator, NasBench101Shape, Plan, Pooling, VertexOperator, Weights, enas, nasbench101,
};

const IMAGE: ImageShape = ImageShape { channels: 2, height: 9, width: 7 };

pub const OPERATORS: [LayerOperator; 6] = [
    LayerOperator::Convolution(3),
    LayerOperator::Separable(5),
    LayerOperator::Pool(Pooling::Max),
    LayerOperator::Convolution(5),
    LayerOperator::Pool(Pooling::Average),
    LayerOperator::Separable(3),
];

/// ENAS's network of these operators; before the third and the fifth of six rows and columns are halved.
pub fn of_layers(operators: &[LayerOperator], skips: &[[usize; 2]]) -> Plan {
    enas(operators, &dag(operators.len(), skips), &EnasShape { image: IMAGE, channels: 11, classes: 5 })
}

/// All six operators, with skips over reductions.
fn all_operators() -> Plan {
    of_layers(&OPERATORS, &[[0, 2], [0, 3], [1, 4], [0, 5], [2, 5], [3, 5]])
}

fn of_cells(edges: &[[usize; 2]], operators: &[VertexOperator], stacks: usize) -> Plan {
    let shape = NasBench101Shape { image: IMAGE, channels: 11, stacks, cells: 1, classes: 5 };
    nasbench101(&dag(operators.len() + 2, edges), operators, &shape)
}

/// Three vertices share the output's channels (so that they begin anywhere), sums of vertices of different channels, the
/// input's projection added to the output.
fn wide_cells() -> Plan {
    use VertexOperator::{Convolution1x1, Convolution3x3, MaxPool3x3};
    let edges = [[0, 1], [1, 2], [0, 2], [1, 3], [2, 3], [1, 4], [2, 5], [3, 5], [4, 5], [0, 5]];
    of_cells(&edges, &[Convolution3x3, MaxPool3x3, Convolution1x1, Convolution3x3], 2)
}

/// A cell without a vertex, whose last value has a ReLU.
fn projections() -> Plan {
    of_cells(&[[0, 1]], &[], 2)
}

#[test]
fn enas_networks_train_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let other = of_layers(&[OPERATORS[4], OPERATORS[0], OPERATORS[2]], &[[0, 2]]);
    let cases = [Case::of(all_operators(), 4, 1), Case::of(other, 4, 2)];
    compare_with_the_cpu(&device, &cases, Storage::F32, &[STEP, STEP, CLIPPED], 1e-4);
}

#[test]
fn nasbench101_networks_train_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let cases = [Case::of(wide_cells(), 4, 3), Case::of(projections(), 4, 4)];
    compare_with_the_cpu(&device, &cases, Storage::F32, &[STEP, STEP, CLIPPED], 1e-4);
}

#[test]
fn networks_of_operators_in_16_bits_are_about_as_far_from_the_cpu_as_rounding_makes_them() {
    let Some(device) = device() else { return };
    compare_in_16_bits(&device, &[Case::of(wide_cells(), 16, 5)]);
    compare_in_16_bits(&device, &[Case::of(all_operators(), 16, 6)]);
}

/// RandWire's, too: nothing of a network depends on which others are trained with it.
#[test]
fn networks_of_all_spaces_are_trained_together() {
    let Some(device) = device() else { return };
    let randwire = || {
        let shape = shape((IMAGE.height, IMAGE.width), 10, &[2]);
        Case::new(&[dag(3, &[[0, 1], [0, 2], [1, 2]])], &shape, 3, 7)
    };
    let cell = || of_cells(&[[0, 1], [1, 2], [0, 2]], &[VertexOperator::MaxPool3x3], 1);
    let cases = || [Case::of(all_operators(), 3, 8), randwire(), Case::of(cell(), 3, 9)];
    for storage in Storage::ALL {
        let run = |members: &[usize]| -> Vec<Weights> {
            let chosen: Vec<Case> = members.iter().map(|&member| cases().into_iter().nth(member).unwrap()).collect();
            let (mut network, _) = networks(&device, &chosen, storage);
            let batches: Vec<Batch> = chosen.iter().map(Case::batch).collect();
            (0..2).for_each(|_| drop(network.train(Batches::Pixels(&batches), step(&[])).unwrap()));
            (0..chosen.len()).map(|number| network.weights(number).unwrap()).collect()
        };
        let together = run(&[0, 1, 2]);
        assert_eq!(together, run(&[0, 1, 2]));
        assert_eq!(together[0], run(&[0])[0]);
        assert_eq!(together[1], run(&[1])[0]);
        assert_eq!(together[2], run(&[2, 1])[0]);
    }
}

/// Chains of the same operators; the first has all skips, and so all reductions, that the others have some of.
#[test]
fn launches_do_not_depend_on_the_number_of_candidates() {
    let Some(device) = device() else { return };
    let skips: [&[[usize; 2]]; 4] = [&[[0, 2], [0, 3], [1, 3]], &[[0, 2]], &[], &[[0, 3], [1, 3]]];
    let operators = [OPERATORS[0], OPERATORS[1], OPERATORS[2], OPERATORS[4]];
    let launches = |count: usize| {
        let cases: Vec<Case> = (0..count).map(|n| Case::of(of_layers(&operators, skips[n % 4]), 2, n as u64)).collect();
        let (mut network, _) = networks(&device, &cases, Storage::F32);
        network.train(Batches::Pixels(&cases.iter().map(Case::batch).collect::<Vec<_>>()), CLIPPED.into()).unwrap();
        network.launches_per_step()
    };
    let one = launches(1);
    assert!(one > 0);
    assert_eq!(launches(16), one);
}
