//! The generator: the loss of every refit, and how its samples were found.

use super::super::statistics::Summary;
use super::chart::{Axis, Chart, span};
use super::facts::{Facts, is_generator};
use super::format::{count, percent, real};
use crate::store::{IterationRecord, RefitRecord};
use std::fmt::Write;

/// The section's content.
pub fn section(facts: &Facts) -> String {
    format!("{}<h3>How the candidates were found</h3>\n{}", chart(facts), table(facts))
}

fn chart(facts: &Facts) -> String {
    let refits: Vec<(u64, &RefitRecord)> =
        facts.record.iterations.iter().filter_map(|i| Some((i.iteration, i.refit.as_ref()?))).collect();
    let epochs = refits.iter().map(|(_, refit)| refit.losses.len()).max().unwrap_or(0);
    let Some(y) = span(refits.iter().flat_map(|(_, refit)| refit.losses.iter().copied()), 0.06) else {
        return "<p class=\"empty\">The generator has not been fitted yet.</p>\n".into();
    };
    let mut chart = Chart::new(1000.0, 300.0, (1.0, epochs.max(2) as f64), y);
    chart.y_axis(&Axis { label: "mean loss of an epoch", tick: |value| short_real(value), ticks: 5 });
    chart.x_axis(&Axis { label: "epoch of the refit", tick: |value| format!("{value:.0}"), ticks: 10 });
    for (index, (iteration, refit)) in refits.iter().enumerate() {
        let shade = if refits.len() < 2 { 8 } else { 8 * index / (refits.len() - 1) };
        let points = refit.losses.iter().enumerate().map(|(epoch, &loss)| (epoch as f64 + 1.0, loss));
        let points: Vec<(f64, f64)> = points.filter(|(_, loss)| loss.is_finite()).collect();
        let last = refit.losses.last().map_or(String::new(), |&loss| format!(": {} at the end", real(loss, 4)));
        chart.line(&format!("refit shade{shade}"), points, &format!("refit of iteration {iteration}{last}"));
    }
    format!(
        "<p class=\"keys\"><span class=\"key shade0\">first refit</span><span class=\"key shade8\">last refit</span></p>\n{}\
         <p class=\"note\">Every refit starts from new random parameters and learns the best {} networks so far, weighted by \
         their rewards.</p>\n",
        chart.finish("loss of the generator over the epochs of every refit"),
        facts.record.config.search.keep_top
    )
}

/// Enough decimals for axis ticks, none in excess.
fn short_real(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "\u{2212}")
}

fn table(facts: &Facts) -> String {
    let rows: String = facts.record.iterations.iter().map(|iteration| row(facts, iteration)).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">iteration</th><th scope=\"col\">explorer\u{2019}s</th>\
         <th scope=\"col\">mean accuracy</th><th scope=\"col\">generator\u{2019}s</th><th scope=\"col\">mean accuracy</th>\
         <th scope=\"col\">graphs drawn</th><th scope=\"col\">invalid</th><th scope=\"col\">known already</th>\
         <th scope=\"col\">filled in by explorer</th><th scope=\"col\">last loss</th><th scope=\"col\">refit, s</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n<p class=\"note\">Drawn: from the generator. Known already: isomorphic to an \
         earlier candidate, therefore not evaluated again. Filled in: candidates that the explorer supplied because the \
         generator\u{2019}s rounds ran out. The last row without candidates is the refit that the run leaves.</p>\n"
    )
}

fn row(facts: &Facts, record: &IterationRecord) -> String {
    let proposed = |generator: bool| {
        let mine =
            |c: &&crate::store::CandidateRecord| c.iteration == record.iteration && is_generator(c.origin) == generator;
        facts.record.candidates.iter().filter(mine).count() as u64
    };
    let mean = |generator: bool| {
        let mine = facts.evaluated.iter().filter(|e| e.candidate.iteration == record.iteration);
        let mine = mine.filter(|e| is_generator(e.candidate.origin) == generator);
        Summary::of(&mine.map(|e| e.accuracy).collect::<Vec<_>>()).map_or("\u{2013}".into(), |s| percent(s.mean))
    };
    let refit = record.refit.as_ref();
    let loss = refit.and_then(|r| r.losses.last()).map_or("\u{2013}".into(), |&loss| real(loss, 4));
    let seconds = refit.map_or("\u{2013}".into(), |r| format!("{:.1}", r.seconds));
    let sampling = &record.sampling;
    let mut cells = format!("<tr><th scope=\"row\">{}</th>", record.iteration);
    let none = || String::from("\u{2013}");
    let drawn = [sampling.drawn, sampling.invalid, sampling.duplicates, sampling.filled_by_explorer];
    let drawn = drawn.map(|number| if sampling.rounds > 0 { count(number) } else { none() });
    let some = |number: u64| if number > 0 { count(number) } else { none() };
    let found = [some(proposed(false)), mean(false), some(proposed(true)), mean(true)];
    for cell in found.iter().chain(&drawn).chain([&loss, &seconds]) {
        let _ = write!(cells, "<td>{cell}</td>");
    }
    cells + "</tr>\n"
}
