//! Why there is no data.

use super::packed::PackedError;
use super::pictures::PictureError;
use super::sources::IdxError;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no data.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file is not there.
    #[error("data: neither {name} nor {name}.gz is in {}; install Debian's package dataset-fashion-mnist, or set [data] path to the folder of the four files", folder.display())]
    Missing {
        /// The file's name without `.gz`.
        name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Nothing is where it was looked for.
    #[error("data: there is no {}; set data.path to where {source_name} lies, or get it with `data fetch {source_name}`", place.display())]
    Absent {
        /// The place.
        place: PathBuf,
        /// `data.source`.
        source_name: &'static str,
    },
    /// The data set needs a path.
    #[error("data.path = \"\": must name a folder or an archive for data.source = \"{0}\"")]
    NoPath(&'static str),
    /// A file cannot be read.
    #[error("data: cannot read {}: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A file cannot be written.
    #[error("data: cannot write {}: {reason}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A file that belongs to the data set is missing.
    #[error("data: there is no {file}")]
    Lacks {
        /// The file.
        file: String,
    },
    /// A folder holds nothing of what belongs there.
    #[error("data: {place} has no {wanted}")]
    Nothing {
        /// The folder.
        place: String,
        /// What should be there.
        wanted: String,
    },
    /// A folder that is no class.
    #[error("data: the folder {folder} is none of the classes of {list}")]
    Stranger {
        /// The folder.
        folder: String,
        /// What names the classes.
        list: String,
    },
    /// Too many classes.
    #[error("data: {place} has {classes} folders, at most 65535 classes are possible")]
    Classes {
        /// The folder.
        place: String,
        /// How many.
        classes: usize,
    },
    /// An image without a label.
    #[error("data: {file} is not in {list}")]
    Unlabelled {
        /// The image.
        file: String,
        /// The file of the labels.
        list: String,
    },
    /// A line of a text file is wrong.
    #[error("data: {file}, line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// An image cannot be decoded.
    #[error("data: {file}: {source}")]
    Picture {
        /// The file.
        file: String,
        /// Why.
        source: PictureError,
    },
    /// A file of records is not whole.
    #[error(
        "data: {file} has {bytes} bytes, not a multiple of {record}, the size of a record (one label, 3 x 32 x 32 pixels)"
    )]
    Records {
        /// The file.
        file: String,
        /// Its length.
        bytes: usize,
        /// A record's length.
        record: usize,
    },
    /// A label is not a class.
    #[error("data: {file}, record {record} (from 0): label {label} is not below {classes}")]
    Label {
        /// The file.
        file: String,
        /// Which, from 0.
        record: usize,
        /// The label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A packed file is damaged.
    #[error("data: {}: {source}", file.display())]
    Packed {
        /// The file.
        file: PathBuf,
        /// Why.
        source: PackedError,
    },
    /// A packed file of another data set.
    #[error("data: {} holds \"{found}\", but data.source = \"{expected}\"", file.display())]
    OtherSource {
        /// The file.
        file: PathBuf,
        /// What it holds.
        found: String,
        /// `data.source`.
        expected: &'static str,
    },
    /// Nothing that this program knows.
    #[error("data: {} is no data set that this program knows: {}", place.display(), known)]
    Unknown {
        /// The place.
        place: PathBuf,
        /// What it knows.
        known: &'static str,
    },
    /// A file is not what its name says.
    #[error("data: {file}: {source}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        source: IdxError,
    },
    /// A file has other contents than the published one.
    #[error("data: {file} is damaged: the MD5 of its decompressed contents is {found}, not {expected}")]
    Checksum {
        /// The file.
        file: String,
        /// MD5 of what is there.
        found: String,
        /// MD5 of the published contents.
        expected: &'static str,
    },
    /// Nothing would be held out.
    #[error("[data] {key} = 0: at least one image must be held out")]
    EmptyPart {
        /// `validation_images` or `test_images`.
        key: &'static str,
    },
    /// Too much would be held out.
    #[error(
        "[data] validation_images = {validation} and test_images = {test} of {available} images leave class {class} none to train on"
    )]
    NoTrainingImages {
        /// Images to hold out for validation.
        validation: usize,
        /// Images to hold out for the test; 0 where the data set has a test part of its own.
        test: usize,
        /// Images to choose from.
        available: usize,
        /// The first class that training would not see.
        class: usize,
    },
}
