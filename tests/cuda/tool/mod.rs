//! The tool on a CUDA device, as its users meet it: the real binary on small runs of synthetic images.

mod doctor;
mod faults;
mod profile;
mod run;

use graphpnas_fast::store::{Journal, RunRecord};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Six networks of a few hundred parameters, three an iteration, with everything that a training may have: a smaller last
/// batch, crops, dropout.
const TINY: &str = r#"
[run]
name = "tiny"
[data]
source = "synthetic"
validation_images = 48
test_images = 32
[space]
nodes = 4
stages = 2
channels = 4
stem_stride = 2
head = 8
[generator]
hidden = 8
layers = 1
mixtures = 2
epochs = 4
[search]
budget = 6
samples_per_iteration = 3
keep_top = 3
exploration = { schedule = "first", iterations = 1 }
ws_neighbours = 2
[oracle]
data_fraction = 0.05
epochs = 2
batch = 16
augmentation = true
dropout = 0.1
[retrain]
data_fraction = 0.05
epochs = 2
batch = 16
"#;

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary with more variables in its environment.
fn say(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast"));
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with [`TINY`] in it.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        Workplace(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `run` into a folder of this name.
    fn run(&self, out: &str, more: &[&str], environment: &[(&str, &str)]) -> Said {
        let (config, out) = (self.path("tiny.toml"), self.path(out));
        let arguments = ["run", config.to_str().unwrap(), "--out", out.to_str().unwrap(), "--quiet"];
        say(&[&arguments[..], more].concat(), environment)
    }

    /// The same, to its end.
    fn finish(&self, out: &str, more: &[&str], environment: &[(&str, &str)]) -> RunRecord {
        let said = self.run(out, more, environment);
        assert_eq!(said.code, Some(0), "{said:?}");
        self.record(out)
    }

    fn record(&self, out: &str) -> RunRecord {
        Journal::read(&self.path(out)).unwrap()
    }
}

/// What a run found, without what depends on the clock or on how it was asked for.
fn findings(record: &RunRecord) -> Vec<(String, Option<f64>, Vec<f64>)> {
    let all = record.candidates.iter().map(|candidate| {
        let outcome = candidate.outcome.as_ref().unwrap();
        (candidate.key.clone(), outcome.validation_accuracy, outcome.training_losses.clone())
    });
    all.collect()
}
