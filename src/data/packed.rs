//! The packed file: a data set's labels and pixels as they lie in memory, so that it opens in a moment.
//!
//! ```text
//! "GPNASPIX"                          8 bytes
//! version, length of the header       u32, u32 (all numbers are little-endian)
//! header                              JSON, see [`Header`], then spaces up to a multiple of 64 bytes
//! labels                              u16 an image
//! pixels                              u8, (images, height, width, channels)
//! ```

use super::DataError;
use super::catalogue::Catalogue;
use super::dataset::{Facts, Images, Pixels, hash_without_pixels};
use crate::device::Mapping;
use crate::net::ImageShape;
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const MAGIC: &[u8; 8] = b"GPNASPIX";
const VERSION: u32 = 1;
/// Bytes before the header.
const PREFIX: usize = 16;
const ALIGNMENT: usize = 64;
/// Largest header that is read.
const MOST_HEADER_BYTES: usize = 1 << 26;

/// Why a packed file was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PackedError {
    /// Not one of these files.
    #[error("not a packed data set")]
    Magic,
    /// Made by another version of this program.
    #[error("a packed data set of version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// The header makes no sense.
    #[error("its header is damaged: {0}")]
    Header(String),
    /// It has another length.
    #[error("it has {found} bytes instead of {expected}")]
    Length {
        /// What it has.
        found: u64,
        /// What its header asks for.
        expected: u64,
    },
    /// Its contents have changed.
    #[error("it is damaged: the CRC-32C of labels and pixels is {found}, not {expected}")]
    Checksum {
        /// Of what is there.
        found: String,
        /// What the header says.
        expected: String,
    },
    /// A label is not a class.
    #[error("label {label} of image {image} is not below {classes}")]
    Label {
        /// The label.
        label: u16,
        /// Which, from 0.
        image: usize,
        /// Number of classes.
        classes: usize,
    },
}

/// What a packed file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    name: String,
    /// `data.source`.
    source: String,
    channels: usize,
    height: usize,
    width: usize,
    classes: Vec<String>,
    flip: bool,
    padding: usize,
    images: usize,
    /// The first so many images are the training part.
    training: usize,
    /// Of the files that it was made from.
    fingerprint: String,
    /// CRC-32C of labels and pixels, 8 hexadecimal digits.
    crc32c: String,
    /// The data set's checksum: SHA-256 of shape, classes, labels and pixels.
    sha256: String,
}

/// What a packed file is made from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// `data.source`.
    pub source: &'a str,
    /// Of the files.
    pub fingerprint: &'a str,
}

/// An opened file.
pub(super) struct Packed {
    pub images: Images,
    /// `data.source`.
    pub source: String,
    /// Of the files that it was made from.
    pub fingerprint: String,
}

/// Whether a file begins as a packed one.
pub(super) fn is_packed(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}

/// Opens a packed file and verifies all of it.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub(super) fn open(path: &Path) -> Result<Packed, DataError> {
    let unreadable = |reason| DataError::Read { file: path.to_path_buf(), reason };
    let file = File::open(path).map_err(unreadable)?;
    let content = Mapping::of(&file).map_err(unreadable)?;
    read(content).map_err(|source| DataError::Packed { file: path.to_path_buf(), source })
}

fn read(content: Mapping) -> Result<Packed, PackedError> {
    let (header, body) = parse(&content)?;
    let crc = format!("{:08x}", crc32c::crc32c(body));
    if crc != header.crc32c {
        return Err(PackedError::Checksum { found: crc, expected: header.crc32c });
    }
    let labels: Vec<u16> =
        body[..2 * header.images].chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]])).collect();
    let classes = header.classes.len();
    if let Some(image) = labels.iter().position(|&label| usize::from(label) >= classes) {
        return Err(PackedError::Label { label: labels[image], image, classes });
    }
    let size = body.len() - 2 * header.images;
    let facts = Facts {
        name: header.name,
        shape: ImageShape { channels: header.channels, height: header.height, width: header.width },
        classes: header.classes,
        flip: header.flip,
        padding: header.padding,
        training: header.training,
    };
    let images = Images { facts, pixels: Pixels::File(content, size), labels, known_checksum: Some(header.sha256) };
    Ok(Packed { images, source: header.source, fingerprint: header.fingerprint })
}

