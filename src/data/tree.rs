//! The files of a data set: those of a folder, of an archive (tar, gzipped tar or zip, read into memory), or one file.

use super::DataError;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Folders within folders that are looked into.
const DEEPEST: usize = 8;
/// Bytes of files that are read from an archive.
const MOST_ARCHIVE_BYTES: u64 = 8 << 30;

/// Files by their path, parts joined by `/`, ascending.
pub(super) struct Tree {
    place: PathBuf,
    files: BTreeMap<String, Content>,
    /// Put before every path that is asked for.
    root: String,
}

enum Content {
    /// On disk, under [`Tree::place`].
    Outside,
    /// In memory.
    Bytes(Vec<u8>),
}

impl Tree {
    /// Lists a folder or reads an archive or a single file.
    ///
    /// # Errors
    /// There is nothing, or it cannot be read.
    pub fn open(place: &Path) -> Result<Tree, DataError> {
        let unreadable = |reason| DataError::Read { file: place.to_path_buf(), reason };
        let files = if fs::metadata(place).map_err(unreadable)?.is_dir() {
            walk(place)?.into_iter().map(|file| (file.path, Content::Outside)).collect()
        } else {
            archived(place)
                .map_err(unreadable)?
                .into_iter()
                .map(|(path, bytes)| (path, Content::Bytes(bytes)))
                .collect()
        };
        Ok(Tree { place: place.to_path_buf(), files, root: String::new() })
    }

