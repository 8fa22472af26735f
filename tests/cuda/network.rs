//! Whole training steps and evaluations, several candidates at a time, against the CPU.

use crate::support::{Numbers, device};
use graphpnas_fast::data::View;
use graphpnas_fast::device::cpu::{self, Batch, InstructionSet};
use graphpnas_fast::device::cuda::records::Chosen;
use graphpnas_fast::device::cuda::{
    Batches, Device, Network, NetworkOptions, ResidentBatch, ResidentImages, Step, Storage,
};
use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{ImageShape, Plan, RandWireShape, Role, Tensor, Weights, randwire};
use std::sync::Arc;

pub const STEP: cpu::Step<'static> = cpu::Step {
    learning_rate: 0.05,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 1e-3,
    gradient_clip: None,
    label_smoothing: 0.1,
    dropout: None,
};

/// Shorter than the gradients of these networks.
pub const CLIPPED: cpu::Step<'static> = cpu::Step { nesterov: true, gradient_clip: Some(0.1), ..STEP };

pub fn dag(nodes: usize, edges: &[[usize; 2]]) -> Dag {
    Dag::new(nodes, edges).unwrap()
}

pub fn shape(side: (usize, usize), channels: usize, strides: &[usize]) -> RandWireShape {
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

/// One candidate with its weights and images.
pub struct Case {
    pub plan: Plan,
    pub weights: Weights,
    pub pixels: Vec<f32>,
    pub labels: Vec<u16>,
    pub mask: Vec<f32>,
}

impl Case {
    pub fn new(stages: &[Dag], shape: &RandWireShape, images: usize, seed: u64) -> Self {
        Case::of(randwire(stages, shape), images, seed)
    }

    /// Any plan with random weights and images.
    pub fn of(plan: Plan, images: usize, seed: u64) -> Self {
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
        let floats = images * plan.image.height * plan.image.width * plan.image.channels;
        let features = plan.values[plan.ops.last().unwrap().inputs[0].0].channels;
        let pixels = (0..floats).map(|_| numbers.normal()).collect();
        let labels = (0..images).map(|i| (i * 7 % plan.classes) as u16).collect();
        let mask = (0..images * features).map(|_| if numbers.normal() > 0.8 { 0.0 } else { 1.25 }).collect();
        Case { plan, weights, pixels, labels, mask }
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch { pixels: &self.pixels, labels: &self.labels }
    }
}

pub fn compare(what: &str, got: &Weights, want: &Weights, bound: f32) {
    for (got, want) in got.tensors.iter().zip(&want.tensors) {
        let largest = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (element, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
            let tolerance = bound * largest.max(0.02);
            assert!((g - w).abs() <= tolerance, "{what} {}[{element}]: {g}, not {w}", want.name);
        }
    }
}

/// A plan's tensors without those that are not trained.
fn trained(plan: &Plan, mut weights: Weights) -> Weights {
    let roles = plan.parameters.iter().map(|parameter| parameter.role);
    weights.tensors.iter_mut().zip(roles).filter(|(_, role)| !role.trained()).for_each(|(t, _)| t.data.fill(0.0));
    weights
}

/// Two candidates of different wiring and depth.
fn two_cases(images: usize) -> [Case; 2] {
    let wide = dag(8, &[[0, 7], [1, 7], [2, 7], [3, 7], [4, 7], [5, 7], [0, 2], [1, 2], [2, 4], [2, 5], [0, 3]]);
    let deep = dag(4, &[[0, 1], [1, 2], [0, 2]]);
    let shape = shape((7, 5), 10, &[2, 1]);
    [Case::new(&[wide, deep.clone()], &shape, images, 1), Case::new(&[deep, dag(2, &[[0, 1]])], &shape, images, 2)]
}

/// The candidates on the device and on the CPU, with their weights.
pub fn networks(device: &Arc<Device>, cases: &[Case], storage: Storage) -> (Network, Vec<cpu::Network>) {
    let batch = cases[0].labels.len();
    let plans: Vec<Plan> = cases.iter().map(|case| case.plan.clone()).collect();
    let mut network = Network::new(device, &plans, NetworkOptions { batch, storage }).unwrap();
    let on_cpu = cases.iter().enumerate().map(|(number, case)| {
        network.load(number, &case.weights).unwrap();
        let mut on_cpu =
            cpu::Network::new(&case.plan, cpu::NetworkOptions { batch, threads: 1, set: InstructionSet::best() });
        on_cpu.load(&case.weights);
        on_cpu
    });
    let on_cpu = on_cpu.collect();
    (network, on_cpu)
}

pub fn step<'a>(masks: &'a [&'a [f32]]) -> Step<'a> {
    Step { dropout: (!masks.is_empty()).then_some(masks), ..STEP.into() }
}

/// Trains these steps and evaluates on both devices; `bound` is relative, of losses, and of gradients against their tensor's
/// largest.
pub fn compare_with_the_cpu(
    device: &Arc<Device>,
    cases: &[Case],
    storage: Storage,
    steps: &[cpu::Step<'static>],
    bound: f32,
) {
    let (mut network, mut on_cpu) = networks(device, cases, storage);
    let batches: Vec<Batch> = cases.iter().map(Case::batch).collect();
    let masks: Vec<&[f32]> = cases.iter().map(|case| &case.mask[..]).collect();
    let near = |got: f64, want: f64| (got - want).abs() <= f64::from(bound) * want.abs().max(1.0);
    for &each in steps {
        let results = network.train(Batches::Pixels(&batches), Step { dropout: Some(&masks), ..each.into() }).unwrap();
        for (number, case) in cases.iter().enumerate() {
            let expected = on_cpu[number].train(case.batch(), cpu::Step { dropout: Some(&case.mask), ..each });
            assert!(near(results[number].loss, expected.loss), "{storage}: {:?}, not {expected:?}", results[number]);
            let gradients = trained(&case.plan, network.gradients(number).unwrap());
            compare("gradient", &gradients, &trained(&case.plan, on_cpu[number].gradients()), 10.0 * bound);
            compare("weight", &network.weights(number).unwrap(), &on_cpu[number].weights(), 10.0 * bound);
        }
    }
    let results = network.evaluate(Batches::Pixels(&batches), 0.1).unwrap();
    for (number, case) in cases.iter().enumerate() {
        let expected = on_cpu[number].evaluate(case.batch(), 0.1);
        assert!(near(results[number].loss, expected.loss), "{storage}: {:?}, not {expected:?}", results[number]);
        let images = case.labels.len();
        for (got, want) in network.logits(number, images).unwrap().iter().zip(on_cpu[number].logits(images)) {
            assert!(near((*got).into(), want.into()), "{storage}: {got}, not {want}");
        }
    }
}

#[test]
fn weights_survive_the_device_bit_for_bit() {
    let Some(device) = device() else { return };
    let cases = two_cases(3);
    let (network, _) = networks(&device, &cases, Storage::F32);
    for (number, case) in cases.iter().enumerate() {
        assert_eq!(network.weights(number).unwrap(), case.weights);
    }
}

#[test]
fn candidates_train_as_on_the_cpu() {
    let Some(device) = device() else { return };
    compare_with_the_cpu(&device, &two_cases(3), Storage::F32, &[STEP, STEP, CLIPPED], 1e-4);
}

/// Both stems are RandWire's at the paper's scale, beside one that has no second convolution.
#[test]
fn a_second_convolution_of_the_stem_trains_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let wiring = || [dag(3, &[[0, 2], [1, 2]])];
    let of = |stem_stride, second_stem_stride, seed| {
        let shape = RandWireShape { stem_stride, second_stem_stride, ..shape((9, 7), 10, &[1]) };
        Case::new(&wiring(), &shape, 3, seed)
    };
    let cases = [of(2, Some(2), 3), of(1, Some(1), 4), of(2, None, 5)];
    compare_with_the_cpu(&device, &cases, Storage::F32, &[STEP, STEP], 1e-4);
}

/// The length of the difference of two networks' tensors, against that of the second.
fn relative_distance(got: &Weights, want: &Weights) -> f64 {
    let pairs = got.tensors.iter().zip(&want.tensors).flat_map(|(got, want)| got.data.iter().zip(&want.data));
    let squares = pairs.map(|(g, w)| (f64::from(g - w).powi(2), f64::from(*w).powi(2)));
    let (difference, length) = squares.fold((0.0, 0.0), |sum, (d, l)| (sum.0 + d, sum.1 + l));
    (difference / length).sqrt()
}

/// The same case with weights and images that the storage holds exactly.
fn rounded(case: &Case, storage: Storage) -> Case {
    let round = |values: &[f32]| values.iter().map(|&value| storage.round(value)).collect::<Vec<f32>>();
    let mut weights = case.weights.clone();
    weights.tensors.iter_mut().for_each(|tensor| tensor.data = round(&tensor.data));
    Case { plan: case.plan.clone(), weights, pixels: round(&case.pixels), labels: case.labels.clone(), mask: vec![] }
}

#[test]
fn one_step_in_16_bits_is_about_as_far_from_the_cpus_as_rounding_its_inputs_makes_it() {
    let Some(device) = device() else { return };
    compare_in_16_bits(&device, &two_cases(16));
}

/// What a step's loss and gradients are worth in 16 bits, the CPU says: it is run on weights and images that are rounded to
/// the format once, all else in f32, and its distance from the unrounded network is measured. A network on the device rounds
/// its activations and their gradients too, at every layer. It may be three times as far; it is no tighter bound than that.
pub fn compare_in_16_bits(device: &Arc<Device>, cases: &[Case]) {
    let batches: Vec<Batch> = cases.iter().map(Case::batch).collect();
    for storage in [Storage::F16, Storage::Bf16] {
        let (mut network, mut on_cpu) = networks(device, cases, storage);
        let results = network.train(Batches::Pixels(&batches), step(&[])).unwrap();
        for (number, case) in cases.iter().enumerate() {
            let expected = on_cpu[number].train(case.batch(), STEP);
            let gradients = trained(&case.plan, on_cpu[number].gradients());
            let inputs = rounded(case, storage);
            on_cpu[number].load(&inputs.weights);
            on_cpu[number].train(inputs.batch(), STEP);
            let rounding = relative_distance(&trained(&case.plan, on_cpu[number].gradients()), &gradients);
            let got = trained(&case.plan, network.gradients(number).unwrap());
            let distance = relative_distance(&got, &gradients);
            let loss = (results[number].loss - expected.loss).abs();
            assert!(distance <= 3.0 * rounding, "{storage}: {distance}, rounded inputs make {rounding}");
            assert!(loss <= 8.0 * storage.unit_roundoff() * expected.loss, "{storage}: {loss}");
        }
    }
}

#[test]
fn steps_are_the_same_from_run_to_run_and_in_any_company() {
    let Some(device) = device() else { return };
    let cases = two_cases(5);
    let batches: Vec<Batch> = cases.iter().map(Case::batch).collect();
    for storage in Storage::ALL {
        let run = |members: &[usize]| -> Vec<Weights> {
            let chosen: Vec<Case> =
                members.iter().map(|&number| two_cases(5).into_iter().nth(number).unwrap()).collect();
            let (mut network, _) = networks(&device, &chosen, storage);
            let batches: Vec<Batch> = members.iter().map(|&number| batches[number]).collect();
            for step in [STEP, CLIPPED] {
                network.train(Batches::Pixels(&batches), step.into()).unwrap();
            }
            (0..members.len()).map(|number| network.weights(number).unwrap()).collect()
        };
        let together = run(&[0, 1]);
        assert_eq!(together, run(&[0, 1]));
        assert_eq!(together[0], run(&[0])[0]);
        assert_eq!(together[1], run(&[1, 0])[0]);
    }
}

#[test]
fn a_smaller_last_batch_is_trained_on() {
    let Some(device) = device() else { return };
    let cases = two_cases(5);
    let (mut network, mut on_cpu) = networks(&device, &cases, Storage::F32);
    for images in [5, 2, 5, 2] {
        let batches: Vec<Batch> = cases
            .iter()
            .map(|case| Batch { pixels: &case.pixels[..images * 7 * 5 * 2], labels: &case.labels[..images] })
            .collect();
        let results = network.train(Batches::Pixels(&batches), step(&[])).unwrap();
        for (number, batch) in batches.iter().enumerate() {
            let expected = on_cpu[number].train(*batch, STEP);
            let error = (results[number].loss - expected.loss).abs();
            assert!(error <= 2e-3 * expected.loss, "{images} images: {:?}, not {expected:?}", results[number]);
        }
    }
}

/// The same images from the host and from the device, in batches of two sizes, evaluations between.
#[test]
fn images_on_the_device_are_as_good_as_pixels() {
    let Some(device) = device() else { return };
    let cases = two_cases(5);
    let image = cases[0].plan.image;
    let size = image.height * image.width * image.channels;
    let bytes: Vec<u8> = (0..6 * size).map(|i| (i * 37 % 251) as u8).collect();
    let table: Vec<[f32; 256]> =
        (0..image.channels).map(|channel| std::array::from_fn(|b| b as f32 / 70.0 - 1.0 - channel as f32)).collect();
    let resident = ResidentImages::new(&device, image, &bytes, &table).unwrap();
    for storage in Storage::ALL {
        let (mut from_host, _) = networks(&device, &cases, storage);
        let (from_device, _) = networks(&device, &cases, storage);
        let mut from_device = from_device.on_images(resident.clone());
        for (round, count) in [5, 3, 5, 3, 5, 5].into_iter().enumerate() {
            let numbers: Vec<u32> = (0..count).map(|i| (i * 5 + round as u32) % 6).collect();
            let view = View { padding: 0, top: 0, left: 0, flip: false };
            let chosen: Vec<Chosen> = numbers.iter().map(|&number| Chosen::new(number, view)).collect();
            let pixels = numbers.iter().flat_map(|&number| &bytes[number as usize * size..][..size]).enumerate();
            let pixels: Vec<f32> = pixels.map(|(i, &byte)| table[i % image.channels][usize::from(byte)]).collect();
            let labels = &cases[0].labels[..count as usize];
            let batches = [Batch { pixels: &pixels, labels }; 2];
            let on_device = [ResidentBatch { chosen: &chosen, labels }; 2];
            let want = from_host.train(Batches::Pixels(&batches), step(&[])).unwrap();
            assert_eq!(from_device.train(Batches::Resident(&on_device), step(&[])).unwrap(), want, "{storage}");
            let want = from_host.evaluate(Batches::Pixels(&batches), 0.1).unwrap();
            assert_eq!(from_device.evaluate(Batches::Resident(&on_device), 0.1).unwrap(), want, "{storage}");
        }
    }
}

#[test]
fn a_device_that_computes_rightly_passes_its_self_test() {
    let Some(device) = device() else { return };
    Storage::ALL.into_iter().for_each(|storage| device.self_test(storage).unwrap());
}

#[test]
fn launches_do_not_depend_on_the_number_of_candidates() {
    let Some(device) = device() else { return };
    let shape = shape((4, 4), 4, &[1, 2]);
    // Chains with shortcuts: equal depth, different wiring.
    let wiring =
        |number: usize| dag(4, &[&[[0, 1], [1, 2], [2, 3]][..], &[[0, 2], [0, 3], [1, 3]][..number % 4]].concat());
    let launches = |count: usize| {
        let cases: Vec<Case> =
            (0..count).map(|n| Case::new(&[wiring(n), wiring(n / 4)], &shape, 2, n as u64)).collect();
        let (mut network, _) = networks(&device, &cases, Storage::F32);
        network.train(Batches::Pixels(&cases.iter().map(Case::batch).collect::<Vec<_>>()), step(&[])).unwrap();
        network.launches_per_step()
    };
    let one = launches(1);
    assert!(one > 0);
    assert_eq!(launches(16), one);
}

#[test]
fn networks_that_do_not_go_together_are_refused() {
    let Some(device) = device() else { return };
    let plan = |side, classes| {
        let shape = RandWireShape { classes, ..shape((side, side), 4, &[1]) };
        randwire(&[dag(2, &[[0, 1]])], &shape)
    };
    let options = NetworkOptions { batch: 2, storage: Storage::F32 };
    let error = |plans: &[Plan]| Network::new(&device, plans, options).err().map(|error| error.to_string());
    assert_eq!(error(&[plan(4, 5), plan(4, 5)]), None);
    let text = "a batch of networks with classes 5 and 6: they must be equal";
    assert_eq!(error(&[plan(4, 5), plan(4, 6)]).as_deref(), Some(text));
    assert!(error(&[plan(4, 5), plan(5, 5)]).is_some());
    assert!(error(&[]).is_some());
}

#[test]
fn a_diverged_network_shows() {
    let Some(device) = device() else { return };
    let mut cases = two_cases(3);
    cases[1].weights.tensors[0].data[0] = f32::NAN;
    for storage in Storage::ALL {
        let (mut network, _) = networks(&device, &cases, storage);
        let results =
            network.train(Batches::Pixels(&cases.iter().map(Case::batch).collect::<Vec<_>>()), step(&[])).unwrap();
        assert!(results[0].loss.is_finite() && results[1].loss.is_nan(), "{results:?}");
    }
}
