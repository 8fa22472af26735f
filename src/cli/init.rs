//! `init`: a commented configuration to start from.

use super::exit::{CommandResult, End};
use super::output::{print, remark};
use crate::config::{SpaceKind, annotated};
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Print a configuration with every key, its default and its meaning
#[derive(Args)]
pub(super) struct InitArguments {
    /// The search space
    space: Space,
    /// Write it to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Space {
    /// One random graph a stage
    Randwire,
    /// ENAS's macro space: layers with operators and skips
    Enas,
    /// NAS-Bench-101, looked up in its table
    Nasbench101,
    /// NAS-Bench-201, looked up in its table
    Nasbench201,
    /// Your own table
    Table,
}

pub(super) fn execute(arguments: &InitArguments) -> CommandResult {
    let text = annotated(match arguments.space {
        Space::Randwire => SpaceKind::Randwire,
        Space::Enas => SpaceKind::Enas,
        Space::Nasbench101 => SpaceKind::Nasbench101,
        Space::Nasbench201 => SpaceKind::Nasbench201,
        Space::Table => SpaceKind::Table,
    });
    let Some(path) = &arguments.out else {
        print(&text)?;
        return Ok(End::Done);
    };
    File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    remark(&format!("wrote {}; start the search with `run {}`", path.display(), path.display()));
    Ok(End::Done)
}
