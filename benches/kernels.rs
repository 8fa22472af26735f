//! The CPU kernels, a fused node and whole steps, each with flops, bytes and its share of this machine's ceilings.

use criterion::{Criterion, criterion_group, criterion_main};
use graphpnas_fast::device::cpu::bench::{DenseBench, DepthwiseBench, GatherBench, NetworkBench, PointwiseBench, Work};
use graphpnas_fast::device::cpu::{InstructionSet, copy_rate, fma_peak};
use graphpnas_fast::net::Workload;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Arithmetic ceiling of one thread, in flops per second.
fn peak() -> f64 {
    static PEAK: OnceLock<f64> = OnceLock::new();
    *PEAK.get_or_init(|| {
        let peak = fma_peak(InstructionSet::best(), 1, Duration::from_millis(500));
        println!("one thread, {}: {:.1} GFLOP/s out of registers", InstructionSet::best(), peak / 1e9);
        peak
    })
}

/// Prints what a run does, and how near a short measurement comes to the ceilings; then lets criterion measure.
fn bench(criterion: &mut Criterion, name: &str, work: Work, mut run: impl FnMut()) {
    let mut runs = 0;
    run();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        run();
        runs += 1;
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(runs);
    let (flops, bytes) = (work.flops / seconds, work.bytes / seconds);
    let copy = copy_rate(InstructionSet::best(), work.bytes as usize, Duration::from_millis(50));
    println!(
        "{name}: {:.3} Mflop at {:.1} GFLOP/s = {:.0} % of {:.1}; {:.1} kB at {:.1} GB/s = {:.0} % of {:.1}",
        work.flops / 1e6,
        flops / 1e9,
        flops / peak() * 100.0,
        peak() / 1e9,
        work.bytes / 1e3,
        bytes / 1e9,
        bytes / copy * 100.0,
        copy / 1e9,
    );
    criterion.bench_function(name, |bencher| bencher.iter(&mut run));
}

fn pointwise(criterion: &mut Criterion) {
    for (rows, channels) in [(196, 16), (196, 64), (128, 128), (128, 312)] {
        let mut kernel = PointwiseBench::new(rows, channels, channels);
        let work = kernel.work();
        bench(criterion, &format!("pointwise {rows} x {channels} x {channels}"), work, || kernel.run());
    }
}

fn dense(criterion: &mut Criterion) {
    for (side, channels, size) in [(16, 128, 3), (32, 128, 3), (8, 256, 3), (32, 36, 5)] {
        let name = format!("dense {size}x{size}, {channels} channels, {side} x {side}");
        let mut kernel = DenseBench::new(side, channels, size);
        let work = kernel.work();
        bench(criterion, &name, work, || kernel.forward());
        bench(criterion, &format!("{name}, gradient of the weight"), work, || kernel.weight_gradient());
    }
}

fn depthwise(criterion: &mut Criterion) {
    for (side, images) in [(4, 8), (7, 2), (14, 1), (16, 1)] {
        let mut kernel = DepthwiseBench::new(side, images);
        let work = kernel.work();
        bench(criterion, &format!("depthwise 3x3, {images} of {side} x {side}"), work, || kernel.run());
    }
}

fn aggregation(criterion: &mut Criterion) {
    for inputs in [1, 2, 4, 7] {
        let mut kernel = GatherBench::new(inputs, 196);
        let work = kernel.work();
        bench(criterion, &format!("gather of {inputs}, 14 x 14"), work, || kernel.run());
    }
}

fn networks(criterion: &mut Criterion) {
    for name in ["W1", "W2", "W3"] {
        let path = format!("{}/tests/data/workloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let workload = Workload::from_json(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut network = NetworkBench::new(&workload);
        let (forward, backward) = (network.forward_work(), network.backward_work());
        let inputs = network.node_inputs();
        bench(criterion, &format!("{name} node of {inputs} inputs, forward"), forward, || network.node(false));
        let both = Work { flops: forward.flops + backward.flops, bytes: forward.bytes + backward.bytes };
        bench(criterion, &format!("{name} node of {inputs} inputs, forward and backward"), both, || network.node(true));
        let flops = 2.0 * workload.plan.multiply_adds() as f64 * workload.batch as f64;
        let floats = workload.plan.values.iter().map(|v| v.channels * v.height * v.width).sum::<usize>();
        let bytes = 8.0 * (floats * workload.batch) as f64;
        let evaluation = Work { flops, bytes };
        bench(criterion, &format!("{name} evaluation step"), evaluation, || network.evaluate());
        let training = Work { flops: 3.0 * flops, bytes: 3.0 * bytes };
        bench(criterion, &format!("{name} training step"), training, || network.train());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = pointwise, dense, depthwise, aggregation, networks
}
criterion_main!(benches);
