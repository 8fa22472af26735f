//! `data list`: the data sets, and which of them are here.

use super::super::exit::{CommandResult, End};
use super::super::output::{print, print_json};
use super::usual_place;
use crate::data::{Download, fashion_mnist_folder};
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// Names, sizes, and what is here
#[derive(Args)]
pub(super) struct ListArguments {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    what: &'static str,
    /// Bytes of the download.
    bytes: Option<u64>,
    /// Where it comes from.
    from: &'static str,
    /// Where it is looked for.
    place: Option<String>,
    /// `here`, `part` (a download that broke off), `other size` or `absent`; none where there is nothing to look for.
    state: Option<&'static str>,
}

pub(super) fn execute(arguments: &ListArguments) -> CommandResult {
    let all = listed();
    if arguments.json {
        print_json(&all)?
    } else {
        print(&text(&all))?
    }
    Ok(End::Done)
}

fn listed() -> Vec<Listed> {
    let plain = |name, what, from| Listed { name, what, bytes: None, from, place: None, state: None };
    let mut all = vec![plain("embedded", "10,000 Fashion-MNIST images, 28x28 grey", "compiled in")];
    let folder = fashion_mnist_folder();
    all.push(Listed {
        place: Some(folder.display().to_string()),
        state: Some(if folder.is_dir() { "here" } else { "absent" }),
        ..plain("fashion-mnist", "70,000 images, 28x28 grey, 10 classes", "Debian's package dataset-fashion-mnist")
    });
    all.extend(Download::ALL.iter().map(downloadable));
    all.push(plain("folder", "your own JPEG and PNG files, a folder a class", "data.path"));
    all
}

fn downloadable(download: &Download) -> Listed {
    let place = usual_place(download);
    let what = match download.name {
        "cifar10" => "60,000 images, 32x32 colour, 10 classes",
        "tiny-imagenet" => "110,000 labelled images, 64x64 colour, 200 classes",
        _ => "table of 423,624 networks",
    };
    Listed {
        name: download.name,
        what,
        bytes: download.bytes,
        from: download.url,
        state: place.as_deref().map(|place| state(download, place)),
        place: place.map(|place| place.display().to_string()),
    }
}

/// By size alone: `check` reads everything.
fn state(download: &Download, place: &Path) -> &'static str {
    match std::fs::metadata(place) {
        Ok(metadata) if download.bytes.is_none_or(|bytes| bytes == metadata.len()) => "here",
        Ok(_) => "other size",
        Err(_) if part_of(place).exists() => "part",
        Err(_) => "absent",
    }
}

fn part_of(place: &Path) -> std::path::PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn text(all: &[Listed]) -> String {
    let mut text = String::new();
    for Listed { name, what, bytes, from, place, state } in all {
        let size = bytes.map(|bytes| format!(", {} MB", bytes / 1_000_000)).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<14}{what}; {from}{size}");
        if let (Some(place), Some(state)) = (place, state) {
            let _ = writeln!(text, "{:<14}{state}: {place}", "");
        }
    }
    text
}
