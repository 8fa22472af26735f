//! CIFAR-10 (Krizhevsky 2009), binary version: records of a label byte and 3 x 1,024 pixels, a plane a colour.

use crate::data::DataError;
use crate::data::catalogue::Catalogue;
use crate::data::dataset::Facts;
use crate::data::tree::Tree;
use crate::net::ImageShape;
use std::borrow::Cow;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// Bytes of a record.
const RECORD: usize = 1 + 3 * PLANE;
/// The classes, by label.
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TRAINING_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST_FILE: &str = "test_batch.bin";

/// Whether a tree holds the official files, or else files of whole records.
pub(in crate::data) fn is_here(tree: &mut Tree) -> bool {
    enter(tree);
    let mut files = tree.paths("").filter(|path| path.ends_with(".bin")).peekable();
    files.peek().is_some() && files.all(|path| tree.read(path).is_ok_and(|bytes| bytes.len() % RECORD == 0))
}

fn enter(tree: &mut Tree) {
    let _ = TRAINING_FILES.iter().chain([&TEST_FILE]).any(|name| tree.enter(name));
}

/// The official files; where none of them is there, every file `*.bin`, those with `test` in their names being the test
/// part.
pub(in crate::data) fn catalogue(tree: &mut Tree) -> Result<Catalogue<'_>, DataError> {
    enter(tree);
    let official = TRAINING_FILES.iter().chain([&TEST_FILE]).any(|name| tree.has(name));
    let (mut training, mut test): (Vec<&str>, Vec<&str>) = if official {
        (TRAINING_FILES.into(), vec![TEST_FILE])
    } else {
        let files = tree.paths("").filter(|path| path.ends_with(".bin") && !path.contains('/'));
        files.partition(|path| !path.contains("test"))
    };
    // A test part alone is split anew.
    if training.is_empty() {
        std::mem::swap(&mut training, &mut test);
    }
    if training.is_empty() {
        let wanted = format!("{} to {}, {TEST_FILE}, or other files *.bin", TRAINING_FILES[0], TRAINING_FILES[4]);
        return Err(DataError::Nothing { place: tree.name(""), wanted });
    }
    let (mut files, mut labels, mut training_images) = (Vec::new(), Vec::new(), 0);
    for (part, names) in [training, test].into_iter().enumerate() {
        for name in names {
            let bytes = tree.read(name)?;
            append_labels(&mut labels, &bytes, || tree.name(name))?;
            files.push(bytes);
        }
        if part == 0 {
            training_images = labels.len();
        }
    }
    let facts = facts(training_images);
    Ok(Catalogue { facts, labels, read: Box::new(move |index, image| read(&files, index, image)) })
}

/// What is known of the data set; so many of its images are the training part.
pub(in crate::data) fn facts(training: usize) -> Facts {
    Facts {
        name: "CIFAR-10".into(),
        shape: ImageShape { channels: 3, height: SIDE, width: SIDE },
        classes: CLASSES.map(String::from).into(),
        flip: true,
        padding: 4,
        training,
    }
}

fn append_labels(labels: &mut Vec<u16>, bytes: &[u8], file: impl Fn() -> String) -> Result<(), DataError> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(DataError::Records { file: file(), bytes: bytes.len(), record: RECORD });
    }
    for (record, bytes) in bytes.chunks_exact(RECORD).enumerate() {
        match bytes[0] {
            label if usize::from(label) < CLASSES.len() => labels.push(label.into()),
            label => return Err(DataError::Label { file: file(), record, label, classes: CLASSES.len() }),
        }
    }
    Ok(())
}

/// Interleaves the planes of an image, its number counted through all files.
fn read(files: &[Cow<[u8]>], mut index: usize, image: &mut [u8]) -> Result<(), DataError> {
    for file in files {
        let records = file.len() / RECORD;
        if index < records {
            let planes = &file[index * RECORD + 1..][..3 * PLANE];
            for (pixel, colours) in image.chunks_exact_mut(3).enumerate() {
                colours.iter_mut().enumerate().for_each(|(plane, value)| *value = planes[plane * PLANE + pixel]);
            }
            break;
        }
        index -= records;
    }
    Ok(())
}
