//! A batch of networks on a CUDA device: loads weights, trains, evaluates.

mod pass;
mod supernet;

pub use supernet::Supernet;

use super::device::{Buffer, Device};
use super::error::CudaError;
use super::images::{Batches, ResidentImages};
use super::launch::Arenas;
use super::program::{Program, check_plans};
use super::records::{Chosen, Settings, padded};
use super::schedule::Schedule;
use super::storage::Storage;
use crate::device::cpu::{self, BatchResult};
use crate::net::{Plan, Weights};
use bytemuck::Zeroable;
use cudarc::driver::CudaGraph;
use pass::{Pass, PassKind, Session};
use std::sync::Arc;

/// How networks are run.
#[derive(Clone, Copy, Debug)]
pub struct NetworkOptions {
    /// Most images in a batch.
    pub batch: usize,
    /// Format of values and of the products' weights.
    pub storage: Storage,
}

/// Settings of one training step of all networks.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Learning rate.
    pub learning_rate: f32,
    /// Momentum of SGD.
    pub momentum: f32,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, on every trained parameter.
    pub weight_decay: f32,
    /// Longest gradient of a network, above 0, of all its trained parameters together and without the penalty; longer ones
    /// are scaled down.
    pub gradient_clip: Option<f32>,
    /// Share of the target spread over all classes.
    pub label_smoothing: f32,
    /// For each network `(batch, features)`: what each feature before the classifier is multiplied with, 0 or 1 / (1 - p).
    pub dropout: Option<&'a [&'a [f32]]>,
}

/// One network's settings for all, but for its dropout factors.
impl From<cpu::Step<'_>> for Step<'_> {
    fn from(step: cpu::Step) -> Self {
        Step {
            learning_rate: step.learning_rate,
            momentum: step.momentum,
            nesterov: step.nesterov,
            weight_decay: step.weight_decay,
            gradient_clip: step.gradient_clip.map(|longest| (longest as f32).max(f32::MIN_POSITIVE)),
            label_smoothing: step.label_smoothing,
            dropout: None,
        }
    }
}

/// A gradient below 6e-8 is none in f16; the largest are far below 1.
const F16_LOSS_SCALE: f32 = 1024.0;

/// Networks that are trained together, each with its own images, and the memory for it.
pub struct Network {
    device: Arc<Device>,
    plans: Vec<Plan>,
    options: NetworkOptions,
    arenas: Arenas,
    images: Option<Arc<ResidentImages>>,
    /// For the whole batch first, then for smaller ones as they come.
    sessions: Vec<Session>,
    /// The session whose dropout factors are all 1.
    undropped: Option<usize>,
}

