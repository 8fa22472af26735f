//! The command line: the only place that parses arguments and prints.
//!
//! Results go to the standard output; progress, remarks and errors to the standard error. One file a subcommand; what
//! they share stands beside them.

mod compare;
mod data;
mod doctor;
mod dry_run;
mod eval;
mod exit;
mod export;
mod files;
mod init;
mod interrupt;
mod network_source;
mod output;
pub mod profile;
mod profile_generator;
mod progress;
mod report;
mod retrain;
mod run;
mod run_directory;
mod sample;
mod score;
mod session;
mod summary;
mod text;
mod training;
mod workbench;

use clap::{Parser, Subcommand};
use exit::{CommandResult, End};
use std::process::ExitCode;

/// Neural architecture search that learns a distribution of good networks
#[derive(Parser)]
#[command(name = "graphpnas-fast", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::RunArguments),
    Compare(compare::CompareArguments),
    Sample(sample::SampleArguments),
    Score(score::ScoreArguments),
    Retrain(retrain::RetrainArguments),
    Eval(eval::EvalArguments),
    Export(export::ExportArguments),
    Report(report::ReportArguments),
    Init(init::InitArguments),
    Data(data::DataArguments),
    Doctor(doctor::DoctorArguments),
    Profile(profile::ProfileArgs),
    ProfileGenerator(profile_generator::ProfileGeneratorArgs),
}

impl Command {
    fn execute(&self) -> CommandResult {
        match self {
            Command::Run(arguments) => run::execute(arguments),
            Command::Compare(arguments) => compare::execute(arguments),
            Command::Sample(arguments) => sample::execute(arguments),
            Command::Score(arguments) => score::execute(arguments),
            Command::Retrain(arguments) => retrain::execute(arguments),
            Command::Eval(arguments) => eval::execute(arguments),
            Command::Export(arguments) => export::execute(arguments),
            Command::Report(arguments) => report::execute(arguments),
            Command::Init(arguments) => init::execute(arguments),
            Command::Data(arguments) => data::execute(arguments),
            Command::Doctor(arguments) => doctor::execute(arguments),
            Command::Profile(arguments) => profile::run(arguments).map(|()| End::Done),
            Command::ProfileGenerator(arguments) => profile_generator::run(arguments).map(|()| End::Done),
        }
    }
}

/// Parses the process's arguments and does what they say. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,
/// 130 interrupted.
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => exit::code(arguments.command.execute()),
        Err(error) => exit::refused_arguments(&error),
    }
}
