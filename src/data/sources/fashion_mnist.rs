//! Fashion-MNIST (Xiao et al. 2017, MIT licence): 28x28 grey images of ten kinds of clothes.

use super::idx;
use crate::data::dataset::{Facts, Images, Pixels};
use crate::data::{DataError, cache_folder, hexadecimal};
use crate::net::ImageShape;
use md5::{Digest, Md5};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where Debian's package dataset-fashion-mnist puts the files.
const DEBIAN_FOLDER: &str = "/usr/share/datasets/fashion-mnist";
/// Where `data fetch` unpacks that package, in the user's cache.
const UNPACKED: &str = "dataset-fashion-mnist";
const SIDE: usize = 28;
const CLASSES: usize = CLOTHES.len();
/// The classes, by label (Xiao et al. 2017, table 2).
const CLOTHES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// An IDX file and the MD5 of its decompressed contents.
struct File {
    name: &'static str,
    md5: &'static str,
}

/// The two files of an official part.
struct Part {
    count: usize,
    images: File,
    labels: File,
}

const TRAINING: Part = Part {
    count: 60_000,
    images: File { name: "train-images-idx3-ubyte", md5: "f4a8712d7a061bf5bd6d2ca38dc4d50a" },
    labels: File { name: "train-labels-idx1-ubyte", md5: "9018921c3c673c538a1fc5bad174d6f9" },
};

const TEST: Part = Part {
    count: 10_000,
    images: File { name: "t10k-images-idx3-ubyte", md5: "8181f5470baa50b63fa0f6fddb340f0a" },
    labels: File { name: "t10k-labels-idx1-ubyte", md5: "15d484375f8d13e6eb1aabb0c3f46965" },
};

/// The official test images, compiled in.
pub(in crate::data) fn embedded() -> Result<Images, DataError> {
    let images = include_bytes!("../../../assets/fashion-mnist/t10k-images-idx3-ubyte.gz");
    let labels = include_bytes!("../../../assets/fashion-mnist/t10k-labels-idx1-ubyte.gz");
    let mut all = Elements::default();
    all.append(&TEST, embedded_file(&TEST.images, images), embedded_file(&TEST.labels, labels))?;
    Ok(all.images("Fashion-MNIST, the 10,000 official test images split anew", TEST.count))
}

/// Whether a folder has a file of it.
pub(in crate::data) fn is_here(folder: &Path) -> bool {
    [&TRAINING, &TEST].iter().any(|part| find(folder, &part.images).is_ok())
}

/// The folder of the files: where Debian's package puts them, or else where `data fetch` does.
pub fn fashion_mnist_folder() -> PathBuf {
    let fetched = || Some(cache_folder()?.join(UNPACKED).join(DEBIAN_FOLDER.trim_start_matches('/')));
    let installed = PathBuf::from(DEBIAN_FOLDER);
    if installed.is_dir() { installed } else { fetched().filter(|folder| folder.is_dir()).unwrap_or(installed) }
}

/// The official training images, then the official test images; from `folder` or [`fashion_mnist_folder`].
pub(in crate::data) fn from_folder(folder: Option<&Path>) -> Result<Images, DataError> {
    let usual = fashion_mnist_folder();
    let folder = folder.unwrap_or(&usual);
    let mut all = Elements::default();
    for part in [&TRAINING, &TEST] {
        all.append(part, find(folder, &part.images)?, find(folder, &part.labels)?)?;
    }
    Ok(all.images("Fashion-MNIST", TRAINING.count))
}

/// What is known of the data set; so many of its images are the training part.
pub(in crate::data) fn facts(training: usize) -> Facts {
    let shape = ImageShape { channels: 1, height: SIDE, width: SIDE };
    let classes = CLOTHES.map(String::from).into();
    Facts { name: "Fashion-MNIST".into(), shape, classes, flip: true, padding: 2, training }
}

