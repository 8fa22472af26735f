//! Rows -> records, and the text forms of what is no SQLite type.

use super::StoreError;
use super::records::{CandidateRecord, FinalRecord, IterationRecord, Origin, RefitRecord, RunRecord, SamplingRecord};
use super::schema::{damaged, failure};
use crate::config::ClassicalKind;
use crate::oracle::Outcome;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The whole journal, read in one transaction so that a writer cannot change it meanwhile.
pub(super) fn run(path: &Path, connection: &mut Connection) -> Result<RunRecord, StoreError> {
    let sql = |error| failure(path, error);
    let transaction = connection.transaction().map_err(sql)?;
    let config = transaction.query_row("SELECT config FROM run", [], |row| json(row, "config")).map_err(sql)?;
    let iterations = all(&transaction, "SELECT * FROM iterations ORDER BY iteration", iteration).map_err(sql)?;
    let candidates = all(&transaction, "SELECT * FROM candidates ORDER BY number", candidate).map_err(sql)?;
    let mut finals = all(&transaction, "SELECT * FROM final", end).map_err(sql)?;
    let record = RunRecord { config, candidates, iterations, finished: finals.pop() };
    check_numbers(&record).map_err(|what| damaged(path, what))?;
    Ok(record)
}

/// Candidates and iterations are numbered without gaps, and a finished run's best candidate exists.
fn check_numbers(record: &RunRecord) -> Result<(), String> {
    for (expected, iteration) in record.iterations.iter().enumerate() {
        if iteration.iteration != expected as u64 {
            return Err(format!("iteration {expected} is missing"));
        }
    }
    for (expected, candidate) in record.candidates.iter().enumerate() {
        if candidate.number != expected as u64 {
            return Err(format!("candidate {expected} is missing"));
        }
        if candidate.iteration >= record.iterations.len() as u64 {
            return Err(format!("candidate {expected} is of iteration {}, which is missing", candidate.iteration));
        }
    }
    match &record.finished {
        Some(end) if end.candidate >= record.candidates.len() as u64 => {
            Err(format!("the best candidate, {}, is missing", end.candidate))
        }
        _ => Ok(()),
    }
}

fn all<T>(
    transaction: &Transaction,
    query: &str,
    convert: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    transaction.prepare(query)?.query_map([], convert)?.collect()
}

fn iteration(row: &Row) -> rusqlite::Result<IterationRecord> {
    let buffer: Option<String> = row.get("refit_buffer")?;
    let refit = match buffer {
        None => None,
        Some(_) => Some(RefitRecord {
            buffer: json(row, "refit_buffer")?,
            losses: numbers(row, "refit_losses")?,
            seconds: row.get("refit_seconds")?,
        }),
    };
    let sampling = SamplingRecord {
        rounds: row.get("rounds")?,
        drawn: row.get("drawn")?,
        invalid: row.get("invalid")?,
        duplicates: row.get("duplicates")?,
        filled_by_explorer: row.get("filled_by_explorer")?,
    };
    Ok(IterationRecord { iteration: row.get("iteration")?, refit, sampling })
}

fn candidate(row: &Row) -> rusqlite::Result<CandidateRecord> {
    let evaluated: Option<String> = row.get("training_losses")?;
    let outcome = match evaluated {
        None => None,
        Some(_) => Some(Outcome {
            validation_accuracy: row.get("validation_accuracy")?,
            test_accuracy: row.get("test_accuracy")?,
            cost: row.get("cost")?,
            training_losses: numbers(row, "training_losses")?,
            failure: row.get("failure")?,
            parameters: row.get("parameters")?,
            multiply_adds: row.get("multiply_adds")?,
            seconds: row.get("seconds")?,
        }),
    };
    Ok(CandidateRecord {
        number: row.get("number")?,
        iteration: row.get("iteration")?,
        origin: origin(row)?,
        architecture: json(row, "architecture")?,
        key: row.get("key")?,
        log_probability: row.get("log_probability")?,
        outcome,
    })
}

fn end(row: &Row) -> rusqlite::Result<FinalRecord> {
    Ok(FinalRecord {
        candidate: row.get("candidate")?,
        training_losses: numbers(row, "training_losses")?,
        validation_accuracy: row.get("validation_accuracy")?,
        test_accuracy: row.get("test_accuracy")?,
        seconds: row.get("seconds")?,
    })
}

const EXPLORERS: [ClassicalKind; 5] =
    [ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba, ClassicalKind::Uniform, ClassicalKind::Full];

/// The text of an origin: `explorer-KIND` or `generator`.
pub(super) fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Explorer(ClassicalKind::Ws) => "explorer-ws",
        Origin::Explorer(ClassicalKind::Er) => "explorer-er",
        Origin::Explorer(ClassicalKind::Ba) => "explorer-ba",
        Origin::Explorer(ClassicalKind::Uniform) => "explorer-uniform",
        Origin::Explorer(ClassicalKind::Full) => "explorer-full",
        Origin::Generator => "generator",
    }
}

fn origin(row: &Row) -> rusqlite::Result<Origin> {
    let text: String = row.get("origin")?;
    let explorers = EXPLORERS.map(Origin::Explorer);
    let known = explorers.into_iter().chain([Origin::Generator]).find(|&origin| origin_text(origin) == text);
    known.ok_or_else(|| unreadable(row, "origin", format!("unknown origin {text:?}")))
}

fn json<T: DeserializeOwned>(row: &Row, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(row, column, error.to_string()))
}

fn numbers(row: &Row, column: &str) -> rusqlite::Result<Vec<f64>> {
    let list: Vec<Option<f64>> = json(row, column)?;
    Ok(list.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// A value that cannot be read, with its column and its row's number.
fn unreadable(row: &Row, column: &str, why: String) -> rusqlite::Error {
    let number: i64 = row.get(0).unwrap_or(0);
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, format!("{column} of row {number}: {why}").into())
}

/// JSON of a list of numbers; what is not finite becomes `null`.
pub(super) fn numbers_to_json(numbers: &[f64]) -> String {
    let list: Vec<Option<f64>> = numbers.iter().map(|&number| number.is_finite().then_some(number)).collect();
    to_json(&list)
}

/// JSON of a record.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records are plain data with text keys, which JSON can always hold")
}
