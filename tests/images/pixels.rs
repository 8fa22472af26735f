//! Pixel for pixel, the images that are trained on are those that Pillow shows.

use crate::support::{CIFAR10, CIFAR10_TRAINING, Place, TINY_IMAGENET, is_there, python};
use graphpnas_fast::config::DataSource;
use graphpnas_fast::data::Dataset;
use std::fs;
use std::process::Command;

/// Writes pixels (u8) and labels (little-endian u16) of all images of the tree in an archive.
const TINY_IMAGENET_READER: &str = r#"
import io, sys, tarfile, numpy
from PIL import Image
archive = tarfile.open(sys.argv[1])
files = {member.name: archive.extractfile(member).read() for member in archive.getmembers() if member.isfile()}
root = "tiny-imagenet-200/"
classes = sorted(files[root + "wnids.txt"].decode().split())
pixels, labels, grey = [], [], 0
def add(name, label):
    global grey
    picture = Image.open(io.BytesIO(files[name]))
    grey += picture.mode == "L"
    pixels.append(numpy.asarray(picture.convert("RGB"), dtype=numpy.uint8))
    labels.append(label)
for label, name in enumerate(classes):
    for path in sorted(path for path in files if path.startswith(f"{root}train/{name}/images/")):
        add(path, label)
for line in files[root + "val/val_annotations.txt"].decode().splitlines():
    name, label = line.split("\t")[:2]
    add(f"{root}val/images/{name}", classes.index(label))
numpy.stack(pixels).tofile(sys.argv[2])
numpy.array(labels, "<u2").tofile(sys.argv[3])
print(len(labels), grey, *classes)
"#;

/// The same of CIFAR-10's records.
const CIFAR10_READER: &str = r#"
import sys, numpy
from PIL import Image
records = numpy.concatenate([numpy.fromfile(path, numpy.uint8) for path in sys.argv[4:]]).reshape(-1, 3073)
def picture(record):
    planes = [Image.frombytes("L", (32, 32), record[1 + 1024 * plane:][:1024].tobytes()) for plane in range(3)]
    return numpy.asarray(Image.merge("RGB", planes))
numpy.stack([picture(record) for record in records]).tofile(sys.argv[2])
records[:, 0].astype("<u2").tofile(sys.argv[3])
print(len(records))
"#;

/// Makes pictures of many kinds in a class-per-folder tree, and writes what torchvision's Resize and CenterCrop make of
/// them by way of Pillow.
const FOLDER_MAKER: &str = r#"
import os, sys, numpy
from PIL import Image
root, side = sys.argv[1], int(sys.argv[4])
random = numpy.random.default_rng(1)
def noise(width, height):
    coarse = random.integers(0, 256, (height // 7 + 2, width // 7 + 2, 3), dtype=numpy.uint8)
    smooth = numpy.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC), dtype=int)
    return Image.fromarray((smooth + random.integers(-20, 21, smooth.shape)).clip(0, 255).astype(numpy.uint8))
sizes = [(64, 64), (63, 101), (300, 200), (97, 131), (20, 33), (1, 5), (200, 65), (128, 128), (67, 64)]
kinds = [
    ("jpg", "RGB", dict(quality=90, subsampling=0)), ("jpeg", "RGB", dict(quality=60, subsampling=1)),
    ("JPEG", "RGB", dict(quality=75, subsampling=2)), ("jpg", "RGB", dict(quality=85, progressive=True)),
    ("jpg", "L", dict(quality=80)), ("png", "RGB", {}), ("PNG", "L", {}), ("png", "RGBA", {}), ("png", "P", {}),
    ("png", "LA", {}), ("png", "1", {}),
]
for number, (width, height) in enumerate(sizes):
    for kind, (ending, mode, options) in enumerate(kinds):
        folder = os.path.join(root, ["b", "a", "c"][kind % 3])
        os.makedirs(folder, exist_ok=True)
        picture = noise(width, height)
        if mode in ("RGBA", "LA"):
            picture.putalpha(noise(width, height).convert("L"))
        picture.convert(mode).save(os.path.join(folder, f"{number}_{kind}.{ending}"), **options)
