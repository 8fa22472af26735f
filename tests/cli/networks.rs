//! Spaces of operators whose networks are trained: NAS-Bench-101's cells and ENAS's layers.

use crate::support::{FINISHED, REPRODUCIBLE, Workplace, bytes, command, read, say, succeed};
use graphpnas_fast::store::fingerprint;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What [`TINY`](crate::support::TINY) needs to be a search of NAS-Bench-101's cells.
const CELLS: &[&str] = &[
    "--set=space.kind=nasbench101",
    "--set=space.vertices=5",
    "--set=space.stacks=2",
    "--set=space.cells=1",
    "--set=search.explorer=[\"uniform\"]",
    "--set=search.budget=5",
];

/// The same for ENAS's macro space.
const LAYERS: &[&str] =
    &["--set=space.kind=enas", "--set=space.layers=4", "--set=search.explorer=[\"uniform\"]", "--set=search.budget=6"];

const SUPERNET: &[&str] = &["--set=oracle.kind=supernet", "--set=oracle.statistics_images=64", "--set=oracle.epochs=4"];

/// `eval`, `export`, `retrain`, `sample` and `score` take a finished run. The retrained network's parameters.
fn the_commands_work(place: &Workplace, run: &str) -> u64 {
    let run = place.arg(run);
    let record = read(&place.path("run"));
    let end = record.finished.as_ref().unwrap();
    let evaluated = succeed(&["eval", &run, "--split", "test", "--json"]).json();
    assert_eq!(evaluated["accuracy"].as_f64(), Some(end.test_accuracy));
    let onnx = place.arg("again.onnx");
    succeed(&["export", &run, "--format", "onnx", "--out", &onnx]);
    assert_eq!(std::fs::read(place.path("again.onnx")).unwrap(), bytes(&place.path("run"), "best.onnx"));
    let best = place.arg("run/best.json");
    let retrained = succeed(&["retrain", &run, "--arch", &best, "--epochs", "4", "--json", "--quiet"]).json();
    assert_eq!(retrained["training_losses"].as_array().unwrap().len(), 4);
    assert_eq!(retrained["test_accuracy"].as_f64(), Some(end.test_accuracy), "the same seed and candidate");
    let scored = succeed(&["score", &run, &best, "--json"]).json();
    assert!(scored["log_probability"].as_f64().unwrap() < 0.0);
    assert_eq!(scored["candidate"].as_u64(), Some(end.candidate));
    assert!(succeed(&["sample", &run, "-n", "3"]).stdout.lines().count() == 4);
    retrained["parameters"].as_u64().unwrap()
}

#[test]
fn cells_of_nasbench101_are_trained_exported_and_retrained() {
    let place = Workplace::new();
    place.run("run", CELLS);
    the_commands_work(&place, "run");
}

#[test]
fn networks_of_layers_are_trained_exported_and_retrained_with_more_channels() {
    let place = Workplace::new();
    place.run("run", &[LAYERS, &["--set=space.channels=4", "--set=retrain.channels=12"]].concat());
    let retrained = the_commands_work(&place, "run");
    let record = read(&place.path("run"));
    let best = &record.candidates[record.finished.as_ref().unwrap().candidate as usize];
    let searched = best.outcome.as_ref().unwrap().parameters;
    // Weights of k x k x 4 x 4 become k x k x 12 x 12; vectors of 4 only 12.
    assert!(retrained > 3 * searched && retrained < 9 * searched, "{retrained} {searched}");
    assert!(
        String::from_utf8(bytes(&place.path("run"), "report.html")).unwrap().contains("ENAS macro space, 4 layers")
    );
    for format in ["dot", "svg"] {
        succeed(&["export", &place.arg("run"), "--format", format, "--out", &place.arg("drawing")]);
        let drawing = std::fs::read_to_string(place.path("drawing")).unwrap();
        assert!(drawing.contains("conv") || drawing.contains("pool"), "{drawing}");
    }
}

#[test]
fn a_supernet_scores_networks_and_survives_kills() {
    let place = Workplace::new();
    let changes = [LAYERS, SUPERNET].concat();
    let start = std::time::Instant::now();
    place.run("run", &[&changes[..], &["--threads", "1"]].concat());
    let time = start.elapsed();
    the_commands_work(&place, "run");
    let whole = read(&place.path("run"));
    assert!(whole.candidates.iter().all(|candidate| candidate.outcome.as_ref().unwrap().training_losses.is_empty()));

    let (config, out) = (place.config(), place.arg("killed"));
    let arguments = [&["run", &config, "--out", &out, "--resume", "--quiet", "--threads", "2"][..], &changes].concat();
    for part in [0.1, 0.3, 0.5, 0.8] {
        let mut child = command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(time.mul_f64(part).max(Duration::from_millis(20)));
        let _ = child.kill();
        child.wait().unwrap();
    }
    succeed(&arguments);
    assert_eq!(fingerprint(&read(&place.path("killed"))), fingerprint(&whole));
    for name in REPRODUCIBLE.iter().chain(&["supernet.safetensors"]) {
        assert!(bytes(&place.path("killed"), name) == bytes(&place.path("run"), name), "{name}");
    }
}

