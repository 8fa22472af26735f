//! A run from its configuration to its report.

use crate::support::{FILES, FINISHED, REPRODUCIBLE, Workplace, bytes, copy, read, say, succeed};
use graphpnas_fast::report::Manifest;
use graphpnas_fast::search::best;
use graphpnas_fast::space::read_architecture;
use graphpnas_fast::store::{Origin, fingerprint};

#[test]
fn a_run_leaves_every_file_and_says_what_it_came_to() {
    let place = Workplace::new();
    let said = place.run("run", &[]);
    let run = place.path("run");
    let mut found: Vec<String> =
        run.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut expected: Vec<&str> = FILES.iter().copied().chain(["journal.lock"]).collect();
    expected.sort();
    assert_eq!(found, expected);

    let record = read(&run);
    let end = record.finished.as_ref().unwrap();
    let best = best(&record.candidates).unwrap();
    assert_eq!((record.candidates.len(), end.candidate, end.training_losses.len()), (10, best.number, 4));
    assert_eq!(end.validation_accuracy, None);
    let accuracy = best.outcome.as_ref().unwrap().validation_accuracy.unwrap();
    for part in [
        "10 distinct networks".to_string(),
        format!("best validation accuracy  {:.2} %", 100.0 * accuracy),
        format!("its test accuracy         {:.2} %", 100.0 * end.test_accuracy),
        "(mean of 3)".into(),
        "(mean of its last 3)".into(),
        run.join("report.html").display().to_string(),
    ] {
        assert!(said.stdout.contains(&part), "{part}: {}", said.stdout);
    }
    let architecture = read_architecture(&String::from_utf8(bytes(&run, "best.json")).unwrap()).unwrap();
    assert_eq!(architecture, best.architecture);
    let manifest = Manifest::read(&run.join("manifest.json")).unwrap();
    assert_eq!((manifest.config, manifest.data.training_images), (record.config, 1000));
    assert!(manifest.sessions.len() == 1 && manifest.sessions[0].ended.is_some());
    assert!(String::from_utf8(bytes(&run, "report.html")).unwrap().contains("tiny"));
    // One line a candidate, with number and total.
    let lines = said
        .stderr
        .lines()
        .filter(|line| line.contains("/10  ") && line.contains("  candidate ") && line.contains(" a minute, about "))
        .count();
    assert_eq!(lines, 10, "{}", said.stderr);
}

#[test]
fn json_is_the_journal_s() {
    let place = Workplace::new();
    let said = place.run("run", &["--json", "--quiet"]);
    assert_eq!(said.stderr, "");
    let (json, record) = (said.json(), read(&place.path("run")));
    let mean = |generator: bool| {
        let by = record.candidates.iter().filter(|c| (c.origin == Origin::Generator) == generator);
        let all: Vec<f64> = by.map(|c| c.outcome.as_ref().unwrap().validation_accuracy.unwrap()).collect();
        let of = if generator { &all[all.len() - all.len().div_ceil(3)..] } else { &all[..] };
        of.iter().sum::<f64>() / of.len() as f64
    };
    for (found, expected) in [
        (&json["test_accuracy"], record.finished.as_ref().unwrap().test_accuracy),
        (&json["explorer"]["mean_validation_accuracy"], mean(false)),
        (&json["generator_last_third"]["mean_validation_accuracy"], mean(true)),
        (&json["gain"]["difference"], mean(true) - mean(false)),
    ] {
        assert!((found.as_f64().unwrap() - expected).abs() <= 1e-12, "{found} {expected}");
    }
    assert_eq!(json["candidates"], 10);
    assert_eq!(json["best"]["candidate"], record.finished.as_ref().unwrap().candidate);
    assert_eq!(json["fingerprint"], fingerprint(&record));
}

#[test]
fn the_seed_decides_everything_and_threads_nothing() {
    let place = Workplace::new();
    let print = |name: &str, more: &[&str]| {
        place.run(name, &[&["--quiet"], more].concat());
        fingerprint(&read(&place.path(name)))
    };
    let first = print("first", &["--threads", "1"]);
    let second = print("second", &["--threads", "2"]);
    assert_eq!(first, second);
    for name in REPRODUCIBLE {
        assert!(bytes(&place.path("first"), name) == bytes(&place.path("second"), name), "{name}");
    }
    assert_ne!(print("other", &["--seed", "2"]), first);
    assert_eq!(print("again", &["--set", "run.seed=2", "--seed", "1"]), first);
}

#[test]
fn the_default_directory_is_named_after_the_run() {
    let place = Workplace::new();
    let said = crate::support::command(&["run", "tiny.toml", "--quiet", "--set", "run.name=by-name"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(place.path("runs/by-name/report.html").is_file());
}

#[test]
fn a_finished_run_gets_its_missing_files_back() {
    let place = Workplace::new();
    let (run, original) = (place.path("run"), FINISHED.path("run"));
    copy(&original, &run);
    let (config, out) = (place.config(), place.arg("run"));
    let resume = ["run", &config, "--out", &out, "--resume", "--json"];
    let said = say(&resume);
    assert!(said.stderr.contains("finished already"), "{said:?}");
    let print = said.json()["fingerprint"].clone();
    for lost in [&FILES[1..2], &["best.safetensors"], &["best.onnx", "best.json"], &["report.html"], &FILES[1..]] {
        lost.iter().for_each(|name| std::fs::remove_file(run.join(name)).unwrap());
        assert_eq!(succeed(&resume).json()["fingerprint"], print, "{lost:?}");
        assert!(FILES.iter().all(|name| run.join(name).is_file()), "{lost:?}");
        for name in REPRODUCIBLE {
            assert!(bytes(&run, name) == bytes(&original, name), "{lost:?}: {name}");
        }
    }
}
