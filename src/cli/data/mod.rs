//! `data`: what a search reads, made ready for it.

mod check;
mod convert;
mod fetch;
mod list;

use super::exit::CommandResult;
use crate::config::DataSource;
use crate::data::{Download, Survey, cache_folder};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// List, fetch, check and convert data sets and benchmark tables
#[derive(Args)]
pub(super) struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    List(list::ListArguments),
    Fetch(fetch::FetchArguments),
    Check(check::CheckArguments),
    Convert(convert::ConvertArguments),
}

pub(super) fn execute(arguments: &DataArguments) -> CommandResult {
    match &arguments.command {
        DataCommand::List(arguments) => list::execute(arguments),
        DataCommand::Fetch(arguments) => fetch::execute(arguments),
        DataCommand::Check(arguments) => check::execute(arguments),
        DataCommand::Convert(arguments) => convert::execute(arguments),
    }
}

/// The data sets of images that lie in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ImageSource {
    Cifar10,
    TinyImagenet,
    FashionMnist,
    Folder,
}

impl ImageSource {
    fn source(self) -> DataSource {
        match self {
            ImageSource::Cifar10 => DataSource::Cifar10,
            ImageSource::TinyImagenet => DataSource::TinyImagenet,
            ImageSource::FashionMnist => DataSource::FashionMnist,
            ImageSource::Folder => DataSource::Folder,
        }
    }
}

/// Where `fetch` puts a download; `None` where the user has no home.
fn usual_place(download: &Download) -> Option<PathBuf> {
    Some(cache_folder()?.join(download.file_name()))
}

/// A survey in a few words.
fn description(survey: &Survey) -> String {
    let Survey { name, training_images, test_images, shape: [height, width, channels], classes, checksum, .. } = survey;
    let test = if *test_images > 0 { format!(" and {test_images} test images") } else { " images".into() };
    let kind = if *test_images > 0 { " training" } else { "" };
    format!(
        "{name}: {training_images}{kind}{test} of {height}x{width}x{channels} in {} classes, checksum {}",
        classes.len(),
        checksum.get(..12).unwrap_or(checksum)
    )
}
