//! `compare` on real tables.

use crate::support::{Workplace, read, say, succeed};
use graphpnas_fast::search::best;
use graphpnas_fast::store::fingerprint;
use serde_json::Value;
use std::path::Path;

const CONFIG_201: &str = "configs/nasbench201-imagenet16.toml";
const TABLE: &str = "oracle.table=../shared/data/nasbench201.csv";
/// Every strategy that a space without classical random graphs knows.
const ALL: &str = "graphpnas,rnn,random,regularized-evolution,local-search,reinforce";
const OPTIMUM: f64 = 0.386_666_666_259_765_6;

/// Generators that are fitted in no time, and short runs.
const QUICK: [&str; 18] = [
    "--set",
    TABLE,
    "--set",
    "generator.layers=1",
    "--set",
    "generator.epochs=3",
    "--set",
    "generator.mixtures=2",
    "--set",
    "generator.rnn_hidden=8",
    "--set",
    "search.population=10",
    "--set",
    "search.tournament=3",
    "--budget",
    "24",
    "--quiet",
    "--json",
];

fn compare(out: &str, more: &[&str]) -> Value {
    succeed(&[&["compare", CONFIG_201, "--out", out][..], &QUICK[..], more].concat()).json()
}

/// Whether the real table is there; the tests that need it are skipped otherwise.
fn is_there() -> bool {
    let found = Path::new("../shared/data/nasbench201.csv").is_file();
    if !found {
        println!("skipped: no such data");
    }
    found
}

/// The results without what depends on the clock.
fn timeless(mut results: Value) -> Value {
    for strategy in results["strategies"].as_object_mut().unwrap().values_mut() {
        for key in ["seconds_per_run", "refit_steps_per_second"] {
            strategy[key] = Value::Null;
        }
        for run in strategy["runs"].as_array_mut().unwrap() {
            (run["seconds"], run["refit_seconds"]) = (Value::Null, Value::Null);
        }
    }
    results
}

#[test]
fn all_strategies_are_compared_and_the_number_of_threads_changes_nothing() {
    if !is_there() {
        return;
    }
    let place = Workplace::new();
    let out = place.arg("one");
    let results = compare(&out, &["--strategies", ALL, "--seeds", "21..23", "--threads", "1"]);
    assert_eq!(results["strategies"].as_object().unwrap().len(), 6);
    assert!((results["optimum"].as_f64().unwrap() - OPTIMUM).abs() <= 1e-12);
    for (name, strategy) in results["strategies"].as_object().unwrap() {
        let runs = strategy["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3, "{name}");
        let mean = runs.iter().map(|run| run["validation"].as_f64().unwrap()).sum::<f64>() / 3.0;
        assert!((strategy["validation"]["mean"].as_f64().unwrap() - mean).abs() <= 1e-12, "{name}");
        assert!(strategy["seconds_per_run"].as_f64().unwrap() > 0.0);
        for (run, seed) in runs.iter().zip(21..) {
            // The journals say the same.
            let record = read(&place.path(&format!("one/{name}/{seed}")));
            let outcome = best(&record.candidates).unwrap().outcome.as_ref().unwrap();
            assert_eq!((record.candidates.len(), record.config.run.seed), (24, seed), "{name}");
            assert_eq!(run["validation"].as_f64(), outcome.validation_accuracy, "{name}");
            assert_eq!(run["test"].as_f64(), outcome.test_accuracy, "{name}");
            assert_eq!(run["curve"].as_array().unwrap().len(), 24);
            assert_eq!(run["curve"][23], run["validation"]);
        }
    }
    let tests = results["tests"].as_array().unwrap();
    let rivals: Vec<&str> = tests.iter().map(|test| test["rival"].as_str().unwrap()).collect();
    assert_eq!(rivals, ALL.split(',').skip(1).collect::<Vec<_>>());
    let mean = |name: &str| results["strategies"][name]["validation"]["mean"].as_f64().unwrap();
    let difference = tests[1]["difference"].as_f64().unwrap();
    assert!((difference - (mean("graphpnas") - mean("random"))).abs() <= 1e-12);
    assert!(std::fs::read_to_string(place.path("one/comparison.html")).unwrap().contains("local-search"));

    // In another process, on two threads, into another folder.
    let other = place.arg("two");
    let again = compare(&other, &["--strategies", ALL, "--seeds", "21..23", "--threads", "2"]);
    assert_eq!(timeless(results.clone()), timeless(again));
    let prints = |out: &str| fingerprint(&read(&place.path(&format!("{out}/reinforce/22"))));
    assert_eq!(prints("one"), prints("two"));
    // What is there is read, not repeated; and another configuration does not go there.
    let kept = compare(&out, &["--strategies", ALL, "--seeds", "21..23"]);
    assert_eq!(timeless(results), timeless(kept));
    let args = ["compare", CONFIG_201, "--out", &out, "--strategies", "random", "--seeds", "21", "--set", TABLE];
    let said = say(&args);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("differs in") && said.stderr.contains("search.budget"), "{said:?}");
}