    /// Makes the folder that holds `marker` (a file or a folder) the root, where it is not more than one folder down.
    /// `false`: there is none.
    pub fn enter(&mut self, marker: &str) -> bool {
        let holds = |root: &str| {
            let wanted = format!("{root}{marker}");
            self.files.range(wanted.clone()..).next().is_some_and(|(path, _)| {
                path.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let folders = self.folders("").into_iter().map(|folder| format!("{folder}/"));
        let Some(root) = std::iter::once(String::new()).chain(folders).find(|root| holds(root)) else { return false };
        self.root = root;
        true
    }

    /// Makes the only folder the root, where there is nothing beside it.
    pub fn enter_only_folder(&mut self) {
        if let [only] = &self.folders("")[..]
            && self.files.keys().all(|path| path.contains('/'))
        {
            self.root = format!("{only}/");
        }
    }

    /// Paths under a folder (`""`: the root; else it ends with `/`), seen from it, ascending.
    pub fn paths<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{}{folder}", self.root);
        let from = self.files.range(prefix.clone()..);
        from.map_while(move |(path, _)| path.strip_prefix(&prefix))
    }

    /// Names of the folders directly under a folder, ascending.
    pub fn folders(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.paths(folder).filter_map(|path| Some(path.split_once('/')?.0.to_string())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(&format!("{}{path}", self.root))
    }

    /// A path as messages call it.
    pub fn name(&self, path: &str) -> String {
        match self.files.first_key_value() {
            // A single file is its own tree.
            Some((only, _)) if self.files.len() == 1 && self.place.ends_with(only) => self.place.display().to_string(),
            _ => self.place.join(format!("{}{path}", self.root)).display().to_string(),
        }
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, DataError> {
        let full = format!("{}{path}", self.root);
        match self.files.get(&full) {
            Some(Content::Bytes(bytes)) => Ok(bytes.into()),
            Some(Content::Outside) => {
                let file = self.place.join(full);
                fs::read(&file).map(Cow::Owned).map_err(|reason| DataError::Read { file, reason })
            }
            None => Err(DataError::Lacks { file: self.name(path) }),
        }
    }

    /// A text file's lines.
    ///
    /// # Errors
    /// As [`Tree::read`]; also where it is not UTF-8.
    pub fn lines(&self, path: &str) -> Result<Vec<String>, DataError> {
        let bytes = self.read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| DataError::Line {
            file: self.name(path),
            line: 1 + bytes.iter().take(error.valid_up_to()).filter(|&&byte| byte == b'\n').count(),
            problem: "not UTF-8 text".into(),
        })?;
        Ok(text.lines().map(|line| line.trim_end().to_string()).collect())
    }
}

/// SHA-256 of `settings` and of the names, sizes and times of change of all files: equal as long as nothing changed.
pub(super) fn fingerprint(place: &Path, settings: &str) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    hash.update(format!("{settings}\n"));
    for FoundFile { path, length, changed } in walk(place)? {
        hash.update(format!("{path}\n{length} {changed}\n"));
    }
    Ok(super::hexadecimal(&hash.finalize()))
}

struct FoundFile {
    path: String,
    length: u64,
    /// Nanoseconds since 1970.
    changed: u128,
}

/// All files of a folder, ascending by path; of a file, itself. Hidden ones are left out.
fn walk(place: &Path) -> Result<Vec<FoundFile>, DataError> {
    let mut found = Vec::new();
    let metadata = fs::metadata(place).map_err(|reason| DataError::Read { file: place.to_path_buf(), reason })?;
    if metadata.is_dir() {
        walk_folder(place, "", DEEPEST, &mut found)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
    } else {
        found.push(found_file(String::new(), &metadata));
    }
    Ok(found)
}

fn found_file(path: String, metadata: &fs::Metadata) -> FoundFile {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    FoundFile { path, length: metadata.len(), changed: changed.map_or(0, |time| time.as_nanos()) }
}

fn walk_folder(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<FoundFile>) -> Result<(), DataError> {
    let unreadable = |reason| DataError::Read { file: folder.to_path_buf(), reason };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let (file, path) = (entry.path(), format!("{prefix}{name}"));
        let metadata = fs::metadata(&file).map_err(|reason| DataError::Read { file: file.clone(), reason })?;
        if !metadata.is_dir() {
            found.push(found_file(path, &metadata));
        } else if depth > 0 {
            walk_folder(&file, &format!("{path}/"), depth - 1, found)?;
        }
    }
    Ok(())
}

/// The files of an archive by path; of any other file, itself by its name.
fn archived(place: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut file = File::open(place)?;
    let mut start = [0; 512];
    let length = read_start(&mut file, &mut start)?;
    let start = &start[..length];
    let file = io::BufReader::new(File::open(place)?);
    if start.starts_with(b"PK\x03\x04") {
        unzipped(file)
    } else if start.starts_with(&[0x1f, 0x8b]) {
        untarred(flate2::bufread::MultiGzDecoder::new(file))
    } else if start.get(257..262) == Some(b"ustar") {
        untarred(file)
    } else {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(BTreeMap::from([(name, fs::read(place)?)]))
    }
}

/// Fills as much of `start` as the file has.
fn read_start(file: &mut File, start: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < start.len() {
        match file.read(&mut start[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

/// Files of an archive, within the limit.
#[derive(Default)]
struct Collected {
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Collected {
    /// Adds a file, hidden ones excepted. Names serve only to find files again; nothing is written under them.
    fn add(&mut self, name: &str, mut content: impl Read) -> io::Result<()> {
        let name = name.trim_start_matches("./");
        if name.split('/').any(|part| part.starts_with('.')) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let left = MOST_ARCHIVE_BYTES - self.bytes;
        let count = content.by_ref().take(left + 1).read_to_end(&mut bytes)? as u64;
        if count > left {
            let limit = MOST_ARCHIVE_BYTES >> 30;
            return Err(io::Error::other(format!(
                "the archive holds more than {limit} GiB; extract it and name the folder"
            )));
        }
        self.bytes += count;
        self.files.insert(name.to_string(), bytes);
        Ok(())
    }
}

fn untarred(reader: impl Read) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let (mut archive, mut collected) = (tar::Archive::new(reader), Collected::default());
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = entry.path()?.to_string_lossy().into_owned();
            collected.add(&name, entry)?;
        }
    }
    Ok(collected.files)
}

fn unzipped(file: io::BufReader<File>) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = zip::ZipArchive::new(file).map_err(io::Error::other)?;
    let mut collected = Collected::default();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        if entry.is_file() {
            let name = entry.name().to_string();
            collected.add(&name, entry)?;
        }
    }
    Ok(collected.files)
}
