//! A whole run with the real binary on real images: onnxruntime reads `best.onnx` and agrees with us.

use super::python;
use graphpnas_fast::config::Config;
use graphpnas_fast::data::{self, BatchRequest};
use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions};
use graphpnas_fast::net::weights_from_safetensors;
use graphpnas_fast::oracle::lower;
use graphpnas_fast::space::read_architecture;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "[data]\nsource = \"embedded\"\n[space]\nnodes = 5\n[generator]\nepochs = 2\n\
    [search]\nbudget = 4\nsamples_per_iteration = 2\nkeep_top = 2\nexploration = \"none\"\n\
    [oracle]\ndata_fraction = 0.1\nepochs = 1\n[retrain]\nepochs = 1\n";

/// Prepares raw pixels, `(images, height, width, channels)`, as the file's own metadata say.
const READER: &str = r#"
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
assert metadata["images"] == "(pixel / 255 - mean) / std, NCHW", metadata
_, channels, height, width = session.get_inputs()[0].shape
mean, std = (numpy.array(metadata[key].split(","), float) for key in ("mean", "std"))
pixels = numpy.fromfile(sys.argv[2], numpy.uint8).reshape(-1, height, width, channels)
images = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype("<f4")
chunks = [session.run(None, {"images": images[i:i + 250]})[0] for i in range(0, len(images), 250)]
numpy.concatenate(chunks).astype("<f4").tofile(sys.argv[3])
"#;

/// Runs the binary; its standard output.
fn graphpnas(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn onnxruntime_agrees_with_the_run_on_logits_and_test_accuracy() {
    let Some(python) = python() else {
        println!("skipped: no Python with onnx and onnxruntime at ONNX_PYTHON or .venv/bin/python");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::write(path("run.toml"), CONFIG).unwrap();
    graphpnas(&["run", &path("run.toml"), "--out", &path("run"), "--quiet"]);
    let evaluated = graphpnas(&["eval", &path("run"), "--split", "test", "--json"]);
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();

    let (ours, pixels, labels) = our_logits(folder.path());
    std::fs::write(path("pixels"), pixels).unwrap();
    let arguments = ["-c", READER, &path("run/best.onnx"), &path("pixels"), &path("logits")];
    let read = Command::new(python).args(arguments).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let theirs: Vec<f32> = std::fs::read(path("logits"))
        .unwrap()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();

    assert_eq!(theirs.len(), ours.len());
    for (a, b) in theirs.iter().zip(&ours) {
        assert!((a - b).abs() <= 1e-4, "{a}, not {b}");
    }
    let right = theirs.chunks(10).zip(&labels).filter(|(row, label)| {
        let best = row.iter().enumerate().fold(0, |best, (class, value)| if *value > row[best] { class } else { best });
        best == usize::from(**label)
    });
    let accuracy = right.count() as f64 / labels.len() as f64;
    assert!(accuracy > 0.3, "{accuracy}: the network has learnt nothing to compare");
    assert_eq!(evaluated["accuracy"].as_f64(), Some(accuracy));
    assert_eq!(evaluated["images"].as_u64(), Some(2000));
}

/// Our logits of the run's best network on the test images, those images as they came, and their labels.
fn our_logits(folder: &Path) -> (Vec<f32>, Vec<u8>, Vec<u16>) {
    let config = Config::from_file(&folder.join("run.toml"), &[]).unwrap();
    let (dataset, splits) = data::load(&config.data, config.run.seed).unwrap();
    let architecture = read_architecture(&std::fs::read_to_string(folder.join("run/best.json")).unwrap()).unwrap();
    let plan = lower(&architecture, &config.space, &dataset).unwrap();
    let weights =
        weights_from_safetensors(&std::fs::read(folder.join("run/best.safetensors")).unwrap(), &plan).unwrap();
    let images = splits.test.len();
    let (mut pixels, mut labels) = (vec![0.0; images * 28 * 28], vec![0; images]);
    dataset.fill_batch(BatchRequest { indices: &splits.test, augment: None }, &mut pixels, &mut labels);
    let mut network = Network::new(&plan, NetworkOptions { batch: images, threads: 2, set: InstructionSet::best() });
    network.load(&weights);
    network.evaluate(Batch { pixels: &pixels, labels: &labels }, 0.0);
    let raw = splits.test.iter().flat_map(|&image| dataset.image(image)).copied().collect();
    (network.logits(images), raw, labels)
}
