//! A number for a whole journal, to compare two of them bit for bit.

use super::reading::to_json;
use super::records::RunRecord;
use sha2::{Digest, Sha256};

/// SHA-256 (hexadecimal) of everything in the journal that is reproducible: all but wall-clock times, the number of
/// threads, the run's name and where its table or its images lie.
pub fn fingerprint(record: &RunRecord) -> String {
    let mut record = record.clone();
    record.config.run.threads = 0;
    record.config.run.name.clear();
    record.config.oracle.table = None;
    (record.config.data.path, record.config.data.cache) = (None, None);
    record.candidates.iter_mut().filter_map(|candidate| candidate.outcome.as_mut()).for_each(|o| o.seconds = 0.0);
    record.iterations.iter_mut().filter_map(|iteration| iteration.refit.as_mut()).for_each(|r| r.seconds = 0.0);
    record.finished.iter_mut().for_each(|end| end.seconds = 0.0);
    let parts = (&record.config, &record.candidates, &record.iterations, &record.finished);
    Sha256::digest(to_json(&parts)).iter().map(|byte| format!("{byte:02x}")).collect()
}
