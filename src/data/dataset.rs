//! A data set in memory.

use crate::net::ImageShape;
use sha2::{Digest, Sha256};

/// Labelled images as they come from their source.
pub(super) struct Images {
    pub name: &'static str,
    pub shape: ImageShape,
    pub classes: usize,
    /// Whether a mirrored image is as good as the image.
    pub flip: bool,
    /// `(images, height, width, channels)`.
    pub pixels: Vec<u8>,
    /// One below `classes` an image.
    pub labels: Vec<u16>,
}

impl Images {
    pub fn len(&self) -> usize {
        self.labels.len()
    }
}

/// Labelled images with all that training needs to know about them. Images are numbered from 0; [`Splits`](super::Splits)
/// says which belong to which part.
pub struct Dataset {
    images: Images,
    checksum: String,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    /// Row c: the normalised value of every pixel value in channel c.
    normalised: Vec<[f32; 256]>,
}

impl Dataset {
    /// Normalisation comes from the training images alone.
    pub(super) fn new(images: Images, train: &[u32]) -> Self {
        let moments: Vec<(f64, f64)> =
            (0..images.shape.channels).map(|channel| moments(&images, train, channel)).collect();
        let table = |&(mean, deviation): &(f64, f64)| {
            std::array::from_fn(|value| ((value as f64 / 255.0 - mean) / deviation) as f32)
        };
        Dataset {
            checksum: checksum(&images),
            mean: moments.iter().map(|moments| moments.0 as f32).collect(),
            deviation: moments.iter().map(|moments| moments.1 as f32).collect(),
            normalised: moments.iter().map(table).collect(),
            images,
        }
    }

    /// For people.
    pub fn name(&self) -> &str {
        self.images.name
    }

    /// SHA-256 of shape, classes, labels and pixels, lowercase hexadecimal.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.images.shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.images.classes
    }

    /// Number of images.
    #[expect(clippy::len_without_is_empty, reason = "there is no data set without images")]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// All pixels, `(images, height, width, channels)`.
    pub fn pixels(&self) -> &[u8] {
        &self.images.pixels
    }

    /// The pixels of one image, `(height, width, channels)`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: u32) -> &[u8] {
        let size = self.images.shape.channels * self.images.shape.height * self.images.shape.width;
        &self.images.pixels[index as usize * size..][..size]
    }

    /// The class of every image.
    pub fn labels(&self) -> &[u16] {
        &self.images.labels
    }

    /// Mean of every channel over the training images, pixels in 0..=1.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Standard deviation of every channel over the training images, pixels in 0..=1; 1 where all pixels are equal.
    pub fn deviation(&self) -> &[f32] {
        &self.deviation
    }

    /// Whether a mirrored image is as good as the image.
    pub fn flip(&self) -> bool {
        self.images.flip
    }

    /// For every channel, the normalised value `(pixel / 255 - mean) / deviation` of each of the 256 pixel values.
    pub fn normalised(&self) -> &[[f32; 256]] {
        &self.normalised
    }
}

/// Mean and standard deviation of one channel over some images, pixels in 0..=1. Sums are of integers and so exact.
fn moments(images: &Images, indices: &[u32], channel: usize) -> (f64, f64) {
    let shape = images.shape;
    let size = shape.channels * shape.height * shape.width;
    let (mut sum, mut squares) = (0u64, 0u64);
    for &index in indices {
        for &pixel in images.pixels[index as usize * size..][..size].iter().skip(channel).step_by(shape.channels) {
            sum += u64::from(pixel);
            squares += u64::from(pixel) * u64::from(pixel);
        }
    }
    let count = (indices.len() * shape.height * shape.width) as f64;
    let mean = sum as f64 / count;
    let variance = squares as f64 / count - mean * mean;
    let deviation = if variance > 0.0 { variance.sqrt() / 255.0 } else { 1.0 };
    (mean / 255.0, deviation)
}

fn checksum(images: &Images) -> String {
    let shape = images.shape;
    let mut hash = Sha256::new();
    for number in [shape.channels, shape.height, shape.width, images.classes, images.len()] {
        hash.update((number as u64).to_le_bytes());
    }
    let labels: Vec<u8> = images.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    hash.update(labels);
    hash.update(&images.pixels);
    super::hexadecimal(&hash.finalize())
}
