//! Data sets: images, their split into parts, and the filling of batches.

mod batch;
mod cache;
mod catalogue;
mod dataset;
mod download;
mod error;
mod outline;
mod packed;
mod pictures;
mod sources;
mod split;
mod survey;
mod tree;

pub use batch::{Augment, BatchRequest, View};
pub use cache::cache_folder;
pub use dataset::Dataset;
pub use download::{Digest, Download, FetchError, Progress};
pub use error::DataError;
pub use outline::{Outline, outline};
pub use packed::PackedError;
pub use pictures::PictureError;
pub use sources::{IdxError, fashion_mnist_folder};
pub use split::{Splits, epoch_order};
pub use survey::{Reading, Survey, pack, survey};

use crate::config::{DataConfig, DataSource};
use sha2::Digest as _;
use sources::PackedSource;
use split::PartSizes;
use std::fmt::Write;

/// Loads and checks the data set and splits it. The same configuration and seed give the same parts.
///
/// # Errors
/// What is missing or wrong, with its file; parts that cannot be.
pub fn load(config: &DataConfig, seed: u64) -> Result<(Dataset, Splits), DataError> {
    load_and_say(config, seed, &|_| ())
}

/// The same; says what takes time, and what was found damaged and made anew.
///
/// # Errors
/// As [`load`].
pub fn load_and_say(config: &DataConfig, seed: u64, say: &dyn Fn(&str)) -> Result<(Dataset, Splits), DataError> {
    let images = match (PackedSource::of(config), config.source) {
        (Some(source), _) => cache::load(config, source, say)?,
        (None, DataSource::Embedded) => sources::embedded()?,
        (None, DataSource::FashionMnist) => sources::fashion_mnist(config.path.as_deref())?,
        (None, _) => sources::synthetic(seed),
    };
    let sizes = PartSizes { validation: config.validation_images, test: config.test_images };
    let splits = Splits::new(&images, sizes, |left| config.trained_on(left), seed)?;
    Ok((Dataset::new(images, &splits.train), splits))
}

/// Threads for reading images.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// SHA-256, hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&sha2::Sha256::digest(bytes))
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
