//! Benchmarks as tables: architectures that somebody else trained, with their accuracies.
//!
//! A NAS-Bench-101 table is the official TFRecord file or the compact file that `data convert` makes of it; a
//! NAS-Bench-201 table and a user's own are CSV files. CSV and TFRecord files may be compressed by gzip.

mod cells;
mod csv;
mod file;
mod indexed;
mod measurement;
mod nasbench201;
mod tfrecord;

#[cfg(test)]
mod tests;

pub use cells::CellTable;
pub use indexed::NasBench101Table;
pub use nasbench201::NasBench201Table;
pub use tfrecord::LARGEST_RECORD;

use crate::config::{Config, SpaceKind};
use crate::space::Architecture;
use crate::space::nasbench101::{hash, prune};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What a table knows of an architecture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Validation accuracy, 0..=1.
    pub validation_accuracy: f64,
    /// Test accuracy, 0..=1.
    pub test_accuracy: f64,
    /// Trainable parameters, where the table says so.
    pub parameters: Option<u64>,
    /// What the evaluation cost those who made the table, in its own unit; seconds of training in NAS-Bench-101.
    pub cost: Option<f64>,
}

/// The best of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimum {
    /// The highest validation accuracy.
    pub validation_accuracy: f64,
    /// The highest test accuracy, of whichever architecture.
    pub test_accuracy: f64,
    /// The test accuracy of the architecture with the highest validation accuracy.
    pub test_of_best_validation: f64,
}

impl Optimum {
    /// Of these entries; of equal validation accuracies the first counts. `None`: there are none.
    fn of(entries: impl Iterator<Item = Entry>) -> Option<Optimum> {
        entries.fold(None, |best: Option<Optimum>, entry| {
            let Some(best) = best else {
                let (validation_accuracy, test_accuracy) = (entry.validation_accuracy, entry.test_accuracy);
                return Some(Optimum { validation_accuracy, test_accuracy, test_of_best_validation: test_accuracy });
            };
            let better = entry.validation_accuracy > best.validation_accuracy;
            Some(Optimum {
                validation_accuracy: best.validation_accuracy.max(entry.validation_accuracy),
                test_accuracy: best.test_accuracy.max(entry.test_accuracy),
                test_of_best_validation: if better { entry.test_accuracy } else { best.test_of_best_validation },
            })
        })
    }
}

/// Why a table could not be read or asked.
#[derive(Debug, Error)]
pub enum TableError {
    /// The system refused the file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration names no table.
    #[error("oracle.table: names no file; the oracle \"table\" needs one")]
    NoTable,
    /// A file of another kind.
    #[error("{path} is not {expected}: {why}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// What it has instead.
        why: String,
    },
    /// A record of a TFRecord file that cannot be believed.
    #[error("{path}: record {record} at byte {offset}: {problem}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Which record, from 1.
        record: u64,
        /// Where it begins, after decompression.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A line of a CSV file that cannot be believed.
    #[error("{path}: line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A file that ends too early, or is damaged as a whole.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The table has no such budget.
    #[error("oracle.table_epochs = {wanted}: {table} has accuracies after {present} epochs")]
    Epochs {
        /// The table.
        table: String,
        /// What was asked for.
        wanted: u32,
        /// What is there.
        present: String,
    },
    /// An architecture that the table lacks.
    #[error("the table {table} lacks the cell {cell}")]
    Missing {
        /// The table.
        table: String,
        /// The cell.
        cell: String,
    },
    /// An architecture that is not of the table's space.
    #[error("the table {table} has no architectures of the space {found}")]
    OtherSpace {
        /// The table.
        table: String,
        /// The architecture's space.
        found: &'static str,
    },
}

/// A table of any kind.
#[derive(Clone, Debug)]
pub enum Table {
    /// NAS-Bench-101, at one of its budgets.
    NasBench101(Arc<NasBench101Table>, usize),
    /// NAS-Bench-201, for one of its data sets.
    NasBench201(Arc<NasBench201Table>),
    /// A user's own.
    Cells(Arc<CellTable>),
}

impl Table {
    /// The table of a configuration.
    ///
    /// # Errors
    /// A file that is not there, foreign or damaged; a budget that it has not.
    pub fn open(config: &Config) -> Result<Table, TableError> {
        let path = config.oracle.table.as_deref().ok_or(TableError::NoTable)?;
        match config.space.kind {
            SpaceKind::Nasbench101 => {
                let table = NasBench101Table::read(path)?;
                let budget = table.budget(config.oracle.table_epochs)?;
                Ok(Table::NasBench101(Arc::new(table), budget))
            }
            SpaceKind::Nasbench201 => {
                Ok(Table::NasBench201(Arc::new(NasBench201Table::read(path, config.oracle.dataset)?)))
            }
            SpaceKind::Table | SpaceKind::Randwire | SpaceKind::Enas => {
                Ok(Table::Cells(Arc::new(CellTable::read(path)?)))
            }
        }
    }

    /// What the table knows of an architecture.
    ///
    /// # Errors
    /// [`TableError::Missing`] names the cell.
    pub fn query(&self, architecture: &Architecture) -> Result<Entry, TableError> {
        let (entry, cell) = match (self, architecture) {
            (Table::NasBench101(table, budget), Architecture::NasBench101(cell)) => {
                let entry = prune(cell).and_then(|pruned| table.entry(hash(&pruned), *budget));
                (entry, entry.is_none().then(|| cell.describe()))
            }
            (Table::NasBench201(table), Architecture::NasBench201(cell)) => {
                let entry = table.entry(*cell);
                (entry, entry.is_none().then(|| cell.to_string()))
            }
            (Table::Cells(table), Architecture::Table(cell)) => {
                let entry = table.position(cell).map(|row| table.entry(row));
                (entry, entry.is_none().then(|| cell.describe()))
            }
            (_, other) => return Err(TableError::OtherSpace { table: self.name(), found: other.space() }),
        };
        entry.ok_or_else(|| TableError::Missing { table: self.name(), cell: cell.unwrap_or_default() })
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        match self {
            Table::NasBench101(table, _) => table.len(),
            Table::NasBench201(table) => table.len(),
            Table::Cells(table) => table.len(),
        }
    }

    /// Whether it has no cell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best of the whole table, whether or not the space holds all of it.
    pub fn optimum(&self) -> Option<Optimum> {
        match self {
            Table::NasBench101(table, budget) => Optimum::of(table.entries(*budget)),
            Table::NasBench201(table) => Optimum::of(table.entries()),
            Table::Cells(table) => Optimum::of((0..table.len()).map(|row| table.entry(row))),
        }
    }

    /// The file's name, without its folder.
    pub fn name(&self) -> String {
        match self {
            Table::NasBench101(table, _) => table.name(),
            Table::NasBench201(table) => table.name(),
            Table::Cells(table) => table.name(),
        }
    }

    /// What the table is, for a reader.
    pub fn description(&self) -> String {
        let (name, cells) = (self.name(), self.len());
        match self {
            Table::NasBench101(table, budget) => {
                format!("NAS-Bench-101 after {} epochs ({name}, {cells} cells)", table.epochs(*budget))
            }
            Table::NasBench201(table) => format!("NAS-Bench-201, {} ({name}, {cells} cells)", table.dataset().name()),
            Table::Cells(_) => format!("the table {name} ({cells} cells)"),
        }
    }
}

/// The name of a file, without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// An accuracy, or what is wrong with it.
fn accuracy(value: f64, what: &str) -> Result<f64, String> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("the {what} accuracy is {value}, not from 0 to 1"))
    }
}
