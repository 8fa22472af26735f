//! Accuracy over evaluations, with the best so far.

use super::chart::{Axis, Chart, span};
use super::facts::{Facts, is_generator, origin};
use super::format::{counted, percent};
use std::fmt::Write;

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let accuracies = facts.evaluated.iter().map(|e| e.accuracy);
    let Some(y) = span(accuracies, 0.08) else {
        return "<p class=\"empty\">No network has been evaluated yet.</p>".into();
    };
    let last = facts.record.candidates.iter().map(|c| c.number).max().unwrap_or(0) as f64;
    let mut chart = Chart::new(1000.0, 360.0, (-1.0, last + 1.0), y);
    iterations(facts, &mut chart);
    let tick = |value: f64| format!("{:.1}", 100.0 * value);
    chart.y_axis(&Axis { label: "validation accuracy, %", tick, ticks: 6 });
    chart.x_axis(&Axis { label: "network, in the order of proposal", tick: |value| format!("{value:.0}"), ticks: 10 });
    dots(facts, &mut chart);
    running_best(facts, &mut chart, last);
    let failed = match facts.failed {
        0 => String::new(),
        failed => format!("<span class=\"key failed\">{} failed (crosses below)</span>", counted(failed, "network")),
    };
    format!(
        "<p class=\"keys\"><span class=\"key explorer\">explorer: random</span>\
         <span class=\"key generator\">generator</span><span class=\"key best\">best so far</span>{failed}</p>\n{}\
         <p class=\"note\">Faint upright lines part the iterations. {}</p>",
        chart.finish("validation accuracy of every network, with the best so far"),
        meaning(facts),
    )
}

/// What the accuracies are.
fn meaning(facts: &Facts) -> String {
    if facts.tabular() {
        return "Every accuracy is the validation accuracy of the table.".into();
    }
    let epochs = counted(facts.record.config.oracle.training.epochs, "epoch");
    format!("Every accuracy is that of a network trained briefly ({epochs}), on the validation images.")
}

/// A line before every iteration's first network, while they are few enough to tell apart.
fn iterations(facts: &Facts, chart: &mut Chart) {
    let candidates = &facts.record.candidates;
    let starts = candidates
        .windows(2)
        .filter(|pair| pair[0].iteration != pair[1].iteration)
        .map(|pair| pair[1].number as f64 - 0.5);
    let starts: Vec<f64> = starts.collect();
    if starts.len() > 60 {
        return;
    }
    let (bottom, top) = chart.y.range;
    for start in starts {
        let x = chart.x.at(start);
        let _ = writeln!(chart.body, "<path class=\"iteration\" d=\"M{x:.1} {bottom:.1}V{top:.1}\"/>");
    }
}

fn dots(facts: &Facts, chart: &mut Chart) {
    for evaluated in &facts.evaluated {
        let number = evaluated.candidate.number;
        let class = if is_generator(evaluated.candidate.origin) { "generator" } else { "explorer" };
        let (x, y) = (chart.x.at(number as f64), chart.y.at(evaluated.accuracy));
        let _ = writeln!(
            chart.body,
            "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>network {number}, {}: {}</title>\
             </circle>",
            origin(evaluated.candidate.origin),
            percent(evaluated.accuracy)
        );
    }
    let bottom = chart.y.range.0 - 6.0;
    let failed = facts.record.candidates.iter().filter(|c| c.outcome.is_some());
    for candidate in failed.filter(|c| !facts.evaluated.iter().any(|e| e.candidate.number == c.number)) {
        let x = chart.x.at(candidate.number as f64);
        let (left, up) = (x - 3.5, bottom - 3.5);
        let _ = writeln!(
            chart.body,
            "<path class=\"cross\" d=\"M{left:.1} {up:.1}l7 7m0 -7l-7 7\"><title>network {}: failed</title></path>",
            candidate.number
        );
    }
}

fn running_best(facts: &Facts, chart: &mut Chart, last: f64) {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for evaluated in &facts.evaluated {
        let x = evaluated.candidate.number as f64;
        match steps.last() {
            Some(&(_, best)) if evaluated.accuracy <= best => {}
            Some(&(_, best)) => steps.extend([(x, best), (x, evaluated.accuracy)]),
            None => steps.push((x, evaluated.accuracy)),
        }
    }
    let Some(&(_, best)) = steps.last() else { return };
    steps.push((last, best));
    chart.line("running-best", steps, &format!("best so far: {}", percent(best)));
    let x = chart.x.range.1;
    let y = chart.y.at(best) - 7.0;
    chart.label("value end", x, y, &percent(best));
}
