//! NAS-Bench-101 in one sorted block of memory, and the file that holds just that block.
//!
//! The file: `GPNASTAB`, version, number of budgets (u32 each), number of cells (u64), the budgets in epochs (u32 each);
//! then a record a cell, sorted by hash: the hash (16 bytes), parameters (u64), and for every budget the number of
//! repeats (u32, 0: none) and the means of validation accuracy, test accuracy and training seconds (f64 each); then the
//! CRC32C of everything before (u32). Numbers are little-endian.

use super::measurement::Measurement;
use super::tfrecord::Records;
use super::{Entry, TableError, file, file_name};
use crate::space::nasbench101::{CellHash, hash};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"GPNASTAB";
const VERSION: u32 = 1;
/// Magic, version, budgets, cells.
const HEADER: usize = 24;
/// The largest file that is read: ten budgets of ten times as many cells as there are.
const MOST_BYTES: u64 = 1 << 31;
const HASH: usize = 16;
/// Repeats and three means.
const BUDGET: usize = 28;

/// All cells of a NAS-Bench-101 file, with the means over their repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct NasBench101Table {
    path: PathBuf,
    /// Epochs, ascending.
    budgets: Vec<u32>,
    /// The file's bytes.
    bytes: Vec<u8>,
}

/// Sums over the repeats of one budget.
#[derive(Clone, Copy, Default)]
struct Sums {
    epochs: u32,
    repeats: u32,
    validation: f64,
    test: f64,
    seconds: f64,
}

struct CellSums {
    parameters: u64,
    budgets: Vec<Sums>,
}

