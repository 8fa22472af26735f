//! Starts the binary and looks at what it says and leaves.

use graphpnas_fast::store::{Journal, RunRecord};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A run of about a second. Every part of it takes long enough to be interrupted now and then.
pub const TINY: &str = r#"
[run]
name = "tiny"
[data]
source = "synthetic"
validation_images = 100
test_images = 100
[space]
nodes = 5
stages = 2
channels = 4
head = 8
[generator]
hidden = 10
layers = 2
mixtures = 3
epochs = 6
[search]
budget = 10
samples_per_iteration = 3
keep_top = 5
exploration = { schedule = "first", iterations = 1 }
ws_neighbours = 2
[oracle]
data_fraction = 0.2
epochs = 2
batch = 32
[retrain]
epochs = 4
"#;

/// What a run leaves, beside the lock.
pub const FILES: [&str; 7] = [
    "journal.sqlite",
    "generator.safetensors",
    "best.json",
    "best.safetensors",
    "best.onnx",
    "manifest.json",
    "report.html",
];

/// The files that must be the same, byte for byte, however a run came to its end.
pub const REPRODUCIBLE: [&str; 4] = ["generator.safetensors", "best.json", "best.safetensors", "best.onnx"];

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn say(args: &[&str]) -> Said {
    let output = command(args).output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn succeed(args: &[&str]) -> Said {
    let said = say(args);
    assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
    said
}

/// A folder with [`TINY`] in it.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        Workplace { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    pub fn config(&self) -> String {
        self.arg("tiny.toml")
    }

    /// Runs the search into a folder of this name.
    pub fn run(&self, out: &str, more: &[&str]) -> Said {
        let (config, out) = (self.config(), self.arg(out));
        succeed(&[&["run", &config, "--out", &out][..], more].concat())
    }
}

/// A finished run that tests only read.
pub static FINISHED: LazyLock<Workplace> = LazyLock::new(|| {
    let place = Workplace::new();
    place.run("run", &["--quiet"]);
    place
});

pub fn read(path: &Path) -> RunRecord {
    Journal::read(path).unwrap()
}

pub fn bytes(run: &Path, name: &str) -> Vec<u8> {
    std::fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Copies a run's files.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in FILES {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
