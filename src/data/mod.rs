//! Data sets: images, their split into parts, and the filling of batches.

mod batch;
mod dataset;
mod fashion_mnist;
mod idx;
mod memory;
mod split;
mod synthetic;

pub use batch::{Augment, BatchRequest, PADDING, View};
pub use dataset::Dataset;
pub use idx::IdxError;
pub use memory::MemoryImages;
pub use split::{Splits, epoch_order};

use crate::config::{DataConfig, DataSource};
use split::PartSizes;
use std::fmt::Write;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no data.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file is not there.
    #[error("data: neither {name} nor {name}.gz is in {}; install Debian's package dataset-fashion-mnist, or set [data] path to the folder of the four files", folder.display())]
    Missing {
        /// The file's name without `.gz`.
        name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("data: cannot read {}: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("data: {file}: {source}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        source: IdxError,
    },
    /// A file has other contents than the published one.
    #[error("data: {file} is damaged: the MD5 of its decompressed contents is {found}, not {expected}")]
    Checksum {
        /// The file.
        file: String,
        /// MD5 of what is there.
        found: String,
        /// MD5 of the published contents.
        expected: &'static str,
    },
    /// Nothing would be held out.
    #[error("[data] {key} = 0: at least one image must be held out")]
    EmptyPart {
        /// `validation_images` or `test_images`.
        key: &'static str,
    },
    /// Too much would be held out.
    #[error(
        "[data] validation_images = {validation} and test_images = {test} of {available} images leave class {class} none to train on"
    )]
    NoTrainingImages {
        /// Images to hold out for validation.
        validation: usize,
        /// Images to hold out for the test; 0 where the data set has a test part of its own.
        test: usize,
        /// Images to choose from.
        available: usize,
        /// The first class that training would not see.
        class: usize,
    },
}

/// Loads and checks the data set and splits it. The same configuration and seed give the same parts.
pub fn load(config: &DataConfig, seed: u64) -> Result<(Dataset, Splits), DataError> {
    let own_split = PartSizes { validation: config.validation_images, test: Some(config.test_images) };
    let (images, splits) = match config.source {
        DataSource::Embedded => {
            let images = fashion_mnist::embedded()?;
            let splits = Splits::new(&images, images.len(), own_split, seed)?;
            (images, splits)
        }
        DataSource::FashionMnist => {
            let images = fashion_mnist::from_folder(config.path.as_deref())?;
            let official = PartSizes { validation: config.validation_images, test: None };
            let splits = Splits::new(&images, fashion_mnist::TRAINING_IMAGES, official, seed)?;
            (images, splits)
        }
        DataSource::Synthetic => {
            let images = synthetic::images(seed);
            let splits = Splits::new(&images, images.len(), own_split, seed)?;
            (images, splits)
        }
    };
    Ok((Dataset::new(images, &splits.train), splits))
}

/// Lowercase hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}"); // writing to a String cannot fail
        digits
    })
}

#[cfg(test)]
mod tests;
