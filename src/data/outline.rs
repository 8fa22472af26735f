//! What a configuration's data set is like, without its pixels: to say what a run costs before it is begun.

use super::dataset::{Facts, Images, Pixels};
use super::sources::{PackedSource, published};
use super::{DataError, Dataset, cache};
use crate::config::DataConfig;

/// A data set without its pixels.
pub struct Outline {
    /// A data set of the same shape and classes, of one black image a class: enough to lower architectures for.
    pub stand_in: Dataset,
    /// Images for training.
    pub training: usize,
    /// Images for validation.
    pub validation: usize,
    /// Images for the test.
    pub test: usize,
    /// Whether these are the published figures because the files are not here.
    pub published: bool,
    /// Whether the pixels lie in a packed file.
    pub packed: bool,
    /// Bytes of all pixels.
    pub bytes: u64,
}

/// Describes the data set. Reads no image and writes nothing.
///
/// # Errors
/// Files that are there but wrong; parts that cannot be; a `folder` that is not there.
pub fn outline(config: &DataConfig) -> Result<Outline, DataError> {
    let packed = PackedSource::of(config);
    let known = published(config.source);
    let (found, known) = match (packed, known) {
        (Some(source), known) => match (cache::facts(config, source), known) {
            (Err(DataError::Absent { .. } | DataError::NoPath(_)), Some(known)) => (None, Some(known)),
            (found, _) => (Some(found?), None),
        },
        (None, known) => (known, None),
    };
    let published = found.is_none();
    let (facts, images) = found.or(known).ok_or(DataError::NoPath(config.source.name()))?;
    let own_test = images > facts.training;
    let test = if own_test { images - facts.training } else { config.test_images };
    let held_out = config.validation_images.saturating_add(if own_test { 0 } else { test });
    let training = facts.training.checked_sub(held_out).filter(|&left| left > 0);
    let training = training.map(|left| config.trained_on(left)).ok_or(DataError::NoTrainingImages {
        validation: config.validation_images,
        test: if own_test { 0 } else { test },
        available: facts.training,
        class: 0,
    })?;
    let bytes = (images * facts.image_size()) as u64;
    let validation = config.validation_images;
    Ok(Outline { stand_in: stand_in(facts), training, validation, test, published, packed: packed.is_some(), bytes })
}

fn stand_in(facts: Facts) -> Dataset {
    let classes = facts.classes.len();
    let pixels = Pixels::Memory(vec![0; classes * facts.image_size()]);
    let labels: Vec<u16> = (0..classes).map(|class| class as u16).collect();
    let train: Vec<u32> = (0..classes as u32).collect();
    let facts = Facts { training: classes, ..facts };
    Dataset::new(Images { facts, pixels, labels, known_checksum: None }, &train)
}