impl Network {
    /// Bytes of device memory that [`new`](Self::new) would take for its arenas.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn bytes(plans: &[Plan], options: NetworkOptions) -> Result<usize, CudaError> {
        Ok(Program::new(plans, options.batch, options.storage)?.bytes())
    }

    /// Whether networks of these plans can be trained together.
    pub fn go_together(first: &Plan, other: &Plan) -> bool {
        check_plans([first, other]).is_ok()
    }

    /// Networks with all parameters zero.
    ///
    /// # Errors
    /// Plans that cannot be trained together; out of memory, which fewer plans may avoid.
    ///
    /// # Panics
    /// If the batch is empty.
    pub fn new(device: &Arc<Device>, plans: &[Plan], options: NetworkOptions) -> Result<Self, CudaError> {
        assert!(options.batch > 0, "a batch has at least one image");
        let program = Program::new(plans, options.batch, options.storage)?;
        let mut network = Network {
            device: device.clone(),
            plans: plans.to_vec(),
            options,
            arenas: Arenas::new(device, options.storage, program.extents)?,
            images: None,
            sessions: Vec::new(),
            undropped: None,
        };
        network.add_session(program)?;
        Ok(network)
    }

    /// The same networks on the images of a data set on the device.
    ///
    /// # Panics
    /// If the images are of another shape than the plans'.
    pub fn on_images(mut self, images: Arc<ResidentImages>) -> Self {
        assert_eq!(images.shape(), self.plans[0].image, "shape of the images");
        self.images = Some(images);
        // A captured step reads the images that it was captured with.
        self.sessions.iter_mut().for_each(|session| session.replays = Default::default());
        self
    }

    /// The plans it runs.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Features before the classifier.
    pub fn features(&self) -> usize {
        self.plans.first().map_or(0, Plan::features)
    }

    /// Takes over one network's weights and forgets its optimiser's state.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network, or the weights do not fit its plan.
    pub fn load(&mut self, number: usize, weights: &Weights) -> Result<(), CudaError> {
        let plan = &self.plans[number];
        assert!(weights.fits(plan), "weights of another network");
        let map = &self.sessions[0].program.candidates[number].parameters;
        let packed = map.pack(plan, weights);
        self.arenas.parameters.write(map.start, &packed)?;
        self.arenas.momentum.write(map.start, &vec![0.0; packed.len()])?;
        self.arenas.round()
    }

    /// One network's weights as they are now.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network.
    pub fn weights(&self, number: usize) -> Result<Weights, CudaError> {
        self.unpack(number, &self.arenas.parameters)
    }

    /// Takes over one network's optimiser's state: the momentum of every parameter.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network, or the momentum does not fit its plan.
    pub fn load_momentum(&mut self, number: usize, momentum: &Weights) -> Result<(), CudaError> {
        let plan = &self.plans[number];
        assert!(momentum.fits(plan), "momentum of another network");
        let map = &self.sessions[0].program.candidates[number].parameters;
        self.arenas.momentum.write(map.start, &map.pack(plan, momentum))
    }

    /// One network's optimiser's state, as of [`load_momentum`](Self::load_momentum).
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network.
    pub fn momentum(&self, number: usize) -> Result<Weights, CudaError> {
        self.unpack(number, &self.arenas.momentum)
    }

    /// The gradients of one network's last training step; those of running statistics mean nothing.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network.
    pub fn gradients(&self, number: usize) -> Result<Weights, CudaError> {
        self.unpack(number, &self.arenas.gradients)
    }

    /// One step of SGD of every network on its batch.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is not one batch a network, a batch's parts do not fit together, or an image is not on the device.
    pub fn train(&mut self, batches: Batches, step: Step) -> Result<Vec<BatchResult>, CudaError> {
        let session = self.session(batches)?;
        self.write_masks(session, step.dropout)?;
        self.write_settings(Settings {
            learning_rate: step.learning_rate,
            momentum: step.momentum,
            weight_decay: step.weight_decay,
            label_smoothing: step.label_smoothing,
            gradient_clip: step.gradient_clip.unwrap_or(0.0),
            nesterov: step.nesterov.into(),
            ..Settings::zeroed()
        })?;
        let kind = PassKind::Training { clips: step.gradient_clip.is_some() };
        self.run(session, batches, Pass { kind, resident: batches.resident() })
    }

    /// Loss and accuracy of every network on its batch with running statistics, without dropout.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    ///
    /// # Panics
    /// As [`train`](Self::train).
    pub fn evaluate(&mut self, batches: Batches, label_smoothing: f32) -> Result<Vec<BatchResult>, CudaError> {
        let session = self.session(batches)?;
        self.write_settings(Settings { label_smoothing, ..Settings::zeroed() })?;
        self.run(session, batches, Pass { kind: PassKind::Evaluation, resident: batches.resident() })
    }

    /// Moves every network's running statistics by this share, above 0, towards those of its batch, and changes nothing else.
    /// Shares 1, 1/2, 1/3 and so on make them the means over batches.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    ///
    /// # Panics
    /// As [`train`](Self::train).
    pub fn calibrate(&mut self, batches: Batches, share: f32) -> Result<(), CudaError> {
        let session = self.session(batches)?;
        self.prepare(session, batches)?;
        let images = if batches.resident() { self.images.as_deref() } else { None };
        let schedule = &self.sessions[session].schedule;
        schedule.windows(&self.arenas, images)?;
        schedule.forward(&self.arenas, share)
    }

    /// One network's logits of the last batch, `(images, classes)`.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there is no such network, or the last batch had not so many images.
    pub fn logits(&self, number: usize, images: usize) -> Result<Vec<f32>, CudaError> {
        let session = self.sessions.iter().find(|session| session.program.images == images);
        let classifier = session.expect("a batch of so many images").program.candidates[number].classifier;
        let columns = classifier.columns as usize;
        let start = classifier.logits as usize;
        let floats = self.arenas.floats.read(start..start + images * columns)?;
        let classes = self.plans[number].classes;
        Ok(floats.chunks_exact(columns).flat_map(|row| row[..classes].iter().copied()).collect())
    }

    /// Kernels that a training step of whole batches launches; 0 before the first.
    pub fn launches_per_step(&self) -> usize {
        self.sessions[0].launches_per_step()
    }

    fn unpack(&self, number: usize, arena: &Buffer<f32>) -> Result<Weights, CudaError> {
        let map = &self.sessions[0].program.candidates[number].parameters;
        Ok(map.unpack(&self.plans[number], &arena.read(map.start..map.end)?))
    }

    fn add_session(&mut self, program: Program) -> Result<usize, CudaError> {
        let schedule = Schedule::new(&self.device, &program)?;
        self.sessions.push(Session { program, schedule, replays: Default::default() });
        Ok(self.sessions.len() - 1)
    }

    /// The session for batches of this size.
    fn session(&mut self, batches: Batches) -> Result<usize, CudaError> {
        let images = batches.check(&self.plans, self.images.as_deref());
        let most = self.options.batch;
        assert!((1..=most).contains(&images), "{images} images in a batch of at most {most}");
        match self.sessions.iter().position(|session| session.program.images == images) {
            Some(found) => Ok(found),
            None => self.add_session(Program::new(&self.plans, images, self.options.storage)?),
        }
    }

    fn write_settings(&mut self, settings: Settings) -> Result<(), CudaError> {
        let loss_scale = if self.options.storage == Storage::F16 { F16_LOSS_SCALE } else { 1.0 };
        self.arenas.settings.write(0, &[Settings { loss_scale, ..settings }])
    }

    fn write_masks(&mut self, session: usize, dropout: Option<&[&[f32]]>) -> Result<(), CudaError> {
        if dropout.is_none() && self.undropped == Some(session) {
            return Ok(());
        }
        // Sessions share the memory, each with its own places in it.
        self.undropped = dropout.is_none().then_some(session);
        let Program { masks, mask_floats, images, .. } = self.sessions[session].program;
        let (features, networks) = (self.features(), self.plans.len());
        let mut all = vec![1.0; networks * mask_floats];
        if let Some(factors) = dropout {
            assert_eq!(factors.len(), networks, "dropout factors of every network");
            for (mask, factors) in all.chunks_exact_mut(mask_floats).zip(factors) {
                assert_eq!(factors.len(), images * features, "one dropout factor a feature");
                for (to, from) in mask.chunks_exact_mut(padded(features)).zip(factors.chunks_exact(features)) {
                    to[..features].copy_from_slice(from);
                }
            }
        }
        self.arenas.floats.write(masks, &all)
    }

    fn write_batches(&mut self, session: usize, batches: Batches) -> Result<(), CudaError> {
        let Program { pixels, image_floats, result_floats, .. } = self.sessions[session].program;
        self.arenas.labels.write(0, &batches.all_labels(result_floats))?;
        match batches {
            Batches::Pixels(batches) => {
                let mut images = vec![0.0; batches.len() * image_floats];
                for (to, batch) in images.chunks_exact_mut(image_floats).zip(batches) {
                    to[..batch.pixels.len()].copy_from_slice(batch.pixels);
                }
                self.arenas.floats.write(pixels, &images)
            }
            Batches::Resident(batches) => {
                let mut all = vec![Chosen::zeroed(); batches.len() * result_floats];
                for (to, batch) in all.chunks_exact_mut(result_floats).zip(batches) {
                    to[..batch.chosen.len()].copy_from_slice(batch.chosen);
                }
                self.arenas.chosen.write(0, &all)
            }
        }
    }

    /// Copies the batches of a session's next pass.
    fn prepare(&mut self, session: usize, batches: Batches) -> Result<(), CudaError> {
        if self.undropped != Some(session) {
            // Whatever this session writes may lie where another one's dropout factors do.
            self.undropped = None;
        }
        self.write_batches(session, batches)
    }

    fn run(&mut self, session: usize, batches: Batches, pass: Pass) -> Result<Vec<BatchResult>, CudaError> {
        self.prepare(session, batches)?;
        self.launch(session, pass)?;
        self.results(session)
    }

    /// Launches a pass; see [`Replay`].
    fn launch(&mut self, session: usize, pass: Pass) -> Result<(), CudaError> {
        let Session { schedule, replays, .. } = &mut self.sessions[session];
        let replay = &mut replays[pass.number()];
        let images = if pass.resident { self.images.as_deref() } else { None };
        let launch = || {
            schedule.windows(&self.arenas, images)?;
            match pass.kind {
                PassKind::Training { clips } => schedule.train(&self.arenas, clips),
                PassKind::Evaluation => schedule.evaluate(&self.arenas),
            }
        };
        if replay.launches == 0 || self.device.is_timing() {
            let before = self.device.launches();
            launch()?;
            replay.launches = self.device.launches() - before;
            return Ok(());
        }
        if replay.graph.is_none() {
            replay.graph = self.device.capture(launch)?;
        }
        replay.graph.as_ref().map_or(Ok(()), CudaGraph::launch).map_err(CudaError::during("running a step"))
    }

    fn results(&self, session: usize) -> Result<Vec<BatchResult>, CudaError> {
        let Program { results, result_floats, images, .. } = self.sessions[session].program;
        let floats = self.arenas.floats.read(results..results + self.plans.len() * 2 * result_floats)?;
        let of_network = |both: &[f32]| {
            let (losses, correct) = both.split_at(result_floats);
            let loss = losses[..images].iter().map(|&loss| f64::from(loss)).sum::<f64>() / images as f64;
            BatchResult { loss, correct: correct[..images].iter().sum::<f32>() as usize }
        };
        Ok(floats.chunks_exact(2 * result_floats).map(of_network).collect())
    }
}
