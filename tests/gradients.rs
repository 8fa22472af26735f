//! Every gradient of a training step against central differences of the f64 reference, element by element.

use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use graphpnas_fast::device::reference::{Reference, ReferenceBatch, Rounding};
use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{ImageShape, ParameterId, Plan, RandWireShape, Role, Tensor, Weights, randwire};
use graphpnas_fast::random::{Purpose, StreamKey};
use proptest::test_runner::{Config as ProptestConfig, RngSeed, TestRunner};
use rand::RngExt;
use std::cell::Cell;

/// A network, its weights, a batch and a dropout mask, all from one seed.
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
        let mut stream = StreamKey { seed, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream();
        let mut normal = move || (0..12).map(|_| stream.random::<f32>()).sum::<f32>() - 6.0;
        let tensors = plan.parameters.iter().map(|parameter| {
            let count = parameter.dimensions.iter().product::<usize>();
            let fan_in = parameter.dimensions[1..].iter().product::<usize>().max(1);
            let mut draw = || match parameter.role {
                Role::Weight => normal() * (2.0 / fan_in as f32).sqrt(),
                Role::Gamma => 1.0 + 0.2 * normal(),
                Role::RunningVariance => 0.5 + normal().abs(),
                _ => 0.3 * normal(),
            };
            let data = (0..count).map(|_| draw()).collect();
            Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
        });
        let weights = Weights { tensors: tensors.collect() };
        let floats = images * shape.image.height * shape.image.width * shape.image.channels;
        let pixels = (0..floats).map(|_| normal()).collect();
        let labels = (0..images).map(|i| (i * 7 % shape.classes) as u16).collect();
        let mask = (0..images * shape.head).map(|_| if normal() > 0.8 { 0.0 } else { 1.25 }).collect();
        Case { plan, weights, pixels, labels, mask }
    }

    fn network(&self, threads: usize, set: InstructionSet) -> Network {
        let mut network = Network::new(&self.plan, NetworkOptions { batch: self.labels.len(), threads, set });
        network.load(&self.weights);
        network
    }

    fn batch(&self) -> Batch<'_> {
        Batch { pixels: &self.pixels, labels: &self.labels }
    }

    fn reference(&self, training: bool) -> ReferenceBatch<'_> {
        let dropout = training.then_some(&self.mask[..]);
        ReferenceBatch { pixels: &self.pixels, labels: &self.labels, dropout, label_smoothing: 0.1, training }
    }

    fn step(&self) -> Step<'_> {
        let dropout = Some(&self.mask[..]);
        Step { learning_rate: 0.0, momentum: 0.0, weight_decay: 0.0, label_smoothing: 0.1, dropout }
    }

    /// Compares loss and gradients of a training step with the reference's. `stride` thins out the elements compared.
    fn check_gradients(&self, set: InstructionSet, stride: usize) -> Tally {
        let mut network = self.network(1, set);
        let result = network.train(self.batch(), self.step());
        let mut reference = Reference::new(&self.plan, &self.weights);
        let batch = self.reference(true);
        let loss = reference.loss(batch);
        let bound = 1e-5 * loss.abs().max(1.0);
        let agrees = self.agreement(result.loss, loss, bound, |reference| reference.loss(batch));
        assert!(agrees.is_some(), "{set}: loss {}, not {loss}", result.loss);
        let mut tally = Tally::default();
        for (number, (parameter, gradient)) in self.plan.parameters.iter().zip(&network.gradients().tensors).enumerate()
        {
            if !parameter.role.trained() {
                continue;
            }
            let id = ParameterId(number);
            let scale = gradient.data.iter().fold(0f32, |m, g| m.max(g.abs()));
            let bound = 2e-4 * f64::from(scale).max(0.02);
            for element in (0..gradient.data.len()).step_by(stride) {
                tally.elements += 1;
                let (want, other) = difference(&mut reference, id, element, batch);
                // Two step sizes that disagree straddle a ReLU's kink: the derivative is not defined there.
                if (want - other).abs() > 1e-4 * (1.0 + want.abs()) {
                    tally.kinks += 1;
                    continue;
                }
                let got = f64::from(gradient.data[element]);
                let slope = |reference: &mut Reference| difference(reference, id, element, batch).0;
                match self.agreement(got, want, bound, slope) {
                    Some(Conditioning::Good) => {}
                    Some(Conditioning::Bad) => tally.badly_conditioned += 1,
                    None => panic!("{set}: {}[{element}]: {got}, not {want}", parameter.name),
                }
            }
        }
        tally
    }

    /// Whether a number of the device is within `bound` of the reference's or, if not, within what the reference's
    /// own answer moves by when what the device rounds is rounded: batch norm over a few nearly equal numbers multiplies
    /// rounding by thousands. None if neither.
    fn agreement(
        &self,
        got: f64,
        want: f64,
        bound: f64,
        answer: impl Fn(&mut Reference) -> f64,
    ) -> Option<Conditioning> {
        let error = (got - want).abs();
        if error <= bound {
            return Some(Conditioning::Good);
        }
        let change = |seed| {
            let rounding = Rounding { unit: f64::from(f32::EPSILON), seed };
            (answer(&mut Reference::rounded(&self.plan, &self.weights, rounding)) - want).abs()
        };
        let changes = (0..4).map(change).fold(0.0, f64::max);
        (error <= bound + ROUNDINGS * changes).then_some(Conditioning::Bad)
    }
}

