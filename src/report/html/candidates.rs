//! The table of all candidates.

use super::super::markup::Escaped;
use super::facts::{Facts, is_generator, origin};
use super::format::{count, percent, real};
use crate::store::CandidateRecord;

const COLUMNS: [&str; 9] = [
    "network",
    "iteration",
    "origin",
    "parameters",
    "multiply-adds",
    "accuracy",
    "seconds",
    "log-probability",
    "failure",
];

/// The section's content.
pub fn section(facts: &Facts) -> String {
    if facts.record.candidates.is_empty() {
        return "<p class=\"empty\">No network has been proposed yet.</p>".into();
    }
    let best = facts.ranked().first().map(|e| e.candidate.number);
    let head: String =
        COLUMNS.iter().map(|name| format!("<th scope=\"col\"><button type=\"button\">{name}</button></th>")).collect();
    let rows: String = facts.record.candidates.iter().map(|candidate| row(candidate, best)).collect();
    format!(
        "<p class=\"note\">Press a heading to sort. Multiply-adds are those of one image, forward. Seconds are those of one \
         thread, training and validation. Log-probability is the natural logarithm, under the generator that drew the \
         network.</p>\n<div class=\"scroll tall\"><table id=\"candidate-table\"><thead><tr>{head}</tr></thead><tbody>\n{rows}\
         </tbody></table></div>\n"
    )
}

/// A cell that sorts by `key`.
fn cell(key: impl ToString, text: &str) -> String {
    format!("<td data-key=\"{}\">{}</td>", Escaped(key.to_string()), Escaped(text))
}

/// A cell that may be empty; empty ones sort as the least.
fn maybe<T: ToString + Copy>(key: Option<T>, text: impl Fn(T) -> String) -> String {
    key.map_or("<td data-key=\"\">\u{2013}</td>".into(), |key| cell(key, &text(key)))
}

fn row(candidate: &CandidateRecord, best: Option<u64>) -> String {
    let number = candidate.number;
    let outcome = candidate.outcome.as_ref();
    let side = if is_generator(candidate.origin) { "generator" } else { "explorer" };
    let mark = if best == Some(number) { " class=\"best\"" } else { "" };
    let failure = match outcome {
        None => cell("", "not evaluated yet"),
        Some(outcome) => cell("", outcome.failure.as_deref().unwrap_or("")),
    };
    format!(
        "<tr id=\"c{number}\"{mark}>{}{}<td data-key=\"{side}\"><span class=\"key {side}\">{}</span></td>{}{}{}{}{}{}</tr>\n",
        cell(number, &number.to_string()),
        cell(candidate.iteration, &candidate.iteration.to_string()),
        origin(candidate.origin),
        maybe(outcome.map(|o| o.parameters), count),
        maybe(outcome.map(|o| o.multiply_adds), count),
        maybe(outcome.and_then(|o| o.validation_accuracy), percent),
        maybe(outcome.map(|o| o.seconds), |seconds| format!("{seconds:.2}")),
        maybe(candidate.log_probability, |log| real(log, 1)),
        failure.replacen("<td ", "<td class=\"text\" ", 1)
    )
}
