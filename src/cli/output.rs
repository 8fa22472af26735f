//! Writing to the standard output and the standard error without ever panicking.

use anyhow::Context;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use thiserror::Error;

/// The standard output was closed by its reader, as `head` does.
#[derive(Debug, Error)]
#[error("the standard output is closed")]
pub(super) struct ReaderGone;

/// Writes a result.
///
/// # Errors
/// [`ReaderGone`], or whatever the system says.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("cannot write to the standard output"),
    }
}

/// Writes a result as JSON.
pub(super) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&json_text(value)?)
}

/// Indented JSON that ends with a newline.
pub(super) fn json_text<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot be written as JSON")? + "\n")
}

/// Writes a line of progress, a remark or an error; where nobody can read it, nothing is lost.
pub(super) fn remark(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
