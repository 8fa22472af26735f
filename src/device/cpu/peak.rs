//! What this processor can do at most: fused multiply-adds per second out of registers.

use super::simd::{InstructionSet, Kernel, Simd};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Independent chains: enough to hide the latency of two units.
const CHAINS: usize = 12;

/// Rounds between two looks at the clock.
const ROUNDS: usize = 100_000;

struct Spin {
    rounds: usize,
}

impl Kernel for Spin {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        // SAFETY: the caller vouches for the instruction set; `out` has 16 floats.
        unsafe {
            let factor = S::splat(std::hint::black_box(0.999_999));
            let mut sums = [S::splat(1.0); CHAINS];
            for _ in 0..self.rounds {
                for sum in &mut sums {
                    *sum = S::mul_add(*sum, factor, factor);
                }
            }
            let mut out = [0.0f32; 16];
            for sum in sums {
                let mut lanes = [0.0f32; 16];
                S::store(lanes.as_mut_ptr(), sum);
                out.iter_mut().zip(lanes).for_each(|(o, l)| *o += l);
            }
            out.iter().sum()
        }
    }
}

/// Floating-point operations per second (a multiply-add is two) that `threads` threads reach together in registers,
/// measured for about `time`. The figure is a ceiling to compare kernels with.
///
/// # Panics
/// If the instruction set is not available.
pub fn fma_peak(set: InstructionSet, threads: usize, time: Duration) -> f64 {
    assert!(set.available(), "this processor has no {set}");
    let barrier = Barrier::new(threads);
    let work = || {
        barrier.wait();
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < time {
            // SAFETY: the set is available.
            std::hint::black_box(unsafe { set.run(Spin { rounds: ROUNDS }) });
            rounds += ROUNDS;
        }
        (rounds * CHAINS * set.lanes() * 2) as f64 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    })
}
