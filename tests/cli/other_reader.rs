//! A run's `best.onnx` in onnxruntime: it prepares the test images as the file's metadata say, and comes to the same
//! logits and to the accuracy of `eval`.

use crate::python::{SKIPPED, python};
use crate::support::{Workplace, bytes, read, succeed};
use graphpnas_fast::data::{self, BatchRequest, Dataset};
use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions};
use graphpnas_fast::net::weights_from_safetensors;
use graphpnas_fast::oracle::lower;
use graphpnas_fast::space::read_architecture;
use std::path::Path;
use std::process::Command;

/// Both sides compute in f32.
const TOLERANCE: f32 = 1e-4;

/// The real images, and as little of everything as still learns something.
const REAL_IMAGES: [&str; 12] = [
    "--quiet",
    "--set",
    "data.source=\"embedded\"",
    "--set",
    "data.test_images=1000",
    "--set",
    "search.budget=4",
    "--set",
    "oracle.data_fraction=0.05",
    "--set",
    "retrain.epochs=1",
    "--json",
];

/// Knows the file alone: images come as bytes, `(images, height, width, channels)`, and labels as bytes.
const READER: &str = r#"
import sys, numpy, onnxruntime
model, pixels, labels, result = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
assert metadata["images"] == "(pixel / 255 - mean) / std, NCHW", metadata
_, channels, height, width = session.get_inputs()[0].shape
images = numpy.fromfile(pixels, numpy.uint8).reshape(-1, height, width, channels) / 255
mean, std = (numpy.array(metadata[key].split(","), float) for key in ("mean", "std"))
images = ((images - mean) / std).transpose(0, 3, 1, 2).astype(numpy.float32)
logits = session.run(None, {"images": images})[0]
assert logits.shape == (len(images), len(metadata["classes"].split(",")))
logits.astype("<f4").tofile(result)
print((logits.argmax(1) == numpy.fromfile(labels, numpy.uint8)).sum())
"#;

/// Our logits of these images from the run's other two files, `(images, classes)`.
fn our_logits(run: &Path, dataset: &Dataset, images: &[u32]) -> Vec<f32> {
    let architecture = read_architecture(&String::from_utf8(bytes(run, "best.json")).unwrap()).unwrap();
    let plan = lower(&architecture, &read(run).config.space, dataset).unwrap();
    let options = NetworkOptions { batch: images.len(), threads: 1, set: InstructionSet::best() };
    let mut network = Network::new(&plan, options);
    network.load(&weights_from_safetensors(&bytes(run, "best.safetensors"), &plan).unwrap());
    let shape = dataset.shape();
    let mut pixels = vec![0.0; images.len() * shape.height * shape.width * shape.channels];
    let mut labels = vec![0; images.len()];
    dataset.fill_batch(BatchRequest { indices: images, augment: None }, &mut pixels, &mut labels);
    network.evaluate(Batch { pixels: &pixels, labels: &labels }, 0.0);
    network.logits(images.len())
}

#[test]
fn onnxruntime_gets_the_logits_and_the_accuracy_of_eval() {
    let Some(python) = python() else {
        println!("{SKIPPED}");
        return;
    };
    let place = Workplace::new();
    place.run("run", &REAL_IMAGES);
    let run = place.path("run");
    let config = read(&run).config;
    let (dataset, splits) = data::load(&config.data, config.run.seed).unwrap();
    let images = &splits.test[..];
    let pixels: Vec<u8> = images.iter().flat_map(|&image| dataset.image(image)).copied().collect();
    let labels: Vec<u8> = images.iter().map(|&image| dataset.labels()[image as usize] as u8).collect();
    std::fs::write(place.path("pixels"), pixels).unwrap();
    std::fs::write(place.path("labels"), labels).unwrap();

    let mut command = Command::new(python);
    command.args(["-c", READER, &place.arg("run/best.onnx"), &place.arg("pixels"), &place.arg("labels")]);
    let output = command.arg(place.arg("logits")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = std::fs::read(place.path("logits")).unwrap();
    let (theirs, rest) = theirs.as_chunks::<4>();
    let ours = our_logits(&run, &dataset, images);
    assert_eq!((ours.len(), theirs.len(), rest.len()), (10_000, 10_000, 0));
    for (number, (ours, &theirs)) in ours.iter().zip(theirs).enumerate() {
        let theirs = f32::from_le_bytes(theirs);
        assert!((ours - theirs).abs() <= TOLERANCE, "image {}: {ours}, not {theirs}", images[number / 10]);
    }

    let correct: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let evaluated = succeed(&["eval", &place.arg("run"), "--split", "test", "--json"]).json();
    assert_eq!(evaluated["images"], images.len());
    assert_eq!(evaluated["accuracy"].as_f64(), Some(f64::from(correct) / images.len() as f64));
    assert!(correct > 300, "{correct} of {} images: the network has learnt nothing to compare", images.len());
}
