//! An exported network gives, in readers that are not ours, the logits of a plain evaluation of its plan.
//!
//! With a Python that has `onnx` and `onnxruntime` (its path in ONNX_PYTHON, or `.venv/bin/python`), these are the
//! readers; without one, the interpreter beside this file still is.

mod interpreter;
mod network;
mod reference;
mod run;

use graphpnas_fast::net::{Plan, WeightsError};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::report::onnx::{onnx, preprocessing};
use rand::RngExt;
use reference::Image;
use std::path::{Path, PathBuf};
use std::process::Command;

/// onnxruntime computes in f32.
const TOLERANCE: f64 = 1e-4;

fn images(plan: &Plan, count: u64) -> Vec<Image> {
    let (channels, height, width) = (plan.image.channels, plan.image.height, plan.image.width);
    (0..count)
        .map(|number| {
            let mut random = StreamKey { seed: 1, purpose: Purpose::Synthetic, candidate: number, epoch: 0 }.stream();
            // Exact in f32, so that both sides see the same pixels.
            let data = (0..channels * height * width).map(|_| random.random_range(-2.0..2.0f32) as f64).collect();
            Image { channels, height, width, data }
        })
        .collect()
}

fn metadata() -> Vec<(String, String)> {
    preprocessing(&[0.25, 0.5], &[0.125, 1.0], &["shirt".into(), "coat".into()])
}

#[test]
fn the_graph_computes_what_the_plan_does() {
    for plan in [network::plan(), network::activating_plan(), network::second_stem_plan()] {
        let weights = network::weights(&plan);
        let file = onnx(&plan, &weights, &metadata()).unwrap();
        for image in images(&plan, 3) {
            let expected = reference::logits(&plan, &weights, &image);
            let found = interpreter::logits(&file, &image);
            assert_eq!(found.len(), 5);
            // The only rounding between the two: the sigmoids, which are stored as f32.
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} {b}");
            }
        }
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let plan = network::plan();
    let mut weights = network::weights(&plan);
    weights.tensors[0].dimensions = vec![3, 2, 9];
    let found = onnx(&plan, &weights, &[]);
    let expected = WeightsError::Shape { name: "stem.weight".into(), found: vec![3, 2, 9], expected: vec![3, 2, 3, 3] };
    assert_eq!(found, Err(expected));
}

/// A Python with onnx, onnxruntime and numpy, if there is one.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("ONNX_PYTHON").map_or_else(|| ".venv/bin/python".into(), PathBuf::from);
    let imports = Command::new(&path).args(["-c", "import numpy, onnx, onnxruntime"]).output().ok()?;
    imports.status.success().then_some(path)
}

const READER: &str = r#"
import sys, numpy, onnx, onnxruntime
path, pixels, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(image,), (logits,) = session.get_inputs(), session.get_outputs()
images = numpy.fromfile(pixels, "<f4").reshape([count] + image.shape[1:])
together = session.run(None, {"images": images})[0]
alone = numpy.concatenate([session.run(None, {"images": images[i:i + 1]})[0] for i in range(count)])
assert numpy.abs(together - alone).max() < 1e-4
print(image.name, image.shape, logits.name, logits.shape, dict(session.get_modelmeta().custom_metadata_map)["mean"])
for row in together:
    print(*row)
"#;

#[test]
fn onnxruntime_computes_what_the_plan_does() {
    let Some(python) = python() else {
        println!("skipped: no Python with onnx and onnxruntime (set ONNX_PYTHON)");
        return;
    };
    for plan in [network::plan(), network::activating_plan(), network::second_stem_plan()] {
        check_with_onnxruntime(&python, &plan);
    }
}

fn check_with_onnxruntime(python: &Path, plan: &Plan) {
    let weights = network::weights(plan);
    let images = images(plan, 4);
    let folder = tempfile::tempdir().unwrap();
    let (model, pixels) = (folder.path().join("network.onnx"), folder.path().join("images.f32"));
    std::fs::write(&model, onnx(plan, &weights, &metadata()).unwrap()).unwrap();
    let bytes: Vec<u8> = images.iter().flat_map(|i| &i.data).flat_map(|&x| (x as f32).to_le_bytes()).collect();
    std::fs::write(&pixels, bytes).unwrap();

    let mut command = Command::new(python);
    let output = command.args(["-c", READER]).arg(&model).arg(&pixels).arg(images.len().to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("images ['N', 2, 7, 10] logits ['N', 5] 0.25,0.5"));
    for image in &images {
        let found: Vec<f64> = lines.next().unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
        let expected = reference::logits(plan, &weights, image);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= TOLERANCE, "{a} {b}");
        }
    }
    assert_eq!(lines.next(), None);
}
