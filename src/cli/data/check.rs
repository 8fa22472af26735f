//! `data check`: reads a data set from end to end.

use super::super::exit::{CommandResult, End};
use super::super::output::{print, print_json};
use super::{ImageSource, description, usual_place};
use crate::data::{Download, Reading, Survey, fashion_mnist_folder, survey};
use crate::table::NasBench101Table;
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Read a data set, an archive, a packed file or a NAS-Bench-101 table from end to end and say what it is
#[derive(Args)]
pub(super) struct CheckArguments {
    /// A path, or the name of a data set that was fetched
    #[arg(value_name = "PATH|NAME")]
    place: PathBuf,
    /// What it is [default: what it looks like]
    #[arg(long)]
    source: Option<ImageSource>,
    /// folder: side of the squares that pictures become
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=1024))]
    size: u16,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Finding {
    Images(Survey),
    Table { cells: usize, epochs: Vec<u32> },
}

pub(super) fn execute(arguments: &CheckArguments) -> CommandResult {
    let place = place(&arguments.place)?;
    let verified = published_checksum(&place)?;
    let finding = if place.extension().is_some_and(|ending| ending == "tfrecord") {
        let table = NasBench101Table::read(&place)?;
        Finding::Table { cells: table.len(), epochs: table.all_epochs().to_vec() }
    } else {
        let source = arguments.source.map(ImageSource::source);
        Finding::Images(survey(&place, Reading { source, size: arguments.size.into() })?)
    };
    if arguments.json {
        print_json(&finding)?;
    } else {
        let text = match &finding {
            Finding::Images(survey) => description(survey),
            Finding::Table { cells, .. } => format!("NAS-Bench-101: {cells} cells"),
        };
        let verified = verified.map(|digest| format!("; {digest}, as published")).unwrap_or_default();
        print(&format!("{}: {text}{verified}\n", place.display()))?;
    }
    Ok(End::Done)
}

/// A path as it is; the name of a data set is where that was fetched to.
fn place(named: &Path) -> anyhow::Result<PathBuf> {
    if named.exists() {
        return Ok(named.to_path_buf());
    }
    if named.as_os_str() == "fashion-mnist" {
        return Ok(fashion_mnist_folder());
    }
    let download = Download::ALL.into_iter().find(|download| named.as_os_str() == download.name);
    match download {
        Some(download) => usual_place(&download).context("there is no home directory it could be under"),
        None => Ok(named.to_path_buf()),
    }
}

/// The checksum of a file that has the name of a published one; `None`: it has not.
fn published_checksum(place: &Path) -> anyhow::Result<Option<String>> {
    let name = place.file_name().unwrap_or_default();
    let download = Download::ALL.into_iter().find(|download| name == download.file_name() && place.is_file());
    let Some(download) = download else { return Ok(None) };
    let other = download.digest.other_than_that_of(place);
    match other.with_context(|| format!("cannot read {}", place.display()))? {
        None => Ok(Some(download.digest.to_string())),
        Some(found) => bail!("{} is damaged: its checksum is {found}, not {}", place.display(), download.digest),
    }
}
