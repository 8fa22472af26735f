//! `manifest.json`: under what circumstances a run was made.

use super::time;
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Name of the file in the run's folder.
pub const FILE_NAME: &str = "manifest.json";

/// Why a manifest could not be read or written.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a manifest.
    #[error("{}: not a run's manifest: {source}", path.display())]
    Content {
        /// The manifest.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
}

/// The circumstances of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of this program.
    pub program: String,
    /// Version of this program.
    pub version: String,
    /// Seed of every random stream of the run.
    pub seed: u64,
    /// The machine.
    pub host: Host,
    /// What trained the networks.
    pub device: DeviceFacts,
    /// What they were trained on.
    pub data: DataFacts,
    /// When the run was at work: one session for the start, one more for every resume.
    pub sessions: Vec<Session>,
    /// The configuration, every default filled in.
    pub config: Config,
}

/// The machine a run was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name of the processor.
    pub cpu: String,
    /// Logical cores.
    pub cores: usize,
    /// Operating system and architecture, for instance `linux x86_64`.
    pub system: String,
}

/// What trained the networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// For instance `cpu` or the name of the GPU.
    pub name: String,
    /// The kernels that were chosen, for instance `avx512`.
    pub instruction_set: String,
    /// Threads.
    pub threads: usize,
}

/// What the networks were trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// For instance `Fashion-MNIST`.
    pub name: String,
    /// Images for training, all of them; an oracle may use a part.
    pub training_images: usize,
    /// Images for the reward.
    pub validation_images: usize,
    /// Images for the final test.
    pub test_images: usize,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// The files that were read.
    pub files: Vec<FileChecksum>,
}

/// A file and its content's SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChecksum {
    /// Name of the file, without its folder.
    pub name: String,
    /// Hexadecimal.
    pub sha256: String,
}

/// A stretch of time in which the run was at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC; `None` while it goes on, or after it was killed.
    pub ended: Option<String>,
}

impl Host {
    /// This machine.
    pub fn detect() -> Host {
        Host {
            cpu: cpu_name().unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// Linux says; elsewhere it is not asked for.
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().into())
}

impl Manifest {
    /// Of a run that starts now on this machine.
    pub fn new(config: Config, device: DeviceFacts, data: DataFacts) -> Manifest {
        let mut manifest = Manifest {
            program: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            seed: config.run.seed,
            host: Host::detect(),
            device,
            data,
            sessions: vec![],
            config,
        };
        manifest.start_session();
        manifest
    }

    /// Notes that the run starts or resumes now.
    pub fn start_session(&mut self) {
        self.sessions.push(Session { started: time::now(), ended: None });
    }

    /// Notes that the run stops now.
    pub fn end_session(&mut self) {
        if let Some(session) = self.sessions.last_mut() {
            session.ended = Some(time::now());
        }
    }

    /// Seconds at work, and whether every session's end is known; a session without an end counts nothing.
    pub fn seconds(&self) -> (u64, bool) {
        let length = |session: &Session| {
            let (started, ended) = (time::parse(&session.started)?, time::parse(session.ended.as_deref()?)?);
            Some(ended.saturating_sub(started))
        };
        let lengths: Vec<Option<u64>> = self.sessions.iter().map(length).collect();
        (lengths.iter().flatten().sum(), lengths.iter().all(Option::is_some))
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The file cannot be read or is no manifest.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ManifestError::File { path: path.into(), source })?;
        serde_json::from_str(&text).map_err(|source| ManifestError::Content { path: path.into(), source })
    }

    /// Writes the manifest so that a reader finds the old or the new one, never a part.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ManifestError> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| ManifestError::Content { path: path.into(), source })?;
        text.push('\n');
        let draft = path.with_extension("json.part");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, path))
            .map_err(|source| ManifestError::File { path: path.into(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let manifest = fixture::manifest();
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let message = |path: &Path| Manifest::read(path).unwrap_err().to_string();
        assert!(message(&path).starts_with(&path.display().to_string()));
        std::fs::write(&path, "{\"program\": 3}").unwrap();
        assert!(message(&path).contains("not a run's manifest: invalid type: integer `3`"), "{}", message(&path));
        let absent = folder.path().join("absent").join(FILE_NAME);
        assert!(matches!(fixture::manifest().write(&absent), Err(ManifestError::File { .. })));
    }

    #[test]
    fn sessions_add_up() {
        let mut manifest = fixture::manifest();
        let session =
            |started: &str, ended: Option<&str>| Session { started: started.into(), ended: ended.map(Into::into) };
        manifest.sessions = vec![
            session("2026-02-28T23:59:30Z", Some("2026-03-01T00:01:00Z")),
            session("2026-03-01T10:00:00Z", Some("2026-03-01T10:00:10Z")),
        ];
        assert_eq!(manifest.seconds(), (100, true));
        manifest.sessions.push(session("2026-03-01T11:00:00Z", None));
        assert_eq!(manifest.seconds(), (100, false));
        manifest.end_session();
        assert!(manifest.seconds().1);
    }
}
