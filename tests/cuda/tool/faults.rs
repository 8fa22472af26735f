//! Devices that fail: too little memory, wrong numbers, lost in the middle of a run.

use super::{Workplace, findings};
use crate::support::device;
use graphpnas_fast::data;
use graphpnas_fast::device::cuda::{Network, NetworkOptions, Storage};
use graphpnas_fast::net::Plan;
use graphpnas_fast::oracle::lower;
use graphpnas_fast::store::{CandidateRecord, RunRecord, fingerprint};

fn emulated() -> bool {
    let emulated = device().is_some_and(|device| device.is_emulated());
    if !emulated {
        println!("skipped: only the emulated device fails when it is told to");
    }
    emulated
}

/// Bytes that the data set and so many of a run's networks take on the device, tables and captured steps not counted.
fn memory(record: &RunRecord, networks: usize) -> usize {
    let config = &record.config;
    let (dataset, _) = data::load(&config.data, config.run.seed).unwrap();
    let lowered = |candidate: &CandidateRecord| lower(&candidate.architecture, &config.space, &dataset).unwrap();
    let plans: Vec<Plan> = record.candidates[..networks].iter().map(lowered).collect();
    let options = NetworkOptions { batch: config.oracle.training.batch, storage: Storage::F32 };
    dataset.pixels().len() + size_of_val(dataset.normalised()) + Network::bytes(&plans, options).unwrap()
}

#[test]
fn too_little_memory_splits_a_batch() {
    if !emulated() {
        return;
    }
    let place = Workplace::new();
    // Batches of so many images that three networks take more memory than the self-test's.
    let auto = ["--device", "cuda", "--set", "oracle.batch=28"];
    let record = place.finish("all", &auto, &[]);
    let expected = findings(&record);
    let [of_one, of_three] = [memory(&record, 1).to_string(), memory(&record, 3).to_string()];
    let three = [&auto[..], &["--set", "oracle.candidates_per_batch=3"]].concat();
    let limit = [("EMULATOR_MEMORY", &of_three[..])];
    let said = place.run("split", &three, &limit);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("emulator: "), "there was memory for all: {said:?}");
    assert_eq!(findings(&place.record("split")), expected);
    // As many as fit are chosen beforehand.
    let said = place.run("auto", &auto, &limit);
    assert_eq!((said.code, said.stderr.contains("emulator: ")), (Some(0), false), "{said:?}");
    assert_eq!(findings(&place.record("auto")), expected);
    // Where not even one does, the run ends and says so.
    let said = place.run("none", &three, &[("EMULATOR_MEMORY", &of_one)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("bytes left"), "{said:?}");
}

#[test]
fn a_device_that_fails_its_self_test_is_not_used() {
    if !emulated() {
        return;
    }
    let place = Workplace::new();
    let broken = [("EMULATOR_SKIP", "gather_f32")];
    let said = place.run("cuda", &["--device", "cuda"], &broken);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("wrong numbers in f32") && said.stderr.contains("`cpu`"), "{said:?}");
    assert!(!place.path("cuda").exists());
    let said = place.run("auto", &["--device", "auto"], &broken);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert!(said.stderr.starts_with("the CPU is used: the CUDA device computes wrong numbers in f32"), "{said:?}");
    let on_cpu = place.finish("cpu", &["--device", "cpu"], &[]);
    assert_eq!(findings(&place.record("auto")), findings(&on_cpu));
}

#[test]
fn a_lost_device_ends_the_run_which_can_be_resumed() {
    if !emulated() {
        return;
    }
    let place = Workplace::new();
    let said = place.run("whole", &["--device", "cuda"], &[("EMULATOR_TRACE", "1")]);
    let all = said.stderr.lines().filter(|line| line.contains("<<<")).count();
    let whole = fingerprint(&place.record("whole"));
    let mut evaluated = Vec::new();
    for share in [0.3, 0.6, 0.95] {
        let launches = &format!("{:.0}", all as f64 * share)[..];
        let said = place.run(launches, &["--device", "cuda"], &[("EMULATOR_LOSE_DEVICE_AFTER", launches)]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let error = said.stderr.lines().last().unwrap();
        assert!(error.starts_with("error: the device failed; ") && error.contains(" --resume`"), "{said:?}");
        let record = place.record(launches);
        evaluated.push(record.candidates.iter().filter(|candidate| candidate.outcome.is_some()).count());
        assert!(record.finished.is_none());
        let resumed = place.finish(launches, &["--device", "cuda", "--resume"], &[]);
        assert_eq!(fingerprint(&resumed), whole);
    }
    // In the first iteration, in the second, in the long training.
    assert_eq!(evaluated, [0, 3, 6]);
}
