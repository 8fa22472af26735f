//! What a data set holds, before its pixels are read.

use super::DataError;
use super::dataset::{Facts, Images, Pixels};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of pixels that are decoded before they are handed over.
const CHUNK: usize = 1 << 26;

/// Writes the pixels of an image, `(height, width, channels)`.
type ReadImage<'a> = dyn Fn(usize, &mut [u8]) -> Result<(), DataError> + Sync + 'a;

/// Labels, and where the pixels come from.
pub(super) struct Catalogue<'a> {
    pub facts: Facts,
    /// A class an image; those of the training part come first.
    pub labels: Vec<u16>,
    pub read: Box<ReadImage<'a>>,
}

impl Catalogue<'_> {
    /// Writes the pixels of the images from `first` on, as many as there is room for, on so many threads.
    ///
    /// # Errors
    /// What is wrong with the first of the images that cannot be read.
    pub fn read_images(&self, first: usize, pixels: &mut [u8], threads: usize) -> Result<(), DataError> {
        let tasks = Mutex::new(pixels.chunks_exact_mut(self.facts.image_size()).enumerate());
        let failures = Mutex::new(Vec::new());
        let lowest = AtomicUsize::new(usize::MAX);
        let work = || {
            while let Some((index, image)) = tasks.lock().ok().and_then(|mut tasks| tasks.next()) {
                if lowest.load(Ordering::Relaxed) < index {
                    break;
                }
                if let (Err(error), Ok(mut failures)) = ((self.read)(first + index, image), failures.lock()) {
                    lowest.fetch_min(index, Ordering::Relaxed);
                    failures.push((index, error));
                }
            }
        };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        failures.into_iter().min_by_key(|(index, _)| *index).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Hands the pixels of all images over, some at a time, in order.
    ///
    /// # Errors
    /// What is wrong with the first of the images that cannot be read, or what `take` says.
    pub fn for_each_chunk(
        &self,
        threads: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (size, images) = (self.facts.image_size(), self.labels.len());
        let at_once = (CHUNK / size).clamp(1, images.max(1));
        let mut pixels = vec![0; at_once * size];
        for first in (0..images).step_by(at_once) {
            let pixels = &mut pixels[..at_once.min(images - first) * size];
            self.read_images(first, pixels, threads)?;
            take(pixels)?;
        }
        Ok(())
    }

    /// All images, in memory.
    ///
    /// # Errors
    /// What is wrong with the first of the images that cannot be read.
    pub fn into_images(self, threads: usize) -> Result<Images, DataError> {
        let mut pixels = vec![0; self.labels.len() * self.facts.image_size()];
        self.read_images(0, &mut pixels, threads)?;
        Ok(Images { facts: self.facts, pixels: Pixels::Memory(pixels), labels: self.labels, known_checksum: None })
    }
}
