//! The replay buffer: the best of the history.

use crate::store::CandidateRecord;
use std::cmp::Ordering;

/// The `keep` best candidates, best first; of equal accuracies the lower number first.
///
/// A failed candidate has the lowest reward, weight 0, and a weight of 0 teaches nothing. So it never enters the
/// buffer, not even while there is room: there its rank alone would give it a positive weight, and the generator would
/// learn to draw it.
pub fn top(history: &[CandidateRecord], keep: usize) -> Vec<&CandidateRecord> {
    let mut succeeded: Vec<(f64, &CandidateRecord)> =
        history.iter().filter_map(|candidate| accuracy(candidate).map(|accuracy| (accuracy, candidate))).collect();
    succeeded.sort_by(better_first);
    succeeded.into_iter().take(keep).map(|(_, candidate)| candidate).collect()
}

/// The best candidate by validation accuracy; `None` where none succeeded.
pub fn best(history: &[CandidateRecord]) -> Option<&CandidateRecord> {
    top(history, 1).first().copied()
}

/// A candidate's validation accuracy, where it has one.
pub(super) fn accuracy(candidate: &CandidateRecord) -> Option<f64> {
    candidate.outcome.as_ref()?.validation_accuracy
}

fn better_first(first: &(f64, &CandidateRecord), second: &(f64, &CandidateRecord)) -> Ordering {
    second.0.total_cmp(&first.0).then(first.1.number.cmp(&second.1.number))
}