#[test]
fn the_table_is_for_people() {
    if !is_there() {
        return;
    }
    let place = Workplace::new();
    let out = place.arg("out");
    let args = ["compare", CONFIG_201, "--out", &out, "--strategies", "random,local-search", "--seeds", "1,5"];
    let said = succeed(&[&args[..], &["--budget", "12", "--threads", "1", "--set", TABLE]].concat());
    let part = |text: &str| assert!(said.stdout.contains(text), "{text}: {said:?}");
    for text in ["after 12 architectures of 2 runs", "the best there is: 38.67 %", "random less its rivals", "Wilcoxon"]
    {
        part(text);
    }
    assert!(said.stderr.contains("4/4") && said.stderr.contains("runs/s"), "{said:?}");
}

#[test]
fn wrong_comparisons_are_refused_in_one_line() {
    for (args, part) in [
        (&["--strategies", "graphpnas,annealing", "--seeds", "1"][..], "search.strategy = \"annealing\""),
        (&["--strategies", "random,random", "--seeds", "1"], "\"random\" is given twice"),
        (&["--strategies", "ws", "--seeds", "1"], "explorer"),
        (&["--strategies", "random", "--seeds", "3..1"], "FIRST at most LAST"),
        (&["--strategies", "random", "--seeds", "x"], "no seed"),
        (&["--strategies", "random"], "--seeds"),
        (&["--seeds", "1"], "--strategies"),
        (&["--strategies", "random", "--seeds", "1", "--set", "search.tournamet=3"], "tournament"),
    ] {
        let said = say(&[&["compare", CONFIG_201][..], args].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {said:?}");
        assert_eq!(said.stderr.trim().lines().count(), 1, "{said:?}");
        assert!(said.stderr.contains(part) && said.stdout.is_empty(), "{part}: {said:?}");
    }
}

#[test]
fn a_run_with_any_strategy_comes_to_its_end() {
    if !is_there() {
        return;
    }
    for strategy in ["rnn", "regularized-evolution"] {
        let place = Workplace::new();
        let out = place.arg("run");
        let quick: Vec<&str> = QUICK[..14].to_vec();
        let set = format!("search.strategy={strategy}");
        let args = ["run", CONFIG_201, "--out", &out, "--quiet", "--set", "search.budget=15", "--set", &set];
        let said = succeed(&[&args[..], &quick[..]].concat());
        assert!(said.stdout.contains("test"), "{said:?}");
        let again = succeed(&[&args[..], &["--resume"], &quick[..]].concat());
        assert!(again.stderr.contains("is finished already"), "{again:?}");
        let sample = say(&["sample", &out, "-n", "3", "--json"]);
        if strategy == "rnn" {
            assert_eq!(sample.json().as_array().unwrap().len(), 3);
            assert!(succeed(&["score", &out, &place.arg("run/best.json")]).stdout.starts_with("log-probability"));
        } else {
            assert_eq!(sample.code, Some(1));
            assert!(sample.stderr.contains("search.strategy = \"regularized-evolution\" fits none"), "{sample:?}");
        }
    }
}
