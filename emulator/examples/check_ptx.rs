//! Says which kernels of PTX files the emulator can run, and why not the others: `check_ptx FILE...`.

use std::{collections::HashMap, process::ExitCode};

fn main() -> ExitCode {
    let mut failed = false;
    for path in std::env::args().skip(1) {
        for (kernel, result) in check(&path) {
            match result {
                Ok(instructions) => println!("{path}: {kernel}: {instructions} instructions"),
                Err(reason) => {
                    println!("{path}: {kernel}: {reason}");
                    failed = true;
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Every kernel with its number of instructions, or the file itself with what is wrong with it.
fn check(path: &str) -> Vec<(String, Result<usize, String>)> {
    let source = match std::fs::read_to_string(path) {
        Ok(source) => source,
        Err(error) => return vec![("file".into(), Err(error.to_string()))],
    };
    let module = match cuda::ptx::parse(&source) {
        Ok(module) => module,
        Err(error) => return vec![("file".into(), Err(error.to_string()))],
    };
    let symbols: HashMap<String, u64> = module.variables.iter().map(|variable| (variable.name.into(), 0)).collect();
    let lowered = cuda::lower::lower(&module, &source, &symbols).into_iter();
    let mut kernels: Vec<_> =
        lowered.map(|(name, kernel)| (name, kernel.map(|k| k.code.len()).map_err(|e| e.to_string()))).collect();
    kernels.sort();
    kernels
}
