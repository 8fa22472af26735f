//! `data convert`: makes of a data set or a table the file that opens in a moment.

use super::super::exit::{CommandResult, End};
use super::super::output::remark;
use super::{ImageSource, description};
use crate::data::{Reading, pack};
use crate::table::NasBench101Table;
use anyhow::bail;
use clap::Args;
use std::path::{Path, PathBuf};

/// Pack images into one file for `data.path`, or a NAS-Bench-101 TFRecord into one of its means for `oracle.table`
#[derive(Args)]
pub(super) struct ConvertArguments {
    /// Images: a folder, .tar, .tar.gz or .zip of CIFAR-10, Tiny-ImageNet or your own, or CIFAR-10 records (.bin);
    /// a table: the official nasbench_only108.tfrecord or nasbench_full.tfrecord, or one of the same kind
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write, which must not exist yet
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What the images are [default: what they look like]
    #[arg(long)]
    source: Option<ImageSource>,
    /// folder: side of the squares that pictures become
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=1024))]
    size: u16,
}

pub(super) fn execute(arguments: &ConvertArguments) -> CommandResult {
    let ConvertArguments { input, output, source, size } = arguments;
    let what = if source.is_some() || holds_images(input) {
        images(input, output, Reading { source: source.map(ImageSource::source), size: (*size).into() })?
    } else {
        table(input, output)?
    };
    remark(&format!("wrote {}: {what}", output.display()));
    Ok(End::Done)
}

/// Folders, archives and records do; everything else is taken for a table.
fn holds_images(input: &Path) -> bool {
    let name = input.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    input.is_dir() || [".tar", ".tar.gz", ".tgz", ".zip", ".bin"].iter().any(|ending| name.ends_with(ending))
}

fn images(input: &Path, output: &Path, reading: Reading) -> anyhow::Result<String> {
    if output.exists() {
        bail!("{} exists already; name another file or remove it", output.display());
    }
    Ok(description(&pack(input, reading, output)?))
}

fn table(input: &Path, output: &Path) -> anyhow::Result<String> {
    let table = NasBench101Table::read(input)?;
    table.write(output)?;
    let epochs: Vec<String> = table.all_epochs().iter().map(u32::to_string).collect();
    Ok(format!("{} cells, accuracies after {} epochs", table.len(), epochs.join(", ")))
}
