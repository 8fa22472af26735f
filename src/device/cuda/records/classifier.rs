//! Record of `kernels/classifier.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, THREADS, Task, Work, product};
use bytemuck::{Pod, Zeroable};

/// The classifier of one candidate. Offsets are into floats unless said otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassifierTask {
    /// `(images, pixels, channels)` values: the head's raw output.
    pub values: u64,
    /// The same shape: gradient of the raw output.
    pub gradient: u64,
    /// `(4, channels)`, or [`NONE`]: there is no batch norm.
    pub norm: u64,
    /// `(images, channels)`: 0 or 1 / (1 - p).
    pub mask: u64,
    /// `(images, channels)`, after dropout.
    pub features: u64,
    /// `(images, channels)`: first the features' gradient, then that of a pixel that passes the ReLU.
    pub features_gradient: u64,
    /// `(images, channels)`: pixels that pass the ReLU.
    pub passing: u64,
    /// `(images, channels)`: the sum of their raw values.
    pub passing_values: u64,
    /// `(groups, 2, channels)`
    pub sums: u64,
    /// `(2, channels)`: scale of the pixels' gradient.
    pub of_gradient: u64,
    /// `(2, channels)`: coefficients of the raw output in its own gradient, or [`NONE`]: there is no batch norm.
    pub own: u64,
    /// `(images, columns)`
    pub logits: u64,
    /// `(images, columns)`
    pub logits_gradient: u64,
    /// `(columns)` parameters.
    pub bias: u64,
    /// `(images)` labels.
    pub labels: u64,
    /// `(images)`
    pub losses: u64,
    /// `(images)`: 1 or 0.
    pub correct: u64,
    /// Images of the batch.
    pub images: u32,
    /// Pixels of the head's output.
    pub pixels: u32,
    /// Padded channels of the head.
    pub channels: u32,
    /// Classes.
    pub classes: u32,
    /// Padded classes.
    pub columns: u32,
    /// Images whose sums are added up by one thread.
    pub images_a_group: u32,
    /// 0: there is no ReLU.
    pub relu: u32,
    /// 0.
    pub reserved: u32,
}

impl ClassifierTask {
    /// Groups of images, each with its own partial sums.
    pub fn groups(&self) -> u32 {
        self.images.div_ceil(self.images_a_group)
    }

    fn sizes(&self, storage: Storage) -> Sizes {
        Sizes {
            values: product([self.images, self.pixels, self.channels]) * storage.bytes() as f64,
            features: 4.0 * product([self.images, self.channels]),
            logits: 4.0 * product([self.images, self.columns]),
        }
    }

    /// See [`Task::check`].
    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "classifier" };
        let (images, channels, columns) = (u64::from(self.images), u64::from(self.channels), u64::from(self.columns));
        check.channels(self.channels)?;
        check.channels(self.columns)?;
        let rows = images * u64::from(self.pixels);
        check.region("head's output", self.values, rows * channels, extents.values)?;
        check.region("head's gradient", self.gradient, rows * channels, extents.values)?;
        check.optional("norm", self.norm, 4 * channels, extents.floats)?;
        let features = [
            ("dropout factors", self.mask),
            ("features", self.features),
            ("features' gradient", self.features_gradient),
            ("passing pixels", self.passing),
            ("passing values", self.passing_values),
        ];
        for (what, offset) in features {
            check.region(what, offset, images * channels, extents.floats)?;
        }
        check.region("sums", self.sums, u64::from(self.groups()) * 2 * channels, extents.floats)?;
        check.region("coefficients of the gradient", self.of_gradient, 2 * channels, extents.floats)?;
        check.optional("own coefficients", self.own, 2 * channels, extents.floats)?;
        check.region("logits", self.logits, images * columns, extents.floats)?;
        check.region("logits' gradient", self.logits_gradient, images * columns, extents.floats)?;
        check.region("bias", self.bias, columns, extents.parameters)?;
        check.region("labels", self.labels, images, extents.labels)?;
        check.region("losses", self.losses, images, extents.floats)?;
        check.region("correct", self.correct, images, extents.floats)
    }
}

/// Bytes of what the classifier's kernels read and write.
struct Sizes {
    /// The head's output, in the storage's format.
    values: f64,
    /// One float a channel of an image.
    features: f64,
    /// One float a class of an image.
    logits: f64,
}

/// A kernel that takes the classifier's record: how many threads it wants, and how many bytes it moves at least.
macro_rules! classifier_kernel {
    ($(#[doc = $doc:literal])* $name:ident, $threads:expr, $bytes:expr) => {
        $(#[doc = $doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
        pub struct $name(pub ClassifierTask);

        impl Task for $name {
            fn tiles(&self, storage: Storage) -> u64 {
                let threads: fn(&ClassifierTask, u64) -> u64 = $threads;
                threads(&self.0, storage.vector() as u64).div_ceil(THREADS as u64)
            }

            fn work(&self, lists: &Lists) -> Work {
                let bytes: fn(&ClassifierTask, Sizes) -> f64 = $bytes;
                let bytes = bytes(&self.0, self.0.sizes(lists.storage));
                Work { bytes, flops: bytes / 4.0 }
            }

            fn check(&self, lists: &Lists) -> Result<(), BadTask> {
                self.0.check(lists)
            }
        }
    };
}

classifier_kernel! {
    /// Global average pool: a thread takes a vector of an image.
    Pool, |task, vector| u64::from(task.images) * u64::from(task.channels) / vector, |_, of| of.values + 4.0 * of.features
}
classifier_kernel! {
    /// Loss: a warp takes an image.
    Loss, |task, _| u64::from(task.images) * 32, |task, of| 2.0 * of.logits + 12.0 * f64::from(task.images)
}
classifier_kernel! {
    /// Gradient of the bias: a thread takes a class.
    BiasGradient, |task, _| task.columns.into(), |_, of| of.logits
}
classifier_kernel! {
    /// Back through the pool: a thread takes four channels of a group of images.
    Unpool, |task, _| u64::from(task.groups()) * u64::from(task.channels) / 4, |_, of| 5.0 * of.features
}
classifier_kernel! {
    /// Gradient of the head's raw output: a thread takes a vector of a pixel.
    HeadGradient, |task, vector| u64::from(task.images) * u64::from(task.pixels) * u64::from(task.channels) / vector,
    |_, of| 2.0 * of.values + of.features
}