/// The smoke configuration on a part of CIFAR-10's records, made smaller still.
#[test]
fn the_smoke_configuration_takes_a_folder_with_a_part_of_the_records() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !records.join("cifar10_train_first2000.bin").exists() {
        println!("skipped: no such data");
        return;
    }
    let (place, smoke) = (Workplace::new(), "configs/enas-cifar10-smoke.toml");
    let out = place.arg("run");
    let (path, cache) = (format!("data.path={}", records.display()), format!("data.cache={}", place.arg("cache")));
    let smaller = ["space.channels=4", "search.budget=12", "oracle.epochs=1", "retrain.epochs=2", "generator.epochs=2"];
    let changes = smaller.iter().copied().chain([&path[..], &cache]).flat_map(|change| ["--set", change]);
    let arguments: Vec<&str> = ["run", smoke, "--out", &out, "--quiet", "--json"].into_iter().chain(changes).collect();
    succeed(&arguments);
    let manifest: serde_json::Value = serde_json::from_slice(&bytes(&place.path("run"), "manifest.json")).unwrap();
    let images = ["training_images", "validation_images", "test_images"].map(|part| manifest["data"][part].as_u64());
    assert_eq!(images, [1500, 500, 1000].map(Some), "{}", manifest["data"]);
    let record = read(&place.path("run"));
    assert!(record.candidates.iter().all(|candidate| candidate.outcome.as_ref().unwrap().failure.is_none()));
    assert!(record.finished.unwrap().test_accuracy > 0.1);
}

#[test]
fn a_supernet_learns_from_the_draws_of_an_earlier_run_s_generator() {
    let place = Workplace::new();
    let changes = [LAYERS, SUPERNET].concat();
    place.run("first", &changes);
    let (file, first) = (place.path("first/generator.safetensors"), place.path("first"));
    let named = format!("--set=oracle.path_generator={}", file.display());
    let changes = [&changes[..], &[named.as_str()]].concat();
    place.run("second", &changes);
    let second = place.path("second");
    assert!(bytes(&second, "supernet.safetensors") != bytes(&first, "supernet.safetensors"));
    assert!(bytes(&second, "paths.safetensors") == std::fs::read(&file).unwrap());

    // A run that has begun does not need the file any more.
    let (config, out, copy) = (place.config(), place.arg("killed"), place.path("killed/paths.safetensors"));
    let arguments = [&["run", &config, "--out", &out, "--resume", "--quiet", "--threads", "1"][..], &changes].concat();
    let mut child = command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !copy.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    std::fs::remove_file(&file).unwrap();
    succeed(&arguments);
    assert_eq!(fingerprint(&read(&place.path("killed"))), fingerprint(&read(&second)));
    assert!(bytes(&place.path("killed"), "supernet.safetensors") == bytes(&second, "supernet.safetensors"));
    let said = say(&[&["run", &config, "--out", &place.arg("third")][..], &changes].concat());
    assert!(said.code == Some(1) && said.stderr.contains("oracle.path_generator"), "{said:?}");

    let other = format!("--set=oracle.path_generator={}", FINISHED.arg("run/generator.safetensors"));
    let changes = [LAYERS, SUPERNET, &[other.as_str()]].concat();
    let said = say(&[&["run", &config, "--out", &place.arg("fourth"), "--quiet"][..], &changes].concat());
    assert!(said.code == Some(1) && said.stderr.contains("oracle.path_generator, "), "{said:?}");
}

#[test]
fn a_supernet_needs_networks_that_share_weights() {
    let place = Workplace::new();
    let said = say(&["run", &place.config(), "--out", &place.arg("run"), "--set", "oracle.kind=supernet"]);
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("only the networks of space.kind = \"enas\" share weights"), "{}", said.stderr);
}

#[test]
fn tables_are_not_looked_up_on_a_cuda_device() {
    let place = Workplace::new();
    let table =
        ["space.kind=nasbench201", "search.explorer=[\"uniform\"]", "oracle.kind=table", "oracle.table=none.csv"];
    let table: Vec<&str> = table.into_iter().flat_map(|set| ["--set", set]).collect();
    let out = place.arg("run");
    let said = say(&[&["run", &place.config(), "--out", &out, "--device", "cuda"][..], &table].concat());
    let why = "device cuda:0: with oracle.kind = \"table\" networks are looked up, not trained; choose `cpu` or `auto`";
    assert!(said.code == Some(2) && said.stderr.contains(why), "{said:?}");
}
