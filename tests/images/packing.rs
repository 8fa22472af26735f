//! The packed file: made once, made anew when it or the images change, and the same from a folder and from archives.

use crate::support::{Place, jpeg, records, small_tree};
use flate2::write::GzEncoder;
use graphpnas_fast::config::{DataConfig, DataSource};
use graphpnas_fast::data::{self, Dataset};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Loads a data set; what was said meanwhile.
fn load(config: &DataConfig) -> (Dataset, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let (data, _) = data::load_and_say(config, 1, &|line| said.borrow_mut().push(line.to_string())).unwrap();
    (data, said.into_inner())
}

/// The only file of the cache.
fn packed_file(place: &Place) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(place.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn images_are_packed_once_and_anew_when_something_has_changed() {
    let place = Place::new();
    let config = place.config(DataSource::TinyImagenet, small_tree(&place));
    let (first, said) = load(&config);
    assert!(said.len() == 1 && said[0].starts_with("packing the 12 images of "), "{said:?}");
    let file = packed_file(&place);
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("tiny-imagenet-"));
    let (second, said) = load(&config);
    assert!(said.is_empty(), "{said:?}");
    assert!(first.pixels() == second.pixels() && first.labels() == second.labels());
    assert_eq!((first.checksum(), first.class_names()), (second.checksum(), second.class_names()));
    // One more image, then another in the place of an old one.
    place.write("tree/train/n01/images/n01_9.JPEG", jpeg(64, 64, 9));
    let (third, said) = load(&config);
    assert!(said.len() == 2 && said[0].contains("made from other files"), "{said:?}");
    assert_eq!((third.len(), load(&config).1.len()), (13, 0));
    place.write("tree/train/n01/images/n01_9.JPEG", jpeg(64, 64, 10));
    let (fourth, said) = load(&config);
    assert!(said.len() == 2 && third.checksum() != fourth.checksum(), "{said:?}");
    // A mapped file stays as it was when another one takes its name.
    assert_eq!(first.pixels(), second.pixels());
    packed_file(&place);
}

#[test]
fn a_damaged_packed_file_is_made_anew_with_a_line_that_says_so() {
    let place = Place::new();
    let config = place.config(DataSource::TinyImagenet, small_tree(&place));
    let (whole, _) = load(&config);
    let file = packed_file(&place);
    let right = fs::read(&file).unwrap();
    let mut flipped = right.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let header = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        bytes
    };
    let cases: [(Vec<u8>, &str); 7] = [
        (flipped, "the CRC-32C of labels and pixels is"),
        (right[..right.len() - 1].to_vec(), "bytes instead of"),
        ([&right[..], &[0]].concat(), "bytes instead of"),
        (right[..40].to_vec(), "its header is damaged"),
        (header(0, b'X'), "not a packed data set"),
        (header(8, 9), "of version 9"),
        (header(16, b'['), "its header is damaged"),
    ];
    for (bytes, part) in cases {
        fs::write(&file, bytes).unwrap();
        let (again, said) = load(&config);
        assert!(said.len() == 2 && said[0].contains(part) && said[0].ends_with("it is made anew"), "{part}: {said:?}");
        assert_eq!(again.checksum(), whole.checksum());
        assert!(fs::read(&file).unwrap() == right);
    }
    fs::write(&file, "").unwrap();
    assert_eq!(load(&config).1.len(), 2);
}