/// Roundings in one direction that a sum is granted. The largest share seen, in 1200 random networks, was 1.5.
const ROUNDINGS: f64 = 4.0;

/// How an agreement was found.
enum Conditioning {
    /// Within the plain bound.
    Good,
    /// Beyond it, but as close as f32 can come.
    Bad,
}

/// What became of a comparison's elements.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    elements: usize,
    /// Not compared: the derivative is not defined.
    kinks: usize,
    /// Compared with the wider bound.
    badly_conditioned: usize,
}

impl Tally {
    /// Asserts that nearly all elements were compared, and at most this share of them with the wider bound.
    fn assert_badly_conditioned_at_most(self, share: f64) {
        let count = self.elements as f64;
        assert!(self.elements > 0 && self.kinks as f64 <= 0.01 * count, "{self:?}");
        assert!(self.badly_conditioned as f64 <= share * count, "{self:?}");
    }

    fn add(&mut self, other: Tally) {
        self.elements += other.elements;
        self.kinks += other.kinks;
        self.badly_conditioned += other.badly_conditioned;
    }
}

/// Central differences with two step sizes.
fn difference(reference: &mut Reference, id: ParameterId, element: usize, batch: ReferenceBatch) -> (f64, f64) {
    let start = reference.tensor(id)[element];
    let mut slope = |h: f64| {
        reference.tensor(id)[element] = start + h;
        let up = reference.loss(batch);
        reference.tensor(id)[element] = start - h;
        let down = reference.loss(batch);
        reference.tensor(id)[element] = start;
        (up - down) / (2.0 * h)
    };
    (slope(1e-6), slope(3e-6))
}

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

#[test]
fn gradients_agree_with_central_differences() {
    // In-degrees 0 to 6 (more than one pass of a gather), several sources and sinks, an isolated node, odd sizes.
    let wide = dag(8, &[[0, 7], [1, 7], [2, 7], [3, 7], [4, 7], [5, 7], [0, 2], [1, 2], [2, 4], [2, 5], [0, 3]]);
    let deep = dag(4, &[[0, 1], [1, 2], [0, 2]]);
    let case = Case::new(&[wide, deep], &shape((7, 5), 10, &[2, 2]), 3, 1);
    for set in [InstructionSet::best(), InstructionSet::Portable16] {
        case.check_gradients(set, 1).assert_badly_conditioned_at_most(0.0);
    }
}