/// Pixels and labels of the parts so far.
#[derive(Default)]
struct Elements {
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Elements {
    fn append(&mut self, part: &Part, images: Found, labels: Found) -> Result<(), DataError> {
        let pixels = verified(&part.images, images, [part.count, SIDE, SIDE], |_| Ok(()))?;
        let labels = verified(&part.labels, labels, [part.count], |labels| idx::check_labels(labels, CLASSES))?;
        self.pixels.extend(pixels);
        self.labels.extend(labels.into_iter().map(u16::from));
        Ok(())
    }

    fn images(self, name: &str, training: usize) -> Images {
        let facts = Facts { name: name.into(), ..facts(training) };
        Images { facts, pixels: Pixels::Memory(self.pixels), labels: self.labels, known_checksum: None }
    }
}

/// A file's bytes, plain or in gzip, and what to call it in messages.
struct Found<'a> {
    bytes: std::borrow::Cow<'a, [u8]>,
    place: String,
}

fn embedded_file<'a>(file: &File, bytes: &'a [u8]) -> Found<'a> {
    Found { bytes: bytes.into(), place: format!("embedded {}.gz", file.name) }
}

/// Reads a file, plain or with `.gz` after its name.
fn find(folder: &Path, file: &File) -> Result<Found<'static>, DataError> {
    let names = [file.name.to_string(), format!("{}.gz", file.name)];
    for path in names.map(|name| folder.join(name)) {
        match fs::read(&path) {
            Ok(bytes) => return Ok(Found { bytes: bytes.into(), place: path.display().to_string() }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(reason) => return Err(DataError::Read { file: path, reason }),
        }
    }
    Err(DataError::Missing { name: file.name, folder: PathBuf::from(folder) })
}