/// The header, and what follows it, of the right length.
fn parse(content: &[u8]) -> Result<(Header, &[u8]), PackedError> {
    let number = |at: usize| content.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let (true, Some(version), Some(length)) = (content.starts_with(MAGIC), number(8), number(12)) else {
        return Err(PackedError::Magic);
    };
    if version != VERSION {
        return Err(PackedError::Version(version));
    }
    let end = PREFIX + length as usize;
    let text = content.get(PREFIX..end).filter(|text| text.len() <= MOST_HEADER_BYTES);
    let text = text.ok_or_else(|| PackedError::Header("it is not whole".into()))?;
    let header: Header = serde_json::from_slice(text).map_err(|error| PackedError::Header(error.to_string()))?;
    let size = [header.channels, header.height, header.width].into_iter().try_fold(1usize, usize::checked_mul);
    let body = size.and_then(|size| size.checked_add(2)?.checked_mul(header.images)).unwrap_or(usize::MAX);
    let (found, expected) = (content.len() as u64, (end as u64).saturating_add(body as u64));
    if found != expected {
        return Err(PackedError::Length { found, expected });
    }
    if header.images == 0 || header.training > header.images || size == Some(0) {
        return Err(PackedError::Header("there are no images".into()));
    }
    Ok((header, &content[end..]))
}

/// Writes a packed file under another name, then renames it, so that a reader finds a whole one or none.
///
/// # Errors
/// An image or the file: what cannot be read or written.
pub(super) fn write(catalogue: &Catalogue, origin: Origin, path: &Path, threads: usize) -> Result<(), DataError> {
    let unwritable = |reason| DataError::Write { file: path.to_path_buf(), reason };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    let draft = Draft::new(path);
    let file = File::create(&draft.0).map_err(unwritable)?;
    let mut writer = Writer { file, crc: 0, unwritable: &unwritable };
    writer.all(catalogue, origin, threads)?;
    fs::rename(&draft.0, path).map_err(unwritable)
}

/// A file that is removed unless it was renamed.
struct Draft(PathBuf);

impl Draft {
    fn new(path: &Path) -> Draft {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Draft(name.into())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Writer<'a> {
    file: File,
    crc: u32,
    unwritable: &'a dyn Fn(io::Error) -> DataError,
}

impl Writer<'_> {
    fn all(&mut self, catalogue: &Catalogue, origin: Origin, threads: usize) -> Result<(), DataError> {
        let mut header = header(catalogue, origin);
        self.header(&header)?;
        let mut hash = hash_without_pixels(&catalogue.facts, &catalogue.labels);
        let labels: Vec<u8> = catalogue.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        self.body(&labels)?;
        catalogue.for_each_chunk(threads, &mut |pixels| {
            hash.update(pixels);
            self.body(pixels)
        })?;
        header.crc32c = format!("{:08x}", self.crc);
        header.sha256 = super::hexadecimal(&hash.finalize());
        self.file.seek(SeekFrom::Start(0)).map_err(self.unwritable)?;
        self.header(&header)?;
        self.file.sync_all().map_err(self.unwritable)
    }

    fn header(&mut self, header: &Header) -> Result<(), DataError> {
        let text = serde_json::to_string(header).map_err(|error| (self.unwritable)(error.into()))?;
        let length = (PREFIX + text.len()).next_multiple_of(ALIGNMENT) - PREFIX;
        let mut bytes = Vec::with_capacity(PREFIX + length);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.resize(PREFIX + length, b' ');
        self.file.write_all(&bytes).map_err(self.unwritable)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.file.write_all(bytes).map_err(self.unwritable)
    }
}

/// The header, its checksums still to be filled in.
fn header(catalogue: &Catalogue, origin: Origin) -> Header {
    let Facts { name, shape, classes, flip, padding, training } = catalogue.facts.clone();
    Header {
        name,
        source: origin.source.into(),
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        classes,
        flip,
        padding,
        images: catalogue.labels.len(),
        training,
        fingerprint: origin.fingerprint.into(),
        crc32c: "0".repeat(8),
        sha256: "0".repeat(64),
    }
}