impl NasBench101Table {
    /// Reads the official TFRecord file, checking every checksum, or the compact file.
    ///
    /// # Errors
    /// A file that is foreign or damaged; the message names record and byte.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let mut start = [0; MAGIC.len()];
        let is_compact = std::io::Read::read_exact(&mut file::open(path)?, &mut start).is_ok() && start == *MAGIC;
        if is_compact { Self::read_compact(path) } else { Self::read_records(path) }
    }

    fn read_records(path: &Path) -> Result<Self, TableError> {
        let mut records = Records::new(path, file::open(path)?);
        let mut cells: HashMap<CellHash, CellSums> = HashMap::new();
        while let Some(payload) = records.next()? {
            let measurement = Measurement::read(&payload).map_err(|problem| records.error(problem))?;
            add(&mut cells, &measurement).map_err(|problem| records.error(problem))?;
        }
        if cells.is_empty() {
            let why = "it holds no record".into();
            return Err(TableError::Foreign { path: path.to_path_buf(), expected: "a NAS-Bench-101 file", why });
        }
        Ok(Self::of_sums(path, cells))
    }

    fn of_sums(path: &Path, cells: HashMap<CellHash, CellSums>) -> Self {
        let budgets: BTreeSet<u32> =
            cells.values().flat_map(|cell| cell.budgets.iter().map(|sums| sums.epochs)).collect();
        let budgets: Vec<u32> = budgets.into_iter().collect();
        let mut cells: Vec<(CellHash, CellSums)> = cells.into_iter().collect();
        cells.sort_unstable_by_key(|(hash, _)| *hash);
        let mut bytes = Vec::with_capacity(HEADER + 4 * budgets.len() + cells.len() * record_size(budgets.len()) + 4);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((budgets.len() as u32).to_le_bytes());
        bytes.extend((cells.len() as u64).to_le_bytes());
        bytes.extend(budgets.iter().flat_map(|epochs| epochs.to_le_bytes()));
        for (hash, cell) in &cells {
            bytes.extend(hash.0);
            bytes.extend(cell.parameters.to_le_bytes());
            for &epochs in &budgets {
                let sums = cell.budgets.iter().find(|sums| sums.epochs == epochs).copied().unwrap_or_default();
                let mean = |sum: f64| if sums.repeats == 0 { 0.0 } else { sum / f64::from(sums.repeats) };
                bytes.extend(sums.repeats.to_le_bytes());
                bytes
                    .extend([sums.validation, sums.test, sums.seconds].iter().flat_map(|&sum| mean(sum).to_le_bytes()));
            }
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        NasBench101Table { path: path.to_path_buf(), budgets, bytes }
    }

    fn read_compact(path: &Path) -> Result<Self, TableError> {
        let mut bytes = Vec::new();
        let reader = file::open(path)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(reader, MOST_BYTES), &mut bytes).map_err(file::at(path))?;
        let damaged = |problem: String| TableError::Damaged { path: path.to_path_buf(), problem };
        if bytes.len() < HEADER + 4 {
            return Err(damaged(format!("the file ends after {} bytes, within its header", bytes.len())));
        }
        let (version, budgets, cells) = (u32_at(&bytes, 8), u32_at(&bytes, 12), u64_at(&bytes, 16));
        if version != VERSION {
            let problem = format!("a compact table of format {version}; this program reads format {VERSION}");
            return Err(damaged(format!("{problem}; make it anew with `data convert`")));
        }
        let size = (cells as u128) * record_size(budgets as usize) as u128 + 4 * u128::from(budgets);
        let size = size + HEADER as u128 + 4;
        if budgets == 0 || cells == 0 || size != bytes.len() as u128 {
            let found = bytes.len();
            return Err(damaged(format!("{found} bytes, but {cells} cells with {budgets} budgets take {size}")));
        }
        let body = bytes.len() - 4;
        if crc32c::crc32c(&bytes[..body]) != u32_at(&bytes, body) {
            return Err(damaged("its checksum is wrong: the file is damaged".into()));
        }
        let budgets = (0..budgets as usize).map(|budget| u32_at(&bytes, HEADER + 4 * budget)).collect();
        Ok(NasBench101Table { path: path.to_path_buf(), budgets, bytes })
    }

    /// A table of made-up cells, to test with.
    #[cfg(test)]
    pub(super) fn synthetic(path: &Path, cells: impl Iterator<Item = (CellHash, f64)>) -> Self {
        let sums = |validation| Sums { epochs: 108, repeats: 1, validation, test: validation, seconds: 1.0 };
        let cell = |(hash, accuracy)| (hash, CellSums { parameters: 1, budgets: vec![sums(accuracy)] });
        Self::of_sums(path, cells.map(cell).collect())
    }

    /// Writes the compact file, which must not be there yet.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, path: &Path) -> Result<(), TableError> {
        let mut file = File::create_new(path).map_err(file::at(path))?;
        let written = file.write_all(&self.bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(path);
        }
        written.map_err(file::at(path))
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        u64_at(&self.bytes, 16) as usize
    }

    /// Whether it has no cell; never so for a table that was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of a budget among those of the file: that of so many epochs, or the largest for 0.
    ///
    /// # Errors
    /// [`TableError::Epochs`] names those that there are.
    pub fn budget(&self, epochs: u32) -> Result<usize, TableError> {
        let found = match epochs {
            0 => self.budgets.len().checked_sub(1),
            _ => self.budgets.iter().position(|&budget| budget == epochs),
        };
        let list: Vec<String> = self.budgets.iter().map(u32::to_string).collect();
        found.ok_or_else(|| TableError::Epochs { table: self.name(), wanted: epochs, present: list.join(", ") })
    }

    /// The epochs of a budget.
    pub fn epochs(&self, budget: usize) -> u32 {
        self.budgets.get(budget).copied().unwrap_or(0)
    }

    /// The epochs of all budgets, ascending.
    pub fn all_epochs(&self) -> &[u32] {
        &self.budgets
    }

    /// The means of a cell at a budget.
    pub fn entry(&self, hash: CellHash, budget: usize) -> Option<Entry> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.record(middle)[..HASH].cmp(&hash.0) {
                std::cmp::Ordering::Equal => return self.entry_of(middle, budget),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// All entries of a budget, by hash.
    pub fn entries(&self, budget: usize) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).filter_map(move |cell| self.entry_of(cell, budget))
    }

    /// The file's name.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    fn entry_of(&self, cell: usize, budget: usize) -> Option<Entry> {
        let record = self.record(cell);
        let place = HASH + 8 + BUDGET * budget;
        if budget >= self.budgets.len() || u32_at(record, place) == 0 {
            return None;
        }
        Some(Entry {
            validation_accuracy: f64_at(record, place + 4),
            test_accuracy: f64_at(record, place + 12),
            parameters: Some(u64_at(record, HASH)),
            cost: Some(f64_at(record, place + 20)),
        })
    }

    fn record(&self, cell: usize) -> &[u8] {
        let size = record_size(self.budgets.len());
        let start = HEADER + 4 * self.budgets.len() + cell * size;
        &self.bytes[start..start + size]
    }
}

/// Adds a record to the sums of its cell. The first one of every cell is checked against the hash of its own matrix.
fn add(cells: &mut HashMap<CellHash, CellSums>, measurement: &Measurement) -> Result<(), String> {
    let parameters = measurement.parameters;
    if !cells.contains_key(&measurement.hash) {
        let found = hash(&measurement.cell()?);
        if found != measurement.hash {
            return Err(format!("its cell has the hash {found}, not {}", measurement.hash));
        }
    }
    let cell = cells.entry(measurement.hash).or_insert(CellSums { parameters, budgets: vec![] });
    if cell.parameters != parameters {
        return Err(format!("{parameters} parameters, but {} in an earlier record of the cell", cell.parameters));
    }
    let place = match cell.budgets.iter().position(|sums| sums.epochs == measurement.epochs) {
        Some(place) => place,
        None => {
            cell.budgets.push(Sums { epochs: measurement.epochs, ..Sums::default() });
            cell.budgets.len() - 1
        }
    };
    let sums = &mut cell.budgets[place];
    sums.repeats += 1;
    sums.validation += measurement.validation_accuracy;
    sums.test += measurement.test_accuracy;
    sums.seconds += measurement.seconds;
    Ok(())
}

fn record_size(budgets: usize) -> usize {
    HASH + 8 + BUDGET * budgets
}

/// Eight bytes of a block whose size was checked.
fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes[place..place + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes[place..place + 4].iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn f64_at(bytes: &[u8], place: usize) -> f64 {
    f64::from_bits(u64_at(bytes, place))
}
