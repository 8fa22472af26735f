//! The reference table of the workloads, computed by PyTorch: parameters, losses of five training steps, evaluation.

use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use graphpnas_fast::net::Workload;

struct Row {
    name: &'static str,
    parameters: u64,
    multiply_adds: Option<f64>,
    losses: [f64; 5],
    evaluation: f64,
}

const TABLE: [Row; 5] = [
    Row {
        name: "W1",
        parameters: 118_125,
        multiply_adds: Some(3.51e6),
        losses: [2.358147, 2.200019, 2.041909, 1.920018, 1.792404],
        evaluation: 2.645254,
    },
    Row {
        name: "W1-er",
        parameters: 111_570,
        multiply_adds: None,
        losses: [2.393096, 2.248172, 2.107681, 2.001883, 1.896016],
        evaluation: 3.330735,
    },
    Row {
        name: "W2",
        parameters: 429_213,
        multiply_adds: Some(14.9e6),
        losses: [2.378788, 2.115693, 1.941015, 1.762563, 1.509727],
        evaluation: 2.360399,
    },
    Row {
        name: "W2-er",
        parameters: 413_784,
        multiply_adds: None,
        losses: [2.394497, 2.189733, 2.050734, 1.892850, 1.645944],
        evaluation: 2.265631,
    },
    Row {
        name: "W3",
        parameters: 4_585_315,
        multiply_adds: Some(151.4e6),
        losses: [5.376324, 4.131516, 2.730674, 1.826305, 1.333382],
        evaluation: 3.908551,
    },
];

fn workload(name: &str) -> Workload {
    let path = format!("{}/tests/data/workloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Workload::from_json(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Five training steps and an evaluation on the fixed batch.
fn run(workload: &Workload, threads: usize, set: InstructionSet) -> ([f64; 5], f64) {
    let mut network = Network::new(&workload.plan, NetworkOptions { batch: workload.batch, threads, set });
    network.load(&workload.weights());
    let (pixels, labels) = (workload.images(), workload.labels());
    let batch = Batch { pixels: &pixels, labels: &labels };
    let step = Step {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 5e-5,
        gradient_clip: None,
        label_smoothing: 0.1,
        dropout: None,
    };
    let losses = std::array::from_fn(|_| network.train(batch, step).loss);
    (losses, network.evaluate(batch, 0.1).loss)
}

fn close(got: f64, want: f64, relative: f64) -> bool {
    (got - want).abs() <= relative * want.abs()
}

/// Whether two threads reproduce a row.
fn check(row: &Row) {
    let workload = workload(row.name);
    assert_eq!(workload.plan.trained_parameters(), row.parameters);
    if let Some(expected) = row.multiply_adds {
        assert!(close(workload.plan.multiply_adds() as f64, expected, 5e-3));
    }
    check_losses(row, InstructionSet::best(), run(&workload, 2, InstructionSet::best()));
}

fn check_losses(row: &Row, set: InstructionSet, (losses, evaluation): ([f64; 5], f64)) {
    let name = row.name;
    for (step, (got, want)) in losses.iter().zip(row.losses).enumerate() {
        let bound = if step < 2 { 1e-4 } else { 5e-3 };
        assert!(close(*got, want, bound), "{name} on {set}, step {step}: {got}, not {want}");
    }
    assert!(close(evaluation, row.evaluation, 3e-2), "{name} on {set}: {evaluation}, not {}", row.evaluation);
}

#[test]
fn reference_table_is_reproduced() {
    TABLE.iter().for_each(check);
}

#[test]
fn other_instruction_sets_reproduce_it_too() {
    for set in [InstructionSet::Portable, InstructionSet::Portable16] {
        for row in &TABLE[..3] {
            check_losses(row, set, run(&workload(row.name), 1, set));
        }
    }
}

#[test]
fn threads_change_nothing() {
    let workload = workload("W1");
    let one = run(&workload, 1, InstructionSet::best());
    for threads in [2, 3, 4] {
        assert_eq!(run(&workload, threads, InstructionSet::best()), one, "{threads} threads");
    }
}
