//! What can be wrong with a run directory or its journal.

use std::path::PathBuf;
use thiserror::Error;

/// Why a journal could not be made, opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The system refused a file or folder.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no journal.
    #[error("{0} is not a run directory: it has no journal.sqlite")]
    NotARun(PathBuf),
    /// A new run would mix with files that are not its own.
    #[error("{directory} holds other files (such as `{example}`); name a new or an empty directory")]
    Occupied {
        /// The directory.
        directory: PathBuf,
        /// One of its entries.
        example: String,
    },
    /// A new run would overwrite an old one.
    #[error("{0} already holds a run; resume it or name another directory")]
    Exists(PathBuf),
    /// The file belongs to another program.
    #[error("{0} is not a journal of this program")]
    Foreign(PathBuf),
    /// The file was written by another version of this program.
    #[error(
        "{path} has journal format {found}; this program reads format {known}; read it with the program that wrote it"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The one format that is read.
        known: i64,
    },
    /// The file is a journal, but cannot be believed.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// Another process has the run open for writing.
    #[error("{0} is in use: another process is writing to it; wait until it ends")]
    InUse(PathBuf),
    /// A change that contradicts what the journal holds.
    #[error("{path} refuses the change: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        why: String,
    },
    /// Any other failure of SQLite, for instance a full disk.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}
