//! The self-test of a device before it is used: three tiny networks that take every kernel, against the CPU. It finds
//! kernels that do not run or compute something else; how exact they are is for the tests to say.

use super::device::Device;
use super::error::CudaError;
use super::images::{Batches, ResidentBatch, ResidentImages};
use super::network::{Network, NetworkOptions, Step};
use super::records::Chosen;
use super::storage::Storage;
use crate::data::View;
use crate::device::cpu::{self, Batch, BatchResult, InstructionSet};
use crate::graph::Dag;
use crate::net::{
    EnasShape, ImageShape, LayerOperator, Plan, Pooling, RandWireShape, Role, Tensor, Weights, enas, randwire,
};
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;
use std::sync::Arc;

const IMAGE: ImageShape = ImageShape { channels: 2, height: 8, width: 6 };
const CLASSES: usize = 4;
/// Channels before the classifiers.
const FEATURES: usize = 12;
/// Black pixels around an image.
const PADDING: usize = 2;
const IMAGES: usize = 6;
/// Images of the data set.
const RESIDENT: u32 = 5;
const STEP: cpu::Step<'static> = cpu::Step {
    learning_rate: 0.05,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 1e-3,
    gradient_clip: None,
    label_smoothing: 0.1,
    dropout: None,
};
/// The first step, whose gradients are longer than that.
const FIRST_STEP: cpu::Step<'static> = cpu::Step { nesterov: true, gradient_clip: Some(0.5), ..STEP };
/// The share of all gradients that a tensor's own is at least taken for: a small one is a difference of large numbers.
const LEAST_SHARE: f64 = 0.05;

/// How far results may be from the CPU's, relative.
#[derive(Clone, Copy)]
struct Bounds {
    loss: f64,
    /// Of gradients and changes of weights, tensor by tensor: the length of the difference.
    tensors: f64,
    /// Of losses after some steps.
    later_loss: f64,
}

impl Bounds {
    /// Ten times and more what the tests measure, and a fraction of what any missing or wrong kernel makes.
    fn of(storage: Storage) -> Bounds {
        match storage {
            Storage::F32 => Bounds { loss: 1e-4, tensors: 1e-3, later_loss: 1e-3 },
            Storage::F16 => Bounds { loss: 1e-2, tensors: 0.2, later_loss: 0.05 },
            Storage::Bf16 => Bounds { loss: 5e-2, tensors: 0.6, later_loss: 0.2 },
        }
    }
}

impl Device {
    /// Runs every kernel on tiny networks and compares with the CPU.
    ///
    /// # Errors
    /// [`CudaError::SelfTest`]; the driver's.
    pub fn self_test(self: &Arc<Self>, storage: Storage) -> Result<(), CudaError> {
        Trial::new(self, storage)?.run()
    }
}

/// The same networks on both devices.
struct Trial {
    storage: Storage,
    data: Data,
    start: Vec<Weights>,
    network: Network,
    on_cpu: Vec<cpu::Network>,
}

