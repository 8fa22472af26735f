//! The memory of kernels.

use super::super::device::{Buffer, Device};
use super::super::error::CudaError;
use super::super::records::{Chosen, Extents, Settings};
use super::super::storage::Storage;
use bytemuck::Pod;
use std::sync::Arc;

/// All memory that the kernels of a batch of candidates use.
pub struct Arenas {
    /// Format of values and weights.
    pub storage: Storage,
    /// Activations and their gradients, in the storage's format.
    pub values: Buffer<u8>,
    /// Everything in f32 that is not as large as the parameters.
    pub floats: Buffer<f32>,
    /// Trained parameters and running statistics.
    pub parameters: Buffer<f32>,
    /// Momentum of the parameters.
    pub momentum: Buffer<f32>,
    /// Gradients of the parameters.
    pub gradients: Buffer<f32>,
    /// The parameters rounded to 16-bit storage; empty for f32.
    pub weights: Buffer<u8>,
    /// Labels.
    pub labels: Buffer<u32>,
    /// The images of the batches at hand, where they are of a data set on the device.
    pub chosen: Buffer<Chosen>,
    /// One element.
    pub settings: Buffer<Settings>,
}

impl Arenas {
    /// Arenas of zeros.
    ///
    /// # Errors
    /// Out of memory.
    pub(in super::super) fn new(device: &Arc<Device>, storage: Storage, extents: Extents) -> Result<Self, CudaError> {
        let bytes = storage.bytes();
        let weights = if storage == Storage::F32 { 0 } else { extents.parameters * bytes };
        Ok(Arenas {
            storage,
            values: Buffer::zeros(device, extents.values * bytes)?,
            floats: Buffer::zeros(device, extents.floats)?,
            parameters: Buffer::zeros(device, extents.parameters)?,
            momentum: Buffer::zeros(device, extents.parameters)?,
            gradients: Buffer::zeros(device, extents.parameters)?,
            weights: Buffer::zeros(device, weights)?,
            labels: Buffer::zeros(device, extents.labels)?,
            chosen: Buffer::zeros(device, extents.chosen)?,
            settings: Buffer::zeros(device, 1)?,
        })
    }

    /// Makes room for other networks with the same parameters; everything else may be lost.
    ///
    /// # Errors
    /// Out of memory.
    pub(in super::super) fn fit(&mut self, extents: Extents) -> Result<(), CudaError> {
        fn fit<T: Pod>(buffer: &mut Buffer<T>, length: usize) -> Result<(), CudaError> {
            if buffer.length() < length {
                let device = buffer.device().clone();
                // The old memory goes first.
                *buffer = Buffer::zeros(&device, 0)?;
                *buffer = Buffer::zeros(&device, length)?;
            }
            Ok(())
        }
        fit(&mut self.values, extents.values * self.storage.bytes())?;
        fit(&mut self.floats, extents.floats)?;
        fit(&mut self.labels, extents.labels)?;
        fit(&mut self.chosen, extents.chosen)
    }
}
