//! `data`: what a search reads, made ready for it.

use super::exit::{CommandResult, End};
use super::output::remark;
use crate::table::NasBench101Table;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Make benchmark data ready
#[derive(Args)]
pub(super) struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// Check a NAS-Bench-101 TFRecord file and write its means to a compact file, which opens in a moment
    Convert(ConvertArguments),
}

#[derive(Args)]
struct ConvertArguments {
    /// The official file (nasbench_only108.tfrecord or nasbench_full.tfrecord), or one of the same kind
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write, which must not exist yet
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

pub(super) fn execute(arguments: &DataArguments) -> CommandResult {
    let DataCommand::Convert(ConvertArguments { input, output }) = &arguments.command;
    let table = NasBench101Table::read(input)?;
    table.write(output)?;
    let epochs: Vec<String> = table.all_epochs().iter().map(u32::to_string).collect();
    let (cells, epochs) = (table.len(), epochs.join(", "));
    remark(&format!("wrote {}: {cells} cells, accuracies after {epochs} epochs", output.display()));
    Ok(End::Done)
}
