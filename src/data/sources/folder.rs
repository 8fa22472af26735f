//! Any set of JPEG and PNG files in a folder a class: below `train/` and `test/` (or `val/`), or with no test part.
//! Pictures are resized and cropped to squares.

use crate::data::DataError;
use crate::data::catalogue::Catalogue;
use crate::data::dataset::Facts;
use crate::data::pictures::{decode, resized_and_cropped};
use crate::data::tree::Tree;
use crate::net::ImageShape;

/// A crop may move by a sixteenth of the side, but at least by two pixels.
const SIDE_OVER_PADDING: usize = 16;
const LEAST_PADDING: usize = 2;

/// Whether a tree is one.
pub(in crate::data) fn is_here(tree: &mut Tree) -> bool {
    catalogue(tree, 1).is_ok()
}

/// Classes are the names of the folders, ascending; images are in the order of their names. Where there are `val/` and
/// `test/`, the images of `val/` count to the training part.
pub(in crate::data) fn catalogue(tree: &mut Tree, side: usize) -> Result<Catalogue<'_>, DataError> {
    if !tree.enter("train") {
        tree.enter_only_folder();
    }
    let tree = &*tree;
    let parts = tree.folders("");
    let has = |part: &str| parts.iter().any(|folder| folder == part);
    let (training, test): (&[&str], &[&str]) = match (has("train"), has("val"), has("test")) {
        (false, ..) => (&[""], &[]),
        (true, false, false) => (&["train/"], &[]),
        (true, true, false) => (&["train/"], &["val/"]),
        (true, false, true) => (&["train/"], &["test/"]),
        (true, true, true) => (&["train/", "val/"], &["test/"]),
    };
    let classes = tree.folders(training[0]);
    if classes.len() < 2 {
        let wanted = "folders, one for each of at least two classes".into();
        return Err(DataError::Nothing { place: tree.name(training[0]), wanted });
    }
    if classes.len() > usize::from(u16::MAX) {
        return Err(DataError::Classes { place: tree.name(training[0]), classes: classes.len() });
    }
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for part in training {
        append(tree, part, &classes, (&mut files, &mut labels))?;
    }
    let training = labels.len();
    for part in test {
        append(tree, part, &classes, (&mut files, &mut labels))?;
    }
    let facts = Facts {
        name: format!("images of {}", tree.name("").trim_end_matches('/')),
        shape: ImageShape { channels: 3, height: side, width: side },
        classes,
        flip: true,
        padding: (side / SIDE_OVER_PADDING).max(LEAST_PADDING),
        training,
    };
    Ok(Catalogue { facts, labels, read: Box::new(move |index, image| read(tree, &files[index], (side, image))) })
}

/// Adds the images of a part (`train/`, say).
fn append(
    tree: &Tree,
    part: &str,
    classes: &[String],
    (files, labels): (&mut Vec<String>, &mut Vec<u16>),
) -> Result<(), DataError> {
    if let Some(stranger) = tree.folders(part).iter().find(|folder| !classes.contains(folder)) {
        return Err(DataError::Stranger { folder: tree.name(&format!("{part}{stranger}")), list: "train/".into() });
    }
    for (label, class) in classes.iter().enumerate() {
        let folder = format!("{part}{class}/");
        let before = files.len();
        files.extend(tree.paths(&folder).filter(|path| is_picture(path)).map(|path| format!("{folder}{path}")));
        if files.len() == before {
            let wanted = "files *.jpg, *.jpeg or *.png".into();
            return Err(DataError::Nothing { place: tree.name(&folder), wanted });
        }
        labels.resize(files.len(), label as u16);
    }
    Ok(())
}

fn is_picture(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png"))
}

fn read(tree: &Tree, path: &str, (side, image): (usize, &mut [u8])) -> Result<(), DataError> {
    let picture = decode(&tree.read(path)?).and_then(|picture| resized_and_cropped(picture, side));
    let picture = picture.map_err(|source| DataError::Picture { file: tree.name(path), source })?;
    image.copy_from_slice(&picture.pixels);
    Ok(())
}
