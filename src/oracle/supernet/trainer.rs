//! Where the shared weights are trained: on the CPU a network at a time, which takes its weights and gives them back; on a
//! CUDA device they stay there for all epochs.

use super::super::batched::{DeviceData, HostBatch};
use super::super::engine::{CudaEngine, Engine};
use super::super::shared::SharedWeights;
use super::super::training::Buffers;
use crate::data::{BatchRequest, Dataset};
use crate::device::cpu::{self, InstructionSet, Network, NetworkOptions};
use crate::device::cuda::{self, ResidentBatch, ResidentImages, Supernet};
use crate::net::Plan;
use crate::oracle::OracleError;
use std::sync::{Arc, MutexGuard};

/// What the steps of a training use again.
pub(super) struct Trainer<'a> {
    dataset: &'a Dataset,
    place: Place<'a>,
}

enum Place<'a> {
    Cpu { network: Box<Network>, buffers: Buffers },
    Cuda(Box<OnDevice<'a>>),
}

struct OnDevice<'a> {
    supernet: Supernet,
    data: DeviceData<'a>,
    batch: HostBatch,
    _alone: MutexGuard<'a, ()>,
}

impl<'a> Trainer<'a> {
    /// For batches of so many images, with the weights at hand. The plans have every parameter between them.
    ///
    /// # Errors
    /// The device's.
    pub(super) fn new(
        (engine, resident): (&'a Engine, Option<&Arc<ResidentImages>>),
        dataset: &'a Dataset,
        (plans, weights): (&[Plan], &SharedWeights),
        batch: usize,
    ) -> Result<Self, OracleError> {
        let place = match (engine, plans.first()) {
            (_, None) => return Err(OracleError::NoStages),
            (Engine::Cpu { threads }, Some(first)) => {
                let options = NetworkOptions { batch, threads: *threads, set: InstructionSet::best() };
                Place::Cpu { network: Box::new(Network::new(first, options)), buffers: Buffers::new(first, batch) }
            }
            (Engine::Cuda(engine), Some(_)) => {
                Place::Cuda(Box::new(OnDevice::new((engine, resident), dataset, (plans, weights), batch)?))
            }
        };
        Ok(Trainer { dataset, place })
    }

    /// Trains one network on one batch; the loss.
    ///
    /// # Errors
    /// A network of another space; the device's.
    pub(super) fn step(
        &mut self,
        plan: &Plan,
        weights: &mut SharedWeights,
        request: BatchRequest,
        step: cpu::Step,
    ) -> Result<f64, OracleError> {
        match &mut self.place {
            Place::Cpu { network, buffers } => {
                let (values, momentum) = weights.of(plan).ok_or(OracleError::NotShared)?;
                network.replace_plan(plan);
                network.load(&values);
                network.load_momentum(&momentum);
                let result = network.train(buffers.fill(self.dataset, request), step);
                weights.take(network.weights(), network.momentum());
                Ok(result.loss)
            }
            Place::Cuda(on_device) => {
                let OnDevice { supernet, data, batch, .. } = &mut **on_device;
                data.fill(request, batch);
                let masks = step.dropout.map(|mask| [mask]);
                let dropout = masks.as_ref().map(|masks| &masks[..]);
                let images = ResidentBatch { chosen: &batch.chosen, labels: &batch.labels };
                Ok(supernet.train(plan, images, cuda::Step { dropout, ..step.into() })?.loss)
            }
        }
    }

    /// Takes the weights and the optimiser's state from the device.
    ///
    /// # Errors
    /// The device's.
    pub(super) fn fetch(&self, weights: &mut SharedWeights) -> Result<(), OracleError> {
        if let Place::Cuda(on_device) = &self.place {
            weights.take(on_device.supernet.weights()?, on_device.supernet.momentum()?);
        }
        Ok(())
    }
}

impl<'a> OnDevice<'a> {
    fn new(
        (engine, resident): (&'a CudaEngine, Option<&Arc<ResidentImages>>),
        dataset: &'a Dataset,
        (plans, weights): (&[Plan], &SharedWeights),
        batch: usize,
    ) -> Result<Self, OracleError> {
        let alone = engine.alone();
        let data = match resident {
            Some(resident) => DeviceData { dataset, resident: resident.clone() },
            None => DeviceData::new(engine, dataset)?,
        };
        let options = cuda::NetworkOptions { batch, storage: engine.storage() };
        let mut supernet = Supernet::new(engine.device(), plans, options, data.resident.clone())?;
        let (values, momentum) = weights.all();
        supernet.load(&values, &momentum)?;
        Ok(OnDevice { supernet, data, batch: HostBatch::default(), _alone: alone })
    }
}
