//! The page of a comparison of strategies.

use super::super::markup::Escaped;
use super::STYLE;
use super::chart::{Axis, Chart, span};
use super::format::{count, counted, percent, points, real};
use crate::compare::{Comparison, Moments, StrategyResult, Test};
use std::fmt::Write;

/// Colours of the strategies' curves, told apart also by people who see no red or no green (Okabe and Ito 2008).
const COLOURS: [&str; 9] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7b6fb3", "#7f7f7f"];

/// The page.
pub fn comparison_html(comparison: &Comparison) -> String {
    let name = Escaped(&comparison.name);
    let mut style = String::from(STYLE);
    for (index, colour) in COLOURS.iter().enumerate() {
        let _ =
            writeln!(style, ".curve{index} {{ fill: none; stroke: {colour}; stroke-width: 1.8; --mark: {colour}; }}");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{name}: comparison of strategies\
         </title>\n<style>\n{style}</style></head>\n<body><main>\n<header><p class=\"kind\">Comparison of search strategies</p>\
         <h1>{name}</h1><p class=\"note\">{} a run, {} a strategy{}</p></header>\n\
         <section id=\"results\"><h2>Accuracy of the incumbent</h2>\n{}</section>\n\
         <section id=\"curves\"><h2>Over the queries</h2>\n{}</section>\n\
         <section id=\"tests\"><h2>What the differences are worth</h2>\n{}</section>\n</main></body></html>",
        counted(comparison.budget, "architecture"),
        counted(comparison.seeds.len(), "run"),
        comparison
            .optimum
            .map_or(String::new(), |best| format!("; the best validation accuracy there is: {}", percent(best))),
        results(comparison),
        curves(comparison),
        tests(comparison),
    )
}

fn table(header: &[&str], rows: &str) -> String {
    let header: String = header.iter().map(|title| format!("<th scope=\"col\">{title}</th>")).collect();
    format!("<div class=\"scroll\"><table><thead><tr>{header}</tr></thead><tbody>\n{rows}</tbody></table></div>\n")
}

fn results(comparison: &Comparison) -> String {
    let header = [
        "strategy",
        "validation, %",
        "test, %",
        "regret, points",
        "drawn",
        "known already",
        "illegal",
        "filled in by explorer",
        "refit steps a second",
        "seconds a run",
    ];
    let rows: String = comparison.strategies.iter().map(result_row).collect();
    format!(
        "{}<p class=\"note\">Mean and standard deviation over the runs. The incumbent is the best by validation accuracy, and \
         its test accuracy is what counts at the end. Drawn, known already and illegal: architectures a run. Filled in: \
         candidates that the explorer supplied because a strategy found nothing new.</p>\n",
        table(&header, &rows)
    )
}

fn result_row(strategy: &StrategyResult) -> String {
    let spread = |value: Moments| format!("{} \u{b1} {}", real(100.0 * value.mean, 3), real(100.0 * value.std, 3));
    let optional = |value: Option<Moments>| value.map_or("\u{2013}".into(), spread);
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        Escaped(&strategy.name),
        spread(strategy.validation),
        optional(strategy.test),
        optional(strategy.regret),
        real(strategy.drawn, 1),
        real(strategy.duplicates, 1),
        real(strategy.invalid, 1),
        real(strategy.filled_by_explorer, 1),
        strategy.refit_steps_per_second.map_or("\u{2013}".into(), |rate| count(rate as u64)),
        real(strategy.seconds_per_run, 2),
    )
}

