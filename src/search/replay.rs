//! The replay buffer: the best of the history, and perhaps the worst.

use crate::config::SearchConfig;
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

/// What a model learns from.
pub(super) struct Buffer<'a> {
    /// The best of the history, best first.
    pub best: Vec<&'a CandidateRecord>,
    /// The worst of what is left, best first.
    pub worst: Vec<&'a CandidateRecord>,
}

impl<'a> Buffer<'a> {
    /// All of it.
    pub fn all(&self) -> impl Iterator<Item = &'a CandidateRecord> {
        self.best.iter().chain(&self.worst).copied()
    }
}

/// The `search.keep_top` best candidates and, of the others, the `search.keep_worst` worst.
pub(super) fn buffer<'a>(history: &'a [CandidateRecord], search: &SearchConfig) -> Buffer<'a> {
    let mut best = top(history, usize::MAX);
    let rest = best.split_off(best.len().min(search.keep_top));
    let worst = rest[rest.len().saturating_sub(search.keep_worst)..].to_vec();
    Buffer { best, worst }
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
