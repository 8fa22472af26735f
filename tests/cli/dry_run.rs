//! `run --dry-run`: what a run costs, before it is begun.

use crate::support::{Workplace, say, succeed};
use std::fs;

/// Asserts that these two are within a factor.
fn assert_close(estimate: f64, truth: f64, factor: f64) {
    assert!(estimate <= truth * factor && truth <= estimate * factor, "{estimate} {truth}");
}

#[test]
fn a_dry_run_foretells_the_run_and_leaves_nothing() {
    let place = Workplace::new();
    let config = place.config();
    let files = || fs::read_dir(place.path("")).unwrap().count();
    let before = files();
    let said = succeed(&["run", &config, "--dry-run", "--json", "--out", &place.arg("none")]).json();
    assert_eq!(files(), before);
    assert_eq!(said["data"]["training_images"], 1000);
    let phases: Vec<&str> = said["phases"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(phases, ["candidates", "refits", "retraining"]);
    let seconds = |value: &serde_json::Value| value.as_f64().unwrap();
    let total: f64 = said["phases"].as_array().unwrap().iter().map(|phase| seconds(&phase["seconds"])).sum();
    assert!((seconds(&said["total_seconds"]) - total).abs() <= 1e-9 * total);
    // Fits before iterations 1, 2 and 3 of 4, and at the end.
    assert_eq!(said["measured"]["refits"], 4);
    let h100 = &said["h100"];
    assert!(h100["estimate"].as_str().unwrap().contains("no prediction"));
    assert!(seconds(&h100["retraining_seconds"]) < seconds(&said["phases"][2]["seconds"]));
    // The run itself.
    place.run("run", &["--quiet"]);
    let record = crate::support::read(&place.path("run"));
    let networks = &said["networks"];
    for candidate in &record.candidates {
        let outcome = candidate.outcome.as_ref().unwrap();
        let (least, most) = (&networks["multiply_adds"]["least"], &networks["multiply_adds"]["most"]);
        assert_close(outcome.multiply_adds as f64, (seconds(least) + seconds(most)) / 2.0, 1.5);
        assert_close(outcome.parameters as f64, seconds(&networks["parameters"]["median"]), 1.5);
    }
    assert_eq!(record.iterations.iter().filter(|iteration| iteration.refit.is_some()).count(), 4);
    let bytes: u64 = fs::read_dir(place.path("run")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert_close(seconds(&said["disk"]["run_mb"]) * 1e6, bytes as f64, 3.0);
}

#[test]
fn a_dry_run_needs_no_images_and_no_table_needs_training() {
    let place = Workplace::new();
    let tiny = [
        "space.channels=4",
        "space.head=8",
        "oracle.batch=8",
        "retrain.batch=8",
        "generator.layers=1",
        "generator.mixtures=2",
        "search.keep_top=4",
    ];
    let tiny: Vec<&str> = tiny.into_iter().flat_map(|change| ["--set", change]).collect();
    let config = "configs/randwire-tiny-imagenet.toml";
    let mut command = crate::support::command(&[&["run", config, "--dry-run"], &tiny[..]].concat());
    let output = command.env("XDG_CACHE_HOME", place.path("")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for part in ["90000 images for training, 10000 for validation, 10000 for the test", "the files are not here"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.contains("H100        an estimate, not measured"), "{said}");
    let names: Vec<String> = said.lines().skip(1).map(|line| line[..12].trim().to_string()).collect();
    let expected =
        ["data", "networks", "measured", "candidates", "refits", "retraining", "total", "memory", "disk", "H100"];
    assert_eq!(names, expected);
    let said = say(&["run", config, "--dry-run", "--resume"]);
    assert!(said.code == Some(2) && said.stderr.contains("--resume"), "{said:?}");
    let said = say(&["run", config, "--dry-run", "--set", "data.validation_images=100000"]);
    assert!(said.code == Some(2) && said.stderr.contains("validation_images = 100000"), "{said:?}");
    let quick = ["--set", "generator.layers=1", "--set", "oracle.table=absent.csv"];
    let said = succeed(&[&["run", "configs/nasbench201-imagenet16.toml", "--dry-run"], &quick[..]].concat());
    assert!(said.stdout.contains("networks    looked up in a table"), "{said:?}");
}
