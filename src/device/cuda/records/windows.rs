//! Records of `kernels/windows.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, THREADS, Task, Work, padded, product};
use crate::data::View;
use bytemuck::{Pod, Zeroable};

/// Columns of a window: 9 pixels of all channels, padded.
pub fn window_depth(channels: usize) -> usize {
    padded(9 * channels)
}

/// All windows of a batch of images.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct WindowsTask {
    /// `(images, in height, in width, channels)` floats; augmented: `(images)` chosen images.
    pub source: u64,
    /// `(images, height, width, depth)` values.
    pub output: u64,
    /// Images of the batch.
    pub images: u32,
    /// Channels of the images.
    pub channels: u32,
    /// Rows of an image.
    pub in_height: u32,
    /// Columns of an image.
    pub in_width: u32,
    /// Rows of the output.
    pub height: u32,
    /// Columns of the output.
    pub width: u32,
    /// 1 or 2.
    pub stride: u32,
    /// See [`window_depth`].
    pub depth: u32,
}

impl WindowsTask {
    fn rows(&self) -> u64 {
        u64::from(self.images) * u64::from(self.height) * u64::from(self.width)
    }

    /// From images of so many bytes a channel of a pixel.
    fn work_from(&self, bytes: usize, lists: &Lists) -> Work {
        let images = product([self.images, self.in_height, self.in_width, self.channels]);
        let windows = self.rows() as f64 * f64::from(self.depth);
        Work { bytes: images * bytes as f64 + windows * lists.storage.bytes() as f64, flops: 0.0 }
    }
}

impl Task for WindowsTask {
    fn tiles(&self, storage: Storage) -> u64 {
        (self.rows() * u64::from(self.depth) / storage.vector() as u64).div_ceil(THREADS as u64)
    }

    fn work(&self, lists: &Lists) -> Work {
        self.work_from(size_of::<f32>(), lists)
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "windows" };
        check.channels(self.depth)?;
        let image = u64::from(self.in_height) * u64::from(self.in_width) * u64::from(self.channels);
        check.region("images", self.source, u64::from(self.images) * image, extents.floats)?;
        check.region("windows", self.output, self.rows() * u64::from(self.depth), extents.values)
    }
}

/// The same of augmented images; `source` counts chosen images.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct AugmentedWindows(pub WindowsTask);

impl Task for AugmentedWindows {
    fn tiles(&self, storage: Storage) -> u64 {
        self.0.tiles(storage)
    }

    fn work(&self, lists: &Lists) -> Work {
        self.0.work_from(1, lists)
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let check = Checker { record: "augmented windows" };
        check.channels(self.0.depth)?;
        check.region("chosen images", self.0.source, self.0.images.into(), lists.extents.chosen)?;
        check.region("windows", self.0.output, self.0.rows() * u64::from(self.0.depth), lists.extents.values)
    }
}

/// An image of the data set on the device, and how it is cropped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Chosen {
    /// Its number.
    pub image: u32,
    /// Row of the padded image that becomes row 0.
    pub top: u8,
    /// Column of the padded image that becomes column 0, before the flip.
    pub left: u8,
    /// 1: the crop is mirrored.
    pub flip: u8,
    /// Black pixels around an image.
    pub padding: u8,
}

impl Chosen {
    /// An image as the CPU's batches show it.
    pub fn new(image: u32, view: View) -> Self {
        Chosen {
            image,
            top: view.top as u8,
            left: view.left as u8,
            flip: view.flip.into(),
            padding: view.padding as u8,
        }
    }
}