/// The elements of a file that has the right shape, passes `check` and has the published checksum, in this order: the
/// first error says most.
fn verified<const D: usize>(
    file: &File,
    found: Found,
    shape: [usize; D],
    check: impl Fn(&[u8]) -> Result<(), idx::IdxError>,
) -> Result<Vec<u8>, DataError> {
    let Found { bytes, place } = found;
    let header = 4 + 4 * D;
    let limit = header + shape.iter().product::<usize>();
    let parsed = || {
        let contents = idx::decompressed(&bytes, limit)?;
        let (dimensions, elements) = idx::parse::<D>(&contents)?;
        idx::expect_shape(dimensions, shape)?;
        check(elements)?;
        Ok(contents)
    };
    let contents = parsed().map_err(|source| DataError::Format { file: place.clone(), source })?;
    let md5 = hexadecimal(&Md5::digest(&contents));
    if md5 != file.md5 {
        return Err(DataError::Checksum { file: place, found: md5, expected: file.md5 });
    }
    let mut contents = contents.into_owned();
    contents.drain(..header);
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::idx::IdxError;
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion-mnist");

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn error_of(folder: &Path) -> DataError {
        from_folder(Some(folder)).err().unwrap()
    }

    /// An IDX file of equal bytes in the shape of this part's images or labels.
    fn blank(part: &Part, images: bool, value: u8) -> Vec<u8> {
        let dimensions = if images { vec![part.count, SIDE, SIDE] } else { vec![part.count] };
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|&dimension| (dimension as u32).to_be_bytes()));
        bytes.resize(bytes.len() + dimensions.iter().product::<usize>(), value);
        bytes
    }

    #[test]
    fn the_embedded_images_are_the_published_ones() {
        let images = embedded().unwrap();
        assert_eq!((images.labels.len(), images.pixels.len(), images.facts.training), (10_000, 7_840_000, 10_000));
        assert_eq!(images.facts.classes.len(), 10);
        // The official test part has 1,000 images of every class and begins with these labels.
        for class in 0..10 {
            assert_eq!(images.labels.iter().filter(|&&label| label == class).count(), 1000);
        }
        assert_eq!(images.labels[..10], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
    }

    #[test]
    fn plain_files_and_gzip_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let packed = find(Path::new(ASSETS), &TEST.labels).unwrap();
        assert!(packed.place.ends_with("t10k-labels-idx1-ubyte.gz"));
        let contents = idx::decompressed(&packed.bytes, 10_008).unwrap();
        fs::write(folder.path().join(TEST.labels.name), &contents).unwrap();
        let plain = find(folder.path(), &TEST.labels).unwrap();
        assert_eq!(plain.bytes, contents);
        let labels = verified(&TEST.labels, plain, [10_000], |_| Ok(())).unwrap();
        assert_eq!(labels, contents[8..]);
    }

    #[test]
    fn missing_files_are_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let message = error_of(folder.path()).to_string();
        let place = folder.path().display();
        assert_eq!(
            message,
            format!(
                "data: neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz is in {place}; install Debian's \
                 package dataset-fashion-mnist, or set [data] path to the folder of the four files"
            )
        );
        fs::write(folder.path().join("train-images-idx3-ubyte"), []).unwrap();
        assert!(error_of(folder.path()).to_string().contains("train-labels-idx1-ubyte.gz"));
        let file = folder.path().join("train-images-idx3-ubyte");
        assert!(matches!(error_of(&file), DataError::Missing { .. }));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(matches!(error_of(folder.path()), DataError::Read { .. }));
    }

    #[test]
    fn damaged_files_are_named_with_the_damage() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let images = blank(&TRAINING, true, 0);
        put("train-labels-idx1-ubyte", &blank(&TRAINING, false, 3));
        let refused = |bytes: &[u8]| {
            put("train-images-idx3-ubyte.gz", bytes);
            let message = error_of(folder.path()).to_string();
            assert!(message.contains("train-images-idx3-ubyte.gz: ") || message.contains("is damaged"), "{message}");
            message
        };
        assert!(refused(b"not a data file").contains("begins with bytes [6e, 6f, 74, 20]"));
        assert!(refused(&[]).contains("begins with bytes []"));
        assert!(refused(&gzip(&images)[..1000]).contains("gzip: "));
        assert!(refused(&gzip(&images[..images.len() - 1])).contains("47039999 elements instead of 47040000"));
        assert!(refused(&gzip(&[&images[..], &[0]].concat())).contains("more than 47040016 bytes"));
        assert!(refused(&gzip(&blank(&TEST, true, 0))).contains("[10000, 28, 28] instead of [60000, 28, 28]"));
        assert!(refused(&gzip(&blank(&TRAINING, false, 0))).contains("1 dimensions instead of 3"));
        let message = refused(&gzip(&images));
        let expected = "f4a8712d7a061bf5bd6d2ca38dc4d50a";
        assert!(message.contains(&hexadecimal(&Md5::digest(&images))) && message.contains(expected), "{message}");
    }

    #[test]
    fn labels_beyond_the_classes_are_refused() {
        let labels = blank(&TEST, false, 10);
        let found = embedded_file(&TEST.labels, &labels);
        let refused = verified(&TEST.labels, found, [10_000], |labels| idx::check_labels(labels, CLASSES));
        let Err(DataError::Format { source, .. }) = refused else { panic!("accepted") };
        assert_eq!(source, IdxError::Label { label: 10, image: 0, classes: 10 });
    }

    #[test]
    #[ignore = "needs Debian's package dataset-fashion-mnist, or its files in the folder FASHION_MNIST; the gate, .ci/run, runs it"]
    fn the_whole_data_set_is_the_published_one() {
        let folder = std::env::var_os("FASHION_MNIST").map(PathBuf::from);
        let images = from_folder(folder.as_deref()).unwrap();
        assert_eq!((images.labels.len(), images.pixels.len(), images.facts.training), (70_000, 54_880_000, 60_000));
        assert_eq!(images.labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        let embedded = embedded().unwrap();
        assert!(images.pixels[47_040_000..] == *embedded.pixels && images.labels[60_000..] == embedded.labels);
        // The widely quoted statistics of the training images.
        let train: Vec<u32> = (0..60_000).collect();
        let data = crate::data::Dataset::new(images, &train);
        assert!((data.mean()[0] - 0.2860).abs() <= 5e-5 && (data.deviation()[0] - 0.3530).abs() <= 5e-5);
    }
}
