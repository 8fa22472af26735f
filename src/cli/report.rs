//! `report`: writes a run's page anew from its journal.

use super::exit::{CommandResult, End};
use super::files;
use super::output::print;
use super::run_directory::{REPORT_FILE, RunDirectory};
use crate::report::html;
use clap::Args;
use std::path::PathBuf;

/// Write a run's report.html anew; also of an unfinished run
#[derive(Args)]
pub(super) struct ReportArguments {
    /// Directory of the run
    run: PathBuf,
}

pub(super) fn execute(arguments: &ReportArguments) -> CommandResult {
    let run = RunDirectory::open(&arguments.run)?;
    let path = run.path.join(REPORT_FILE);
    files::write(&path, html(&run.record, &run.manifest()?).as_bytes())?;
    print(&format!("{}\n", path.display()))?;
    Ok(End::Done)
}
