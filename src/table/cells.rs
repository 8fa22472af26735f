//! A user's own benchmark: `adjacency,ops,validation,test[,parameters][,cost]`.
//!
//! `adjacency` is the matrix row by row, zeros and ones; `ops` the names of the operators, separated by commas and so in
//! quotes; `validation` and `test` accuracies from 0 to 1. Other columns are ignored.

use super::csv::{Csv, Line};
use super::{Entry, TableError, accuracy, file, file_name};
use crate::graph::{CanonicalKey, LabelledGraph, canonical_key};
use crate::space::{Cell, OperatorName};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Kinds of operators that are numbered: one number is left for "absent".
const MOST_OPERATORS: usize = 254;

/// The rows of a table. No two of them are isomorphic.
#[derive(Clone, Debug)]
pub struct CellTable {
    path: PathBuf,
    /// Sorted.
    operators: Vec<OperatorName>,
    rows: Vec<(Cell<OperatorName>, Entry)>,
    by_key: HashMap<CanonicalKey, usize>,
}

/// The columns that are read.
struct Columns {
    adjacency: usize,
    operators: usize,
    validation: usize,
    test: usize,
    parameters: Option<usize>,
    cost: Option<usize>,
}

impl CellTable {
    /// Reads a file.
    ///
    /// # Errors
    /// A column that is missing, a line that is no cell, cells that are isomorphic.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        Self::parse(path, &file::text(path)?)
    }

    /// The same from a text.
    ///
    /// # Errors
    /// As there.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, TableError> {
        let path = path.as_ref();
        let csv = Csv::new(path, text)?;
        let columns = Columns {
            adjacency: csv.column("adjacency")?,
            operators: csv.column("ops")?,
            validation: csv.column("validation")?,
            test: csv.column("test")?,
            parameters: csv.optional_column("parameters"),
            cost: csv.optional_column("cost"),
        };
        let lines = csv.collect::<Result<Vec<Line>, TableError>>()?;
        let rows = lines.iter().map(|line| row(line, &columns)).collect::<Result<Vec<_>, TableError>>()?;
        let names: BTreeSet<OperatorName> =
            rows.iter().flat_map(|(cell, _)| cell.operators().iter().cloned()).collect();
        let damaged = |problem: String| TableError::Damaged { path: path.to_path_buf(), problem };
        if rows.is_empty() || names.len() > MOST_OPERATORS {
            let (rows, names) = (rows.len(), names.len());
            return Err(damaged(format!("{rows} rows with {names} operators; a table has some, and at most 254")));
        }
        let operators = names.into_iter().collect();
        let mut table = CellTable { path: path.to_path_buf(), operators, rows, by_key: HashMap::new() };
        table.index(&lines)?;
        Ok(table)
    }

    fn index(&mut self, lines: &[Line]) -> Result<(), TableError> {
        for (row, line) in lines.iter().enumerate() {
            if let Some(earlier) = self.by_key.insert(self.key(self.cell(row)), row) {
                return Err(line.error(format!("the cell is isomorphic to that of line {}", lines[earlier].number)));
            }
        }
        Ok(())
    }

    /// The row of a cell, or of one that is isomorphic to it.
    pub fn position(&self, cell: &Cell<OperatorName>) -> Option<usize> {
        self.by_key.get(&self.key(cell)).copied()
    }

    /// The key that a cell shares with those that are isomorphic to it.
    pub fn key(&self, cell: &Cell<OperatorName>) -> CanonicalKey {
        canonical_key(&self.graph(cell))
    }

    /// The cell with operators by number; a name that the table has not gets the number after the last.
    pub fn graph(&self, cell: &Cell<OperatorName>) -> LabelledGraph {
        let number = |name| self.operators.binary_search(name).unwrap_or(self.operators.len()) as u8;
        LabelledGraph { dag: cell.dag().clone(), operators: cell.operators().iter().map(number).collect() }
    }

    /// The cell of a row below [`CellTable::len`].
    pub fn cell(&self, row: usize) -> &Cell<OperatorName> {
        &self.rows[row].0
    }

    /// The accuracies of a row below [`CellTable::len`].
    pub fn entry(&self, row: usize) -> Entry {
        self.rows[row].1
    }

    /// The operators' names, sorted.
    pub fn operators(&self) -> &[OperatorName] {
        &self.operators
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row; never so for a table that was read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Nodes of the largest cell.
    pub fn most_nodes(&self) -> usize {
        self.rows.iter().map(|(cell, _)| cell.nodes()).max().unwrap_or(0)
    }

    /// Whether some cells have fewer nodes than others.
    pub fn sizes_differ(&self) -> bool {
        self.rows.iter().any(|(cell, _)| cell.nodes() != self.most_nodes())
    }

    /// The file's name.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }
}

fn row(line: &Line, columns: &Columns) -> Result<(Cell<OperatorName>, Entry), TableError> {
    let names = line.text(columns.operators).split(',').map(str::trim);
    let cell = Cell::from_flat(line.text(columns.adjacency), names).map_err(|error| line.error(error.to_string()))?;
    let share = |column, what| {
        let value: f64 = line.number(column)?;
        accuracy(value, what).map_err(|problem| line.error(format!("{problem}; divide percentages by 100")))
    };
    let optional = |column: Option<usize>| {
        column.filter(|&column| !line.text(column).is_empty()).map(|column| line.number(column)).transpose()
    };
    let entry = Entry {
        validation_accuracy: share(columns.validation, "validation")?,
        test_accuracy: share(columns.test, "test")?,
        parameters: optional(columns.parameters)?.map(|number| number.max(0.0) as u64),
        cost: optional(columns.cost)?,
    };
    Ok((cell, entry))
}
