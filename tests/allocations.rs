//! All memory of a network is planned before its first step: steps ask the allocator for nothing.

use graphpnas_fast::device::cpu::{Batch, InstructionSet, Network, NetworkOptions, Step};
use graphpnas_fast::net::Workload;

#[test]
fn steps_allocate_nothing() {
    let json = std::fs::read_to_string("tests/data/workloads/W1.json").unwrap();
    let workload = Workload::from_json(&json).unwrap();
    let (pixels, labels) = (workload.images(), workload.labels());
    let batch = Batch { pixels: &pixels, labels: &labels };
    for threads in [1, 2] {
        let options = NetworkOptions { batch: workload.batch, threads, set: InstructionSet::best() };
        let mut network = Network::new(&workload.plan, options);
        network.load(&workload.weights());
        let mask = vec![1.0; workload.batch * network.features()];
        let dropout = Some(&mask[..]);
        let step = Step { learning_rate: 0.1, momentum: 0.9, weight_decay: 5e-5, label_smoothing: 0.1, dropout };
        let counted = allocation_counter::measure(|| {
            network.train(batch, step);
            network.evaluate(batch, 0.1);
        });
        assert_eq!(counted.count_total, 0, "{threads} threads: {counted:?}");
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}
