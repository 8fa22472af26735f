//! `export`: a network in another program's format.

use super::exit::{CommandResult, End};
use super::files;
use super::network_source::{ArchitectureChoice, Chosen, lower};
use super::output::{json_text, remark};
use super::run_directory::RunDirectory;
use super::training::Network;
use super::workbench::Workbench;
use crate::config::SpaceKind;
use crate::graph::to_dot;
use crate::net::weights_to_safetensors;
use crate::report::svg;
use crate::space::enas::OPERATORS;
use crate::space::space_of;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Write a run's best network, or another one, for other programs
#[derive(Args)]
pub(super) struct ExportArguments {
    /// Directory of the run
    run: PathBuf,
    #[command(flatten)]
    choice: ArchitectureChoice,
    /// Weights (safetensors) for onnx and safetensors, instead of those that the run's end left
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// onnx and safetensors hold weights; dot, svg and json the wiring
    #[arg(long)]
    format: Format,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Onnx,
    Safetensors,
    Dot,
    Svg,
    Json,
}

pub(super) fn execute(arguments: &ExportArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let content = match arguments.format {
        Format::Onnx | Format::Safetensors => trained(&run, arguments)?,
        Format::Dot | Format::Svg | Format::Json => wiring(&run, arguments)?.into_bytes(),
    };
    files::write(&arguments.out, &content)?;
    remark(&format!("wrote {} ({} bytes)", arguments.out.display(), content.len()));
    Ok(End::Done)
}

/// The formats that hold weights.
fn trained(run: &RunDirectory, arguments: &ExportArguments) -> anyhow::Result<Vec<u8>> {
    let bench = Workbench::of_run(&run.record.config)?;
    let chosen = arguments.choice.choose(run, bench.space.as_ref())?;
    let plan = lower(run, &bench, &chosen.architecture)?;
    let weights = arguments.choice.weights(run, arguments.weights.as_deref(), &plan)?;
    if arguments.format == Format::Safetensors {
        return Ok(weights_to_safetensors(&weights, &[]));
    }
    Network { plan: &plan, weights: &weights, bench: &bench }.to_onnx()
}

/// The formats that need no weights, and no data.
fn wiring(run: &RunDirectory, arguments: &ExportArguments) -> anyhow::Result<String> {
    let space = space_of(&run.record.config)?;
    let chosen = arguments.choice.choose(run, space.as_ref())?;
    let title = title(run, &chosen);
    match arguments.format {
        Format::Dot => {
            let operators: &[&str] = if space.kind() == SpaceKind::Enas { &OPERATORS } else { &[] };
            Ok(to_dot(&title, &space.disassemble(&chosen.architecture)?, operators))
        }
        Format::Svg => Ok(svg::architecture(&chosen.architecture, &title)),
        _ => json_text(&chosen.architecture),
    }
}

fn title(run: &RunDirectory, chosen: &Chosen) -> String {
    let name = &run.record.config.run.name;
    chosen.candidate.map_or_else(|| name.clone(), |number| format!("{name}, candidate {number}"))
}
