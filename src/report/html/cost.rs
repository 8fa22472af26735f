//! What the run cost, end to end.

use super::facts::Facts;
use super::format::{count, counted, duration, short};
use std::fmt::Write;

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let mut rows = String::new();
    for (name, value, remark) in lines(facts) {
        let _ =
            writeln!(rows, "<tr><th scope=\"row\">{name}</th><td>{value}</td><td class=\"text\">{remark}</td></tr>");
    }
    format!("<div class=\"scroll\"><table><tbody>\n{rows}</tbody></table></div>\n")
}

/// Time at work and whether that is all of it, in words.
pub fn wall_clock(facts: &Facts) -> (String, &'static str) {
    let (seconds, complete) = facts.manifest.seconds();
    match (seconds, complete) {
        (seconds, true) => (duration(seconds as f64), "start to end, everything included"),
        (0, false) => ("not known".into(), "the run has not ended, or was killed"),
        (seconds, false) => (
            format!("over {}", duration(seconds as f64)),
            "a session has not ended, or was killed: its time is not counted",
        ),
    }
}

/// What the candidates' seconds add up to.
fn time_of(facts: &Facts) -> String {
    let device = &facts.manifest.device;
    match device.name.as_str() {
        "cpu" => format!("thread time, {} threads side by side", device.threads),
        _ => "the device\u{2019}s time, shared equally by networks that are trained together".into(),
    }
}

fn lines(facts: &Facts) -> Vec<(&'static str, String, String)> {
    let oracle = &facts.record.config.oracle.training;
    let outcomes = || facts.record.candidates.iter().filter_map(|candidate| candidate.outcome.as_ref());
    let training = facts.training_seconds();
    let (refits, refit_seconds) = facts.refits();
    let images = facts.images_trained();
    let (wall, remark) = wall_clock(facts);
    let sessions = counted(facts.manifest.sessions.len(), "session");
    let multiply_adds: f64 = outcomes()
        .map(|o| o.multiply_adds as f64 * o.training_losses.len() as f64 * facts.images_an_epoch() as f64)
        .sum();
    let longest = facts
        .longest_evaluation()
        .map_or(String::new(), |(number, seconds)| format!(", the longest (network {number}) {}", duration(seconds)));
    let mut lines = vec![
        ("wall-clock time", wall, format!("{remark}; {sessions}")),
        (
            if facts.tabular() { "looking candidates up" } else { "training candidates" },
            duration(training),
            format!("{}{longest}", time_of(facts)),
        ),
        ("refitting the generator", duration(refit_seconds), counted(refits, "refit")),
    ];
    if facts.tabular() {
        lines.push((
            "networks looked up",
            count(outcomes().count() as u64),
            format!("{} not in the table", facts.failed),
        ));
        let saved: f64 = outcomes().filter_map(|outcome| outcome.cost).sum();
        if saved > 0.0 {
            lines.push(("training saved", short(saved), "the sum of the table\u{2019}s costs, in its own unit".into()));
        }
        return lines;
    }
    match &facts.record.finished {
        Some(last) => {
            let epochs = counted(last.training_losses.len(), "epoch");
            let remark = format!("network {}, {epochs} on all training images, tested once", last.candidate);
            lines.push(("retraining the best", duration(last.seconds), remark));
        }
        None => lines.push(("retraining the best", "\u{2013}".into(), "not done yet".into())),
    }
    lines.push(("networks evaluated", count(outcomes().count() as u64), format!("{} failed", facts.failed)));
    lines.push((
        "training images, repeats counted",
        count(images),
        format!("{} images an epoch, {}", count(facts.images_an_epoch()), counted(oracle.epochs, "epoch")),
    ));
    if training > 0.0 {
        let remark = "training images over the candidates\u{2019} thread time, validation included";
        lines.push(("images a second and thread", short(images as f64 / training), remark.into()));
    }
    let remark =
        "of the candidates\u{2019} forward passes over training images; the backward passes take about twice as many";
    lines.push(("multiply-adds", short(multiply_adds), remark.into()));
    lines
}
