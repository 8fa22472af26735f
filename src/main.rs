//! The binary: everything is in [`graphpnas_fast::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    graphpnas_fast::cli::main()
}
