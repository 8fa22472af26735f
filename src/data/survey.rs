//! What lies at a place: for `data check` and `data convert`.

use super::catalogue::Catalogue;
use super::dataset::{Facts, Images, hash_without_pixels};
use super::packed::{self, Origin};
use super::sources::{self, PackedSource};
use super::tree::{Tree, fingerprint};
use super::{DataError, hexadecimal};
use crate::config::DataSource;
use crate::net::ImageShape;
use serde::Serialize;
use sha2::Digest;
use std::path::Path;

/// A data set that was read from its first to its last image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// `data.source`.
    pub source: String,
    /// For people.
    pub name: String,
    /// Whether it is a packed file.
    pub packed: bool,
    /// Images of the training part.
    pub training_images: usize,
    /// Images of the official test part; 0: it has none.
    pub test_images: usize,
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// SHA-256 of shape, classes, labels and pixels.
    pub checksum: String,
}

/// How a place is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Which data set it is; `None`: what it looks like.
    pub source: Option<DataSource>,
    /// Side of the pictures of a `folder`.
    pub size: usize,
}

impl Reading {
    /// The data set in a tree.
    fn of(self, tree: &mut Tree, place: &Path) -> Result<PackedSource, DataError> {
        match self.source {
            Some(DataSource::Cifar10) => Ok(PackedSource::Cifar10),
            Some(DataSource::TinyImagenet) => Ok(PackedSource::TinyImagenet),
            Some(DataSource::Folder) => Ok(PackedSource::Folder(self.size)),
            _ => PackedSource::guess(tree, place, self.size),
        }
    }
}

/// Reads and checks everything at a place.
///
/// # Errors
/// The first thing that is missing or wrong, with its file.
pub fn survey(place: &Path, reading: Reading) -> Result<Survey, DataError> {
    if packed::is_packed(place) {
        let packed = packed::open(place)?;
        return Ok(Survey { packed: true, ..of_images(&packed.source, packed.images) });
    }
    let fashion = place.is_dir() && reading.source.is_none() && sources::is_fashion_mnist(place);
    if fashion || reading.source == Some(DataSource::FashionMnist) {
        return Ok(of_images(DataSource::FashionMnist.name(), sources::fashion_mnist(Some(place))?));
    }
    let mut tree = Tree::open(place)?;
    let source = reading.of(&mut tree, place)?;
    let catalogue = source.catalogue(&mut tree)?;
    let mut hash = hash_without_pixels(&catalogue.facts, &catalogue.labels);
    catalogue.for_each_chunk(super::cores(), &mut |pixels| {
        hash.update(pixels);
        Ok(())
    })?;
    Ok(of_catalogue(source, &catalogue, hexadecimal(&hash.finalize())))
}

/// Packs what lies at a place into a file.
///
/// # Errors
/// As [`survey`]; also where the file cannot be written.
pub fn pack(place: &Path, reading: Reading, file: &Path) -> Result<Survey, DataError> {
    let mut tree = Tree::open(place)?;
    let source = reading.of(&mut tree, place)?;
    let fingerprint = fingerprint(place, &source.settings())?;
    let origin = Origin { source: source.source().name(), fingerprint: &fingerprint };
    packed::write(&source.catalogue(&mut tree)?, origin, file, super::cores())?;
    survey(file, reading)
}

fn of_catalogue(source: PackedSource, catalogue: &Catalogue, checksum: String) -> Survey {
    of_facts(source.source().name(), &catalogue.facts, catalogue.labels.len(), checksum)
}

fn of_images(source: &str, images: Images) -> Survey {
    let (facts, count) = (images.facts.clone(), images.labels.len());
    of_facts(source, &facts, count, images.checksum())
}

fn of_facts(source: &str, facts: &Facts, images: usize, checksum: String) -> Survey {
    let ImageShape { channels, height, width } = facts.shape;
    Survey {
        source: source.into(),
        name: facts.name.clone(),
        packed: false,
        training_images: facts.training,
        test_images: images - facts.training,
        shape: [height, width, channels],
        classes: facts.classes.clone(),
        checksum,
    }
}
