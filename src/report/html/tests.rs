use super::super::{fixture, svg};
use super::*;
use crate::config::DataSource;
use roxmltree::{Document, Node, ParsingOptions};
use std::path::Path;

const HOSTILE: &str = "</title><script>alert(\"1\")</script>&'\u{1}";

fn parse(page: &str) -> Document<'_> {
    Document::parse_with_options(page, ParsingOptions { allow_dtd: true, ..Default::default() }).unwrap()
}

fn section<'a>(document: &'a Document, id: &str) -> Node<'a, 'a> {
    document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap()
}

fn text(node: Node) -> String {
    node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect()
}

fn count(node: Node, class: &str) -> usize {
    let has = |n: &Node| n.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class));
    node.descendants().filter(has).count()
}

fn rows(node: Node) -> usize {
    let body = node.descendants().find(|n| n.has_tag_name(("http://www.w3.org/1999/xhtml", "tbody"))).unwrap();
    body.children().filter(|n| n.is_element()).count()
}

/// The same run, as it was when the first so many networks were proposed.
fn cut(networks: usize) -> RunRecord {
    let mut record = fixture::record();
    record.candidates.truncate(networks);
    let last = record.candidates.last().map_or(0, |c| c.iteration);
    record.iterations.retain(|i| i.iteration <= last && networks > 0);
    record.finished = None;
    if let Some(candidate) = record.candidates.last_mut() {
        candidate.outcome = None;
    }
    record
}

