//! SIGINT and SIGTERM end a run cleanly.
#![cfg(unix)]

use crate::support::{FINISHED, REPRODUCIBLE, Workplace, bytes, command, read, say, succeed};
use graphpnas_fast::store::{Journal, RunRecord, fingerprint};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits until the run's journal is as wanted.
fn wait_for(run: &Path, wanted: impl Fn(&RunRecord) -> bool) {
    let start = Instant::now();
    while !Journal::read(run).is_ok_and(|record| wanted(&record)) {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// The last line of an interrupted run.
fn end(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    text.lines().last().unwrap().to_string()
}

#[test]
fn the_line_of_an_interrupted_run_takes_it_up_again() {
    for name in ["INT", "TERM"] {
        let place = Workplace::new();
        let (config, out) = (place.config(), place.arg("a run"));
        let child = command(&["run", &config, "--out", &out, "--threads", "1"]).spawn().unwrap();
        wait_for(&place.path("a run"), |record| record.candidates.iter().any(|c| c.outcome.is_some()));
        signal(&child, name);
        let line = end(child);
        assert!(line.starts_with("interrupted: ") && line.contains(" of 10 candidates evaluated"), "{line}");
        let again = line.split('`').nth(1).unwrap();
        assert!(again.ends_with(" --resume"), "{line}");
        assert!(read(&place.path("a run")).finished.is_none());
        let resumed = Command::new("sh").args(["-c", &format!("{again} --quiet")]).output().unwrap();
        assert!(resumed.status.success(), "{resumed:?}");
        let expected = fingerprint(&read(&FINISHED.path("run")));
        assert_eq!(fingerprint(&read(&place.path("a run"))), expected);
    }
}

#[test]
fn a_long_training_goes_on_where_it_was_killed() {
    let place = Workplace::new();
    let (config, out) = (place.config(), place.arg("run"));
    let long = ["--set", "retrain.epochs=60", "--set", "search.budget=4"];
    let arguments = [&["run", &config, "--out", &out, "--resume"], &long[..]].concat();
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.map(Result::unwrap).find(|line| line.starts_with("epoch 7/60:"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen.is_some());
    let resumed = succeed(&arguments);
    let epochs: Vec<&str> = resumed.stderr.lines().filter(|line| line.starts_with("epoch ")).collect();
    assert!(!epochs.is_empty() && epochs.len() <= 53, "epoch 7 is kept before it is told: {epochs:?}");
    assert!(!place.path("run/training.safetensors").exists());

    let whole = Workplace::new();
    whole.run("run", &long);
    assert_eq!(fingerprint(&read(&place.path("run"))), fingerprint(&read(&whole.path("run"))));
    for name in REPRODUCIBLE {
        assert!(bytes(&place.path("run"), name) == bytes(&whole.path("run"), name), "{name}");
    }
}

#[test]
fn the_long_training_can_be_interrupted_too() {
    let place = Workplace::new();
    let (config, out) = (place.config(), place.arg("run"));
    let long = ["--set", "retrain.epochs=100000", "--set", "search.budget=4"];
    let child = command(&[&["run", &config, "--out", &out], &long[..]].concat()).spawn().unwrap();
    // The last fit has the number after the last iteration.
    wait_for(&place.path("run"), |record| record.iterations.len() == 3);
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let line = end(child);
    assert!(line.contains("4 of 4 candidates evaluated"), "{line}");
    let said = say(&["eval", &out, "--split", "test"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("is unfinished (4 of 4 candidates evaluated)"), "{}", said.stderr);
    let said = say(&["export", &out, "--format", "json", "--out", &place.arg("best.json")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(say(&["report", &out]).code, Some(0));
}
