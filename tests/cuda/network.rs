//! Whole training steps and evaluations, several candidates at a time, against the CPU.

use crate::support::{Numbers, device};
use graphpnas_fast::device::cpu::{self, Batch, InstructionSet};
use graphpnas_fast::device::cuda::{Network, NetworkOptions, Step, Storage};
use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{ImageShape, Plan, RandWireShape, Role, Tensor, Weights, randwire};

const STEP: cpu::Step<'static> =
    cpu::Step { learning_rate: 0.05, momentum: 0.9, weight_decay: 1e-3, label_smoothing: 0.1, dropout: None };

fn dag(nodes: usize, edges: &[[usize; 2]]) -> Dag {
    Dag::new(nodes, edges).unwrap()
}

fn shape(side: (usize, usize), channels: usize, strides: &[usize]) -> RandWireShape {
    RandWireShape {
        image: ImageShape { channels: 2, height: side.0, width: side.1 },
        channels,
        stem_stride: 1,
        stage_strides: strides.to_vec(),
        head: 11,
        classes: 5,
    }
}

/// One candidate with its weights and images.
struct Case {
    plan: Plan,
    weights: Weights,
    pixels: Vec<f32>,
    labels: Vec<u16>,
    mask: Vec<f32>,
}

impl Case {
    fn new(stages: &[Dag], shape: &RandWireShape, images: usize, seed: u64) -> Self {
        let plan = randwire(stages, shape);
        let mut numbers = Numbers::new(seed);
        let tensors = plan.parameters.iter().map(|parameter| {
            let count = parameter.dimensions.iter().product::<usize>();
            let fan_in = parameter.dimensions[1..].iter().product::<usize>().max(1);
            let mut draw = || match parameter.role {
                Role::Weight => numbers.normal() * (2.0 / fan_in as f32).sqrt(),
                Role::Gamma => 1.0 + 0.2 * numbers.normal(),
                Role::RunningVariance => 0.5 + numbers.normal().abs(),
                _ => 0.3 * numbers.normal(),
            };
            let data = (0..count).map(|_| draw()).collect();
            Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
        });
        let weights = Weights { tensors: tensors.collect() };
        let floats = images * shape.image.height * shape.image.width * shape.image.channels;
        let pixels = (0..floats).map(|_| numbers.normal()).collect();
        let labels = (0..images).map(|i| (i * 7 % shape.classes) as u16).collect();
        let mask = (0..images * shape.head).map(|_| if numbers.normal() > 0.8 { 0.0 } else { 1.25 }).collect();
        Case { plan, weights, pixels, labels, mask }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { pixels: &self.pixels, labels: &self.labels }
    }
}

fn compare(what: &str, got: &Weights, want: &Weights, bound: f32) {
    for (got, want) in got.tensors.iter().zip(&want.tensors) {
        let largest = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (element, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
            let tolerance = bound * largest.max(0.02);
            assert!((g - w).abs() <= tolerance, "{what} {}[{element}]: {g}, not {w}", want.name);
        }
    }
}

#[test]
fn candidates_train_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let wide = dag(8, &[[0, 7], [1, 7], [2, 7], [3, 7], [4, 7], [5, 7], [0, 2], [1, 2], [2, 4], [2, 5], [0, 3]]);
    let deep = dag(4, &[[0, 1], [1, 2], [0, 2]]);
    let shape = shape((7, 5), 10, &[2, 1]);
    let cases = [Case::new(&[wide, deep.clone()], &shape, 3, 1), Case::new(&[deep, dag(2, &[[0, 1]])], &shape, 3, 2)];
    let plans: Vec<Plan> = cases.iter().map(|case| case.plan.clone()).collect();
    let mut network = Network::new(&device, &plans, NetworkOptions { batch: 3, storage: Storage::F32 }).unwrap();
    let mut on_cpu: Vec<cpu::Network> = cases
        .iter()
        .map(|case| {
            let options = cpu::NetworkOptions { batch: 3, threads: 1, set: InstructionSet::best() };
            let mut network = cpu::Network::new(&case.plan, options);
            network.load(&case.weights);
            network
        })
        .collect();
    for (number, case) in cases.iter().enumerate() {
        network.load(number, &case.weights).unwrap();
        assert_eq!(network.weights(number).unwrap(), case.weights);
    }
    let batches: Vec<Batch> = cases.iter().map(Case::batch).collect();
    let masks: Vec<&[f32]> = cases.iter().map(|case| &case.mask[..]).collect();
    let step = Step {
        learning_rate: STEP.learning_rate,
        momentum: STEP.momentum,
        weight_decay: STEP.weight_decay,
        label_smoothing: STEP.label_smoothing,
        dropout: Some(&masks),
    };
    for _ in 0..2 {
        let results = network.train(&batches, step).unwrap();
        for (number, case) in cases.iter().enumerate() {
            let expected = on_cpu[number].train(case.batch(), cpu::Step { dropout: Some(&case.mask), ..STEP });
            let got = results[number];
            assert!((got.loss - expected.loss).abs() <= 1e-4 * expected.loss.abs(), "{got:?} {expected:?}");
            assert_eq!(got.correct, expected.correct);
            let trained = |weights: Weights| {
                let mut weights = weights;
                let roles = case.plan.parameters.iter().map(|parameter| parameter.role);
                weights
                    .tensors
                    .iter_mut()
                    .zip(roles)
                    .filter(|(_, role)| !role.trained())
                    .for_each(|(t, _)| t.data.fill(0.0));
                weights
            };
            let gradients = trained(network.gradients(number).unwrap());
            compare("gradient", &gradients, &trained(on_cpu[number].gradients()), 2e-3);
            compare("weight", &network.weights(number).unwrap(), &on_cpu[number].weights(), 2e-3);
        }
    }
    let results = network.evaluate(&batches, 0.1).unwrap();
    for (number, case) in cases.iter().enumerate() {
        let expected = on_cpu[number].evaluate(case.batch(), 0.1);
        assert!((results[number].loss - expected.loss).abs() <= 1e-3 * expected.loss.abs(), "{results:?} {expected:?}");
        for (got, want) in network.logits(number, 3).unwrap().iter().zip(on_cpu[number].logits(3)) {
            assert!((got - want).abs() <= 1e-3 * want.abs().max(1.0), "{got}, not {want}");
        }
    }
}