#[test]
fn a_finished_run_shows_everything() {
    let record = fixture::record();
    let page = html(&record, &fixture::manifest());
    let document = parse(&page);
    assert_eq!(count(section(&document, "accuracy"), "dot"), 63);
    assert_eq!(count(section(&document, "accuracy"), "cross"), 1);
    assert_eq!(count(section(&document, "generator"), "refit"), 6);
    assert_eq!(rows(section(&document, "generator")), 9);
    assert_eq!(rows(section(&document, "candidates")), 64);
    assert_eq!(count(section(&document, "networks"), "drawing"), 3);
    assert!(text(section(&document, "candidates")).contains("the loss of epoch 2 is not a number"));
    assert!(text(document.root()).contains("89.15\u{202f}%"));
    assert!(text(section(&document, "cost")).contains("4\u{202f}min 12\u{202f}s"));
    // 63 networks of 3 epochs and one of 1 saw half of 6,000 images an epoch.
    assert!(text(section(&document, "cost")).contains("570,000"));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = html(&fixture::record(), &fixture::manifest());
    let document = parse(&page);
    for node in document.descendants().filter(Node::is_element) {
        for attribute in node.attributes() {
            let outside = matches!(attribute.name(), "src" | "srcset" | "action" | "data" | "poster")
                || attribute.name() == "href" && !attribute.value().starts_with('#');
            assert!(!outside, "{}", attribute.value());
        }
        assert_ne!(node.tag_name().name(), "link");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn links_lead_somewhere() {
    let page = html(&fixture::record(), &fixture::manifest());
    let document = parse(&page);
    let links: Vec<&str> = document.descendants().filter_map(|n| n.attribute("href")).collect();
    assert!(links.len() > 8);
    for link in links {
        let found = document.descendants().filter(|n| n.attribute("id") == link.strip_prefix('#')).count();
        assert_eq!(found, 1, "{link}");
    }
}

#[test]
fn runs_at_every_stage_give_a_page() {
    for networks in [0, 1, 2, 3, 14, 24, 25, 26, 27, 28, 29, 64] {
        let record = cut(networks);
        let page = html(&record, &fixture::manifest());
        let document = parse(&page);
        let shown = page.replace(SCRIPT, "");
        assert!(!shown.contains("NaN") && !shown.contains("inf\""), "{networks}");
        assert_eq!(count(document.root(), "open"), 1);
        let shown = section(&document, "candidates");
        assert_eq!(if networks > 0 { rows(shown) } else { 0 }, networks);
        // Four evaluated networks of the generator: a last third of two, with a spread.
        let compared = networks >= 29;
        assert_eq!(text(section(&document, "distributions")).contains("less the explorer"), compared, "{networks}");
    }
}

#[test]
fn runs_in_which_everything_failed_give_a_page() {
    let mut record = fixture::record();
    for outcome in record.candidates.iter_mut().filter_map(|c| c.outcome.as_mut()) {
        outcome.validation_accuracy = None;
        outcome.failure = Some(HOSTILE.into());
    }
    record.finished = None;
    for refit in record.iterations.iter_mut().filter_map(|i| i.refit.as_mut()) {
        refit.losses = vec![f64::NAN, f64::INFINITY];
    }
    let page = html(&record, &fixture::manifest());
    let document = parse(&page);
    assert!(text(section(&document, "accuracy")).contains("No network has been evaluated yet"));
    assert!(text(document.root()).contains("64 of them failed"));
}

#[test]
fn the_difference_is_the_last_third_less_the_explorer() {
    let mut record = fixture::record();
    // Explorer: 0.50 and 0.54 alternating. Generator: 0.1 until its last 14 of 40, then 0.60 and 0.64.
    for candidate in &mut record.candidates {
        let number = candidate.number;
        let step = 0.04 * (number % 2) as f64;
        let outcome = candidate.outcome.as_mut().unwrap();
        outcome.failure = None;
        outcome.validation_accuracy = Some(match number {
            0..24 => 0.5 + step,
            24..50 => 0.1,
            _ => 0.6 + step,
        });
    }
    let page = html(&record, &fixture::manifest());
    // Variances 0.0004 * 24 / 23 and 0.0004 * 14 / 13: sqrt(0.0004 / 23 + 0.0004 / 13) = 0.0069392.
    let text = text(section(&parse(&page), "distributions"));
    assert!(text.contains("+10.00 \u{b1} 0.69"), "{text}");
    assert!(text.contains("(14 of 40) less the explorer\u{2019}s 24"), "{text}");
}

#[test]
fn what_users_write_is_text() {
    let mut record = fixture::record();
    let mut manifest = fixture::manifest();
    record.config.run.name = HOSTILE.into();
    record.config.data.path = Some(HOSTILE.into());
    record.candidates[5].key = HOSTILE.into();
    record.candidates[13].outcome.as_mut().unwrap().failure = Some(HOSTILE.into());
    manifest.host.cpu = HOSTILE.into();
    manifest.host.system = HOSTILE.into();
    manifest.device.name = HOSTILE.into();
    manifest.device.instruction_set = HOSTILE.into();
    manifest.data.name = HOSTILE.into();
    manifest.data.files[0].name = HOSTILE.into();
    manifest.data.files[0].sha256 = HOSTILE.into();
    manifest.sessions[0].started = HOSTILE.into();
    manifest.program = HOSTILE.into();
    manifest.version = HOSTILE.into();
    let page = html(&record, &manifest);
    let document = parse(&page);
    let scripts = document.descendants().filter(|n| n.tag_name().name() == "script").count();
    assert_eq!(scripts, 1);
    assert!(text(document.root()).contains("alert(\"1\")"));
}

#[test]
fn the_data_are_named_for_what_they_are() {
    let mut record = fixture::record();
    let page = |record: &RunRecord| html(record, &fixture::manifest());
    let embedded = page(&record);
    assert!(embedded.contains("the 10,000 official Fashion-MNIST test images"));
    assert!(embedded.contains("not comparable to published Fashion-MNIST results"));
    for source in [DataSource::FashionMnist, DataSource::Synthetic, DataSource::TinyImagenet] {
        record.config.data.source = source;
        assert!(!page(&record).contains("10,000 official"));
    }
}

#[test]
fn practices_are_not_claimed_without_ground() {
    let answers = |record: &RunRecord| {
        let page = html(record, &fixture::manifest());
        let document = parse(&page);
        let practices = section(&document, "practices");
        (count(practices, "yes"), count(practices, "partly"), count(practices, "no"))
    };
    let (yes, partly, no) = answers(&fixture::record());
    assert_eq!((yes, partly, no), (13, 2, 4));
    let (early, _, unmet) = answers(&cut(10));
    assert!(early < yes && unmet > no, "{early} {unmet}");
    assert_eq!(yes + partly + no, answers(&cut(0)).0 + answers(&cut(0)).1 + answers(&cut(0)).2);
}

/// Leaves the page of the made-up run where REPORT_PREVIEW says, and a drawing beside it, for a look at them.
#[test]
fn preview() {
    let page = html(&fixture::record(), &fixture::manifest());
    parse(&page);
    if let Some(path) = std::env::var_os("REPORT_PREVIEW") {
        let drawing = svg::architecture(&fixture::record().candidates[62].architecture, "Network 62");
        std::fs::write(Path::new(&path).with_extension("svg"), drawing).unwrap();
        std::fs::write(path, page).unwrap();
    }
}
