//! One generator on a device.

use super::batch::{Capacity, PrefixGraphs, RowTarget};
use super::launch::Memory;
use super::places::{Places, uniforms};
use super::schedule::{Gradients, Scene, Shares, Step, backward, draws, forward, loss, update};
use super::shape::{GranShape, Widths};
use crate::device::cuda::{Buffer, CudaError, Device};
use cudarc::driver::CudaGraph;
use std::sync::Arc;

/// What a training step needs besides its graphs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSettings {
    /// Adam's learning rate over one minus the first moment's decay to the power of the step's number.
    pub rate: f32,
    /// One over the root of one minus the second moment's decay to the power of the step's number.
    pub scale: f32,
}

/// A decision that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The row and the operator.
    pub target: RowTarget,
    /// Log-probability of both.
    pub log_probability: f64,
}

/// A pass that is captured once and replayed.
#[derive(Default)]
struct Pass {
    steps: Vec<Step>,
    graph: Option<CudaGraph>,
    launches: usize,
}

/// A generator with its parameters, gradients and Adam's moments on a device, for batches of at most some size.
pub struct GranNetwork {
    device: Arc<Device>,
    shape: GranShape,
    capacity: Capacity,
    places: Places,
    memory: Memory,
    /// As the host gave them; the device has all that is trained of them.
    parameters: Vec<f32>,
    training: Pass,
    drawing: Pass,
}