pixels, labels = [], []
for label, name in enumerate(sorted(os.listdir(root))):
    for file in sorted(os.listdir(os.path.join(root, name))):
        picture = Image.open(os.path.join(root, name, file)).convert("RGB")
        width, height = picture.size
        size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
        picture = picture.resize(size, Image.BILINEAR)
        left, top = (int(round((length - side) / 2.0)) for length in size)
        pixels.append(numpy.asarray(picture.crop((left, top, left + side, top + side))))
        labels.append(label)
numpy.stack(pixels).tofile(sys.argv[2])
numpy.array(labels, "<u2").tofile(sys.argv[3])
print(len(labels))
"#;

/// Runs a script with a place, two files for pixels and labels, and more arguments; what it prints.
fn run(place: &Place, script: &str, input: &str, more: &[&str]) -> Option<String> {
    let mut command = Command::new(python()?);
    command.args(["-c", script, input, &place.arg("pixels"), &place.arg("labels")]).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Compares all pixels and labels, exactly.
fn assert_equal(place: &Place, data: &Dataset, images: usize) {
    let (pixels, labels) = (fs::read(place.path("pixels")).unwrap(), fs::read(place.path("labels")).unwrap());
    let labels: Vec<u16> = labels.chunks(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]])).collect();
    assert_eq!((data.len(), data.labels()), (images, &labels[..]));
    assert_eq!(data.pixels().len(), pixels.len());
    let size = pixels.len() / images;
    for (image, (found, expected)) in data.pixels().chunks(size).zip(pixels.chunks(size)).enumerate() {
        let different = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "image {image}: values that differ, of {size}");
    }
}

#[test]
fn tiny_imagenet_is_what_pillow_shows() {
    let place = Place::new();
    if !is_there(TINY_IMAGENET) {
        return;
    }
    let Some(said) = run(&place, TINY_IMAGENET_READER, TINY_IMAGENET, &[]) else { return };
    let mut words = said.split_whitespace();
    // 18 of the 1,200 are grey.
    assert_eq!((words.next(), words.next()), (Some("1200"), Some("18")));
    let classes: Vec<&str> = words.collect();
    for path in [TINY_IMAGENET.into(), place.tiny_imagenet(), place.path("")] {
        let (data, splits) = place.load(DataSource::TinyImagenet, &path);
        assert_equal(&place, &data, 1200);
        assert_eq!(data.class_names(), classes);
        assert_eq!((data.padding(), splits.train.len(), splits.test.len()), (4, 998, 200));
    }
}

#[test]
fn cifar10_is_what_pillow_shows() {
    let place = Place::new();
    if !is_there(CIFAR10_TRAINING) {
        return;
    }
    let test = format!("{CIFAR10}/cifar10_test_first1000.bin");
    if run(&place, CIFAR10_READER, "", &[CIFAR10_TRAINING, &test]).is_none() {
        return;
    }
    let (data, splits) = place.load(DataSource::Cifar10, CIFAR10);
    assert_equal(&place, &data, 3000);
    assert_eq!(splits.test, (2000..3000).collect::<Vec<u32>>());
    assert_eq!((data.class_names()[0].as_str(), data.class_names()[9].as_str()), ("airplane", "truck"));
    // One file alone has no test part.
    run(&place, CIFAR10_READER, "", &[&test]).unwrap();
    let (data, splits) = place.load(DataSource::Cifar10, &test);
    assert_equal(&place, &data, 1000);
    assert_eq!((splits.train.len(), splits.test.len()), (996, 2));
}

#[test]
fn pictures_of_every_kind_are_resized_as_by_pillow() {
    for side in [64, 48] {
        let place = Place::new();
        let tree = place.arg("tree");
        let Some(said) = run(&place, FOLDER_MAKER, &tree, &[&side.to_string()]) else { return };
        let mut config = place.config(DataSource::Folder, tree);
        config.size = side;
        let (data, _) = graphpnas_fast::data::load(&config, 1).unwrap();
        assert_equal(&place, &data, said.trim().parse().unwrap());
        assert_eq!(data.class_names(), ["a", "b", "c"]);
    }
}
