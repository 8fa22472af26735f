//! How a command ends: its exit code, and the one line that says why.

use super::output::{self, ReaderGone};
use crate::config::ConfigError;
use crate::data::DataError;
use crate::space::SpaceError;
use clap::error::ErrorKind;
use std::error::Error;
use std::process::ExitCode;
use thiserror::Error;

/// Exit code of wrong usage or configuration.
const USAGE: u8 = 2;
/// Exit code of an interrupted command: 128 and SIGINT's number, as shells have it.
pub(super) const INTERRUPTED: u8 = 130;

/// How a command ended that did not fail.
pub(super) enum End {
    /// All is done.
    Done,
    /// Stopped by a signal; the text says how to go on.
    Interrupted(String),
}

/// What a command returns.
pub(super) type CommandResult = anyhow::Result<End>;

/// Arguments that are right each for itself, but not together or not here.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct UsageError(pub String);

/// Tells how a command ended.
pub(super) fn code(result: CommandResult) -> ExitCode {
    match result {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Interrupted(how_to_go_on)) => {
            output::remark(&format!("interrupted: {how_to_go_on}"));
            ExitCode::from(INTERRUPTED)
        }
        // Whoever read the output wants no more of it.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            output::remark(&format!("error: {}", one_line(&error)));
            if error.chain().any(is_usage) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether the user's arguments or configuration are at fault.
fn is_usage(cause: &(dyn Error + 'static)) -> bool {
    let data = cause.downcast_ref::<DataError>();
    let split =
        matches!(data, Some(DataError::EmptyPart { .. } | DataError::NoTrainingImages { .. } | DataError::NoPath(_)));
    let space = matches!(cause.downcast_ref::<SpaceError>(), Some(SpaceError::Stages(_) | SpaceError::Graph { .. }));
    split || space || cause.is::<ConfigError>() || cause.is::<UsageError>()
}

/// Tells what clap says: help and version on the standard output, anything else as one line.
pub(super) fn refused_arguments(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::print(&error.to_string()) {
            Err(error) if !error.is::<ReaderGone>() => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::remark(error.to_string().trim_end());
            ExitCode::from(USAGE)
        }
        _ => {
            output::remark(&usage_line(&error.to_string()));
            ExitCode::from(USAGE)
        }
    }
}

/// The paragraphs of clap's message before the usage, in one line.
fn usage_line(message: &str) -> String {
    let paragraphs = message.split("\n\n").map(joined_words);
    let kept: Vec<String> =
        paragraphs.take_while(|text| !text.starts_with("Usage:") && !text.starts_with("For more")).collect();
    kept.join("; ")
}

fn joined_words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error and its causes, joined by colons. A cause that its effect quotes already is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    let lines: Vec<&str> = line.lines().map(str::trim).filter(|part| !part.is_empty()).collect();
    lines.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_joined_once_each_in_one_line() {
        let error = Err::<(), _>(anyhow!("no space\nleft\u{1b}[0m")).context("a.json").context("saving").unwrap_err();
        assert_eq!(one_line(&error), "saving: a.json: no space; left [0m");
        let quoted = anyhow!("inner").context("outer: inner");
        assert_eq!(one_line(&quoted), "outer: inner");
    }

    #[test]
    fn clap_s_paragraphs_become_one_line_without_the_usage() {
        let message = "error: required arguments were not provided:\n  <A>\n\n  tip: try B\n\nUsage: x\n\nFor more";
        assert_eq!(usage_line(message), "error: required arguments were not provided: <A>; tip: try B");
    }
}
