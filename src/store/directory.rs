//! The run directory: where the journal lies, who may write to it, and what else is there.

use super::StoreError;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The journal's name in its run directory.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// A journal in the making. It gets its name when it is whole.
const UNFINISHED_FILE: &str = "journal.sqlite.new";

/// Locked by the one writer. The file stays: removing a lock file lets two writers lock different files.
const LOCK_FILE: &str = "journal.lock";

/// What a directory holds, as one who wants to start a run needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// Nothing, or only what a run leaves that was killed before its journal was made.
    Vacant,
    /// A journal; whether it can be read is not known yet.
    Run,
    /// Other files.
    Occupied {
        /// The first of them by name.
        example: String,
    },
}

/// What the directory holds. A directory that does not exist is vacant.
///
/// # Errors
/// [`StoreError::Io`] where it cannot be listed, for instance because it is a file.
pub fn inspect(directory: &Path) -> Result<DirectoryState, StoreError> {
    let listing = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(DirectoryState::Vacant),
        listing => listing.map_err(at(directory))?,
    };
    let mut names = Vec::new();
    for entry in listing {
        names.push(entry.map_err(at(directory))?.file_name().to_string_lossy().into_owned());
    }
    if names.iter().any(|name| name == JOURNAL_FILE) {
        return Ok(DirectoryState::Run);
    }
    let foreign = names.into_iter().filter(|name| name != LOCK_FILE && !name.starts_with(UNFINISHED_FILE)).min();
    Ok(foreign.map_or(DirectoryState::Vacant, |example| DirectoryState::Occupied { example }))
}

/// Makes the caller the directory's one writer, as long as it keeps the file.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
    }
}

/// The path of a journal in the making, with the leftovers of an earlier attempt gone.
pub(super) fn clean_unfinished(directory: &Path) -> Result<PathBuf, StoreError> {
    let path = directory.join(UNFINISHED_FILE);
    for leftover in [path.clone(), directory.join(format!("{UNFINISHED_FILE}-journal"))] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(&leftover)(error)),
            _ => {}
        }
    }
    Ok(path)
}

/// Gives the whole journal its name, for good: the directory itself is synchronised too.
pub(super) fn publish(directory: &Path, unfinished: &Path) -> Result<(), StoreError> {
    std::fs::rename(unfinished, directory.join(JOURNAL_FILE)).map_err(at(unfinished))?;
    #[cfg(unix)]
    File::open(directory).and_then(|folder| folder.sync_all()).map_err(at(directory))?;
    Ok(())
}

/// Adds the path to an error of the system.
pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    |source| StoreError::Io { path: path.to_path_buf(), source }
}
