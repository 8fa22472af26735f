//! What can be wrong with a configuration.

use std::path::PathBuf;
use thiserror::Error;

/// Why a configuration was refused: one line that names the key, the line or the file, and says what would be right.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said, or that the text is not UTF-8.
        reason: String,
    },
    /// Another error, with the file it was found in.
    #[error("{path}: {error}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// The error.
        error: Box<ConfigError>,
    },
    /// Not TOML.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// A section that does not exist.
    #[error("unknown section [{section}]; did you mean [{nearest}]?")]
    UnknownSection {
        /// As written.
        section: String,
        /// The known section that is spelt most like it.
        nearest: &'static str,
    },
    /// A key outside every section.
    #[error("`{key}` stands outside the sections; write it under [{section}]")]
    OutsideSections {
        /// As written.
        key: String,
        /// Where it, or the key most like it, belongs.
        section: &'static str,
    },
    /// A key that does not exist in its section.
    #[error("unknown key `{key}` in [{section}]; {hint}")]
    UnknownKey {
        /// As written.
        key: String,
        /// The section it was found in.
        section: &'static str,
        /// The nearest known key, or the section where a key of this name belongs.
        hint: String,
    },
    /// A value of the wrong type or out of its range.
    #[error("{key} = {found}: must be {expected}")]
    Value {
        /// `section.key`.
        key: String,
        /// The value, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Values that are right each for itself, but not together.
    #[error("{0}")]
    Conflict(String),
    /// An override that is not `section.key=value`.
    #[error("`{0}` is not an override of the form section.key=value, such as search.budget=96")]
    Override(String),
}
