//! Data sets that stay on a device, and the batches of a step.

use super::device::{Buffer, Device};
use super::error::CudaError;
use super::records::Chosen;
use crate::device::cpu::Batch;
use crate::net::{ImageShape, Plan};
use std::sync::Arc;

/// All images of a data set on a device, one byte a channel of a pixel.
pub struct ResidentImages {
    shape: ImageShape,
    images: usize,
    /// `(images, height, width, channels)`
    pub(super) pixels: Buffer<u8>,
    /// `(channels, 256)`: the normalised value of every pixel value.
    pub(super) table: Buffer<f32>,
}

impl ResidentImages {
    /// Copies `(images, height, width, channels)` pixels to a device, and `(channels, 256)` normalised values.
    ///
    /// # Errors
    /// Out of memory; the driver's.
    ///
    /// # Panics
    /// If the pixels are not whole images, or the values are of another number of channels.
    pub fn new(
        device: &Arc<Device>,
        shape: ImageShape,
        pixels: &[u8],
        table: &[[f32; 256]],
    ) -> Result<Arc<Self>, CudaError> {
        let size = shape.channels * shape.height * shape.width;
        assert!(pixels.len().is_multiple_of(size), "whole images");
        assert_eq!(table.len(), shape.channels, "normalised values of every channel");
        Ok(Arc::new(ResidentImages {
            shape,
            images: pixels.len() / size,
            pixels: Buffer::copied(device, pixels)?,
            table: Buffer::copied(device, table.as_flattened())?,
        }))
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.images
    }
}

/// Images of a data set on the device.
#[derive(Clone, Copy, Debug)]
pub struct ResidentBatch<'a> {
    /// Which, and how they are cropped.
    pub chosen: &'a [Chosen],
    /// `(batch)`
    pub labels: &'a [u16],
}

/// What a step runs on: one batch a network, all of as many images.
#[derive(Clone, Copy, Debug)]
pub enum Batches<'a> {
    /// Normalised images from the host.
    Pixels(&'a [Batch<'a>]),
    /// Images of the data set on the device: only their numbers are copied.
    Resident(&'a [ResidentBatch<'a>]),
}

impl Batches<'_> {
    /// Whether the images are on the device.
    pub(super) fn resident(&self) -> bool {
        matches!(self, Batches::Resident(_))
    }

    fn networks(&self) -> usize {
        match self {
            Batches::Pixels(batches) => batches.len(),
            Batches::Resident(batches) => batches.len(),
        }
    }

    fn labels(&self, network: usize) -> &[u16] {
        match self {
            Batches::Pixels(batches) => batches[network].labels,
            Batches::Resident(batches) => batches[network].labels,
        }
    }

    /// The images of every batch.
    ///
    /// # Panics
    /// If these are not batches for these plans, all of as many images, or images are of no such data set.
    pub(super) fn check(&self, plans: &[Plan], resident: Option<&ResidentImages>) -> usize {
        assert_eq!(self.networks(), plans.len(), "one batch a network");
        let images = self.labels(0).len();
        for network in 0..plans.len() {
            let labels = self.labels(network);
            assert_eq!(labels.len(), images, "images of a batch");
            assert!(labels.iter().all(|&label| usize::from(label) < plans[0].classes), "a label out of range");
        }
        let image = plans[0].image;
        match self {
            Batches::Pixels(batches) => {
                let pixels = images * image.height * image.width * image.channels;
                assert!(batches.iter().all(|batch| batch.pixels.len() == pixels), "pixels of {images} images");
            }
            Batches::Resident(batches) => {
                let count = resident.map_or(0, ResidentImages::count);
                for batch in *batches {
                    assert_eq!(batch.chosen.len(), images, "images of a batch");
                    let all = batch.chosen.iter().all(|chosen| (chosen.image as usize) < count);
                    assert!(all, "an image that is not one of the {count} on the device");
                }
            }
        }
        images
    }

    /// Labels of all networks, `stride` apart.
    pub(super) fn all_labels(&self, stride: usize) -> Vec<u32> {
        let mut all = vec![0; self.networks() * stride];
        for (network, to) in all.chunks_exact_mut(stride).enumerate() {
            to.iter_mut().zip(self.labels(network)).for_each(|(to, &label)| *to = label.into());
        }
        all
    }
}
