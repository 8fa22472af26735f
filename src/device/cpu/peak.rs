//! What this machine can do at most: fused multiply-adds per second out of registers, bytes per second through caches and
//! memory.

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

/// Vectors between two looks at the loop's end.
const UNROLL: usize = 4;

/// Copies whole rows of [`UNROLL`] vectors, over and over. Both pointers must be valid for `floats`.
struct Copies {
    from: *const f32,
    to: *mut f32,
    floats: usize,
    rounds: usize,
}

impl Kernel for Copies {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            for _ in 0..self.rounds {
                for at in (0..self.floats).step_by(UNROLL * S::LANES) {
                    for vector in 0..UNROLL {
                        let at = at + vector * S::LANES;
                        S::store(self.to.add(at), S::load(self.from.add(at)));
                    }
                }
            }
        }
    }
}

/// Bytes per second, read and written together, at which one thread copies half of a working set of `bytes` to its other
/// half, measured for about `time`. Small working sets show a cache's rate, large ones the memory's: the ceiling of a kernel
/// that moves as many bytes and computes little.
///
/// # Panics
/// If the instruction set is not available.
pub fn copy_rate(set: InstructionSet, bytes: usize, time: Duration) -> f64 {
    assert!(set.available(), "this processor has no {set}");
    let floats = (bytes / 8).next_multiple_of(UNROLL * set.lanes()).max(UNROLL * set.lanes());
    let (from, mut to) = (vec![1.0f32; floats], vec![0.0f32; floats]);
    let rounds = (1usize << 20).div_ceil(floats);
    let mut copied = 0usize;
    let mut start = Instant::now();
    for pass in 0.. {
        if pass == 1 {
            // The first pass brought the pages in.
            (start, copied) = (Instant::now(), 0);
        }
        let copies = Copies { from: from.as_ptr(), to: to.as_mut_ptr(), floats, rounds };
        // SAFETY: the set is available; both vectors have as many floats, a multiple of a row.
        unsafe { set.run(copies) };
        std::hint::black_box(&mut to);
        copied += rounds * floats * 8;
        if pass > 0 && start.elapsed() >= time {
            break;
        }
    }
    copied as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_complete_on_every_instruction_set() {
        let from: Vec<f32> = (0..192).map(|value| value as f32).collect();
        for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
            let mut to = vec![-1.0; 192];
            // SAFETY: the set is available; 192 is a multiple of four vectors.
            unsafe { set.run(Copies { from: from.as_ptr(), to: to.as_mut_ptr(), floats: 192, rounds: 2 }) };
            assert_eq!(to, from, "{set}");
        }
    }
}
