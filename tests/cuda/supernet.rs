//! Networks that share their parameters on the device, and the oracle that trains and scores them, against the CPU's.

use crate::network::{CLIPPED, Case, STEP, compare, networks};
use crate::operators::{OPERATORS, of_layers};
use crate::support::{Numbers, device};
use graphpnas_fast::config::{ClassicalKind, Config, DeviceChoice, Precision};
use graphpnas_fast::data::{self, View};
use graphpnas_fast::device::cpu::{self, Batch, InstructionSet};
use graphpnas_fast::device::cuda::records::Chosen;
use graphpnas_fast::device::cuda::{
    Batches, Device, NetworkOptions, ResidentBatch, ResidentImages, Step, Storage, Supernet,
};
use graphpnas_fast::net::{Plan, Tensor, Weights};
use graphpnas_fast::oracle::{Candidate, Engine, EpochReport, Oracle, OracleError, Outcome, SupernetOracle};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::space::space_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn network_of(operators: [usize; 3], skips: &[[usize; 2]]) -> Plan {
    of_layers(&operators.map(|number| OPERATORS[number]), skips)
}

/// Three networks of three layers: every operator, and layers whose parameters two of them share.
fn plans() -> Vec<Plan> {
    vec![network_of([0, 1, 2], &[[0, 2]]), network_of([3, 1, 5], &[]), network_of([4, 0, 2], &[])]
}

/// Tensors by name: the reference's shared weights, and its momenta.
type Shared = BTreeMap<String, Tensor>;

fn take(shared: &mut Shared, weights: Weights) {
    shared.extend(weights.tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)));
}

fn of(shared: &Shared, plan: &Plan) -> Weights {
    Weights { tensors: plan.parameters.iter().map(|parameter| shared[&parameter.name].clone()).collect() }
}

fn all(shared: &Shared) -> Weights {
    Weights { tensors: shared.values().cloned().collect() }
}

fn sorted(mut weights: Weights) -> Weights {
    weights.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    weights
}

/// Six images on a device, and what they are on the host.
struct Images {
    resident: Arc<ResidentImages>,
    bytes: Vec<u8>,
    table: Vec<[f32; 256]>,
    size: usize,
}

impl Images {
    fn new(device: &Arc<Device>, plan: &Plan) -> Self {
        let image = plan.image;
        let size = image.height * image.width * image.channels;
        let bytes: Vec<u8> = (0..6 * size).map(|i| (i * 37 % 251) as u8).collect();
        let table: Vec<[f32; 256]> =
            (0..image.channels).map(|c| std::array::from_fn(|byte| byte as f32 / 70.0 - 1.0 - c as f32)).collect();
        let resident = ResidentImages::new(device, image, &bytes, &table).unwrap();
        Images { resident, bytes, table, size }
    }

    /// Some images: on the device, their pixels, their labels.
    fn batch(&self, count: u32, first: u32) -> (Vec<Chosen>, Vec<f32>, Vec<u16>) {
        let numbers: Vec<u32> = (0..count).map(|i| (i * 5 + first) % 6).collect();
        let view = View { padding: 0, top: 0, left: 0, flip: false };
        let pixels = numbers.iter().flat_map(|&number| &self.bytes[number as usize * self.size..][..self.size]);
        let pixels = pixels.enumerate().map(|(i, &byte)| self.table[i % self.table.len()][usize::from(byte)]);
        let labels = numbers.iter().map(|&number| (number % 5) as u16).collect();
        (numbers.iter().map(|&number| Chosen::new(number, view)).collect(), pixels.collect(), labels)
    }
}

