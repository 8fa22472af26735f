//! What can be done with a finished run, and without any.

use crate::support::{FINISHED, Workplace, bytes, command, read, succeed};
use graphpnas_fast::config::Config;
use graphpnas_fast::space::{Architecture, read_architecture};
use serde_json::Value;
use std::io::Read;

fn run() -> String {
    FINISHED.arg("run")
}

fn sample(more: &[&str]) -> Vec<Value> {
    let json = succeed(&[&["sample", &run(), "--json"], more].concat()).json();
    json.as_array().unwrap().clone()
}

#[test]
fn samples_are_scored_with_their_own_log_probability() {
    let place = Workplace::new();
    let samples = sample(&["-n", "6"]);
    assert_eq!(samples.len(), 6);
    let file = place.arg("sample.json");
    for sample in &samples {
        std::fs::write(&file, sample["architecture"].to_string()).unwrap();
        let score = succeed(&["score", &run(), &file, "--json"]).json();
        let (drawn, scored) = (&sample["log_probability"], &score["log_probability"]);
        let (drawn, scored) = (drawn.as_f64().unwrap(), scored.as_f64().unwrap());
        assert!(drawn < 0.0 && (drawn - scored).abs() <= 1e-4, "{drawn} {scored}");
        assert_eq!(sample["key"], score["key"]);
    }
}

#[test]
fn draws_depend_on_the_seed_and_not_on_their_number() {
    let (few, many) = (sample(&["-n", "3"]), sample(&["-n", "300"]));
    assert_eq!((many.len(), &few[..]), (300, &many[..3]));
    assert_eq!(sample(&["-n", "3", "--seed", "1"]), few, "the run's seed is 1");
    assert_ne!(sample(&["-n", "3", "--seed", "2"]), few);
    let table = succeed(&["sample", &run(), "-n", "3"]).stdout;
    let (header, rows) = table.split_once('\n').unwrap();
    assert_eq!(header, "log-probability\tarchitecture");
    for (row, sample) in rows.lines().zip(&few) {
        let (log_probability, architecture) = row.split_once('\t').unwrap();
        let difference = log_probability.parse::<f64>().unwrap() - sample["log_probability"].as_f64().unwrap();
        assert!(difference.abs() <= 1e-6, "{row}");
        assert!(read_architecture(architecture).is_ok(), "{row}");
    }
    assert_eq!(rows.lines().count(), 3);
}

#[test]
fn a_candidate_is_recognised_under_other_numbers_of_its_nodes() {
    let record = read(&FINISHED.path("run"));
    let Architecture::RandWire { stages } = &record.candidates[4].architecture else { panic!("of another space") };
    // Exchange two neighbouring nodes of the first stage that are not joined: the order stays topological.
    let dag = &stages[0];
    let node = (0..dag.nodes() - 1).find(|&node| !dag.has_edge(node, node + 1)).unwrap();
    let exchanged = |index: usize| match index {
        index if index == node => node + 1,
        index if index == node + 1 => node,
        index => index,
    };
    let edges: Vec<[usize; 2]> = dag.edges().map(|[from, to]| [exchanged(from), exchanged(to)]).collect();
    let mut stages = stages.clone();
    stages[0] = graphpnas_fast::graph::Dag::new(dag.nodes(), &edges).unwrap();
    let place = Workplace::new();
    let text = serde_json::to_string(&Architecture::RandWire { stages }).unwrap();
    std::fs::write(place.path("renamed.json"), text).unwrap();
    let score = succeed(&["score", &run(), &place.arg("renamed.json"), "--json"]).json();
    assert_eq!(score["candidate"], 4);
    assert_eq!(score["key"], record.candidates[4].key);
}

#[test]
fn the_best_network_is_evaluated_as_the_run_tested_it() {
    let tested = read(&FINISHED.path("run")).finished.unwrap();
    let found = succeed(&["eval", &run(), "--split", "test", "--json"]).json();
    assert!((found["accuracy"].as_f64().unwrap() - tested.test_accuracy).abs() <= 1e-12, "{found}");
    assert_eq!((&found["images"], &found["candidate"]), (&100.into(), &tested.candidate.into()));
    let text = succeed(&["eval", &run(), "--split", "validation"]).stdout;
    assert!(text.contains("100 images; the long training has seen these images"), "{text}");
}

