//! NAS-Bench-201 as a CSV file: `cellstr`, and for every data set `NAME-val` and `NAME-test` in percent.

use super::csv::Csv;
use super::{Entry, TableError, accuracy, file, file_name};
use crate::config::BenchmarkDataset;
use crate::space::nasbench201::{CELLS, Cell201};
use std::path::{Path, PathBuf};

/// The accuracies of all cells on one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct NasBench201Table {
    path: PathBuf,
    dataset: BenchmarkDataset,
    /// By the cells' numbers.
    entries: Vec<Option<Entry>>,
}

impl NasBench201Table {
    /// Reads the columns of a data set.
    ///
    /// # Errors
    /// A column that is missing; a line that is no cell, or a cell twice.
    pub fn read(path: &Path, dataset: BenchmarkDataset) -> Result<Self, TableError> {
        Self::parse(path, dataset, &file::text(path)?)
    }

    /// The same from a text.
    ///
    /// # Errors
    /// As there.
    pub fn parse(path: &Path, dataset: BenchmarkDataset, text: &str) -> Result<Self, TableError> {
        let csv = Csv::new(path, text)?;
        let (validation, test) = dataset.columns();
        let (cell, validation, test) = (csv.column("cellstr")?, csv.column(validation)?, csv.column(test)?);
        let mut entries = vec![None; CELLS];
        for line in csv {
            let line = line?;
            let number = line.text(cell).parse::<Cell201>().map_err(|problem| line.error(problem))?.number();
            let share = |column, what| {
                let percent: f64 = line.number(column)?;
                accuracy(percent / 100.0, what).map_err(|_| line.error(format!("{percent} % {what} accuracy")))
            };
            let (validation_accuracy, test_accuracy) = (share(validation, "validation")?, share(test, "test")?);
            let entry = Entry { validation_accuracy, test_accuracy, parameters: None, cost: None };
            if entries[number].replace(entry).is_some() {
                return Err(line.error(format!("the cell {} is given twice", line.text(cell))));
            }
        }
        Ok(NasBench201Table { path: path.to_path_buf(), dataset, entries })
    }

    /// The accuracies of a cell.
    pub fn entry(&self, cell: Cell201) -> Option<Entry> {
        self.entries.get(cell.number()).copied().flatten()
    }

    /// All entries, by the cells' numbers.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().copied().flatten()
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether it has no cell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data set.
    pub fn dataset(&self) -> BenchmarkDataset {
        self.dataset
    }

    /// The file's name.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }
}