impl GranNetwork {
    /// Memory and launches. With `shares` it can be trained; every graph's l adds its log-probabilities with these factors.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(
        device: &Arc<Device>,
        shape: &GranShape,
        capacity: Capacity,
        shares: Option<Shares>,
    ) -> Result<Self, CudaError> {
        let places = Places::new(shape, capacity, shares.is_some());
        let mut gradients = Gradients::new(places.reserve);
        // The places of the lists depend on the capacity alone.
        let lists = super::Lists::new(capacity).0;
        let scene = Scene { shape, widths: Widths::new(shape), capacity, places: &places, lists: &lists };
        let mut training = Vec::new();
        if let (Some(shares), Some(more)) = (shares, &places.training) {
            training.extend(forward(&scene).into_iter().chain(loss(&scene, shares)));
            training.extend(backward(&scene, more, &mut gradients));
        }
        let floats = gradients.floats();
        if let Some(more) = &places.training {
            training.extend(update(&scene, more, gradients));
        }
        let drawing = forward(&scene).into_iter().chain(draws(&scene));
        let memory = Memory::new(device, capacity, floats, places.doubles.count)?;
        let steps = |operations: Vec<_>| -> Result<Pass, CudaError> {
            let steps = operations.into_iter().map(|operation| Step::new(operation, &memory));
            Ok(Pass { steps: steps.collect::<Result<_, _>>()?, ..Pass::default() })
        };
        let (training, drawing) = (steps(training)?, steps(drawing.collect())?);
        let parameters = vec![0.0; shape.parameters];
        let mut network = GranNetwork {
            device: device.clone(),
            shape: shape.clone(),
            capacity,
            places,
            memory,
            parameters,
            training,
            drawing,
        };
        network.load(&vec![0.0; shape.parameters])?;
        Ok(network)
    }

    /// The most that a batch may hold.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Takes over the host's parameters and forgets the optimiser's moments.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If there are not as many as the shape says.
    pub fn load(&mut self, parameters: &[f32]) -> Result<(), CudaError> {
        assert_eq!(parameters.len(), self.shape.parameters, "parameters of another generator");
        self.parameters.copy_from_slice(parameters);
        let mut packed = self.places.parameters.pack(parameters);
        if self.places.training.is_some() {
            packed.resize(4 * packed.len(), 0.0);
        }
        self.memory.floats.write(0, &packed)
    }

    /// The parameters in the host's order.
    ///
    /// # Errors
    /// The driver's, or of the kernels that ran before.
    pub fn parameters(&self) -> Result<Vec<f32>, CudaError> {
        let mut host = self.parameters.clone();
        self.places.parameters.unpack(&self.memory.floats.read(0..self.places.parameters.floats)?, &mut host);
        Ok(host)
    }

    /// The gradient of the last training step, in the host's order; zero without training.
    ///
    /// # Errors
    /// The driver's, or of the kernels that ran before.
    pub fn gradient(&self) -> Result<Vec<f32>, CudaError> {
        let mut host = vec![0.0; self.shape.parameters];
        if self.places.training.is_some() {
            let floats = self.places.parameters.floats;
            self.places.parameters.unpack(&self.memory.floats.read(floats..2 * floats)?, &mut host);
        }
        Ok(host)
    }

    /// A step of Adam on the sum of the graphs' losses, given their weights. Returns that sum, of before the step.
    ///
    /// # Errors
    /// A batch beyond the capacity, lists that do not fit together, not one weight a graph; the driver's.
    pub fn train(&mut self, batch: &PrefixGraphs, weights: &[f64], settings: StepSettings) -> Result<f64, CudaError> {
        let graphs = batch.size().graphs;
        if self.places.training.is_none() || weights.len() != graphs {
            return Err(CudaError::Plan(format!("a training step of {graphs} graphs with {} weights", weights.len())));
        }
        self.write_batch(batch, settings)?;
        let at = |place: u64| place as usize..place as usize + graphs;
        self.memory.doubles.write(at(self.places.doubles.weights).start, weights)?;
        self.training.run(&self.device, &self.memory)?;
        Ok(self.memory.doubles.read(at(self.places.doubles.losses))?.into_iter().sum())
    }

    /// Draws the decision of every prefix. `uniforms`: for every prefix its random numbers in the unit interval, in the order of
    /// their use: the component's, one an entry, the operator's where there are operators.
    ///
    /// # Errors
    /// A batch beyond the capacity, lists that do not fit together, too many random numbers; the driver's.
    pub fn draw(&mut self, batch: &PrefixGraphs, random: &[Vec<f64>]) -> Result<Vec<Drawn>, CudaError> {
        let (prefixes, wide) = (batch.size().prefixes, uniforms(&self.shape));
        if random.len() != prefixes || random.iter().any(|numbers| numbers.len() > wide) {
            return Err(CudaError::Plan(format!("random numbers for {} of {prefixes} prefixes", random.len())));
        }
        self.write_batch(batch, StepSettings { rate: 0.0, scale: 0.0 })?;
        let mut all = vec![0.0; prefixes * wide];
        all.chunks_exact_mut(wide).zip(random).for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
        let doubles = self.places.doubles;
        self.memory.doubles.write(doubles.uniforms as usize, &all)?;
        self.drawing.run(&self.device, &self.memory)?;
        let targets = self.memory.targets(prefixes)?;
        let scores = self.memory.doubles.read(doubles.scores as usize..doubles.scores as usize + 2 * prefixes)?;
        let drawn = targets.into_iter().zip(scores.chunks_exact(2));
        Ok(drawn.map(|(target, scores)| Drawn { target, log_probability: scores[0] + scores[1] }).collect())
    }

    /// Kernels that a training step launches.
    pub fn launches_per_step(&self) -> usize {
        self.training.launches
    }

    /// Bytes of memory on the device, but for lists.
    pub fn bytes(&self) -> usize {
        4 * Buffer::len(&self.memory.floats) + 8 * self.memory.doubles.len()
    }

    fn write_batch(&mut self, batch: &PrefixGraphs, settings: StepSettings) -> Result<(), CudaError> {
        let GranShape { nodes, operators, .. } = self.shape;
        self.memory.write_batch(batch, (nodes, operators), [settings.rate, settings.scale])
    }
}

impl Pass {
    /// Launches the pass: for the first time one kernel after the other, so that all are loaded, then as a captured graph.
    fn run(&mut self, device: &Arc<Device>, memory: &Memory) -> Result<(), CudaError> {
        let Pass { steps, graph, launches } = self;
        let launch = || steps.iter().try_for_each(|step| step.launch(memory));
        if *launches == 0 {
            let before = device.launches();
            launch()?;
            *launches = device.launches() - before;
            return Ok(());
        }
        if graph.is_none() {
            *graph = device.capture(launch)?;
        }
        graph.as_ref().map_or(Ok(()), CudaGraph::launch).map_err(CudaError::during("running a step"))
    }
}
