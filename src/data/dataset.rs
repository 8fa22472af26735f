//! A data set in memory.

use crate::device::Mapping;
use crate::net::ImageShape;
use sha2::{Digest, Sha256};
use std::ops::Deref;

/// What is known of a data set beside its images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    /// For people.
    pub name: String,
    pub shape: ImageShape,
    /// Names of the classes; a label is a place in this list.
    pub classes: Vec<String>,
    /// Whether a mirrored image is as good as the image.
    pub flip: bool,
    /// Black pixels around an image before it is cropped at random.
    pub padding: usize,
    /// So many of the first images are the training part; the others are the official test part.
    pub training: usize,
}

impl Facts {
    /// Bytes of an image.
    pub fn image_size(&self) -> usize {
        self.shape.channels * self.shape.height * self.shape.width
    }
}

/// Labelled images, and all that is known of them.
pub(super) struct Images {
    pub facts: Facts,
    /// `(images, height, width, channels)`.
    pub pixels: Pixels,
    /// A class an image.
    pub labels: Vec<u16>,
    /// What [`Images::checksum`] gives, where it is known already.
    pub known_checksum: Option<String>,
}

impl Images {
    /// SHA-256 of shape, number of classes and images, labels and pixels, hexadecimal.
    pub fn checksum(&self) -> String {
        self.known_checksum.clone().unwrap_or_else(|| {
            let mut hash = hash_without_pixels(&self.facts, &self.labels);
            hash.update(&*self.pixels);
            super::hexadecimal(&hash.finalize())
        })
    }
}

/// Pixels in memory or in a packed file.
pub(super) enum Pixels {
    Memory(Vec<u8>),
    /// The last so many bytes of a file.
    File(Mapping, usize),
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Pixels::Memory(pixels) => pixels,
            Pixels::File(file, size) => &file[file.len() - size..],
        }
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
            (0..images.facts.shape.channels).map(|channel| moments(&images, train, channel)).collect();
        let table = |&(mean, deviation): &(f64, f64)| {
            std::array::from_fn(|value| ((value as f64 / 255.0 - mean) / deviation) as f32)
        };
        Dataset {
            checksum: images.checksum(),
            mean: moments.iter().map(|moments| moments.0 as f32).collect(),
            deviation: moments.iter().map(|moments| moments.1 as f32).collect(),
            normalised: moments.iter().map(table).collect(),
            images,
        }
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.images.facts.name
    }

    /// SHA-256 of shape, classes, labels and pixels, lowercase hexadecimal.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.images.facts.shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.images.facts.classes.len()
    }

    /// Names of the classes, in the order of the labels.
    pub fn class_names(&self) -> &[String] {
        &self.images.facts.classes
    }

    /// Number of images.
    #[expect(clippy::len_without_is_empty, reason = "there is no data set without images")]
    pub fn len(&self) -> usize {
        self.images.labels.len()
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
        let size = self.images.facts.image_size();
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
        self.images.facts.flip
    }

    /// Black pixels around an image before it is cropped at random.
    pub fn padding(&self) -> usize {
        self.images.facts.padding
    }

    /// For every channel, the normalised value `(pixel / 255 - mean) / deviation` of each of the 256 pixel values.
    pub fn normalised(&self) -> &[[f32; 256]] {
        &self.normalised
    }
}

/// Mean and standard deviation of one channel over some images, pixels in 0..=1. Sums are of integers and so exact.
fn moments(images: &Images, indices: &[u32], channel: usize) -> (f64, f64) {
    let shape = images.facts.shape;
    let size = images.facts.image_size();
    let (mut sum, mut squares) = (0u64, 0u64);
    for &index in indices {
        let pixels = &images.pixels[index as usize * size..][..size];
        for &pixel in pixels.iter().skip(channel).step_by(shape.channels) {
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

/// SHA-256 of shape, number of classes and images, labels and pixels; the pixels are still to be added.
pub(super) fn hash_without_pixels(facts: &Facts, labels: &[u16]) -> Sha256 {
    let shape = facts.shape;
    let mut hash = Sha256::new();
    for number in [shape.channels, shape.height, shape.width, facts.classes.len(), labels.len()] {
        hash.update((number as u64).to_le_bytes());
    }
    let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    hash.update(labels);
    hash
}

#[cfg(test)]
impl Images {
    /// Images for tests; all are training images.
    pub fn made_up(shape: ImageShape, classes: usize, pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        let classes = (0..classes).map(|class| class.to_string()).collect();
        let training = labels.len();
        let facts = Facts { name: "made up".into(), shape, classes, flip: true, padding: 2, training };
        Images { facts, pixels: Pixels::Memory(pixels), labels, known_checksum: None }
    }
}
