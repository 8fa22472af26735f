//! Data sets that are packed once: where the packed file lies, and when it is made anew.

use super::DataError;
use super::dataset::{Facts, Images};
use super::packed::{self, Origin};
use super::sources::PackedSource;
use super::tree::{Tree, fingerprint};
use crate::config::DataConfig;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder in the user's cache for what is fetched and packed.
const FOLDER: &str = "graphpnas-fast";

/// Says something to the user.
pub(super) type Say<'a> = &'a dyn Fn(&str);

/// The folder for what is fetched and packed, `graphpnas-fast` in `$XDG_CACHE_HOME` or `~/.cache`; `None` where there
/// is no such place.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache"))).map(|cache| cache.join(FOLDER))
}

/// The images of a data set: from the packed file `data.path` itself, from the one in the cache if it is up to date, or
/// from the files, which are then packed.
pub(super) fn load(config: &DataConfig, source: PackedSource, say: Say) -> Result<Images, DataError> {
    let path = place(config, source)?;
    if packed::is_packed(&path) {
        let name = source.source().name();
        let found = packed::open(&path)?;
        let right = found.source == name && (config.path.is_none() || !other_side(&found.images, source));
        return match right {
            true => Ok(found.images),
            false => Err(DataError::OtherSource { file: path, found: description(&found), expected: name }),
        };
    }
    let made_from = fingerprint(&path, &source.settings())?;
    let (file, chosen) = match &config.cache {
        Some(folder) => (Some(cache_file(folder, &path, source)), true),
        None => (cache_folder().map(|folder| cache_file(&folder, &path, source)), false),
    };
    if let Some(images) = file.as_deref().and_then(|file| up_to_date(file, &made_from, say)) {
        return Ok(images);
    }
    pack(&path, source, (file, chosen), &made_from, say)
}

fn description(packed: &packed::Packed) -> String {
    let shape = packed.images.facts.shape;
    format!("{} ({}x{})", packed.source, shape.width, shape.height)
}

/// Whether images of a `folder` have another side than is asked for.
fn other_side(images: &Images, source: PackedSource) -> bool {
    matches!(source, PackedSource::Folder(side) if images.facts.shape.width != side)
}

/// What is known of the data set at `data.path`, and its number of images, without reading an image or writing a file.
pub(super) fn facts(config: &DataConfig, source: PackedSource) -> Result<(Facts, usize), DataError> {
    let path = place(config, source)?;
    if packed::is_packed(&path) {
        let images = packed::open(&path)?.images;
        return Ok((images.facts, images.labels.len()));
    }
    let mut tree = Tree::open(&path)?;
    let catalogue = source.catalogue(&mut tree)?;
    Ok((catalogue.facts.clone(), catalogue.labels.len()))
}

/// Where the data set lies: `data.path`, else where `data fetch` puts it.
fn place(config: &DataConfig, source: PackedSource) -> Result<PathBuf, DataError> {
    let name = source.source().name();
    let usual = || Some(cache_folder()?.join(super::Download::of(source.source())?.file_name()));
    let path = config.path.clone().or_else(usual).ok_or(DataError::NoPath(name))?;
    match fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(DataError::Absent { place: path, source_name: name })
        }
        Err(reason) => Err(DataError::Read { file: path, reason }),
    }
}

/// For instance `tiny-imagenet-0123456789ab.packed`, by where the files lie and how they are read.
fn cache_file(folder: &Path, path: &Path, source: PackedSource) -> PathBuf {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let key = super::sha256(format!("{}\n{}", source.settings(), place.display()).as_bytes());
    folder.join(format!("{}-{}.packed", source.source().name(), &key[..12]))
}

/// The images of a packed file that was made from the files as they are.
fn up_to_date(file: &Path, made_from: &str, say: Say) -> Option<Images> {
    if !file.exists() {
        return None;
    }
    match packed::open(file) {
        Ok(packed) if packed.fingerprint == made_from => return Some(packed.images),
        Ok(_) => say(&format!("{} was made from other files; it is made anew", file.display())),
        Err(error) => say(&format!("{error}; it is made anew")),
    }
    None
}

/// Reads the files and packs them; where there is no place for that which the user chose, into memory.
fn pack(
    path: &Path,
    source: PackedSource,
    (file, chosen): (Option<PathBuf>, bool),
    made_from: &str,
    say: Say,
) -> Result<Images, DataError> {
    let threads = super::cores();
    let mut tree = Tree::open(path)?;
    let catalogue = source.catalogue(&mut tree)?;
    let images = catalogue.labels.len();
    let Some(file) = file else { return catalogue.into_images(threads) };
    say(&format!("packing the {images} images of {} into {}", path.display(), file.display()));
    let origin = Origin { source: source.source().name(), fingerprint: made_from };
    match packed::write(&catalogue, origin, &file, threads) {
        Ok(()) => Ok(packed::open(&file)?.images),
        Err(DataError::Write { reason, .. }) if !chosen => {
            say(&format!("cannot write {} ({reason}); set data.cache to another folder to keep them", file.display()));
            catalogue.into_images(threads)
        }
        Err(error) => Err(error),
    }
}
