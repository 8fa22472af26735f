//! The journal's one writer, and its readers.

use super::records::{CandidateRecord, FinalRecord, IterationRecord, RefitRecord, RunRecord};
use super::{DirectoryState, JOURNAL_FILE, StoreError, directory, reading, schema};
use crate::config::Config;
use crate::oracle::Outcome;
use rusqlite::{Connection, Transaction, params};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A run's journal, open for writing. While it lives no other process can open it so.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    _lock: Option<File>,
}

impl Journal {
    /// Begins the journal of a new run, making the directory where needed.
    ///
    /// # Errors
    /// [`StoreError::Exists`] and [`StoreError::Occupied`] where the directory holds a run or other files.
    pub fn create(directory: &Path, config: &Config) -> Result<Journal, StoreError> {
        std::fs::create_dir_all(directory).map_err(directory::at(directory))?;
        // Foreign files first: a directory that is not ours gets no lock file.
        check_vacant(directory)?;
        let lock = directory::lock(directory)?;
        check_vacant(directory)?;
        let unfinished = directory::clean_unfinished(directory)?;
        schema::create(&unfinished, &reading::to_json(config))?;
        directory::publish(directory, &unfinished)?;
        Journal::connect(directory, lock)
    }

    /// Begins the journal of a new run that lives in memory only, and as long as this value.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn in_memory(config: &Config) -> Result<Journal, StoreError> {
        let path = PathBuf::from(":memory:");
        let connection = schema::create_in_memory(&path, &reading::to_json(config))?;
        Ok(Journal { connection, path, _lock: None })
    }

    /// Opens the journal of a run for writing.
    ///
    /// # Errors
    /// [`StoreError::NotARun`], [`StoreError::InUse`], [`StoreError::Foreign`], [`StoreError::Version`] and
    /// [`StoreError::Damaged`] say what stands in the way.
    pub fn open(directory: &Path) -> Result<Journal, StoreError> {
        if !directory.join(JOURNAL_FILE).is_file() {
            return Err(StoreError::NotARun(directory.to_path_buf()));
        }
        Journal::connect(directory, directory::lock(directory)?)
    }

    /// Reads the journal of a run, also while another process writes it.
    ///
    /// # Errors
    /// As [`Journal::open`], but for [`StoreError::InUse`].
    pub fn read(directory: &Path) -> Result<RunRecord, StoreError> {
        let path = directory.join(JOURNAL_FILE);
        if !path.is_file() {
            return Err(StoreError::NotARun(directory.to_path_buf()));
        }
        reading::run(&path, &mut schema::open(&path)?)
    }

    fn connect(directory: &Path, lock: File) -> Result<Journal, StoreError> {
        let path = directory.join(JOURNAL_FILE);
        Ok(Journal { connection: schema::open(&path)?, path, _lock: Some(lock) })
    }

    /// Everything the journal holds.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the record that cannot be believed.
    pub fn record(&mut self) -> Result<RunRecord, StoreError> {
        reading::run(&self.path, &mut self.connection)
    }

    /// Notes an iteration and its candidates, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the iteration, a number or a key is there already.
    pub fn begin_iteration(
        &mut self,
        iteration: &IterationRecord,
        candidates: &[CandidateRecord],
    ) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            insert_iteration(&transaction, iteration)?;
            for candidate in candidates {
                insert_candidate(&transaction, candidate)?;
            }
            transaction.commit()
        };
        write().map_err(|error| schema::failure(&self.path, error))
    }

    /// Notes what became of a candidate.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where there is no such candidate, or it has an outcome already.
    pub fn record_outcome(&mut self, number: u64, outcome: &Outcome) -> Result<(), StoreError> {
        let changed = self
            .connection
            .execute(
                "UPDATE candidates SET validation_accuracy = ?2, failure = ?3, training_losses = ?4, parameters = ?5,
                 multiply_adds = ?6, seconds = ?7, test_accuracy = ?8, cost = ?9 WHERE number = ?1 AND training_losses IS NULL",
                params![
                    number,
                    outcome.validation_accuracy,
                    outcome.failure,
                    reading::numbers_to_json(&outcome.training_losses),
                    outcome.parameters,
                    outcome.multiply_adds,
                    outcome.seconds,
                    outcome.test_accuracy,
                    outcome.cost,
                ],
            )
            .map_err(|error| schema::failure(&self.path, error))?;
        if changed == 1 {
            return Ok(());
        }
        let why = format!("candidate {number} is unknown or has an outcome already");
        Err(StoreError::Refused { path: self.path.clone(), why })
    }

    /// Notes the end of the run.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the run has ended already.
    pub fn finish(&mut self, end: &FinalRecord) -> Result<(), StoreError> {
        let row = params![
            end.candidate,
            reading::numbers_to_json(&end.training_losses),
            end.validation_accuracy,
            end.test_accuracy,
            end.seconds,
        ];
        let insert = "INSERT INTO final VALUES (0, ?1, ?2, ?3, ?4, ?5)";
        self.connection.execute(insert, row).map(drop).map_err(|error| schema::failure(&self.path, error))
    }
}

fn check_vacant(directory: &Path) -> Result<(), StoreError> {
    match directory::inspect(directory)? {
        DirectoryState::Vacant => Ok(()),
        DirectoryState::Run => Err(StoreError::Exists(directory.to_path_buf())),
        DirectoryState::Occupied { example } => {
            Err(StoreError::Occupied { directory: directory.to_path_buf(), example })
        }
    }
}

fn insert_iteration(transaction: &Transaction, record: &IterationRecord) -> rusqlite::Result<()> {
    let refit = record.refit.as_ref();
    let sampling = &record.sampling;
    transaction.execute(
        "INSERT INTO iterations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            record.iteration,
            sampling.rounds,
            sampling.drawn,
            sampling.invalid,
            sampling.duplicates,
            sampling.filled_by_explorer,
            refit.map(|refit| reading::to_json(&refit.buffer)),
            refit.map(|refit: &RefitRecord| reading::numbers_to_json(&refit.losses)),
            refit.map(|refit| refit.seconds),
        ],
    )?;
    Ok(())
}

fn insert_candidate(transaction: &Transaction, record: &CandidateRecord) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO candidates (number, iteration, origin, key, architecture, log_probability)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            record.number,
            record.iteration,
            reading::origin_text(record.origin),
            record.key,
            reading::to_json(&record.architecture),
            record.log_probability,
        ],
    )?;
    Ok(())
}
