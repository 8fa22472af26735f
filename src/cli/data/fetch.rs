//! `data fetch`: gets a data set from where it is published.

use super::super::exit::{CommandResult, End, UsageError};
use super::super::output::remark;
use super::usual_place;
use crate::data::{Download, Progress, cache_folder, fashion_mnist_folder};
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

const DEBIAN_PACKAGE: &str = "dataset-fashion-mnist";
/// Bytes between two lines of progress where there is no terminal.
const STEP: u64 = 25_000_000;

/// Download a data set, or go on with a download that broke off, and verify its checksum
#[derive(Args)]
pub(super) struct FetchArguments {
    /// cifar10, tiny-imagenet, nasbench101 or fashion-mnist
    name: String,
    /// The file to write [default: in the user's cache, where `run` looks for it]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Another address than the official one, http or https
    #[arg(long, value_name = "URL")]
    from: Option<String>,
}

pub(super) fn execute(arguments: &FetchArguments) -> CommandResult {
    let name = arguments.name.as_str();
    if name == "fashion-mnist" {
        return fashion_mnist(arguments);
    }
    let Some(download) = Download::ALL.into_iter().find(|download| download.name == name) else {
        let names = Download::ALL.map(|download| download.name).join(", ");
        return Err(UsageError(format!("{name:?} cannot be fetched; these can: {names}, fashion-mnist")).into());
    };
    let place = arguments.out.clone().or_else(|| usual_place(&download));
    let target = place.context("there is no home directory to put it under; name a file with --out")?;
    if target.exists() {
        let other = download.digest.other_than_that_of(&target);
        return match other.with_context(|| format!("cannot read {}", target.display()))? {
            None => {
                remark(&format!("{} is there already, its checksum is right", target.display()));
                Ok(End::Done)
            }
            Some(found) => bail!(
                "{} is there, but its checksum is {found}, not {}; remove it to fetch it anew",
                target.display(),
                download.digest
            ),
        };
    }
    let mut meter = Meter::new();
    let fetched = download.fetch(&target, arguments.from.as_deref(), &mut |progress| meter.show(progress));
    meter.clear();
    fetched?;
    remark(&format!("{}: {}, verified", target.display(), download.digest));
    Ok(End::Done)
}

/// A bar on a terminal, elsewhere a line now and then.
struct Meter {
    bar: Option<ProgressBar>,
    /// Bytes at which the next line is due.
    next: u64,
}

impl Meter {
    fn new() -> Meter {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Meter { bar, next: STEP }
    }

    fn show(&mut self, Progress { done, total }: Progress) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.unwrap_or(done));
                bar.set_position(done);
            }
            None if done >= self.next => {
                let total = total.map(|total| format!(" of {}", total / 1_000_000)).unwrap_or_default();
                remark(&format!("{}{total} MB", done / 1_000_000));
                self.next = done + STEP;
            }
            None => {}
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Takes the files out of Debian's package, which needs no root.
fn fashion_mnist(arguments: &FetchArguments) -> CommandResult {
    if arguments.out.is_some() || arguments.from.is_some() {
        return Err(
            UsageError("fashion-mnist comes out of Debian's package: --out and --from do not apply".into()).into()
        );
    }
    let folder = fashion_mnist_folder();
    if folder.is_dir() {
        remark(&format!("{} is there already", folder.display()));
        return Ok(End::Done);
    }
    let cache = cache_folder().context("there is no home directory to put it under")?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot write {}", cache.display()))?;
    let by_hand =
        format!("install it (`apt-get install {DEBIAN_PACKAGE}`), or put the four files into {}", folder.display());
    let package = run(Command::new("apt-get").args(["download", "-q", DEBIAN_PACKAGE]).current_dir(&cache))
        .and_then(|()| package_in(&cache))
        .with_context(|| by_hand.clone())?;
    let root = cache.join(DEBIAN_PACKAGE);
    let unpacked = run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root));
    let _ = std::fs::remove_file(&package);
    unpacked.with_context(|| by_hand)?;
    remark(&format!("{}: out of Debian's package {DEBIAN_PACKAGE}", fashion_mnist_folder().display()));
    Ok(End::Done)
}

fn package_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let packages = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_package = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(DEBIAN_PACKAGE) && name.ends_with(".deb")
    };
    packages.into_iter().find(is_package).context("apt-get left no package")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{name} failed: {}", said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing"))
}