#[test]
fn gradients_agree_across_groups_and_partial_tiles() {
    let chain = dag(3, &[[0, 1], [1, 2]]);
    let fork = dag(3, &[[0, 2]]);
    let case = Case::new(&[chain, fork], &shape((4, 4), 6, &[1, 2]), 37, 2);
    case.check_gradients(InstructionSet::best(), 7).assert_badly_conditioned_at_most(0.0);
}

#[test]
fn evaluation_agrees_with_the_reference() {
    let diamond = dag(4, &[[0, 1], [0, 2], [1, 3], [2, 3]]);
    let case = Case::new(&[diamond.clone(), diamond], &shape((9, 6), 12, &[2, 2]), 21, 3);
    let expected = Reference::new(&case.plan, &case.weights).logits(case.reference(false));
    for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
        for threads in [1, 2] {
            let mut network = case.network(threads, set);
            network.evaluate(case.batch(), 0.1);
            let logits = network.logits(case.labels.len());
            assert_eq!(logits.len(), expected.len());
            for (got, want) in logits.iter().zip(&expected) {
                assert!((f64::from(*got) - want).abs() <= 1e-4 * want.abs().max(1.0), "{set}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn a_diverged_network_shows() {
    let chain = dag(2, &[[0, 1]]);
    let case = Case::new(&[chain], &shape((4, 4), 6, &[2]), 4, 4);
    let mut network = case.network(1, InstructionSet::best());
    let mut weights = case.weights.clone();
    weights.tensors[0].data[0] = f32::NAN;
    network.load(&weights);
    assert!(network.train(case.batch(), case.step()).loss.is_nan());
}

#[test]
fn weights_survive_the_device_bit_for_bit() {
    let case = Case::new(&[dag(3, &[[0, 1], [0, 2]])], &shape((6, 6), 13, &[2]), 2, 5);
    for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
        assert_eq!(case.network(1, set).weights(), case.weights);
    }
}

#[test]
fn gradients_are_as_close_as_f32_allows_where_batch_norm_is_nearly_singular() {
    let mut total = Tally::default();
    for seed in 0..40 {
        // Two or three numbers a channel, now and then nearly equal.
        let chain = dag(3, &[[0, 1], [1, 2]]);
        let case = Case::new(&[chain], &shape((1, 1), 9, &[1]), 2 + seed as usize % 2, seed);
        total.add(case.check_gradients(InstructionSet::best(), 5));
    }
    total.assert_badly_conditioned_at_most(0.02);
}

/// Both stages' wiring from one seed.
fn random_stages(seed: u64, nodes: usize, density: f64) -> [Dag; 2] {
    let mut stream = StreamKey { seed, purpose: Purpose::Explore, candidate: 0, epoch: 0 }.stream();
    std::array::from_fn(|_| {
        let mut graph = Dag::without_edges(nodes).unwrap();
        for to in 1..nodes {
            for from in 0..to {
                if stream.random_bool(density) {
                    graph.add_edge(from, to);
                }
            }
        }
        graph
    })
}

#[test]
fn gradients_agree_on_random_networks() {
    let config = ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let graphs = (0u64..1000, 1usize..6, 0.0f64..1.0);
    let shapes = (1usize..9, 1usize..9, 2usize..20, 2usize..6, 1usize..3);
    let total = Cell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&(graphs, shapes), |(graphs, shapes)| {
        let ((seed, nodes, density), (height, width, channels, images, stride)) = (graphs, shapes);
        let shape = shape((height, width), channels, &[stride, 2]);
        let case = Case::new(&random_stages(seed, nodes, density), &shape, images, seed);
        let mut sum = total.get();
        sum.add(case.check_gradients(InstructionSet::best(), 13));
        total.set(sum);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    total.get().assert_badly_conditioned_at_most(0.02);
}