/// Steps of several networks in turn, of two sizes of batches, plain and clipped: losses within 1e-4, weights and momenta within
/// 1e-3 of their tensor's largest.
#[test]
fn networks_that_share_their_weights_train_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let plans = plans();
    let images = Images::new(&device, &plans[0]);
    let (mut weights, mut momentum) = (Shared::new(), Shared::new());
    for (number, plan) in plans.iter().enumerate() {
        take(&mut weights, Case::of(plan.clone(), 1, number as u64).weights);
        let zeros = |tensor: &Tensor| Tensor { data: vec![0.0; tensor.data.len()], ..tensor.clone() };
        momentum.extend(of(&weights, plan).tensors.iter().map(|tensor| (tensor.name.clone(), zeros(tensor))));
    }
    let options = NetworkOptions { batch: 4, storage: Storage::F32 };
    let mut supernet = Supernet::new(&device, &plans, options, images.resident.clone()).unwrap();
    supernet.load(&all(&weights), &all(&momentum)).unwrap();
    assert_eq!(sorted(supernet.weights().unwrap()), all(&weights), "weights survive the device bit for bit");
    let options = cpu::NetworkOptions { batch: 4, threads: 1, set: InstructionSet::best() };
    let mut on_cpu = cpu::Network::new(&plans[0], options);
    // The last needs more memory than those that there was memory for.
    let of_two = network_of([3, 1, 2], &[[0, 2]]);
    let steps = [(&plans[0], 4), (&plans[1], 4), (&plans[2], 3), (&plans[0], 4), (&of_two, 4)];
    for (number, (plan, count)) in steps.into_iter().enumerate() {
        let step = if number % 2 == 0 { STEP } else { CLIPPED };
        let (chosen, pixels, labels) = images.batch(count, number as u32);
        let mut numbers = Numbers::new(number as u64);
        let mask: Vec<f32> =
            (0..labels.len() * plan.features()).map(|_| if numbers.normal() > 0.8 { 0.0 } else { 1.25 }).collect();
        on_cpu.replace_plan(plan);
        on_cpu.load(&of(&weights, plan));
        on_cpu.load_momentum(&of(&momentum, plan));
        // Every other step has no dropout: the factors of the network before are none of this one's.
        let dropout = (number % 2 == 0).then_some(&mask[..]);
        let batch = Batch { pixels: &pixels, labels: &labels };
        let want = on_cpu.train(batch, cpu::Step { dropout, ..step });
        take(&mut weights, on_cpu.weights());
        take(&mut momentum, on_cpu.momentum());
        let masks = dropout.map(|mask| [mask]);
        let dropout = masks.as_ref().map(|masks| &masks[..]);
        let batch = ResidentBatch { chosen: &chosen, labels: &labels };
        let got = supernet.train(plan, batch, Step { dropout, ..step.into() }).unwrap();
        assert!((got.loss - want.loss).abs() <= 1e-4 * want.loss, "step {number}: {got:?}, not {want:?}");
        compare("weight", &sorted(supernet.weights().unwrap()), &all(&weights), 1e-3);
        compare("momentum", &sorted(supernet.momentum().unwrap()), &all(&momentum), 1e-3);
    }
    let other = of_layers(&OPERATORS[..4], &[]);
    let (chosen, _, labels) = images.batch(4, 0);
    let refused = supernet.train(&other, ResidentBatch { chosen: &chosen, labels: &labels }, STEP.into()).err();
    assert!(refused.is_some_and(|error| error.to_string().contains("a parameter that is not shared")));
}

/// Running statistics as the means over batches of several sizes, of two networks at the same time; then an evaluation with
/// them. Nothing else changes.
#[test]
fn statistics_are_taken_from_batches_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let cases: Vec<Case> = plans().into_iter().take(2).map(|plan| Case::of(plan, 4, 7)).collect();
    let (mut network, mut on_cpu) = networks(&device, &cases, Storage::F32);
    for (number, count) in [4usize, 4, 3].into_iter().enumerate() {
        let batch = |case: &Case| {
            let size = case.pixels.len() / case.labels.len();
            let mut pixels = case.pixels[..count * size].to_vec();
            let shift = number * size % pixels.len();
            pixels.rotate_left(shift);
            (pixels, case.labels[..count].to_vec())
        };
        let batches: Vec<(Vec<f32>, Vec<u16>)> = cases.iter().map(batch).collect();
        let batches: Vec<Batch> = batches.iter().map(|(pixels, labels)| Batch { pixels, labels }).collect();
        let share = 1.0 / (number + 1) as f32;
        network.calibrate(Batches::Pixels(&batches), share).unwrap();
        on_cpu.iter_mut().zip(&batches).for_each(|(network, &batch)| network.calibrate(batch, share));
    }
    for (number, reference) in on_cpu.iter().enumerate() {
        let (got, want) = (network.weights(number).unwrap(), reference.weights());
        compare("statistic", &got, &want, 1e-4);
        for (got, start) in got.tensors.iter().zip(&cases[number].weights.tensors) {
            assert_eq!(got.data == start.data, !got.name.contains("running"), "{}", got.name);
        }
    }
    let results = network.evaluate(Batches::Pixels(&cases.iter().map(Case::batch).collect::<Vec<_>>()), 0.0).unwrap();
    for ((got, reference), case) in results.iter().zip(&mut on_cpu).zip(&cases) {
        let want = reference.evaluate(case.batch(), 0.0);
        assert!((got.loss - want.loss).abs() <= 1e-4 * want.loss, "{got:?}, not {want:?}");
    }
}

