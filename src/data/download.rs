//! Downloads: where data sets come from, and how they are fetched, with resuming and checksums.

use crate::config::DataSource;
use md5::Md5;
use sha2::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

const CONNECT: Duration = Duration::from_secs(30);
const FIRST_BYTE: Duration = Duration::from_secs(120);
const BLOCK: usize = 1 << 17;

/// A published checksum, hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// MD5.
    Md5(&'static str),
    /// SHA-256.
    Sha256(&'static str),
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Digest::Md5(digits) => write!(f, "md5 {digits}"),
            Digest::Sha256(digits) => write!(f, "sha256 {digits}"),
        }
    }
}

impl Digest {
    /// Reads a whole file; `None` where it has this checksum, else the one that it has.
    ///
    /// # Errors
    /// What the system says.
    pub fn other_than_that_of(self, path: &Path) -> io::Result<Option<String>> {
        let (found, expected) = match self {
            Digest::Md5(expected) => (hash::<Md5>(path)?, expected),
            Digest::Sha256(expected) => (hash::<Sha256>(path)?, expected),
        };
        Ok((found != expected).then_some(found))
    }
}

fn hash<D: sha2::Digest>(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut block) = (File::open(path)?, D::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(super::hexadecimal(&hash.finalize())),
            count => hash.update(&block[..count]),
        }
    }
}

/// A file that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    /// What `data fetch` calls it.
    pub name: &'static str,
    /// Its official address.
    pub url: &'static str,
    /// Its size; `None`: not published.
    pub bytes: Option<u64>,
    /// Its published checksum.
    pub digest: Digest,
}

impl Download {
    /// Every one.
    pub const ALL: [Download; 3] = [
        Download {
            name: "cifar10",
            url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            bytes: Some(170_052_171),
            digest: Digest::Sha256("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        },
        Download {
            name: "tiny-imagenet",
            url: "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
            bytes: Some(248_100_043),
            digest: Digest::Md5("90528d7ca1a48142e341f4ef8d21d0de"),
        },
        Download {
            name: "nasbench101",
            url: "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
            bytes: None,
            digest: Digest::Sha256("4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"),
        },
    ];

    /// The download of a data set, where it is one file.
    pub fn of(source: DataSource) -> Option<Download> {
        Self::ALL.into_iter().find(|download| download.name == source.name())
    }

    /// The last part of the address.
    pub fn file_name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.name)
    }

    /// For people: size and checksum.
    pub fn description(&self) -> String {
        let bytes = self.bytes.map(|bytes| format!("{bytes} bytes, ")).unwrap_or_default();
        format!("{bytes}{}", self.digest)
    }
}

/// Why a file could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The server cannot be reached, or does not answer as it should.
    #[error(
        "cannot download {url} ({reason}); without a network, get it elsewhere ({what}) and put it at {}",
        target.display()
    )]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        reason: String,
        /// Size and checksum.
        what: String,
        /// Where it belongs.
        target: PathBuf,
    },
    /// The connection ended early.
    #[error("the download of {url} broke off after {done} bytes ({reason}); the same command goes on from there")]
    Broken {
        /// The address.
        url: String,
        /// Bytes that are there.
        done: u64,
        /// Why.
        reason: String,
    },
    /// What arrived is not the published file.
    #[error("{url} gave another file than the published one: {problem}; it was removed")]
    Other {
        /// The address.
        url: String,
        /// What is different.
        problem: String,
    },
    /// It cannot be written.
    #[error("cannot write {}: {reason}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// How far a download has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all, where the server says.
    pub total: Option<u64>,
}

impl Download {
    /// Fetches the file to `target`, by way of `target.part`, from which a broken-off download goes on. `from` replaces
    /// the official address.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch(
        &self,
        target: &Path,
        from: Option<&str>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let url = from.unwrap_or(self.url);
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let transfer = Transfer { download: self, url, target, part: name.into() };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|reason| transfer.unwritable(reason))?;
        }
        transfer.receive(from.is_none(), progress)?;
        transfer.verify()?;
        fs::rename(&transfer.part, target).map_err(|reason| transfer.unwritable(reason))
    }
}

struct Transfer<'a> {
    download: &'a Download,
    url: &'a str,
    target: &'a Path,
    part: PathBuf,
}

impl Transfer<'_> {
    fn unwritable(&self, reason: io::Error) -> FetchError {
        FetchError::Write { file: self.part.clone(), reason }
    }

    fn unreachable(&self, reason: String) -> FetchError {
        let what = self.download.description();
        FetchError::Unreachable { url: self.url.into(), reason, what, target: self.target.to_path_buf() }
    }

    /// Appends to the part what the server has beyond it.
    fn receive(&self, https_only: bool, progress: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
        let have = fs::metadata(&self.part).map_or(0, |metadata| metadata.len());
        if have > 0 && Some(have) == self.download.bytes {
            return Ok(());
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .https_only(https_only)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(FIRST_BYTE))
            .build()
            .into();
        let mut request = agent.get(self.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| self.unreachable(error.to_string()))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(String::from);
        let done = match response.status().as_u16() {
            200 => 0,
            206 if header("content-range").is_some_and(|range| range.starts_with(&format!("bytes {have}-"))) => have,
            // The server has nothing beyond the part: the checksum decides.
            416 => return Ok(()),
            status => return Err(self.unreachable(format!("the server answers with status {status}"))),
        };
        let total = header("content-length").and_then(|length| Some(done + length.parse::<u64>().ok()?));
        self.append(&mut response.into_body().into_reader(), Progress { done, total }, progress)
    }

    fn append(
        &self,
        body: &mut dyn Read,
        mut state: Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let open = OpenOptions::new()
            .create(true)
            .append(state.done > 0)
            .write(true)
            .truncate(state.done == 0)
            .open(&self.part);
        let mut file = open.map_err(|reason| self.unwritable(reason))?;
        let mut block = vec![0; BLOCK];
        let broken = |done, reason: String| FetchError::Broken { url: self.url.into(), done, reason };
        loop {
            match body.read(&mut block).map_err(|error| broken(state.done, error.to_string()))? {
                0 => break,
                count => {
                    file.write_all(&block[..count]).map_err(|reason| self.unwritable(reason))?;
                    state.done += count as u64;
                    progress(state);
                }
            }
        }
        match state.total {
            Some(total) if total != state.done => Err(broken(state.done, format!("{total} were announced"))),
            _ => Ok(()),
        }
    }

    /// Refuses and removes whatever is not the published file.
    fn verify(&self) -> Result<(), FetchError> {
        let unreadable = |reason| self.unwritable(reason);
        let length = fs::metadata(&self.part).map_err(unreadable)?.len();
        let problem = match self.download.bytes {
            Some(bytes) if bytes != length => Some(format!("it has {length} bytes, not {bytes}")),
            _ => {
                let other = self.download.digest.other_than_that_of(&self.part).map_err(unreadable)?;
                other.map(|found| format!("its checksum is {found}, not {}", self.download.digest))
            }
        };
        let Some(problem) = problem else { return Ok(()) };
        fs::remove_file(&self.part).map_err(unreadable)?;
        Err(FetchError::Other { url: self.url.into(), problem })
    }
}
