//! `doctor`, and whether the self-test finds kernels that do nothing.

use super::say;
use crate::support::device;

const STORAGES: [&str; 3] = ["f32", "f16", "bf16"];

/// Kernels of which there is one for each storage.
const KERNELS: [&str; 21] = [
    "windows",
    "windows_augmented",
    "gather",
    "gather_sums",
    "depthwise",
    "depthwise_backward",
    "join",
    "join_back",
    "convolution",
    "convolution_input",
    "convolution_weight",
    "pool_windows",
    "pool_windows_back",
    "separable",
    "separable_weight",
    "product",
    "product_input",
    "product_weight",
    "pool",
    "head_gradient",
    "sgd",
];

const GENERATOR_KERNELS: [&str; 19] = [
    "adam",
    "dense",
    "dense_input",
    "dense_weight",
    "differences",
    "differences_gradient",
    "draw",
    "edge_sums",
    "edge_sums_gradient",
    "edges_gradient",
    "features",
    "gate",
    "gate_gradient",
    "graph_loss",
    "gru",
    "gru_gradient",
    "score",
    "score_gradient",
    "sum_partials",
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
    assert!(
        text.contains("f32 passed, f16 passed, bf16 passed, generator passed") && text.contains("CUDA kernels"),
        "{text}"
    );
}

/// The self-tests that fail where these kernels do nothing.
fn failing(skipped: &str) -> Vec<String> {
    let found = say(&["doctor", "--json"], &[("EMULATOR_SKIP", skipped)]).json();
    let tests = found["cuda"]["device"]["self_tests"].as_array().unwrap_or_else(|| panic!("{found}")).clone();
    let failed = tests.iter().filter(|test| test["passed"] == false);
    failed.map(|test| test["of"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_self_test_misses_no_kernel() {
    if !device().is_some_and(|device| device.is_emulated()) {
        return;
    }
    // Three kernels at a time, one of each storage, so that every kernel is left out once in each.
    let of_networks = (0..KERNELS.len()).map(|first| {
        let of = |shift: usize| format!("{}_{}", KERNELS[(first + shift) % KERNELS.len()], STORAGES[shift]);
        ([of(0), of(1), of(2)].join(","), &STORAGES[..])
    });
    let plain =
        ["normalise", "output_gradient", "loss", "bias_gradient", "unpool", "square_gradients", "clip_gradients"];
    let of_networks = of_networks
        .chain(plain.map(|kernel| (kernel.to_string(), &STORAGES[..])))
        .chain([("round_f16".to_string(), &STORAGES[1..2]), ("round_bf16".to_string(), &STORAGES[2..])]);
    // With each of these one of the generator's, as long as there are any.
    let of_networks: Vec<(String, &[&str])> = of_networks.collect();
    assert!(of_networks.len() >= GENERATOR_KERNELS.len());
    for (number, (skipped, failed)) in of_networks.into_iter().enumerate() {
        let of_generator: Vec<&str> = GENERATOR_KERNELS.get(number).copied().into_iter().collect();
        let skipped = [&[&skipped[..]], &of_generator[..]].concat().join(",");
        let generator: &[&str] = if of_generator.is_empty() { &[] } else { &["generator"] };
        assert_eq!(failing(&skipped), [failed, generator].concat(), "{skipped}");
    }
}