/// Two epochs of three steps of a supernet of three layers, with everything that ENAS's has.
const TINY: &str = "[data]\nsource = \"synthetic\"\nvalidation_images = 40\ntest_images = 50\n\
    [space]\nkind = \"enas\"\nlayers = 3\nchannels = 4\n[search]\nexplorer = [\"uniform\"]\n\
    [oracle]\nkind = \"supernet\"\nepochs = 2\nbatch = 16\ndropout = 0.1\ndata_fraction = 0.04\nstatistics_images = 40\n\
    nesterov = true\ngradient_clip = 1.0\naugmentation = true\n";

fn oracle(engine: &Engine) -> (Config, SupernetOracle) {
    let config = Config::from_toml(TINY, &[]).unwrap();
    let (dataset, splits) = data::load(&config.data, config.run.seed).unwrap();
    let oracle = SupernetOracle::new(&config, (Arc::new(dataset), &splits), engine).unwrap();
    (config, oracle)
}

fn candidates(config: &Config, count: u64) -> Vec<Candidate> {
    let space = space_of(config).unwrap();
    let draw = |number: u64| {
        let key = StreamKey { seed: 3, purpose: Purpose::Explore, candidate: number, epoch: 0 };
        let architecture = space.explore(&mut key.stream(), ClassicalKind::Uniform).unwrap();
        Candidate { number, architecture }
    };
    (0..count).map(draw).collect()
}

/// Trains to the end; the checkpoints after the epochs.
fn train(oracle: &mut SupernetOracle) -> Vec<Vec<u8>> {
    let mut checkpoints = Vec::new();
    let keep = |oracle: &SupernetOracle, _: EpochReport| {
        checkpoints.push(oracle.checkpoint());
        Ok::<(), OracleError>(())
    };
    assert!(oracle.train(keep, &AtomicBool::new(false)).unwrap());
    checkpoints
}

fn accuracies(outcomes: &[Outcome]) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome.validation_accuracy.unwrap()).collect()
}

/// Losses within 1e-3 of the CPU's, accuracies within one of the 40 validation images; on the device the same bits from a
/// resumed training as from one in one piece, and from candidates that are scored together as from each alone.
#[test]
fn a_supernet_is_trained_and_scored_as_on_the_cpu() {
    if device().is_none() {
        return;
    }
    let cuda = Engine::open(DeviceChoice::Cuda(0), Precision::F32, 1, |_| Ok(())).unwrap().0;
    let (config, mut on_cuda) = oracle(&cuda);
    let (_, mut on_cpu) = oracle(&Engine::Cpu { threads: 1 });
    let (of_cuda, of_cpu) = (train(&mut on_cuda), train(&mut on_cpu));
    let near = |got: &SupernetOracle, want: &SupernetOracle| {
        assert_eq!(got.losses().len(), want.losses().len());
        for (got, want) in got.losses().iter().zip(want.losses()) {
            assert!((got - want).abs() <= 1e-3 * want, "{got}, not {want}");
        }
    };
    near(&on_cuda, &on_cpu);
    // What one device has begun the other goes on with.
    let (_, mut resumed) = oracle(&cuda);
    resumed.resume(&of_cuda[0]);
    assert_eq!(train(&mut resumed), [of_cuda[1].clone()]);
    let (_, mut moved) = oracle(&cuda);
    moved.resume(&of_cpu[0]);
    assert_eq!(moved.losses(), &on_cpu.losses()[..1]);
    train(&mut moved);
    near(&moved, &on_cpu);
    let (_, mut scored_on_cpu) = oracle(&Engine::Cpu { threads: 1 });
    scored_on_cpu.resume(&of_cuda[1]);
    assert_eq!(scored_on_cpu.losses(), on_cuda.losses());
    let (group, go) = (candidates(&config, 3), AtomicBool::new(false));
    assert_eq!(on_cuda.group_size(&group), 3);
    let together = on_cuda.evaluate(&group, &go).unwrap().unwrap();
    let alone = on_cuda.evaluate(&group[1..2], &go).unwrap().unwrap();
    assert_eq!(accuracies(&alone), accuracies(&together[1..2]));
    let on_cpu = scored_on_cpu.evaluate(&group, &go).unwrap().unwrap();
    for (got, want) in accuracies(&together).iter().zip(accuracies(&on_cpu)) {
        assert!((got - want).abs() <= 1.01 / 40.0, "{got}, not {want}");
    }
    assert!(on_cuda.evaluate(&group, &AtomicBool::new(true)).unwrap().is_none());
}
