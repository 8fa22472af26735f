//! Small data sets of real and made-up files.

use graphpnas_fast::config::{DataConfig, DataSource};
use graphpnas_fast::data::{self, DataError, Dataset, Splits};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub const TINY_IMAGENET: &str = "../shared/data/tiny10_100_20.tar";
pub const CIFAR10: &str = "../shared/data";
pub const CIFAR10_TRAINING: &str = "../shared/data/cifar10_train_first2000.bin";

/// Whether real data are there; the tests that need them are skipped otherwise.
pub fn is_there(path: &str) -> bool {
    let found = Path::new(path).exists();
    if !found {
        println!("skipped: no such data");
    }
    found
}

/// A Python with Pillow and numpy, if there is one.
pub fn python() -> Option<PathBuf> {
    let path = std::env::var_os("ONNX_PYTHON").map_or_else(|| ".venv/bin/python".into(), PathBuf::from);
    let imports = Command::new(&path).args(["-c", "import numpy, PIL.Image"]).output();
    let found = imports.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: no Python with Pillow and numpy (set ONNX_PYTHON)");
    }
    found.then_some(path)
}

/// A folder for one test's files.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// This data set, packed in the folder `cache` of this place.
    pub fn config(&self, source: DataSource, path: impl Into<PathBuf>) -> DataConfig {
        let (path, cache) = (Some(path.into()), Some(self.path("cache")));
        DataConfig { path, cache, validation_images: 2, test_images: 2, ..DataConfig::of(source) }
    }

    pub fn load(&self, source: DataSource, path: impl Into<PathBuf>) -> (Dataset, Splits) {
        data::load(&self.config(source, path), 1).unwrap()
    }

    pub fn refused(&self, source: DataSource, path: impl Into<PathBuf>) -> DataError {
        data::load(&self.config(source, path), 1).err().expect("the data are accepted")
    }

    /// Extracts `tiny10_100_20.tar`; the tree.
    pub fn tiny_imagenet(&self) -> PathBuf {
        tar::Archive::new(fs::File::open(TINY_IMAGENET).unwrap()).unpack(self.path("")).unwrap();
        self.path("tiny-imagenet-200")
    }
}

/// A JPEG of stripes; the number decides their colour.
pub fn jpeg(width: usize, height: usize, number: u8) -> Vec<u8> {
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    encoder.set_size(width, height);
    let mut encoder = encoder.start_compress(Vec::new()).unwrap();
    let pixel = |index: usize| [(index % width * 4) as u8, number.wrapping_mul(40), (index / width * 4) as u8];
    let pixels: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    encoder.write_scanlines(&pixels).unwrap();
    encoder.finish().unwrap()
}

/// A tree of Tiny-ImageNet with two classes of four training and two validation images.
pub fn small_tree(place: &Place) -> PathBuf {
    place.write("tree/wnids.txt", "n02\nn01\n");
    for (class, name) in ["n01", "n02"].iter().enumerate() {
        for image in 0..4 {
            let file = format!("tree/train/{name}/images/{name}_{image}.JPEG");
            place.write(&file, jpeg(64, 64, (4 * class + image) as u8));
        }
    }
    let mut annotations = String::new();
    for image in 0..4u8 {
        let name = format!("val_{image}.JPEG");
        place.write(&format!("tree/val/images/{name}"), jpeg(64, 64, 100 + image));
        annotations += &format!("{name}\tn0{}\t0\t0\t62\t62\n", 1 + image % 2);
    }
    place.write("tree/val/val_annotations.txt", annotations);
    place.path("tree")
}

/// Records of CIFAR-10 with these labels.
pub fn records(labels: &[u8]) -> Vec<u8> {
    let record = |(number, &label): (usize, &u8)| {
        let pixels = (0..3072).map(move |index| (number * 7 + index) as u8);
        std::iter::once(label).chain(pixels)
    };
    labels.iter().enumerate().flat_map(record).collect()
}
