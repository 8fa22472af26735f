//! What a run came to, for people and as JSON.

use super::text::{counted, percent, whole_duration};
use crate::config::OracleKind;
use crate::report::{Difference, Summary, last_third};
use crate::store::{Origin, RunRecord, fingerprint};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// The closing summary of a run.
#[derive(Serialize)]
pub(super) struct RunSummary {
    directory: String,
    report: String,
    name: String,
    seed: u64,
    candidates: usize,
    failed: usize,
    best: Option<Best>,
    test_accuracy: Option<f64>,
    /// The explorer's candidates, all of them.
    explorer: Option<Mean>,
    /// The last third of the generator's candidates.
    generator_last_third: Option<Mean>,
    /// Generator less explorer.
    gain: Option<Gain>,
    /// Whether accuracies were looked up in a table.
    #[serde(skip)]
    tabular: bool,
    /// Wall-clock time of all sessions that came to an end, whole seconds.
    seconds: u64,
    /// SHA-256 of all that is reproducible in the journal.
    fingerprint: String,
}

#[derive(Serialize)]
struct Best {
    candidate: u64,
    validation_accuracy: Option<f64>,
    parameters: u64,
    multiply_adds: u64,
}

#[derive(Serialize)]
struct Mean {
    count: usize,
    mean_validation_accuracy: f64,
}

#[derive(Serialize)]
struct Gain {
    difference: f64,
    standard_error: f64,
}

impl RunSummary {
    /// Of a run in this directory.
    pub fn new(directory: &Path, report: &Path, record: &RunRecord, seconds: u64) -> Self {
        let accuracies = |generator: bool| -> Vec<f64> {
            let of = record.candidates.iter().filter(|c| (c.origin == Origin::Generator) == generator);
            of.filter_map(|c| c.outcome.as_ref()?.validation_accuracy).collect()
        };
        let explorer = Summary::of(&accuracies(false));
        let generator = Summary::of(last_third(&accuracies(true)));
        let gain = explorer.as_ref().zip(generator.as_ref()).and_then(|(e, g)| Difference::of(g, e));
        let outcomes = record.candidates.iter().filter_map(|candidate| candidate.outcome.as_ref());
        RunSummary {
            directory: directory.display().to_string(),
            report: report.display().to_string(),
            name: record.config.run.name.clone(),
            seed: record.config.run.seed,
            candidates: outcomes.clone().count(),
            failed: outcomes.filter(|outcome| outcome.validation_accuracy.is_none()).count(),
            best: best(record),
            test_accuracy: record.finished.as_ref().map(|end| end.test_accuracy),
            explorer: explorer.as_ref().map(mean),
            generator_last_third: generator.as_ref().map(mean),
            gain: gain.map(|g| Gain { difference: g.difference, standard_error: g.standard_error }),
            tabular: record.config.oracle.kind == OracleKind::Table,
            seconds,
            fingerprint: fingerprint(record),
        }
    }

    /// A few lines.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let evaluated = if self.tabular { "looked up" } else { "trained" };
        let trained = counted(self.candidates, "distinct network");
        // Writing to a String cannot fail.
        let _ = write!(text, "{}: {trained} {evaluated} in {}", self.name, whole_duration(self.seconds));
        let _ = writeln!(text, "{}", if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() });
        if let Some(Best { candidate, validation_accuracy: Some(accuracy), .. }) = self.best {
            let _ = writeln!(text, "best validation accuracy  {}  (candidate {candidate})", percent(accuracy));
        }
        if let Some(accuracy) = self.test_accuracy {
            let _ = writeln!(text, "its test accuracy         {}  ({})", percent(accuracy), self.test_origin());
        }
        if let Some(Mean { count, mean_validation_accuracy }) = self.explorer {
            let _ =
                writeln!(text, "{:<26}{}  (mean of {count})", self.explorer_name(), percent(mean_validation_accuracy));
        }
        if let Some(Mean { count, mean_validation_accuracy }) = self.generator_last_third {
            let mean = percent(mean_validation_accuracy);
            let _ = writeln!(text, "the generator             {mean}  (mean of its last {count}){}", self.gain_text());
        }
        let _ = writeln!(text, "report                    {}", self.report);
        text
    }

    fn explorer_name(&self) -> &'static str {
        if self.tabular { "the explorer" } else { "random wiring" }
    }

    fn test_origin(&self) -> &'static str {
        if self.tabular { "the table's" } else { "trained anew, tested once" }
    }

    fn gain_text(&self) -> String {
        self.gain.as_ref().map_or(String::new(), |Gain { difference, standard_error }| {
            format!(", {:+.2} points, standard error {:.2}", 100.0 * difference, 100.0 * standard_error)
        })
    }
}

fn best(record: &RunRecord) -> Option<Best> {
    let candidate = record.candidates.get(record.finished.as_ref()?.candidate as usize)?;
    let outcome = candidate.outcome.as_ref()?;
    Some(Best {
        candidate: candidate.number,
        validation_accuracy: outcome.validation_accuracy,
        parameters: outcome.parameters,
        multiply_adds: outcome.multiply_adds,
    })
}

fn mean(summary: &Summary) -> Mean {
    Mean { count: summary.count, mean_validation_accuracy: summary.mean }
}
