//! `retrain --samples`: draws of the learnt distribution trained with several seeds, beside the best and random networks.

use crate::support::{FINISHED, Workplace, command, read, say, succeed};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

fn retrain(out: &str, more: &[&str]) -> Value {
    let run = FINISHED.arg("run");
    succeed(&[&["retrain", &run, "--out", out, "--json", "--quiet"][..], more].concat()).json()
}

fn accuracies(network: &Value) -> Vec<f64> {
    network["test_accuracies"].as_array().unwrap().iter().map(|accuracy| accuracy.as_f64().unwrap()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn every_group_is_trained_with_every_seed() {
    let place = Workplace::new();
    let out = place.arg("out");
    let found = retrain(&out, &["--samples", "3", "--seeds", "1,5", "--against", "er,ws"]);
    let groups = found["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["best", "generator", "er", "ws"]);
    for (group, size) in groups.iter().zip([1, 3, 3, 3]) {
        let networks = group["networks"].as_array().unwrap();
        assert_eq!(networks.len(), size);
        let means: Vec<f64> = networks.iter().map(|network| mean(&accuracies(network))).collect();
        assert!(networks.iter().all(|network| accuracies(network).len() == 2));
        assert!((group["mean"].as_f64().unwrap() - mean(&means)).abs() <= 1e-12);
        let squares: f64 = means.iter().map(|value| (value - mean(&means)).powi(2)).sum();
        let spread = group["standard_deviation"].as_f64().unwrap_or(f64::NAN);
        assert!(if size == 1 { spread.is_nan() } else { (spread - (squares / 2.0).sqrt()).abs() <= 1e-12 });
    }
    // The run's seed is 1: its best network is trained as the run's end trained it.
    let end = read(&FINISHED.path("run")).finished.unwrap();
    assert_eq!(groups[0]["networks"][0]["test_accuracies"][0].as_f64(), Some(end.test_accuracy));
    let drawn = succeed(&["sample", &FINISHED.arg("run"), "-n", "3", "--json"]).json();
    for (network, sample) in groups[1]["networks"].as_array().unwrap().iter().zip(drawn.as_array().unwrap()) {
        assert_eq!(network["architecture"], sample["architecture"]);
    }
    assert_ne!(groups[2]["networks"][0]["architecture"], groups[2]["networks"][1]["architecture"]);
    let differences: Vec<&str> =
        found["differences"].as_array().unwrap().iter().map(|of| of["group"].as_str().unwrap()).collect();
    assert_eq!(differences, ["er", "ws"]);

    let text =
        succeed(&["retrain", &FINISHED.arg("run"), "--out", &out, "--quiet", "--samples", "3", "--seeds", "1,5"])
            .stdout;
    assert!(text.contains("generator less ws: ") && text.contains("2 seeds"), "{text}");
}

#[test]
fn finished_trainings_are_kept_and_more_of_them_added() {
    let place = Workplace::new();
    let out = place.arg("out");
    let kept = || -> Value { serde_json::from_slice(&std::fs::read(place.path("out/samples.json")).unwrap()).unwrap() };
    retrain(&out, &["--samples", "1", "--against", "er", "--epochs", "1"]);
    let few = kept()["trainings"].as_array().unwrap().clone();
    assert_eq!(few.len(), 3);
    let found = retrain(&out, &["--samples", "2", "--seeds", "1..2", "--against", "er", "--epochs", "1"]);
    let more = kept()["trainings"].as_array().unwrap().clone();
    assert_eq!((more.len(), &more[..3]), (10, &few[..]), "with their times");
    let fresh = retrain(
        &place.arg("fresh"),
        &["--samples", "2", "--seeds", "1..2", "--against", "er", "--epochs", "1", "--threads", "1"],
    );
    assert_eq!(found["groups"], fresh["groups"], "the order and the threads change nothing");

    let run = FINISHED.arg("run");
    let said = say(&["retrain", &run, "--out", &out, "--samples", "1", "--epochs", "2"]);
    assert!(said.code == Some(1) && said.stderr.contains("other settings; name another directory"), "{said:?}");
    std::fs::write(place.path("out/samples.json"), "{").unwrap();
    let said = say(&["retrain", &run, "--out", &out, "--samples", "1", "--epochs", "1"]);
    assert!(said.code == Some(1) && said.stderr.contains("samples.json is damaged"), "{said:?}");
}

#[test]
fn an_interrupted_evaluation_goes_on() {
    let place = Workplace::new();
    let (run, out) = (FINISHED.arg("run"), place.arg("out"));
    let arguments = ["--samples", "2", "--seeds", "1..3", "--against", "none", "--epochs", "3"];
    let whole = retrain(&place.arg("whole"), &arguments);
    for wait in [150, 400] {
        let all = [&["retrain", &run, "--out", &out, "--quiet"][..], &arguments].concat();
        let mut child = command(&all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert_eq!(retrain(&out, &arguments)["groups"], whole["groups"]);
}

#[test]
fn contradictory_arguments_are_refused() {
    let run = FINISHED.arg("run");
    for (arguments, part) in [
        (&["--seeds", "1..2"][..], "--samples"),
        (&["--samples", "2", "--best"], "--best"),
        (&["--samples", "2", "--seed", "3"], "--seed"),
        (&["--samples", "0"], "0"),
        (&["--samples", "1", "--against", "wx"], "\"wx\" is none of ws, er, ba, uniform, full"),
        (&["--samples", "1", "--against", "er,er"], "\"er\" is given twice"),
    ] {
        let place = Workplace::new();
        let said = say(&[&["retrain", &run, "--out", &place.arg("out"), "--quiet"][..], arguments].concat());
        assert!(said.code == Some(2) && said.stderr.contains(part), "{arguments:?}: {said:?}");
    }
    let place = Workplace::new();
    let said = say(&["retrain", &run, "--out", &place.arg("out"), "--samples", "1", "--against", "uniform"]);
    assert!(said.code != Some(0) && said.stderr.contains("of the kind \"uniform\""), "{said:?}");
}