#[test]
fn retraining_repeats_the_run_s_end_and_trains_other_networks() {
    let place = Workplace::new();
    let (out, file) = (place.arg("again"), place.arg("other.json"));
    let again = succeed(&["retrain", &run(), "--best", "--out", &out, "--threads", "1", "--json", "--quiet"]).json();
    let tested = read(&FINISHED.path("run")).finished.unwrap();
    assert_eq!(again["candidate"], tested.candidate);
    for name in ["best.json", "best.safetensors", "best.onnx"] {
        assert!(bytes(&place.path("again"), name) == bytes(&FINISHED.path("run"), name), "{name}");
    }

    std::fs::write(&file, sample(&["-n", "1", "--seed", "7"])[0]["architecture"].to_string()).unwrap();
    let more = ["--arch", &file, "--epochs", "1", "--learning-rate", "0.05", "--out", &out, "--json", "--quiet"];
    let other = succeed(&[&["retrain", &run()], &more[..]].concat()).json();
    assert_eq!(other["training_losses"].as_array().unwrap().len(), 1);
    let weights = place.arg("again/network.safetensors");
    let found = succeed(&["eval", &run(), "--arch", &file, "--weights", &weights, "--split", "test", "--json"]).json();
    assert_eq!(found["accuracy"], other["test_accuracy"]);
}

#[test]
fn every_format_is_exported() {
    let place = Workplace::new();
    let export = |format: &str| {
        let out = place.arg(format);
        succeed(&["export", &run(), "--format", format, "--out", &out]);
        std::fs::read(place.path(format)).unwrap()
    };
    for (format, name) in [("onnx", "best.onnx"), ("safetensors", "best.safetensors"), ("json", "best.json")] {
        assert!(export(format) == bytes(&FINISHED.path("run"), name), "{format}");
    }
    let record = read(&FINISHED.path("run"));
    let best = record.finished.as_ref().unwrap().candidate as usize;
    let Architecture::RandWire { stages } = &record.candidates[best].architecture else { panic!("of another space") };
    let svg = String::from_utf8(export("svg")).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let nodes = document.descendants().filter(|node| node.has_tag_name("circle")).count();
    let legend = 2;
    assert_eq!(nodes, stages.iter().map(|dag| dag.nodes()).sum::<usize>() + legend);
    let dot = String::from_utf8(export("dot")).unwrap();
    let ends: usize = stages.iter().map(|dag| dag.sources().count() + dag.sinks().count()).sum();
    let edges: usize = stages.iter().map(|dag| dag.edge_count()).sum();
    assert_eq!(dot.matches(" -> ").count(), edges + ends, "{dot}");
}

#[test]
fn the_report_is_written_anew() {
    let place = Workplace::new();
    crate::support::copy(&FINISHED.path("run"), &place.path("run"));
    let before = bytes(&place.path("run"), "report.html");
    std::fs::remove_file(place.path("run/report.html")).unwrap();
    let said = succeed(&["report", &place.arg("run")]);
    assert_eq!(said.stdout.trim(), place.arg("run/report.html"));
    assert!(bytes(&place.path("run"), "report.html") == before);
}

#[test]
fn init_prints_the_defaults_and_doctor_the_machine() {
    let text = succeed(&["init", "randwire"]).stdout;
    assert_eq!(Config::from_toml(&text, &[]).unwrap(), Config::from_toml("", &[]).unwrap());
    let found = succeed(&["doctor", "--json"]).json();
    let sets = found["instruction_sets"].as_array().unwrap();
    assert!(sets.iter().any(|set| set["name"] == found["kernels"] && set["available"] == true), "{found}");
    let embedded = &found["data"][0];
    assert_eq!((&embedded["source"], &embedded["usable"]), (&"embedded".into(), &true.into()));
    assert_eq!(embedded["images"], 10_000);
    let remark = found["cuda"]["remark"].as_str();
    assert!(found["device"] == "cpu" || remark.is_none(), "{found}");
    let text = succeed(&["doctor"]).stdout;
    assert!(text.contains("embedded: ok, 10000 images") && text.contains("CUDA"), "{text}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = command(&["sample", &run(), "-n", "5000"]).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn profile_does_not_mind_a_closed_output() {
    let workload = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/workloads/W1.json");
    for more in [&["--check"][..], &["--steps", "1"], &["--steps", "1", "--json"]] {
        let mut child = command(&[&["profile", workload, "--threads", "1"], more].concat()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{more:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{more:?}");
    }
}
