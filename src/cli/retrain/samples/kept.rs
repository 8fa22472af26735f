//! The finished trainings in a file, so that an interrupted command goes on, and one for more networks or seeds repeats none.

use super::super::super::files;
use super::super::super::output::json_text;
use crate::config::RetrainConfig;
use crate::space::Architecture;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file is read up to this size.
const MOST_BYTES: u64 = 1 << 30;

/// Which training it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Training {
    pub group: String,
    /// In the group, from 0.
    pub number: usize,
    pub seed: u64,
    /// Keys its random streams, beside the seed.
    pub candidate: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tested {
    pub test_accuracy: Option<f64>,
    /// Why there is no accuracy.
    pub failure: Option<String>,
    pub parameters: u64,
    pub multiply_adds: u64,
    pub seconds: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub training: Training,
    #[serde(flatten)]
    pub tested: Tested,
    pub architecture: Architecture,
}

#[derive(Serialize, Deserialize)]
struct Content {
    retrain: RetrainConfig,
    trainings: Vec<Entry>,
}

/// The file and what it holds.
pub(super) struct Kept {
    path: PathBuf,
    content: Content,
}

impl Kept {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// It is damaged, or holds trainings of other settings.
    pub fn open(path: &Path, retrain: &RetrainConfig) -> anyhow::Result<Kept> {
        let mut content = Content { retrain: retrain.clone(), trainings: Vec::new() };
        if path.exists() {
            let name = path.display();
            let text = files::read_text(path, MOST_BYTES)?;
            content = serde_json::from_str(&text)
                .with_context(|| format!("{name} is damaged; remove it, or name another directory with --out"))?;
            if content.retrain != *retrain {
                bail!("{name} holds trainings of other settings; name another directory with --out");
            }
        }
        Ok(Kept { path: path.to_path_buf(), content })
    }

    /// Where the file is.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// All of them, in the order in which they were made.
    pub fn trainings(&self) -> &[Entry] {
        &self.content.trainings
    }

    /// What came of a training of this network.
    pub fn find(&self, training: &Training, architecture: &Architecture) -> Option<&Tested> {
        let mut entries = self.content.trainings.iter();
        let entry = entries.find(|entry| entry.training == *training && entry.architecture == *architecture)?;
        Some(&entry.tested)
    }

    /// Keeps one more.
    pub fn add(&mut self, training: Training, architecture: &Architecture, tested: Tested) -> anyhow::Result<()> {
        self.content.trainings.push(Entry { training, tested, architecture: architecture.clone() });
        files::write(&self.path, json_text(&self.content)?.as_bytes())
    }
}
