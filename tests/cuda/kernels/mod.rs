//! Every kernel against an f64 reference, element by element, over many shapes.

mod classifier;
mod convolution;
mod depthwise;
mod gather;
mod join;
mod normalise;
mod optimise;
mod pooling;
mod product;
mod separable;
mod windows;

use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::Edge;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};

use crate::memory::{Memory, Sum};
use crate::support::Numbers;

/// Runs `check` on `cases` inputs of a strategy, always the same ones.
pub fn for_each<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let config = Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| -> TestCaseResult {
        check(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn storages() -> impl Strategy<Value = Storage> {
    proptest::sample::select(Storage::ALL.to_vec())
}

/// `rows` rows of `channels` random numbers, padded with zeros.
fn padded_rows(numbers: &mut Numbers, rows: usize, channels: usize) -> Vec<f32> {
    let padded = channels.next_multiple_of(8);
    (0..rows * padded).map(|i| if i % padded < channels { numbers.normal() } else { 0.0 }).collect()
}

/// Images under windows, as `net::Window` has them.
#[derive(Clone, Copy, Debug)]
struct Windows {
    images: usize,
    in_height: usize,
    in_width: usize,
    size: usize,
    stride: usize,
    shift: usize,
}

impl Windows {
    fn height(self) -> usize {
        self.in_height.div_ceil(self.stride)
    }

    fn width(self) -> usize {
        self.in_width.div_ceil(self.stride)
    }

    fn in_rows(self) -> usize {
        self.images * self.in_height * self.in_width
    }

    fn rows(self) -> usize {
        self.images * self.height() * self.width()
    }

    /// Visits all pixels under all windows, row by row: (output, tap, input).
    fn each(self, mut visit: impl FnMut(usize, usize, usize)) {
        let first = |at: usize| (at * self.stride + self.shift) as i64 - (self.size as i64 - 1) / 2;
        for row in 0..self.rows() {
            let (y, x) = (row / self.width() % self.height(), row % self.width());
            for tap in 0..self.size * self.size {
                let (y, x) = (first(y) + (tap / self.size) as i64, first(x) + (tap % self.size) as i64);
                if (0..self.in_height as i64).contains(&y) && (0..self.in_width as i64).contains(&x) {
                    let image = row / self.width() / self.height();
                    visit(row, tap, (image * self.in_height + y as usize) * self.in_width + x as usize);
                }
            }
        }
    }
}

/// An input of a gather on the host.
struct Input {
    values: Vec<f32>,
    /// `(2, padded channels)`
    coefficients: Vec<f32>,
}

/// Random inputs of a gather, of `rows` rows, and where they lie in the list of edges.
fn inputs(memory: &mut Memory, numbers: &mut Numbers, count: usize, rows: usize, channels: usize) -> (Vec<Input>, u32) {
    let first = memory.edges.len() as u32;
    let inputs = (0..count).map(|_| {
        let mut values = padded_rows(numbers, rows, channels);
        let coefficients = padded_rows(numbers, 2, channels);
        let edge = Edge { value: memory.values(&mut values), coefficients: memory.floats(&coefficients) };
        memory.edges.push(edge);
        Input { values, coefficients }
    });
    (inputs.collect(), first)
}

/// The weighted sum at one element.
fn weighted_sum(inputs: &[Input], element: usize, padded: usize) -> Sum {
    let mut sum = Sum::default();
    let channel = element % padded;
    for input in inputs {
        sum.add(input.coefficients[channel].into(), input.values[element].into());
        sum.add(1.0, input.coefficients[padded + channel].into());
    }
    sum
}
