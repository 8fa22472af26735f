//! The data sets: where each lies, how it is read, what is known of it.

mod cifar10;
mod fashion_mnist;
mod folder;
mod idx;
mod synthetic;
mod tiny_imagenet;

pub use fashion_mnist::fashion_mnist_folder;
pub(super) use fashion_mnist::{embedded, from_folder as fashion_mnist, is_here as is_fashion_mnist};
pub use idx::IdxError;
pub(super) use synthetic::images as synthetic;

use super::DataError;
use super::catalogue::Catalogue;
use super::dataset::Facts;
use super::tree::Tree;
use crate::config::{DataConfig, DataSource};
use std::path::Path;

/// The data sets that are packed before they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackedSource {
    Cifar10,
    TinyImagenet,
    /// Images of this side.
    Folder(usize),
}

impl PackedSource {
    /// The data set of a configuration; `None`: it is used as it is.
    pub fn of(config: &DataConfig) -> Option<PackedSource> {
        match config.source {
            DataSource::Cifar10 => Some(PackedSource::Cifar10),
            DataSource::TinyImagenet => Some(PackedSource::TinyImagenet),
            DataSource::Folder => Some(PackedSource::Folder(config.size)),
            DataSource::Embedded | DataSource::FashionMnist | DataSource::Synthetic => None,
        }
    }

    /// `data.source`.
    pub fn source(self) -> DataSource {
        match self {
            PackedSource::Cifar10 => DataSource::Cifar10,
            PackedSource::TinyImagenet => DataSource::TinyImagenet,
            PackedSource::Folder(_) => DataSource::Folder,
        }
    }

    /// Part of the fingerprint: whatever decides the pixels beside the files. A change of how they are read changes it.
    pub fn settings(self) -> String {
        match self {
            PackedSource::Cifar10 => "cifar10 1".into(),
            PackedSource::TinyImagenet => "tiny-imagenet 1".into(),
            PackedSource::Folder(side) => format!("folder 1 {side}"),
        }
    }

    /// What a tree holds.
    ///
    /// # Errors
    /// The first thing that is missing or wrong.
    pub fn catalogue(self, tree: &mut Tree) -> Result<Catalogue<'_>, DataError> {
        match self {
            PackedSource::Cifar10 => cifar10::catalogue(tree),
            PackedSource::TinyImagenet => tiny_imagenet::catalogue(tree),
            PackedSource::Folder(side) => folder::catalogue(tree, side),
        }
    }

    /// The data set that a tree looks like; a `folder` gets this side.
    ///
    /// # Errors
    /// It looks like none.
    pub fn guess(tree: &mut Tree, place: &Path, side: usize) -> Result<PackedSource, DataError> {
        if tiny_imagenet::is_here(tree) {
            Ok(PackedSource::TinyImagenet)
        } else if cifar10::is_here(tree) {
            Ok(PackedSource::Cifar10)
        } else if folder::is_here(tree) {
            Ok(PackedSource::Folder(side))
        } else {
            let known = "files *.bin of CIFAR-10, wnids.txt of Tiny-ImageNet, or a folder of JPEG or PNG files a class";
            Err(DataError::Unknown { place: place.to_path_buf(), known })
        }
    }
}

/// The published figures of a data set: what is known of it, and its number of images.
pub(super) fn published(source: DataSource) -> Option<(Facts, usize)> {
    match source {
        DataSource::Embedded => Some((fashion_mnist::facts(10_000), 10_000)),
        DataSource::FashionMnist => Some((fashion_mnist::facts(60_000), 70_000)),
        DataSource::Cifar10 => Some((cifar10::facts(50_000), 60_000)),
        DataSource::TinyImagenet => {
            let classes = (0..200).map(|class| class.to_string()).collect();
            Some((tiny_imagenet::facts(classes, 100_000), 110_000))
        }
        DataSource::Synthetic => {
            let images = synthetic(0);
            Some((images.facts, images.labels.len()))
        }
        DataSource::Folder => None,
    }
}
