//! How fast this machine trains and evaluates a network, measured for a moment.

mod cuda;

use super::EVALUATION_BATCH;
use super::engine::Engine;
use super::initial::initial_weights;
use crate::device::cpu::{Batch, BatchResult, InstructionSet, Network, NetworkOptions, Step};
use crate::device::cuda::CudaError;
use crate::net::Plan;
use std::convert::Infallible;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A measurement's least time.
const LEAST: Duration = Duration::from_millis(700);
/// A first step that takes longer is measured itself, with what memory costs when it is first touched: gigabytes can take as
/// long as the step's own work.
const LONG: Duration = Duration::from_secs(60);

/// Networks that run at once.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// Images in a training step.
    pub batch: usize,
    /// Networks at once.
    pub networks: usize,
    /// Threads of each, on the CPU.
    pub threads: usize,
}

/// What was measured, of all networks together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Images trained on a second.
    pub training: f64,
    /// Images evaluated a second.
    pub evaluation: f64,
}

impl Probe<'_> {
    /// Trains all networks on made-up images for a moment, then evaluates them: one step each, and some more where it was
    /// short. The rates, and how many networks they are of: on a CUDA device at most as many as its memory holds.
    ///
    /// # Errors
    /// The CUDA device's; a plan that its kernels do not run.
    pub fn measure(&self, engine: &Engine) -> Result<(Rates, usize), CudaError> {
        match engine {
            Engine::Cpu { .. } => Ok((self.measure_on_cpu(), self.networks)),
            Engine::Cuda(engine) => engine.measure(self),
        }
    }

    fn measure_on_cpu(&self) -> Rates {
        let barrier = Barrier::new(self.networks);
        let one = || {
            let training = self.rate(&barrier, self.batch, |network, batch| network.train(batch, STEP));
            let batch = EVALUATION_BATCH.min(self.batch);
            let evaluation = self.rate(&barrier, batch, |network, batch| network.evaluate(batch, 0.0));
            (training, evaluation)
        };
        let rates: Vec<(f64, f64)> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.networks).map(|_| scope.spawn(one)).collect();
            let first = one();
            others.into_iter().filter_map(|thread| thread.join().ok()).chain([first]).collect()
        });
        Rates {
            training: rates.iter().map(|(training, _)| training).sum(),
            evaluation: rates.iter().map(|(_, evaluation)| evaluation).sum(),
        }
    }

    /// Images a second of one network.
    fn rate(&self, barrier: &Barrier, images: usize, step: impl Fn(&mut Network, Batch) -> BatchResult) -> f64 {
        let options = NetworkOptions { batch: images, threads: self.threads, set: InstructionSet::best() };
        let mut network = Network::new(self.plan, options);
        network.load(&initial_weights(self.plan, 0, 0));
        let (pixels, labels) = made_up(self.plan, images);
        let batch = Batch { pixels: &pixels, labels: &labels };
        let mut first = true;
        let steps = steps_per_second(|| {
            step(&mut network, batch);
            // Networks begin to be timed together.
            if std::mem::take(&mut first) {
                barrier.wait();
            }
            Ok::<(), Infallible>(())
        });
        steps.unwrap_or_else(|never| match never {}) * images as f64
    }
}

/// Steps a second, after a first one, which counts only where it was long.
fn steps_per_second<E>(mut step: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    step()?;
    let first = start.elapsed();
    if first > LONG {
        return Ok(1.0 / first.as_secs_f64());
    }
    let start = Instant::now();
    let mut steps = 0;
    while steps == 0 || start.elapsed() < LEAST {
        step()?;
        steps += 1;
    }
    Ok(f64::from(steps) / start.elapsed().as_secs_f64())
}

const STEP: Step = Step {
    learning_rate: 1e-3,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 0.0,
    gradient_clip: None,
    label_smoothing: 0.1,
    dropout: None,
};

/// Pixels that are not alike, and labels.
fn made_up(plan: &Plan, images: usize) -> (Vec<f32>, Vec<u16>) {
    let count = images * plan.image.channels * plan.image.height * plan.image.width;
    let pixels = (0..count).map(|index| (index * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
    (pixels, (0..images).map(|image| (image % plan.classes) as u16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dag;
    use crate::net::{ImageShape, RandWireShape, randwire};

    #[test]
    fn more_work_takes_longer() {
        let plan = |channels: usize| {
            let shape = RandWireShape {
                image: ImageShape { channels: 3, height: 16, width: 16 },
                channels,
                stem_stride: 1,
                second_stem_stride: None,
                stage_strides: vec![1],
                head: 16,
                classes: 2,
            };
            randwire(&[Dag::new(3, &[]).unwrap()], &shape)
        };
        let rates = |channels| {
            let (plan, engine) = (plan(channels), Engine::Cpu { threads: 1 });
            Probe { plan: &plan, batch: 8, networks: 2, threads: 1 }.measure(&engine).unwrap().0
        };
        let (small, large) = (rates(8), rates(128));
        assert!(
            small.training > 2.0 * large.training && small.evaluation > 2.0 * large.evaluation,
            "{small:?} {large:?}"
        );
        assert!(large.evaluation > large.training, "{large:?}");
    }
}
