//! Tiny-ImageNet (Stanford CS231n), the official tree: `wnids.txt`, `train/W/images/*.JPEG`, `val/val_annotations.txt`,
//! `val/images/*.JPEG`. The official validation part is the test part here: the labels of `test/` were never published.

use crate::data::DataError;
use crate::data::catalogue::Catalogue;
use crate::data::dataset::Facts;
use crate::data::pictures::{PictureError, decode};
use crate::data::tree::Tree;
use crate::net::ImageShape;
use std::collections::BTreeSet;

const SIDE: usize = 64;
const CLASS_LIST: &str = "wnids.txt";
const ANNOTATIONS: &str = "val/val_annotations.txt";

/// Whether a tree is one.
pub(in crate::data) fn is_here(tree: &mut Tree) -> bool {
    tree.enter(CLASS_LIST)
}

/// The training images class by class, then the validation images in the order of their annotations. Classes are the
/// WordNet ids, ascending.
pub(in crate::data) fn catalogue(tree: &mut Tree) -> Result<Catalogue<'_>, DataError> {
    if !tree.enter(CLASS_LIST) {
        return Err(DataError::Lacks { file: tree.name(CLASS_LIST) });
    }
    let tree = &*tree;
    let classes = classes(tree)?;
    let mut images = Labelled::default();
    training_images(tree, &classes, &mut images)?;
    let training = images.labels.len();
    validation_images(tree, &classes, &mut images)?;
    let facts = facts(classes, training);
    let Labelled { files, labels } = images;
    Ok(Catalogue { facts, labels, read: Box::new(move |index, image| read(tree, &files[index], image)) })
}

/// What is known of the data set with these classes; so many of its images are the training part.
pub(in crate::data) fn facts(classes: Vec<String>, training: usize) -> Facts {
    Facts {
        name: "Tiny-ImageNet".into(),
        shape: ImageShape { channels: 3, height: SIDE, width: SIDE },
        classes,
        flip: true,
        padding: 4,
        training,
    }
}

/// Files and their classes.
#[derive(Default)]
struct Labelled {
    files: Vec<String>,
    labels: Vec<u16>,
}

fn classes(tree: &Tree) -> Result<Vec<String>, DataError> {
    let lines = tree.lines(CLASS_LIST)?;
    let mut classes = BTreeSet::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        if !classes.insert(line.clone()) {
            let problem = format!("the class {line} for the second time");
            return Err(DataError::Line { file: tree.name(CLASS_LIST), line: index + 1, problem });
        }
    }
    if classes.len() < 2 {
        let problem = format!("{} classes, at least 2 are needed", classes.len());
        return Err(DataError::Line { file: tree.name(CLASS_LIST), line: lines.len().max(1), problem });
    }
    Ok(classes.into_iter().collect())
}

fn training_images(tree: &Tree, classes: &[String], images: &mut Labelled) -> Result<(), DataError> {
    if let Some(stranger) = tree.folders("train/").iter().find(|folder| !classes.contains(folder)) {
        return Err(DataError::Stranger { folder: tree.name(&format!("train/{stranger}")), list: CLASS_LIST.into() });
    }
    for (label, class) in classes.iter().enumerate() {
        let folder = format!("train/{class}/images/");
        let before = images.files.len();
        images.files.extend(tree.paths(&folder).filter(|path| is_jpeg(path)).map(|path| format!("{folder}{path}")));
        if images.files.len() == before {
            return Err(DataError::Nothing { place: tree.name(&folder), wanted: "files *.JPEG".into() });
        }
        images.labels.resize(images.files.len(), label as u16);
    }
    Ok(())
}

fn validation_images(tree: &Tree, classes: &[String], images: &mut Labelled) -> Result<(), DataError> {
    let mut annotated = BTreeSet::new();
    for (index, text) in tree.lines(ANNOTATIONS)?.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let wrong = |problem| DataError::Line { file: tree.name(ANNOTATIONS), line: index + 1, problem };
        let mut fields = text.split('\t');
        let (Some(name), Some(class)) = (fields.next(), fields.next()) else {
            return Err(wrong("needs a file name and a class, with a tab between them".into()));
        };
        let Ok(label) = classes.binary_search_by(|known| known.as_str().cmp(class)) else {
            return Err(wrong(format!("the class {class:?} is not in {CLASS_LIST}")));
        };
        let file = format!("val/images/{name}");
        if !tree.has(&file) {
            return Err(wrong(format!("there is no {}", tree.name(&file))));
        }
        if !annotated.insert(name.to_string()) {
            return Err(wrong(format!("{name} for the second time")));
        }
        images.files.push(file);
        images.labels.push(label as u16);
    }
    match tree.paths("val/images/").find(|path| is_jpeg(path) && !annotated.contains(*path)) {
        Some(path) => {
            let file = tree.name(&format!("val/images/{path}"));
            Err(DataError::Unlabelled { file, list: tree.name(ANNOTATIONS) })
        }
        None if annotated.is_empty() => {
            Err(DataError::Nothing { place: tree.name(ANNOTATIONS), wanted: "lines".into() })
        }
        None => Ok(()),
    }
}

fn is_jpeg(path: &str) -> bool {
    path.ends_with(".JPEG")
}

fn read(tree: &Tree, path: &str, image: &mut [u8]) -> Result<(), DataError> {
    let picture = decode(&tree.read(path)?).and_then(|picture| match (picture.width, picture.height) {
        (SIDE, SIDE) => Ok(picture),
        (width, height) => Err(PictureError::Shape { width, height, side: SIDE }),
    });
    let picture = picture.map_err(|source| DataError::Picture { file: tree.name(path), source })?;
    image.copy_from_slice(&picture.pixels);
    Ok(())
}
