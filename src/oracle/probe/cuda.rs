//! The same on a CUDA device, all networks together.

use super::super::EVALUATION_BATCH;
use super::super::engine::CudaEngine;
use super::super::initial::initial_weights;
use super::{Probe, Rates, STEP, steps_per_second};
use crate::device::cuda::records::Chosen;
use crate::device::cuda::{Batches, CudaError, Network, NetworkOptions, ResidentBatch, ResidentImages};
use std::sync::Arc;

impl CudaEngine {
    /// Rates of so many of the networks together as the device's memory holds, and how many these are. `threads` are the CPU's.
    ///
    /// # Errors
    /// The device's; a plan that the kernels do not run.
    pub(super) fn measure(&self, probe: &Probe) -> Result<(Rates, usize), CudaError> {
        let _alone = self.alone();
        let plans = vec![probe.plan.clone(); probe.networks];
        let networks = self.fitting(&plans, probe.batch)?;
        let images = self.made_up(probe)?;
        let rate = |batch: usize, training: bool| -> Result<f64, CudaError> {
            let options = NetworkOptions { batch, storage: self.storage() };
            let mut network = Network::new(self.device(), &plans[..networks], options)?.on_images(Arc::clone(&images));
            for number in 0..networks {
                network.load(number, &initial_weights(probe.plan, 0, number as u64))?;
            }
            let labels: Vec<u16> = (0..batch).map(|image| (image % probe.plan.classes) as u16).collect();
            let chosen: Vec<Chosen> = (0..batch).map(whole_image).collect();
            let batches = vec![ResidentBatch { chosen: &chosen, labels: &labels }; networks];
            let steps = steps_per_second(|| {
                let batches = Batches::Resident(&batches);
                let results =
                    if training { network.train(batches, STEP.into()) } else { network.evaluate(batches, 0.0) };
                results.map(|_| ())
            })?;
            Ok(steps * (networks * batch) as f64)
        };
        let training = rate(probe.batch, true)?;
        Ok((Rates { training, evaluation: rate(EVALUATION_BATCH.min(probe.batch), false)? }, networks))
    }

    /// A batch of images on the device.
    fn made_up(&self, probe: &Probe) -> Result<Arc<ResidentImages>, CudaError> {
        let shape = probe.plan.image;
        let bytes = probe.batch * shape.channels * shape.height * shape.width;
        let pixels: Vec<u8> = (0..bytes).map(|index| (index * 7919 % 251) as u8).collect();
        let values = std::array::from_fn(|value| value as f32 / 127.5 - 1.0);
        ResidentImages::new(self.device(), shape, &pixels, &vec![values; shape.channels])
    }
}

fn whole_image(number: usize) -> Chosen {
    Chosen { image: number as u32, top: 0, left: 0, flip: 0, padding: 0 }
}
