//! Opening files that may be compressed.

use super::TableError;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A CSV file is read up to this size.
const MOST_TEXT: u64 = 1 << 30;

/// An error of the system about this file.
pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> TableError + '_ {
    move |source| TableError::Io { path: path.to_path_buf(), source }
}

/// The content of a file, decompressed where it is compressed.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, TableError> {
    let file = File::open(path).map_err(at(path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let compressed = reader.fill_buf().map_err(at(path))?.starts_with(&GZIP);
    if compressed {
        Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, TableError> {
    let mut bytes = Vec::new();
    open(path)?.take(MOST_TEXT).read_to_end(&mut bytes).map_err(at(path))?;
    String::from_utf8(bytes).map_err(|error| TableError::Foreign {
        path: path.to_path_buf(),
        expected: "a CSV file",
        why: format!("byte {} is not UTF-8 text", error.utf8_error().valid_up_to()),
    })
}
