//! Refit steps of the graph generator on one thread, with the flops of their products and their share of the ceiling.

mod generator_cases;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use generator_cases::{Case, cases, random_graph, stream};
use graphpnas_fast::device::cpu::{InstructionSet, fma_peak};
use graphpnas_fast::generator::{FitSettings, Generator, Gran};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Steps of a measured fit: its set-up is spread over them.
const STEPS: usize = 4;

/// Bytes that a step moves for every parameter, whatever the graphs: Adam reads weight, gradient and two moments and writes
/// all but the gradient.
const OPTIMISER_TRAFFIC: f64 = 7.0 * 4.0;

fn refit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refit_step");
    group.sample_size(10);
    let peak = fma_peak(InstructionSet::best(), 1, Duration::from_millis(500));
    for Case { name, config, batch, edges } in cases() {
        let mut stream = stream();
        let graphs: Vec<_> = (0..batch).map(|_| random_graph(&config, edges, &mut stream)).collect();
        let gran = Gran::new(config, &mut stream).expect("a legal configuration");
        let cost = gran.training_cost(&graphs);
        let total = cost.forward + cost.backward;
        let parameters = gran.parameter_count();
        let mut generator = Generator::from_components(vec![gran]);
        let buffer: Vec<_> = graphs.into_iter().map(|graph| vec![graph]).collect();
        let weights = vec![1.0; batch];
        let settings = FitSettings { epochs: STEPS, batch, learning_rate: 1e-4, seed: 1, iteration: 0, threads: 1 };
        let mut fit = || generator.fit(&buffer, &weights, &settings, &AtomicBool::new(false)).expect("a finite loss");
        fit();
        let start = Instant::now();
        fit();
        let rate = 2.0 * (total * STEPS as u64) as f64 / start.elapsed().as_secs_f64();
        println!(
            "{name}: {parameters} parameters; a step of {:.1} Mflop, at least {:.1} MB; {STEPS} steps a run at {:.1} GFLOP/s = \
             {:.0} % of {:.1}",
            2.0 * total as f64 / 1e6,
            OPTIMISER_TRAFFIC * parameters as f64 / 1e6,
            rate / 1e9,
            rate / peak * 100.0,
            peak / 1e9
        );
        group.throughput(Throughput::Elements(total * STEPS as u64));
        group.bench_function(name, |bencher| bencher.iter(&mut fit));
    }
    group.finish();
}

criterion_group!(benches, refit);
criterion_main!(benches);
