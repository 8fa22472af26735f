//! `profile --check --device cuda`.

use super::say;
use crate::support::device;

fn workload(name: &str) -> String {
    format!("{}/tests/data/workloads/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_check_reproduces_the_cpus_losses() {
    if device().is_none() {
        return;
    }
    for precision in ["f32", "f16", "bf16"] {
        let path = workload("W1");
        let said =
            say(&["profile", &path, "--check", "--device", "cuda", "--precision", precision, "--batch", "8"], &[]);
        println!("{said:?}");
        let json = said.json();
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!((&json["precision"], &json["params"]), (&precision.into(), &118_125.into()));
        assert_eq!(json["scaled"], "batch 8 instead of 64");
        // What it prints beside the CPU's is what the CPU's own check prints.
        let cpu = say(&["profile", &path, "--check", "--batch", "8"], &[]).json();
        assert_eq!(json["cpu"]["losses"], cpu["losses"]);
    }
}

#[test]
fn a_device_that_is_lost_is_an_error() {
    if !device().is_some_and(|device| device.is_emulated()) {
        return;
    }
    let lost = [("EMULATOR_LOSE_DEVICE_AFTER", "500")];
    let said = say(&["profile", &workload("W1"), "--check", "--device", "cuda", "--batch", "2"], &lost);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.lines().last().is_some_and(|line| line.starts_with("error: ")), "{said:?}");
}
