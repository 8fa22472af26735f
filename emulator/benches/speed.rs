//! How many PTX thread instructions a second one core runs with all checks on: `cargo bench -p emulator`.

#[path = "../tests/kernels/common.rs"]
#[allow(dead_code)]
mod common;

use std::time::Instant;

use common::{Arg, Emulator};

const DEVICE: &str = include_str!("../tests/ptx/device.ptx");

fn main() {
    let mut e = Emulator::new(DEVICE);
    e.checks.instruction_limit = u64::MAX;
    let (n, k) = (256usize, 256usize);
    let ramp: Vec<f32> = (0..n * k).map(|i| (i % 7) as f32).collect();
    let (a, b, c) = (e.floats(&ramp), e.floats(&ramp), e.empty(n * n));
    let mut parameters = [a, b, c].map(u64::to_le_bytes).concat();
    parameters.extend((n as i32).to_le_bytes());
    parameters.extend((k as i32).to_le_bytes());
    let grid = [(n / 64) as u32, (n / 64) as u32, 1];
    measure("gemm (shared memory, 2 barriers a tile)", || thread_instructions(&mut e, "gemm", grid, 256, &parameters));

    let length = 1 << 20;
    let (x, y) = (e.floats(&vec![1.0; length]), e.floats(&vec![2.0; length]));
    let mut parameters = 3f32.to_le_bytes().to_vec();
    parameters.resize(8, 0);
    parameters.extend([x, y].map(u64::to_le_bytes).concat());
    parameters.extend((length as i32).to_le_bytes());
    measure("axpy (global memory)", || {
        thread_instructions(&mut e, "axpy", [length as u32 / 256, 1, 1], 256, &parameters)
    });

    let (x, sum) = (e.floats(&vec![1.0; length]), e.floats(&[0.0]));
    let args = [Arg::Pointer(x), Arg::Pointer(sum), Arg::Int(length as i32)];
    measure("total (one atomic a thread)", || {
        let counted = e.run("total", length as u32 / 256, 256, &args).unwrap_or_else(|error| panic!("{error}"));
        counted.thread_instructions()
    });
}

fn thread_instructions(e: &mut Emulator, name: &str, grid: [u32; 3], threads: u32, parameters: &[u8]) -> u64 {
    let counted = e.run_with(name, grid, [threads, 1, 1], parameters.to_vec());
    counted.unwrap_or_else(|error| panic!("{error}")).thread_instructions()
}

/// Prints the rate of the best of five runs.
fn measure(name: &str, mut run: impl FnMut() -> u64) {
    let mut best = 0f64;
    for _ in 0..5 {
        let start = Instant::now();
        let instructions = run();
        best = best.max(instructions as f64 / start.elapsed().as_secs_f64());
    }
    println!("{name}: {:.0} million thread instructions a second", best / 1e6);
}
