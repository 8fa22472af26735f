//! A network with weights and a batch, on the device and in the f64 reference.

use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use graphpnas_fast::device::reference::{Reference, ReferenceBatch, Rounding};
use graphpnas_fast::net::{ParameterId, Plan, Role, Tensor, Weights};
use graphpnas_fast::random::{Purpose, StreamKey};
use rand::RngExt;

/// A network, its weights, a batch and a dropout mask, all from one seed.
pub struct Case {
    pub plan: Plan,
    pub weights: Weights,
    pub pixels: Vec<f32>,
    pub labels: Vec<u16>,
    pub mask: Vec<f32>,
}

impl Case {
    pub fn new(plan: Plan, images: usize, seed: u64) -> Self {
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
        let floats = images * plan.image.height * plan.image.width * plan.image.channels;
        let pixels = (0..floats).map(|_| normal()).collect();
        let labels = (0..images).map(|i| (i * 7 % plan.classes) as u16).collect();
        let features = plan.values[plan.ops.last().unwrap().inputs[0].0].channels;
        let mask = (0..images * features).map(|_| if normal() > 0.8 { 0.0 } else { 1.25 }).collect();
        Case { plan, weights, pixels, labels, mask }
    }

    pub fn network(&self, threads: usize, set: InstructionSet) -> Network {
        let mut network = Network::new(&self.plan, NetworkOptions { batch: self.labels.len(), threads, set });
        network.load(&self.weights);
        network
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch { pixels: &self.pixels, labels: &self.labels }
    }

    pub fn reference(&self, training: bool) -> ReferenceBatch<'_> {
        let dropout = training.then_some(&self.mask[..]);
        ReferenceBatch { pixels: &self.pixels, labels: &self.labels, dropout, label_smoothing: 0.1, training }
    }

    pub fn step(&self) -> Step<'_> {
        let dropout = Some(&self.mask[..]);
        Step {
            learning_rate: 0.0,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            gradient_clip: None,
            label_smoothing: 0.1,
            dropout,
        }
    }

    /// Compares the logits of an evaluation with the reference's.
    pub fn check_evaluation(&self, set: InstructionSet, threads: usize) {
        let expected = Reference::new(&self.plan, &self.weights).logits(self.reference(false));
        let mut network = self.network(threads, set);
        network.evaluate(self.batch(), 0.1);
        let logits = network.logits(self.labels.len());
        assert_eq!(logits.len(), expected.len());
        for (got, want) in logits.iter().zip(&expected) {
            assert!((f64::from(*got) - want).abs() <= 1e-4 * want.abs().max(1.0), "{set}: {got}, not {want}");
        }
    }

    /// Compares loss and gradients of a training step with the reference's. `stride` thins out the elements compared.
    pub fn check_gradients(&self, set: InstructionSet, stride: usize) -> Tally {
        let [tally] = self.check_gradients_on([set], stride);
        tally
    }

    /// The same on several instruction sets, with the reference's gradients taken once.
    pub fn check_gradients_on<const N: usize>(&self, sets: [InstructionSet; N], stride: usize) -> [Tally; N] {
        let mut reference = Reference::new(&self.plan, &self.weights);
        let batch = self.reference(true);
        let loss = reference.loss(batch);
        let gradients = sets.map(|set| self.train(set, loss));
        let mut tallies = [Tally::default(); N];
        for (number, parameter) in self.plan.parameters.iter().enumerate().filter(|(_, it)| it.role.trained()) {
            let id = ParameterId(number);
            let count = parameter.dimensions.iter().product();
            for element in (0..count).step_by(stride) {
                tallies.iter_mut().for_each(|tally| tally.elements += 1);
                let (want, other) = difference(&mut reference, id, element, batch);
                // Two step sizes that disagree straddle a ReLU's kink: the derivative is not defined there.
                if (want - other).abs() > 1e-4 * (1.0 + want.abs()) {
                    tallies.iter_mut().for_each(|tally| tally.kinks += 1);
                    continue;
                }
                for ((set, gradient), tally) in sets.iter().zip(&gradients).zip(&mut tallies) {
                    let data = &gradient.tensors[number].data;
                    let scale = data.iter().fold(0f32, |m, g| m.max(g.abs()));
                    let bound = 2e-4 * f64::from(scale).max(0.02);
                    let got = f64::from(data[element]);
                    let slope = |reference: &mut Reference| difference(reference, id, element, batch).0;
                    match self.agreement(got, want, bound, slope) {
                        Some(Conditioning::Good) => {}
                        Some(Conditioning::Bad) => tally.badly_conditioned += 1,
                        None => panic!("{set}: {}[{element}]: {got}, not {want}", parameter.name),
                    }
                }
            }
        }
        tallies
    }

    /// The gradients of a training step, whose loss must be the reference's.
    fn train(&self, set: InstructionSet, loss: f64) -> Weights {
        let mut network = self.network(1, set);
        let result = network.train(self.batch(), self.step());
        let bound = 1e-5 * loss.abs().max(1.0);
        let agrees = self.agreement(result.loss, loss, bound, |reference| reference.loss(self.reference(true)));
        assert!(agrees.is_some(), "{set}: loss {}, not {loss}", result.loss);
        network.gradients()
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
pub struct Tally {
    pub elements: usize,
    /// Not compared: the derivative is not defined.
    kinks: usize,
    /// Compared with the wider bound.
    badly_conditioned: usize,
}

impl Tally {
    /// Asserts that nearly all elements were compared, and at most this share of them with the wider bound.
    pub fn assert_badly_conditioned_at_most(self, share: f64) {
        let count = self.elements as f64;
        assert!(self.elements > 0 && self.kinks as f64 <= 0.01 * count, "{self:?}");
        assert!(self.badly_conditioned as f64 <= share * count, "{self:?}");
    }

    pub fn add(&mut self, other: Tally) {
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
