//! Networks that share their parameters, which stay on the device: each step trains another network.
//!
//! The records of a step point at the shared tensors themselves, so that neither weights nor momenta are copied from step to
//! step. Every network is laid out anew in the memory of the one before, and its tables are copied to the device in one piece.

use super::{Network, NetworkOptions, Step};
use crate::device::cpu::BatchResult;
use crate::device::cuda::device::{Buffer, Device};
use crate::device::cuda::error::CudaError;
use crate::device::cuda::images::{Batches, ResidentBatch, ResidentImages};
use crate::device::cuda::launch::Arenas;
use crate::device::cuda::parameters::SharedLayout;
use crate::device::cuda::program::Program;
use crate::device::cuda::records::Extents;
use crate::net::{Plan, Weights};
use std::sync::Arc;

/// Shared parameters and their optimiser's state, and the memory for training one network at a time.
pub struct Supernet {
    layout: SharedLayout,
    /// The network at hand; its arenas of parameters are those of all.
    network: Network,
}

impl Supernet {
    /// A supernet with all parameters zero. The plans have every parameter between them; memory is taken for the largest.
    ///
    /// # Errors
    /// No plan, or one that the kernels do not run; out of memory.
    ///
    /// # Panics
    /// If the images are of another shape than the plans', or the batch is empty.
    pub fn new(
        device: &Arc<Device>,
        plans: &[Plan],
        options: NetworkOptions,
        images: Arc<ResidentImages>,
    ) -> Result<Self, CudaError> {
        assert!(options.batch > 0, "a batch has at least one image");
        let layout = SharedLayout::new(plans);
        let mut extents = Extents::default();
        for plan in plans {
            let each = program(&layout, plan, options.batch, options)?.extents;
            extents.values = extents.values.max(each.values);
            extents.floats = extents.floats.max(each.floats);
            (extents.labels, extents.chosen) = (each.labels, each.chosen);
        }
        extents.parameters = layout.floats;
        let network = Network {
            device: device.clone(),
            plans: plans.first().cloned().into_iter().collect(),
            options,
            arenas: Arenas::new(device, options.storage, extents)?,
            images: None,
            sessions: Vec::new(),
            undropped: None,
        };
        Ok(Supernet { layout, network: network.on_images(images) })
    }

    /// Takes over weights and momenta, tensors in any order; those of parameters without a tensor are zero.
    ///
    /// # Errors
    /// The driver's.
    pub fn load(&mut self, weights: &Weights, momentum: &Weights) -> Result<(), CudaError> {
        let arenas = &mut self.network.arenas;
        arenas.parameters.write(0, &self.layout.pack(weights))?;
        arenas.momentum.write(0, &self.layout.pack(momentum))?;
        arenas.round()
    }

    /// All weights as they are now.
    ///
    /// # Errors
    /// The driver's.
    pub fn weights(&self) -> Result<Weights, CudaError> {
        self.unpack(&self.network.arenas.parameters)
    }

    /// The momentum of all parameters.
    ///
    /// # Errors
    /// The driver's.
    pub fn momentum(&self) -> Result<Weights, CudaError> {
        self.unpack(&self.network.arenas.momentum)
    }

    fn unpack(&self, arena: &Buffer<f32>) -> Result<Weights, CudaError> {
        Ok(self.layout.unpack(&arena.read(0..self.layout.floats)?))
    }

    /// Features before the classifiers.
    pub fn features(&self) -> usize {
        self.network.features()
    }

    /// One step of SGD of one network, on the shared parameters.
    ///
    /// # Errors
    /// A network that the kernels do not run, or with a parameter that is not shared; out of memory; the driver's.
    ///
    /// # Panics
    /// As [`Network::train`].
    pub fn train(&mut self, plan: &Plan, batch: ResidentBatch, step: Step) -> Result<BatchResult, CudaError> {
        let network = &mut self.network;
        let program = program(&self.layout, plan, batch.labels.len(), network.options)?;
        network.sessions.clear();
        network.undropped = None;
        network.plans = vec![plan.clone()];
        network.arenas.fit(program.extents)?;
        network.add_session(program)?;
        let results = network.train(Batches::Resident(&[batch]), step)?;
        results.first().copied().ok_or_else(|| CudaError::Plan("a step of no network".into()))
    }
}

fn program(layout: &SharedLayout, plan: &Plan, images: usize, options: NetworkOptions) -> Result<Program, CudaError> {
    let map = layout.map(plan).ok_or_else(|| CudaError::Plan("it has a parameter that is not shared".into()))?;
    Program::with_parameters(std::slice::from_ref(plan), vec![map], images, options.storage)
}