#[test]
fn archives_give_the_images_of_the_folder() {
    let place = Place::new();
    let tree = small_tree(&place);
    let (whole, _) = load(&place.config(DataSource::TinyImagenet, &tree));
    let archive = |out: &mut dyn Write| {
        let mut builder = tar::Builder::new(out);
        builder.append_dir_all("tiny-imagenet-200", &tree).unwrap();
        builder.finish().unwrap();
    };
    archive(&mut File::create(place.path("a.tar")).unwrap());
    let mut gzip = GzEncoder::new(File::create(place.path("a.tar.gz")).unwrap(), flate2::Compression::fast());
    archive(&mut gzip);
    gzip.finish().unwrap();
    let mut zip = zip::ZipWriter::new(File::create(place.path("a.zip")).unwrap());
    for file in ["wnids.txt", "val/val_annotations.txt"].map(String::from).into_iter().chain(images()) {
        zip.start_file(format!("tiny-imagenet-200/{file}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(tree.join(&file)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    for name in ["a.tar", "a.tar.gz", "a.zip"] {
        let (data, _) = load(&place.config(DataSource::TinyImagenet, place.path(name)));
        assert_eq!((data.checksum(), data.class_names()), (whole.checksum(), whole.class_names()), "{name}");
    }
}

/// Every image of the small tree.
fn images() -> impl Iterator<Item = String> {
    let training = ["n01", "n02"]
        .into_iter()
        .flat_map(|class| (0..4).map(move |image| format!("train/{class}/images/{class}_{image}.JPEG")));
    training.chain((0..4).map(|image| format!("val/images/val_{image}.JPEG")))
}

#[test]
fn the_official_files_of_cifar10_are_taken_in_order() {
    let place = Place::new();
    let labels = |batch: u8| (0..10).map(move |label| (label + batch) % 10).collect::<Vec<u8>>();
    for batch in 1..6u8 {
        place.write(&format!("c/cifar-10-batches-bin/data_batch_{batch}.bin"), records(&labels(batch)));
    }
    place.write("c/cifar-10-batches-bin/test_batch.bin", records(&[9, 8]));
    place.write("c/cifar-10-batches-bin/batches.meta.txt", "airplane\n");
    let (data, splits) = place.load(DataSource::Cifar10, place.path("c"));
    let expected: Vec<u16> = (1..6).flat_map(labels).chain([9, 8]).map(u16::from).collect();
    assert_eq!(data.labels(), expected);
    assert_eq!(splits.test, [50, 51]);
    // The first two pixels of the first image, out of its three planes.
    let record = records(&[1]);
    let pixel = |index: usize| [record[1 + index], record[1025 + index], record[2049 + index]];
    assert_eq!(data.pixels()[..6], [pixel(0), pixel(1)].concat());
}

#[test]
fn parts_of_a_folder() {
    let place = Place::new();
    let add = |file: &str, number| place.write(file, jpeg(70, 50, number));
    for number in 0..4 {
        add(&format!("f/train/dog/{number}.jpg"), number);
        add(&format!("f/train/cat/deep/{number}.JPG"), number);
    }
    let counts = || {
        let (data, splits) = place.load(DataSource::Folder, place.path("f"));
        assert_eq!(data.class_names(), ["cat", "dog"]);
        assert_eq!((data.padding(), data.shape().width), (4, 64));
        (splits.train.len(), splits.validation.len(), splits.test.len())
    };
    assert_eq!(counts(), (4, 2, 2));
    for class in ["cat", "dog"] {
        add(&format!("f/val/{class}/0.jpeg"), 7);
    }
    assert_eq!(counts(), (6, 2, 2));
    for class in ["cat", "dog"] {
        (0..3).for_each(|number| add(&format!("f/test/{class}/{number}.jpeg"), number));
    }
    assert_eq!(counts(), (8, 2, 6));
}

fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), said)
}

#[test]
fn a_converted_file_stands_for_the_images() {
    let place = Place::new();
    let tree = small_tree(&place);
    let packed = place.arg("images.packed");
    let (code, said) = program(&["data", "convert", tree.to_str().unwrap(), &packed]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Tiny-ImageNet: 8 training and 4 test images of 64x64x3 in 2 classes"), "{said}");
    let (code, said) = program(&["data", "convert", tree.to_str().unwrap(), &packed]);
    assert!(code == Some(1) && said.contains("exists already"), "{said}");
    let (data, _) = load(&place.config(DataSource::TinyImagenet, &packed));
    let (expected, _) = load(&place.config(DataSource::TinyImagenet, &tree));
    assert_eq!(data.checksum(), expected.checksum());
    let (code, said) = program(&["data", "check", &packed, "--json"]);
    let survey: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &survey["images"]["packed"]), (Some(0), &true.into()));
    assert_eq!(survey["images"]["checksum"], expected.checksum());
    assert_eq!(survey["images"]["classes"], serde_json::json!(["n01", "n02"]));
    let message = place.refused(DataSource::Cifar10, &packed).to_string();
    assert!(
        message.contains("images.packed holds \"tiny-imagenet (64x64)\", but data.source = \"cifar10\""),
        "{message}"
    );
    // Damaged, with nothing to make it anew from.
    let mut bytes = fs::read(&packed).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&packed, bytes).unwrap();
    let message = place.refused(DataSource::TinyImagenet, &packed).to_string();
    assert!(message.contains("images.packed: it is damaged"), "{message}");
    let (code, said) = program(&["data", "check", &packed]);
    assert!(code == Some(1) && said.contains("it is damaged"), "{said}");
}

#[test]
fn check_says_what_lies_where() {
    let place = Place::new();
    small_tree(&place);
    place.write("records.bin", records(&[1, 2, 3]));
    ["f/a/1.jpg", "f/b/1.png.jpg"].iter().for_each(|file| place.write(file, jpeg(30, 40, 1)));
    place.write("nothing/readme.txt", "");
    for (path, more, code, part) in [
        ("tree", &[][..], 0, "Tiny-ImageNet: 8 training"),
        ("records.bin", &[], 0, "CIFAR-10: 3 images of 32x32x3"),
        ("f", &["--size", "32"], 0, "2 images of 32x32x3 in 2 classes"),
        ("tree/train", &["--source", "folder"], 0, "8 images of 64x64x3"),
        ("records.bin", &["--source", "tiny-imagenet"], 1, "there is no"),
        ("nothing", &[], 1, "is no data set that this program knows"),
        ("absent", &[], 1, "cannot read"),
    ] {
        let (found, said) = program(&[&["data", "check", &place.arg(path)], more].concat());
        assert!(found == Some(code) && said.contains(part), "{path}: {said}");
    }
}
