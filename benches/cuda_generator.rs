//! Training steps and draws of the graph generator on a CUDA device, timed from the host around whole calls: what a search
//! waits for. Without a device it says so and ends.

mod generator_cases;

use criterion::{Criterion, criterion_group, criterion_main};
use generator_cases::{Case, cases, random_graph, stream};
use graphpnas_fast::device::cuda::Device;
use graphpnas_fast::generator::{CudaSampler, FitSettings, Generator, Gran};
use graphpnas_fast::graph::LabelledGraph;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Epochs of a fit whose set-up is taken away by a fit of half as many.
const EPOCHS: usize = 64;

/// Draws of a call.
const DRAWS: usize = 256;

/// Time of one step in a long fit: the difference of two fits, which have the same set-up.
fn step(device: &Arc<Device>, generator: &Generator, buffer: &[Vec<LabelledGraph>]) -> Duration {
    let fit = |epochs: usize| {
        let mut generator = generator.clone();
        let settings =
            FitSettings { epochs, batch: buffer.len(), learning_rate: 1e-4, seed: 1, iteration: 0, threads: 1 };
        let weights = vec![1.0; buffer.len()];
        let start = Instant::now();
        let stop = AtomicBool::new(false);
        generator.fit_on(device, (buffer, &weights), &settings, &stop).expect("a finite loss");
        start.elapsed()
    };
    // Criterion takes no step of no time.
    (fit(EPOCHS).saturating_sub(fit(EPOCHS / 2)) / (EPOCHS / 2) as u32).max(Duration::from_nanos(1))
}

fn refit_and_sample(criterion: &mut Criterion) {
    let device = match Device::open(0) {
        Ok(device) => device,
        Err(error) => return println!("not measured: {error}"),
    };
    println!("{}", device.name().unwrap_or_default());
    let mut group = criterion.benchmark_group("cuda_generator");
    group.sample_size(10);
    for Case { name, config, batch, edges } in cases() {
        let mut stream = stream();
        let buffer: Vec<_> = (0..batch).map(|_| vec![random_graph(&config, edges, &mut stream)]).collect();
        let generator =
            Generator::from_components(vec![Gran::new(config, &mut stream).expect("a legal configuration")]);
        group.bench_function(format!("step_{name}"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| step(&device, &generator, &buffer)).sum());
        });
        let mut sampler = CudaSampler::new(&device);
        group.bench_function(format!("draw{DRAWS}_{name}"), |bencher| {
            bencher.iter(|| generator.sample_on(&mut stream.clone(), DRAWS, &mut sampler).expect("draws"));
        });
    }
    group.finish();
}

criterion_group!(benches, refit_and_sample);
criterion_main!(benches);
