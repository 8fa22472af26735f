//! Searches on benchmark tables: real ones, where they lie beside the checkout, and one of the user's own.

use crate::support::{Workplace, read, say, succeed};
use graphpnas_fast::search::best;
use graphpnas_fast::space::Architecture;
use graphpnas_fast::store::{Origin, fingerprint};
use std::path::Path;

const CONFIG_201: &str = "configs/nasbench201-imagenet16.toml";
const CONFIG_101: &str = "configs/nasbench101.toml";
const FOUR_VERTICES: &str = "../shared/data/nasbench101-le4v-own-training.tfrecord";
const CELLS_201: &str = "../shared/data/nasbench201.csv";

/// Whether a real table is there; the tests that need it are skipped otherwise.
fn is_there(table: &str) -> bool {
    let found = Path::new(table).is_file();
    if !found {
        println!("skipped: no such data");
    }
    found
}

/// A generator that is fitted in no time.
const QUICK: [&str; 6] =
    ["--set", "generator.layers=1", "--set", "generator.epochs=3", "--set", "generator.mixtures=2"];

fn run(config: &str, out: &str, more: &[&str]) -> serde_json::Value {
    succeed(&[&["run", config, "--out", out, "--json", "--quiet"], &QUICK[..], more].concat()).json()
}

#[test]
fn nas_bench_201_is_searched_to_the_end() {
    if !is_there(CELLS_201) {
        return;
    }
    let place = Workplace::new();
    let table = format!("oracle.table={CELLS_201}");
    let out = place.arg("run");
    let summary = run(CONFIG_201, &out, &["--set", "search.budget=24", "--set", &table]);
    let record = read(&place.path("run"));
    assert_eq!((record.candidates.len(), &summary["candidates"], &summary["failed"]), (24, &24.into(), &0.into()));
    assert!(record.candidates.iter().any(|candidate| candidate.origin == Origin::Generator));
    // The table says it all: validation for the search, test for the end.
    let best = best(&record.candidates).unwrap();
    let outcome = best.outcome.as_ref().unwrap();
    let end = record.finished.as_ref().unwrap();
    assert_eq!((end.candidate, Some(end.test_accuracy)), (best.number, outcome.test_accuracy));
    assert!(outcome.validation_accuracy.unwrap() <= 0.3866666662597656);
    assert!(matches!(best.architecture, Architecture::NasBench201(_)));
    // What stands on a run works on this one too.
    let resume = ["run", CONFIG_201, "--out", &out, "--resume", "--json", "--set", "search.budget=24", "--set", &table];
    let again = succeed(&[&resume[..], &QUICK[..]].concat());
    assert!(again.stderr.contains("is finished already"), "{again:?}");
    let score = succeed(&["score", &out, &place.arg("run/best.json"), "--json"]).json();
    assert_eq!(score["candidate"], best.number);
    assert!(score["log_probability"].as_f64().unwrap() < 0.0);
    let samples = succeed(&["sample", &out, "-n", "5", "--json"]).json();
    assert!(samples.as_array().unwrap().iter().all(|sample| sample["architecture"]["space"] == "nasbench201"));
    for format in ["json", "svg", "dot"] {
        succeed(&["export", &out, "--format", format, "--out", &place.arg(format)]);
    }
    let onnx = ["export", &out, "--format", "onnx", "--out", &out];
    for arguments in [&["retrain", &out][..], &["eval", &out, "--split", "test"], &onnx] {
        let said = say(arguments);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains("looked up in nasbench201.csv: there is nothing to train"), "{said:?}");
    }
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(&page, options).expect("the page is well-formed");
    assert!(page.contains("Nothing was trained in this run") && page.contains("NAS-Bench-201, ImageNet16-120"));
}

#[test]
fn a_converted_table_gives_the_same_run() {
    if !is_there(FOUR_VERTICES) {
        return;
    }
    let place = Workplace::new();
    let compact = place.arg("four.bin");
    let said = succeed(&["data", "convert", FOUR_VERTICES, &compact]);
    assert!(said.stderr.contains("91 cells, accuracies after 4, 12, 36, 108 epochs"), "{said:?}");
    let again = say(&["data", "convert", FOUR_VERTICES, &compact]);
    assert!(again.code == Some(1) && again.stderr.contains("four.bin"), "{again:?}");
    let more = ["--set", "space.vertices=4", "--set", "search.budget=30", "--set"];
    let (official, converted) = (format!("oracle.table={FOUR_VERTICES}"), format!("oracle.table={compact}"));
    let first = run(CONFIG_101, &place.arg("a"), &[&more[..], &[official.as_str()]].concat());
    let second = run(CONFIG_101, &place.arg("b"), &[&more[..], &[converted.as_str(), "--threads", "1"]].concat());
    assert_eq!(first["fingerprint"], second["fingerprint"]);
    let record = read(&place.path("b"));
    assert_eq!(fingerprint(&record), first["fingerprint"]);
    let outcomes: Vec<_> = record.candidates.iter().filter_map(|candidate| candidate.outcome.as_ref()).collect();
    assert!(outcomes.len() == 30 && outcomes.iter().all(|outcome| outcome.cost > Some(0.0) && outcome.parameters > 0));
    // What is no legal cell is drawn anew.
    let samples = succeed(&["sample", &place.arg("a"), "-n", "300", "--json"]).json();
    assert_eq!(samples.as_array().unwrap().len(), 300);
    // Cells of five vertices are not in the table of those with four: these candidates fail and say why.
    let more = ["--set", "space.vertices=5", "--set", "search.budget=40", "--set", official.as_str()];
    let third = run(CONFIG_101, &place.arg("c"), &more);
    let record = read(&place.path("c"));
    let failures: Vec<_> =
        record.candidates.iter().filter_map(|candidate| candidate.outcome.as_ref()?.failure.clone()).collect();
    assert_eq!(third["failed"], failures.len());
    assert!(
        !failures.is_empty() && failures.iter().all(|failure| failure.contains("tfrecord lacks the cell")),
        "{failures:?}"
    );
}

#[test]
fn a_table_of_the_users_own_is_searched() {
    let place = Workplace::new();
    // Every labelled graph on three nodes; the accuracy grows with the edges.
    let mut text = String::from("adjacency,ops,validation,test\n");
    for bits in 0..8u32 {
        let edge = |bit: u32| bits >> bit & 1;
        let accuracy = f64::from(25 * bits.count_ones() + bits) / 100.0;
        text += &format!("0{}{}00{}000,\"a,b,c\",{accuracy},{accuracy}\n", edge(0), edge(1), edge(2));
    }
    std::fs::write(place.path("table.csv"), &text).unwrap();
    std::fs::write(place.path("own.toml"), succeed(&["init", "table"]).stdout).unwrap();
    let more = ["--set", "search.budget=8", "--set", "search.samples_per_iteration=2"];
    let summary = run(&place.arg("own.toml"), &place.arg("run"), &more);
    assert_eq!((&summary["best"]["validation_accuracy"], &summary["test_accuracy"]), (&0.82.into(), &0.82.into()));
    let (config, out) = (place.arg("own.toml"), place.arg("more"));
    let exhausted = [&["run", &config, "--out", &out, "--quiet"], &QUICK[..]].concat();
    let said = say(&exhausted);
    assert!(said.code == Some(1) && said.stderr.contains("of every kind in search.explorer"), "{said:?}");
    std::fs::remove_file(place.path("table.csv")).unwrap();
    let said = say(&["run", &config, "--out", &place.arg("none"), "--quiet"]);
    assert!(said.code == Some(1) && said.stderr.contains("table.csv"), "{said:?}");
}
