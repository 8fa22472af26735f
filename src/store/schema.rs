//! The tables, and how a file is known to be a journal that this program can read.

use super::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// "GPNA": marks the file as this program's.
const APPLICATION_ID: i64 = 0x4750_4E41;

/// The format of the tables; raised whenever they change.
const VERSION: i64 = 2;

/// How long a reader waits for the writer, and the writer for a reader.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lists of numbers, architectures and the configuration are JSON; a number that is not finite is `null` in a list.
/// `seconds` is wall-clock time. A candidate is evaluated when its `training_losses` are there.
const TABLES: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    config TEXT NOT NULL
) STRICT;
CREATE TABLE iterations (
    iteration INTEGER PRIMARY KEY,
    rounds INTEGER NOT NULL,
    drawn INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    filled_by_explorer INTEGER NOT NULL,
    refit_buffer TEXT,
    refit_losses TEXT,
    refit_seconds REAL
) STRICT;
CREATE TABLE candidates (
    number INTEGER PRIMARY KEY,
    iteration INTEGER NOT NULL REFERENCES iterations,
    origin TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    architecture TEXT NOT NULL,
    log_probability REAL,
    validation_accuracy REAL,
    test_accuracy REAL,
    cost REAL,
    failure TEXT,
    training_losses TEXT,
    parameters INTEGER,
    multiply_adds INTEGER,
    seconds REAL
) STRICT;
CREATE TABLE final (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    candidate INTEGER NOT NULL REFERENCES candidates,
    training_losses TEXT NOT NULL,
    validation_accuracy REAL,
    test_accuracy REAL NOT NULL,
    seconds REAL NOT NULL
) STRICT;";

/// Makes the tables in a new file and notes the configuration.
pub(super) fn create(path: &Path, config: &str) -> Result<(), StoreError> {
    let build = || fill(Connection::open(path)?, config)?.close().map_err(|(_, error)| error);
    build().map_err(|error| failure(path, error))
}

/// The same in memory; `path` stands in errors.
pub(super) fn create_in_memory(path: &Path, config: &str) -> Result<Connection, StoreError> {
    Connection::open_in_memory().and_then(|connection| fill(connection, config)).map_err(|error| failure(path, error))
}

fn fill(mut connection: Connection, config: &str) -> rusqlite::Result<Connection> {
    prepare(&connection)?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO run (id, config) VALUES (0, ?1)", [config])?;
    transaction.commit()?;
    Ok(connection)
}

/// Opens a journal and checks that it is one. Readers too open it for writing, because the first to come after a kill
/// has to roll the interrupted transaction back; SQLite falls back to reading where the file may not be written.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failure(path, error))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    prepare(&connection).map_err(|error| failure(path, error))?;
    let application = number("application_id").map_err(|error| failure(path, error))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_path_buf()));
    }
    let version = number("user_version").map_err(|error| failure(path, error))?;
    if version != VERSION {
        return Err(StoreError::Version { path: path.to_path_buf(), found: version, known: VERSION });
    }
    check(path, &connection)?;
    Ok(connection)
}

/// A rollback journal rather than a write-ahead log: the file is whole by itself between transactions. EXTRA also
/// synchronises the directory, so a committed transaction survives a power cut.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// SQLite's own check of the file.
fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let verdict: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(|error| failure(path, error))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(path, verdict.replace('\n', "; "))) }
}

/// A journal that cannot be believed.
pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), what: what.into() }
}

/// Sorts SQLite's errors into ours.
pub(super) fn failure(path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows};
    let file = path.to_path_buf();
    match (error.sqlite_error_code(), &error) {
        (Some(ErrorCode::NotADatabase), _) => StoreError::Foreign(file),
        (Some(ErrorCode::ConstraintViolation), _) => StoreError::Refused { path: file, why: error.to_string() },
        (Some(ErrorCode::DatabaseCorrupt), _)
        | (
            _,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | QueryReturnedNoRows,
        ) => damaged(path, error.to_string()),
        _ => StoreError::Sqlite { path: file, source: error },
    }
}