/// Mean accuracy of the incumbent over the queries. The axis leaves out the first tenth's depths.
fn curves(comparison: &Comparison) -> String {
    let late = |strategy: &StrategyResult| {
        let curve = &strategy.curve;
        curve[curve.len() / 10..].to_vec()
    };
    let values = comparison.strategies.iter().flat_map(late).chain(comparison.optimum);
    let Some(y) = span(values, 0.04) else { return "<p class=\"empty\">There are no curves.</p>".into() };
    let longest = comparison.strategies.iter().map(|strategy| strategy.curve.len()).max().unwrap_or(1);
    let mut chart = Chart::new(1000.0, 420.0, (1.0, longest.max(2) as f64), y);
    let tick = |value: f64| format!("{:.1}", 100.0 * value);
    chart.y_axis(&Axis { label: "mean validation accuracy of the incumbent, %", tick, ticks: 7 });
    chart.x_axis(&Axis { label: "architectures evaluated", tick: |value| format!("{value:.0}"), ticks: 10 });
    if let Some(best) = comparison.optimum {
        chart.line("axis", [(1.0, best), (longest.max(2) as f64, best)], "the best there is");
    }
    let mut keys = String::new();
    for (index, strategy) in comparison.strategies.iter().enumerate() {
        let class = format!("curve{}", index % COLOURS.len());
        let points = strategy.curve.iter().enumerate().map(|(query, &value)| (query as f64 + 1.0, value));
        let points: Vec<(f64, f64)> = points.filter(|(_, value)| *value >= y.0).collect();
        chart.line(&class, points, &format!("{}: {}", strategy.name, percent(strategy.validation.mean)));
        let _ = write!(keys, "<span class=\"key {class}\">{}</span>", Escaped(&strategy.name));
    }
    format!("<p class=\"keys\">{keys}</p>\n{}", chart.finish("accuracy of the incumbent over the queries"))
}

fn tests(comparison: &Comparison) -> String {
    let Some(first) = comparison.strategies.first().filter(|_| !comparison.tests.is_empty()) else {
        return "<p class=\"empty\">There is only one strategy.</p>".into();
    };
    let header = ["rival", "difference, points", "p (Wilcoxon)", "p (t)", "seeds better", "seeds equal"];
    let rows: String = comparison.tests.iter().map(test_row).collect();
    format!(
        "<p class=\"lead\">{} less each rival, on the validation accuracy of the incumbents, paired by seed.</p>\n{}\
         <p class=\"note\">Two-sided p of Wilcoxon\u{2019}s signed-rank test, exact, and of the paired t-test.</p>\n",
        Escaped(&first.name),
        table(&header, &rows)
    )
}

fn test_row(test: &Test) -> String {
    let p = |value: f64| format!("{value:.2e}").replace('-', "\u{2212}");
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        Escaped(&test.rival),
        points(test.difference),
        p(test.p),
        test.p_t.map_or("\u{2013}".into(), p),
        test.wins,
        test.ties
    )
}

#[cfg(test)]
mod tests_of_the_page {
    use super::*;
    use crate::compare::RunResult;

    fn run(seed: u64, validation: f64) -> RunResult {
        RunResult {
            seed,
            validation,
            test: None,
            drawn: 5,
            invalid: 1,
            duplicates: 2,
            filled_by_explorer: 0,
            failed: 0,
            refit_steps: 0,
            refit_seconds: 0.0,
            seconds: 0.1,
            curve: vec![0.0, validation],
        }
    }

    #[test]
    fn the_page_is_well_formed_and_holds_every_strategy() {
        let of = |name: &str, shift: f64| {
            let runs = (1..4).map(|seed| run(seed, 0.3 + 0.01 * seed as f64 + shift)).collect();
            StrategyResult::new(name.into(), runs, None).unwrap()
        };
        let strategies = vec![of("graphpnas", 0.05), of("<random>", 0.0)];
        let tests = Comparison::tests(&strategies);
        let mut comparison =
            Comparison { name: "a & b".into(), budget: 2, seeds: vec![1, 2, 3], optimum: Some(0.5), strategies, tests };
        let page = comparison_html(&comparison);
        let text = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let document = roxmltree::Document::parse(text).unwrap();
        let curves = document.descendants().filter(|n| n.attribute("class").is_some_and(|c| c.starts_with("curve")));
        assert_eq!(curves.count(), 2);
        assert!(page.contains("37.000 \u{b1} 1.000") && page.contains("+5.00") && page.contains("&lt;random&gt;"));
        comparison.strategies.truncate(1);
        comparison.tests.clear();
        assert!(comparison_html(&comparison).contains("only one strategy"));
    }
}
