//! The best networks, drawn.

use super::super::markup::Escaped;
use super::super::svg;
use super::facts::{Evaluated, Facts, origin};
use super::format::{counted, percent, real, short};
use std::fmt::Write;

/// How many are drawn.
const SHOWN: usize = 3;

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let ranked = facts.ranked();
    if ranked.is_empty() {
        return "<p class=\"empty\">No network has been evaluated yet.</p>".into();
    }
    let mut html = introduction(facts);
    html.push_str(&retrained(facts));
    for (index, evaluated) in ranked.iter().take(SHOWN).enumerate() {
        html.push_str(&figure(index + 1, evaluated));
    }
    html
}

/// What is drawn, and how to read it.
fn introduction(facts: &Facts) -> String {
    let luck = "Ranked by validation accuracy. The best of many is in part the luckiest: expect the same network to do a \
                little worse on new images.";
    if facts.tabular() {
        return format!("<p class=\"note\">{luck} A node\u{2019}s operator shows when the pointer is on it.</p>\n");
    }
    format!(
        "<p class=\"keys\"><span class=\"key source\">source: reads the stage\u{2019}s input</span><span class=\"key \
         sink\">sink: part of the stage\u{2019}s output, the mean of all sinks</span></p>\n<p class=\"note\">{luck} Every \
         node sums its inputs by learnt weights, then ReLU, 3\u{d7}3 depthwise and 1\u{d7}1 convolution, batch \
         normalisation.</p>\n",
    )
}

/// What became of the best network.
fn retrained(facts: &Facts) -> String {
    let Some(last) = &facts.record.finished else { return String::new() };
    if facts.tabular() {
        return format!(
            "<p>Network <a href=\"#c{0}\">{0}</a> has the test accuracy <strong>{1}</strong> in the table.</p>\n",
            last.candidate,
            percent(last.test_accuracy)
        );
    }
    let validation = last
        .validation_accuracy
        .map_or(String::new(), |accuracy| format!(", validation accuracy {} after retraining", percent(accuracy)));
    format!(
        "<p>Network <a href=\"#c{0}\">{0}</a> was trained anew for {1} on all training images: test accuracy \
         <strong>{2}</strong>{validation}.</p>\n",
        last.candidate,
        counted(last.training_losses.len(), "epoch"),
        percent(last.test_accuracy)
    )
}

fn figure(rank: usize, evaluated: &Evaluated) -> String {
    let Evaluated { candidate, outcome, accuracy } = evaluated;
    let number = candidate.number;
    let mut facts = format!("<strong>{}</strong> validation accuracy", percent(*accuracy));
    // 0: a table does not know.
    for (value, name) in [(outcome.parameters, "parameters"), (outcome.multiply_adds, "multiply-adds an image")] {
        if value > 0 {
            let _ = write!(facts, ", {} {name}", short(value as f64));
        }
    }
    let _ = write!(facts, ", from the {} in iteration {}", origin(candidate.origin), candidate.iteration);
    if let Some(cell) = candidate.architecture.one_line() {
        let _ = write!(facts, ", <code>{}</code>", Escaped(cell));
    }
    if let Some(log_probability) = candidate.log_probability {
        let _ = write!(facts, ", log-probability {}", real(log_probability, 1));
    }
    format!(
        "<figure><figcaption><span class=\"rank\">{rank}</span> <b>Network <a href=\"#c{number}\">{number}</a></b> {facts}. \
         <code title=\"isomorphism-invariant key\">{}</code></figcaption>\n<div class=\"scroll\">{}</div></figure>\n",
        Escaped(candidate.key.chars().take(12).collect::<String>()),
        svg::inline(&candidate.architecture, &format!("drawing of network {number}"))
    )
}
