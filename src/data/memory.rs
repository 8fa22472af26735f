//! Data sets that the caller has in memory.

use super::Dataset;
use super::dataset::{Facts, Images, Pixels};
use crate::net::ImageShape;

/// Labelled images in memory.
#[derive(Clone, Debug)]
pub struct MemoryImages {
    /// For people.
    pub name: &'static str,
    /// Shape of every image.
    pub shape: ImageShape,
    /// Number of classes.
    pub classes: usize,
    /// Whether a mirrored image is as good as the image.
    pub flip: bool,
    /// `(images, height, width, channels)`
    pub pixels: Vec<u8>,
    /// One below `classes` an image.
    pub labels: Vec<u16>,
}

impl Dataset {
    /// A data set of these images, normalised by the `train` ones.
    ///
    /// # Panics
    /// If there are not as many pixels as the images have, a label is no class, or `train` names no image.
    pub fn from_memory(images: MemoryImages, train: &[u32]) -> Self {
        let MemoryImages { name, shape, classes, flip, pixels, labels } = images;
        assert_eq!(pixels.len(), labels.len() * shape.channels * shape.height * shape.width, "pixels of the images");
        assert!(labels.iter().all(|&label| usize::from(label) < classes), "a label below the number of classes");
        assert!(!train.is_empty() && train.iter().all(|&index| (index as usize) < labels.len()), "training images");
        let classes = (0..classes).map(|class| class.to_string()).collect();
        let facts = Facts { name: name.into(), shape, classes, flip, padding: 0, training: train.len() };
        let images = Images { facts, pixels: Pixels::Memory(pixels), labels, known_checksum: None };
        Dataset::new(images, train)
    }
}
