//! `doctor`, and whether the self-test finds kernels that do nothing.

use super::say;
use crate::support::device;

const STORAGES: [&str; 3] = ["f32", "f16", "bf16"];

/// Kernels of which there is one for each storage.
const KERNELS: [&str; 12] = [
    "windows",
    "windows_augmented",
    "gather",
    "gather_sums",
    "depthwise",
    "depthwise_backward",
    "product",
    "product_input",
    "product_weight",
    "pool",
    "head_gradient",
    "sgd",
];

#[test]
fn doctor_describes_the_device() {
    let Some(device) = device() else { return };
    let found = say(&["doctor", "--json"], &[]).json();
    let cuda = &found["cuda"];
    assert_eq!(cuda["device"]["name"], device.name().unwrap());
    assert!(cuda["kernels"].as_str().is_some_and(|kernels| kernels.contains("sm_80")), "{cuda}");
    for test in cuda["device"]["self_tests"].as_array().unwrap() {
        assert_eq!(test["passed"], true, "{cuda}");
    }
    assert_eq!(cuda["device"]["copy_gb_per_s"].is_null(), device.is_emulated());
    assert!(cuda["device"]["memory_free_mb"].as_u64().unwrap() > 0);
    let text = say(&["doctor"], &[]).stdout;
    assert!(text.contains("f32 passed, f16 passed, bf16 passed") && text.contains("CUDA kernels"), "{text}");
}

/// The self-tests that fail where these kernels do nothing.
fn failing(skipped: &str) -> Vec<String> {
    let found = say(&["doctor", "--json"], &[("EMULATOR_SKIP", skipped)]).json();
    let tests = found["cuda"]["device"]["self_tests"].as_array().unwrap_or_else(|| panic!("{found}")).clone();
    let failed = tests.iter().filter(|test| test["passed"] == false);
    failed.map(|test| test["precision"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_self_test_misses_no_kernel() {
    if !device().is_some_and(|device| device.is_emulated()) {
        return;
    }
    // Three kernels at a time, one of each storage, so that every kernel is left out once in each.
    for first in 0..KERNELS.len() {
        let of = |shift: usize| format!("{}_{}", KERNELS[(first + shift) % KERNELS.len()], STORAGES[shift]);
        let skipped = [of(0), of(1), of(2)].join(",");
        assert_eq!(failing(&skipped), STORAGES, "{skipped}");
    }
    for plain in ["normalise", "output_gradient", "loss", "bias_gradient", "unpool"] {
        assert_eq!(failing(plain), STORAGES, "{plain}");
    }
    assert_eq!(failing("round_f16"), ["f16"]);
    assert_eq!(failing("round_bf16"), ["bf16"]);
}
