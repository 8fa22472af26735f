//! The self-test of a device before generators are fitted there: a tiny one that takes every kernel, against the CPU. It
//! finds kernels that do not run or compute something else; how exact they are is for the tests to say.

use super::super::{FitSettings, Generator, GeneratorError, Gran, GranConfig, InputLayout, Sampler};
use super::CudaSampler;
use crate::device::cuda::{CudaError, Device, Storage};
use crate::graph::{Dag, LabelledGraph};
use crate::random::{Purpose, Stream, StreamKey};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Ten times and more what the tests measure, and a fraction of what any missing or wrong kernel makes.
const LOSS_BOUND: f64 = 1e-4;
/// Of a component's gradient, relative to its largest element.
const GRADIENT_BOUND: f64 = 1e-3;
/// Of losses after some steps.
const LATER_LOSS_BOUND: f64 = 1e-3;
/// Rewards of either sign.
const WEIGHTS: [f64; 3] = [1.0, 0.5, -0.3];
const DRAWS: usize = 6;
/// Three minibatches an epoch of one graph each: the second step is captured, the others are replays of it.
const SETTINGS: FitSettings =
    FitSettings { epochs: 2, batch: 1, learning_rate: 2e-3, seed: 0, iteration: 0, threads: 1 };

impl Generator {
    /// Fits and draws on a device and compares with the CPU.
    ///
    /// # Errors
    /// [`CudaError::SelfTest`]; the driver's.
    pub fn self_test(device: &Arc<Device>) -> Result<(), CudaError> {
        match compare(device) {
            Ok(()) => Ok(()),
            Err(GeneratorError::Device(error)) => Err(error),
            // Nothing is wrong with these graphs on the CPU.
            Err(error) => Err(failure(error.to_string(), f64::NAN, 0.0)),
        }
    }
}

fn compare(device: &Arc<Device>) -> Result<(), GeneratorError> {
    let mut random = stream(1);
    let components: Vec<Gran> =
        configs().into_iter().map(|config| Gran::new(config, &mut random)).collect::<Result<_, _>>()?;
    let generator = Generator::from_components(components);
    let buffer = buffer();
    compare_gradients(device, &generator, &buffer)?;
    compare_draws(device, &generator)?;
    compare_fits(device, generator, &buffer)
}

/// With a gate and without, with operators and without.
fn configs() -> [GranConfig; 2] {
    let small = |nodes: usize, operators: usize| GranConfig {
        layers: 1,
        mixtures: 2,
        ..GranConfig::released(nodes, operators, nodes + 4)
    };
    let plain = GranConfig { attention: None, input: InputLayout::Plain, ..small(4, 0) };
    [GranConfig { attention: Some(6), ..small(4, 3) }, plain]
}

fn buffer() -> Vec<Vec<LabelledGraph>> {
    let wirings: [&[[usize; 2]]; 3] = [&[[0, 1], [1, 2], [0, 3]], &[[0, 2], [1, 2], [1, 3], [2, 3]], &[[0, 1], [2, 3]]];
    let graphs = wirings.iter().enumerate().filter_map(|(number, edges)| {
        let dag = Dag::new(4, edges).ok()?;
        let operators = (0..4).map(|node| ((node + number) % 3) as u8).collect();
        Some(vec![LabelledGraph { dag: dag.clone(), operators }, LabelledGraph { dag, operators: Vec::new() }])
    });
    graphs.collect()
}

fn stream(number: u64) -> Stream {
    StreamKey { seed: 0, purpose: Purpose::Synthetic, candidate: number, epoch: 0 }.stream()
}

fn compare_gradients(
    device: &Arc<Device>,
    generator: &Generator,
    buffer: &[Vec<LabelledGraph>],
) -> Result<(), GeneratorError> {
    let got = generator.loss_gradient_on(device, buffer, &WEIGHTS)?;
    let want = generator.loss_gradient(buffer, &WEIGHTS)?;
    near("the generator's loss", relative(got.loss, want.loss), LOSS_BOUND)?;
    for (component, (got, want)) in got.gradients.iter().zip(&want.gradients).enumerate() {
        let most = want.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        // The sum keeps a number that is none, which `max` would drop.
        let distance = got.iter().zip(want).map(|(got, want)| f64::from((got - want).abs() / most));
        let distance = distance.fold(0.0, |most, value| if value <= most { most } else { value });
        near(&format!("the gradient of the generator's graph {component}"), distance, GRADIENT_BOUND)?;
    }
    Ok(())
}

fn compare_draws(device: &Arc<Device>, generator: &Generator) -> Result<(), GeneratorError> {
    let got = generator.sample_on(&mut stream(2), DRAWS, &mut CudaSampler::new(device))?;
    let want = generator.sample(&mut stream(2), DRAWS, &mut Sampler::new(1));
    let others = got.iter().zip(&want).filter(|(got, want)| got.components != want.components).count();
    near("the share of the generator's draws", others as f64 / DRAWS as f64, 0.0)?;
    for (got, want) in got.iter().zip(&want) {
        let distance = relative(got.log_probability, want.log_probability);
        near("a draw's log-probability", distance, LOSS_BOUND)?;
    }
    Ok(())
}

fn compare_fits(
    device: &Arc<Device>,
    mut generator: Generator,
    buffer: &[Vec<LabelledGraph>],
) -> Result<(), GeneratorError> {
    let (mut on_cpu, go) = (generator.clone(), AtomicBool::new(false));
    generator.fit_on(device, (buffer, &WEIGHTS), &SETTINGS, &go)?;
    on_cpu.fit(buffer, &WEIGHTS, &SETTINGS, &go)?;
    let got = generator.loss_gradient(buffer, &WEIGHTS)?.loss;
    let want = on_cpu.loss_gradient(buffer, &WEIGHTS)?.loss;
    Ok(near("the loss of a fitted generator", relative(got, want), LATER_LOSS_BOUND)?)
}

fn relative(got: f64, want: f64) -> f64 {
    (got - want).abs() / want.abs()
}

fn near(what: &str, distance: f64, bound: f64) -> Result<(), CudaError> {
    // A number that is none fails.
    if distance <= bound { Ok(()) } else { Err(failure(what.into(), distance, bound)) }
}

fn failure(what: String, distance: f64, bound: f64) -> CudaError {
    CudaError::SelfTest { storage: Storage::F32, what, distance, bound }
}
