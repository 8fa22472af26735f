//! `report.html`: one page that needs nothing else, well-formed as XML too.

mod accuracy;
mod candidates;
mod chart;
mod checklist;
mod comparison;
mod cost;
mod distribution;
mod facts;
mod format;
mod losses;
mod networks;
mod setup;

pub use comparison::comparison_html;

use super::Manifest;
use super::markup::Escaped;
use super::statistics::{Difference, last_third};
use crate::config::{SpaceConfig, SpaceKind};
use crate::store::RunRecord;
use facts::{Facts, data_statement, origin};
use format::{count, duration, percent, points};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");
/// Sorts the table of candidates; it has no `<` and no `&`, so that the page stays well-formed.
const SCRIPT: &str = include_str!("sort.js");

/// The report of a run, finished or not.
pub fn html(record: &RunRecord, manifest: &Manifest) -> String {
    let facts = Facts::new(record, manifest);
    let sections = [
        ("accuracy", "Accuracy over evaluations", accuracy::section(&facts)),
        ("distributions", "Explorer and generator", distribution::section(&facts)),
        ("networks", "The best networks", networks::section(&facts)),
        ("generator", "The generator", losses::section(&facts)),
        ("cost", "Cost", cost::section(&facts)),
        ("candidates", "All networks", candidates::section(&facts)),
        ("practices", "Best practices", checklist::section(&facts)),
        ("setup", "Setup", setup::section(&facts)),
    ];
    let name = Escaped(&record.config.run.name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{name}: architecture search\
         </title>\n<style>\n{STYLE}</style></head>\n<body><main>\n{}\n<nav>",
        header(&facts)
    );
    for (id, title, _) in &sections {
        let _ = write!(page, "<a href=\"#{id}\">{title}</a>");
    }
    page.push_str("</nav>\n");
    for (id, title, content) in &sections {
        let _ = writeln!(page, "<section id=\"{id}\"><h2>{title}</h2>\n{content}</section>");
    }
    let _ = writeln!(
        page,
        "<footer>Written by {} {} from the run\u{2019}s journal.</footer>\n</main><script>\n{SCRIPT}</script></body></html>",
        Escaped(&manifest.program),
        Escaped(&manifest.version)
    );
    page
}

/// Title, state, what the data are, and the few numbers that matter most.
fn header(facts: &Facts) -> String {
    let record = facts.record;
    let started = facts.manifest.sessions.first().map_or("", |session| session.started.as_str());
    let state = match record.finished {
        Some(_) => "<span class=\"state finished\">finished</span>",
        None => "<span class=\"state open\">unfinished</span>",
    };
    let tiles: String = [best(facts), test(facts), gain(facts), evaluated(facts), time(facts)]
        .iter()
        .map(|Tile { name, value, remark }| {
            format!(
                "<div class=\"tile\"><div class=\"name\">{name}</div><div class=\"value\">{value}</div><div \
                 class=\"remark\">{}</div></div>",
                Escaped(remark)
            )
        })
        .collect();
    format!(
        "<header><p class=\"kind\">Architecture search with a learnt distribution of graphs</p><h1>{} {state}</h1>\
         <p class=\"note\">{}; {}; seed {}; started {}</p></header>\n<p class=\"data\">\
         <b>Data.</b> {}</p>\n<div class=\"tiles\">{tiles}</div>",
        Escaped(&record.config.run.name),
        space(&record.config.space),
        Escaped(&facts.manifest.data.name),
        facts.manifest.seed,
        Escaped(started),
        Escaped(data_statement(facts))
    )
}

fn space(space: &SpaceConfig) -> String {
    match space.kind {
        SpaceKind::Randwire => format!("RandWire space, {} stages of {} nodes", space.stages, space.nodes),
        SpaceKind::Enas => format!("ENAS macro space, {} layers", space.layers),
        SpaceKind::Nasbench101 => format!("NAS-Bench-101 space, at most {} vertices", space.vertices),
        SpaceKind::Nasbench201 => "NAS-Bench-201 space".into(),
        SpaceKind::Table => "space of a table".into(),
    }
}

/// A number that matters.
struct Tile {
    name: &'static str,
    value: String,
    remark: String,
}

fn tile(name: &'static str, value: Option<(String, String)>, otherwise: &str) -> Tile {
    let (value, remark) = value.unwrap_or_else(|| ("\u{2013}".into(), otherwise.into()));
    Tile { name, value, remark }
}

fn best(facts: &Facts) -> Tile {
    let value = facts.ranked().first().map(|best| {
        let from = origin(best.candidate.origin);
        (percent(best.accuracy), format!("network {}, from the {from}", best.candidate.number))
    });
    tile("best validation accuracy", value, "no network evaluated yet")
}

fn test(facts: &Facts) -> Tile {
    let value = facts.record.finished.as_ref().map(|last| {
        let remark = if facts.tabular() {
            format!("network {}, the best by validation; from the table", last.candidate)
        } else {
            format!("network {}, retrained in {}, tested once", last.candidate, duration(last.seconds))
        };
        (percent(last.test_accuracy), remark)
    });
    tile("test accuracy", value, "the best network is retrained and tested when the run ends")
}

fn gain(facts: &Facts) -> Tile {
    let value = facts.gain().map(|Difference { difference, standard_error }| {
        let value = format!("{} <span class=\"error\">\u{b1} {:.2}</span>", points(difference), 100.0 * standard_error);
        let late = last_third(&facts.generator).len();
        (value, format!("points of mean accuracy: last {late} of the generator less {} random", facts.explorer.len()))
    });
    tile("generator less random", value, "too few networks of both kinds yet")
}

fn evaluated(facts: &Facts) -> Tile {
    let done = (facts.evaluated.len() + facts.failed) as u64;
    let budget = facts.record.config.search.budget as u64;
    let value = format!("{} <span class=\"error\">of {}</span>", count(done), count(budget));
    let done_how = if facts.tabular() { "looked up" } else { "trained" };
    let remark = match facts.failed {
        0 => format!("distinct networks {done_how}, none failed"),
        failed => format!("distinct networks {done_how}, {failed} of them failed"),
    };
    Tile { name: "networks", value, remark }
}

fn time(facts: &Facts) -> Tile {
    let device = &facts.manifest.device;
    let remark = format!("{}, {}, threads: {}", device.name, device.instruction_set, device.threads);
    Tile { name: "wall-clock time", value: cost::wall_clock(facts).0, remark }
}

#[cfg(test)]
mod tests;
