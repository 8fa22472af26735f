//! TFRecord files: length, masked CRC32C of the length, payload, masked CRC32C of the payload; little-endian.

use super::TableError;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest record that is read, in bytes.
pub const LARGEST_RECORD: u64 = 1 << 20;

/// What TensorFlow adds to a rotated checksum, so that checksums of checksums mean something.
const MASK: u32 = 0xa282_ead8;

/// The records of a file, one after the other; memory for one of them is enough.
pub(super) struct Records<R> {
    reader: R,
    path: PathBuf,
    /// Bytes read so far.
    offset: u64,
    /// Records begun so far.
    record: u64,
    /// Where the current record begins.
    start: u64,
}

/// CRC32C, rotated right by 15 bits and masked.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

impl<R: Read> Records<R> {
    pub fn new(path: &Path, reader: R) -> Self {
        Records { reader, path: path.to_path_buf(), offset: 0, record: 0, start: 0 }
    }

    /// An error of the current record.
    pub fn error(&self, problem: impl Into<String>) -> TableError {
        let problem = problem.into();
        TableError::Record { path: self.path.clone(), record: self.record, offset: self.start, problem }
    }

    /// The next payload; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, TableError> {
        let mut header = [0; 12];
        self.start = self.offset;
        if self.fill(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.record += 1;
        self.fill_all(&mut header[1..], "its length")?;
        let (length, checksum) = header.split_at(8);
        if masked_crc(length) != word(checksum) {
            return Err(self.wrong_length());
        }
        let length = length.iter().rev().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
        if length > LARGEST_RECORD {
            return Err(self.error(format!("{length} bytes, but at most {LARGEST_RECORD} are read")));
        }
        let mut payload = vec![0; length as usize];
        self.fill_all(&mut payload, "its payload")?;
        let mut checksum = [0; 4];
        self.fill_all(&mut checksum, "its payload's checksum")?;
        if masked_crc(&payload) != word(&checksum) {
            return Err(self.error("the checksum of its payload is wrong: the file is damaged"));
        }
        Ok(Some(payload))
    }

    /// Of the first record this says that the file is of another kind.
    fn wrong_length(&self) -> TableError {
        let why = "the checksum of its first length is wrong".into();
        match self.record {
            1 => TableError::Foreign { path: self.path.clone(), expected: "a TFRecord file", why },
            _ => self.error("the checksum of its length is wrong: the file is damaged"),
        }
    }

    fn fill_all(&mut self, buffer: &mut [u8], what: &str) -> Result<(), TableError> {
        let expected = buffer.len();
        match self.fill(buffer)? {
            found if found == expected => Ok(()),
            found => Err(self.error(format!("the file ends after {found} of {expected} bytes of {what}"))),
        }
    }

    /// Fills the buffer as far as the file goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TableError> {
        let mut found = 0;
        while found < buffer.len() {
            match self.reader.read(&mut buffer[found..]) {
                Ok(0) => break,
                Ok(count) => found += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TableError::Io { path: self.path.clone(), source }),
            }
        }
        self.offset += found as u64;
        Ok(found)
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