impl Trial {
    fn new(device: &Arc<Device>, storage: Storage) -> Result<Trial, CudaError> {
        let mut random = StreamKey { seed: 0, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream();
        let plans = plans();
        let start: Vec<Weights> = plans.iter().map(|plan| weights(plan, &mut random)).collect();
        let data = Data::new(&mut random);
        let images = ResidentImages::new(device, IMAGE, &data.pixels, &data.table)?;
        let mut network = Network::new(device, &plans, NetworkOptions { batch: IMAGES, storage })?.on_images(images);
        let mut on_cpu = Vec::new();
        for (number, (plan, weights)) in plans.iter().zip(&start).enumerate() {
            network.load(number, weights)?;
            let options = cpu::NetworkOptions { batch: IMAGES, threads: 1, set: InstructionSet::best() };
            let mut reference = cpu::Network::new(plan, options);
            reference.load(weights);
            on_cpu.push(reference);
        }
        Ok(Trial { storage, data, start, network, on_cpu })
    }

    fn run(&mut self) -> Result<(), CudaError> {
        let bounds = Bounds::of(self.storage);
        let mask: Vec<f32> =
            (0..IMAGES * self.network.features()).map(|i| if i % 5 == 0 { 0.0 } else { 1.25 }).collect();
        let (pixels, _) = self.data.batch(0);
        let batch = Batch { pixels: &pixels, labels: &self.data.labels };
        let count = self.on_cpu.len();
        let results = self.network.train(
            Batches::Pixels(&vec![batch; count]),
            Step { dropout: Some(&vec![&mask[..]; count]), ..FIRST_STEP.into() },
        )?;
        let first = cpu::Step { dropout: Some(&mask), ..FIRST_STEP };
        let expected = |network: &mut cpu::Network| network.train(batch, first);
        let expected: Vec<BatchResult> = self.on_cpu.iter_mut().map(expected).collect();
        self.compare_losses("the loss", &results, &expected, bounds.loss)?;
        self.compare_tensors(bounds.tensors)?;
        // The first of these runs kernel by kernel, the second is captured, the third replayed.
        for crops in 1..4 {
            let (pixels, chosen) = self.data.batch(crops);
            let batch = Batch { pixels: &pixels, labels: &self.data.labels };
            let resident = vec![ResidentBatch { chosen: &chosen, labels: &self.data.labels }; count];
            let results = self.network.train(Batches::Resident(&resident), STEP.into())?;
            let expected: Vec<BatchResult> = self.on_cpu.iter_mut().map(|network| network.train(batch, STEP)).collect();
            self.compare_losses("a later loss", &results, &expected, bounds.later_loss)?;
        }
        let (pixels, chosen) = self.data.batch(0);
        let batch = Batch { pixels: &pixels, labels: &self.data.labels };
        let resident = vec![ResidentBatch { chosen: &chosen, labels: &self.data.labels }; count];
        let results = self.network.evaluate(Batches::Resident(&resident), 0.0)?;
        let expected: Vec<BatchResult> = self.on_cpu.iter_mut().map(|network| network.evaluate(batch, 0.0)).collect();
        self.compare_losses("the loss of an evaluation", &results, &expected, bounds.later_loss)
    }

    fn near(&self, what: String, distance: f64, bound: f64) -> Result<(), CudaError> {
        // A number that is none fails.
        match distance <= bound {
            true => Ok(()),
            false => Err(CudaError::SelfTest { storage: self.storage, what, distance, bound }),
        }
    }

    fn compare_losses(
        &self,
        what: &str,
        got: &[BatchResult],
        want: &[BatchResult],
        bound: f64,
    ) -> Result<(), CudaError> {
        for (got, want) in got.iter().zip(want) {
            self.near(what.into(), (got.loss - want.loss).abs() / want.loss, bound)?;
        }
        Ok(())
    }

    /// Gradients, and what the first step changed: weights and running statistics.
    fn compare_tensors(&self, bound: f64) -> Result<(), CudaError> {
        for (number, reference) in self.on_cpu.iter().enumerate() {
            let (plan, start) = (&self.network.plans()[number], &self.start[number]);
            let gradients = (self.network.gradients(number)?, reference.gradients());
            let changes = (changes(self.network.weights(number)?, start), changes(reference.weights(), start));
            let trained = |index: usize| plan.parameters[index].role.trained();
            self.compare_all("gradient", &gradients, trained, bound)?;
            self.compare_all("change", &changes, trained, bound)?;
            self.compare_all("running statistic", &changes, |index| !trained(index), bound)?;
        }
        Ok(())
    }

    fn compare_all(
        &self,
        what: &str,
        (got, want): &(Weights, Weights),
        chosen: impl Fn(usize) -> bool,
        bound: f64,
    ) -> Result<(), CudaError> {
        let chosen: Vec<usize> = (0..want.tensors.len()).filter(|&index| chosen(index)).collect();
        let all: f64 = chosen.iter().map(|&index| length(&want.tensors[index].data).powi(2)).sum();
        let least = LEAST_SHARE * all.sqrt();
        for index in chosen {
            let (got, want) = (&got.tensors[index], &want.tensors[index]);
            let difference: Vec<f32> = got.data.iter().zip(&want.data).map(|(got, want)| got - want).collect();
            let distance = length(&difference) / length(&want.data).max(least);
            self.near(format!("{what} {}", want.name), distance, bound)?;
        }
        Ok(())
    }
}

/// Two RandWire networks of different depth, the second with a second convolution in its stem, with nodes of both strides and
/// several inputs and stages of several sources and sinks; one of ENAS's with every kind of operator, skips and reductions.
fn plans() -> Vec<Plan> {
    let shape = RandWireShape {
        image: IMAGE,
        channels: 10,
        stem_stride: 1,
        second_stem_stride: None,
        stage_strides: vec![2, 1],
        head: FEATURES,
        classes: CLASSES,
    };
    let wirings: [&[[usize; 2]]; 2] = [&[[0, 2], [1, 2], [0, 3], [2, 3]], &[[0, 1], [0, 2], [1, 3]]];
    let stages = wirings.iter().filter_map(|edges| Dag::new(4, edges).ok()).collect::<Vec<Dag>>();
    let second_stem_strides = [None, Some(2)];
    let mut plans: Vec<Plan> = (stages.iter().zip(second_stem_strides))
        .map(|(first, second_stem_stride)| {
            randwire(&[first.clone(), stages[0].clone()], &RandWireShape { second_stem_stride, ..shape.clone() })
        })
        .collect();
    let operators = [
        LayerOperator::Convolution(3),
        LayerOperator::Pool(Pooling::Max),
        LayerOperator::Separable(5),
        LayerOperator::Pool(Pooling::Average),
    ];
    let shape = EnasShape { image: IMAGE, channels: FEATURES, classes: CLASSES };
    plans.extend(Dag::new(operators.len(), &[[0, 2], [1, 3]]).map(|skips| enas(&operators, &skips, &shape)));
    plans
}

fn weights(plan: &Plan, random: &mut Stream) -> Weights {
    let tensors = plan.parameters.iter().map(|parameter| {
        let count: usize = parameter.dimensions.iter().product();
        let fan_in: usize = parameter.dimensions[1..].iter().product::<usize>().max(1);
        let (centre, spread) = match parameter.role {
            Role::Weight => (0.0, (6.0 / fan_in as f32).sqrt()),
            Role::Gamma | Role::RunningVariance => (1.0, 0.3),
            _ => (0.0, 0.5),
        };
        let data = (0..count).map(|_| centre + random.random_range(-spread..spread)).collect();
        Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
    });
    Weights { tensors: tensors.collect() }
}

fn changes(mut now: Weights, start: &Weights) -> Weights {
    for (now, start) in now.tensors.iter_mut().zip(&start.tensors) {
        now.data.iter_mut().zip(&start.data).for_each(|(now, start)| *now -= start);
    }
    now
}

fn length(data: &[f32]) -> f64 {
    data.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// A few images of noise, their labels in a batch, and how they are normalised.
struct Data {
    pixels: Vec<u8>,
    table: Vec<[f32; 256]>,
    labels: Vec<u16>,
}

impl Data {
    fn new(random: &mut Stream) -> Data {
        let ImageShape { channels, height, width } = IMAGE;
        let table = |channel| std::array::from_fn(|pixel| pixel as f32 / 64.0 - 1.5 - 0.25 * channel as f32);
        Data {
            pixels: (0..RESIDENT as usize * channels * height * width).map(|_| random.random()).collect(),
            table: (0..channels).map(table).collect(),
            labels: (0..IMAGES).map(|image| (image % CLASSES) as u16).collect(),
        }
    }

    /// Batch `number`: normalised pixels, and the images they are of.
    fn batch(&self, number: usize) -> (Vec<f32>, Vec<Chosen>) {
        let views = (0..IMAGES).map(|image| {
            let [top, left] = [image + number, 2 * image + number].map(|shift| shift % (2 * PADDING + 1));
            ((image + number) as u32 % RESIDENT, View { padding: PADDING, top, left, flip: (image + number) % 2 == 1 })
        });
        let views: Vec<(u32, View)> = views.collect();
        let pixels = views.iter().flat_map(|&(image, view)| self.image(image, view)).collect();
        (pixels, views.into_iter().map(|(image, view)| Chosen::new(image, view)).collect())
    }

    /// A crop of an image, normalised; what lies outside is black.
    fn image(&self, image: u32, view: View) -> Vec<f32> {
        let ImageShape { channels, height, width } = IMAGE;
        let at = |y: usize, x: usize, channel: usize| {
            let x = if view.flip { width - 1 - x } else { x };
            let (y, x) = ((y + view.top).checked_sub(PADDING), (x + view.left).checked_sub(PADDING));
            let pixel = match (y, x) {
                (Some(y), Some(x)) if y < height && x < width => {
                    self.pixels[((image as usize * height + y) * width + x) * channels + channel]
                }
                _ => 0,
            };
            self.table[channel][usize::from(pixel)]
        };
        let places = (0..height * width * channels).map(|i| (i / channels / width, i / channels % width, i % channels));
        places.map(|(y, x, channel)| at(y, x, channel)).collect()
    }
}
