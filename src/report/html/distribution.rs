//! Explorer against generator: how the accuracies of what they propose are distributed.

use super::super::statistics::{Difference, Summary, last_third};
use super::chart::{Axis, Chart, span, ticks};
use super::facts::Facts;
use super::format::{counted, percent, points};
use std::fmt::Write;

/// Height of one group's histogram and the room below it for its strip.
const ROW: f64 = 96.0;
const STRIP: f64 = 22.0;

struct Group<'a> {
    name: &'static str,
    class: &'static str,
    accuracies: &'a [f64],
}

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let third = last_third(&facts.generator);
    let groups = [
        Group { name: "explorer: random wiring", class: "explorer", accuracies: &facts.explorer },
        Group { name: "generator, all", class: "generator", accuracies: &facts.generator },
        Group { name: "generator, last third", class: "generator late", accuracies: third },
    ];
    let groups: Vec<Group> = groups.into_iter().filter(|group| !group.accuracies.is_empty()).collect();
    if groups.is_empty() {
        return "<p class=\"empty\">No network has been evaluated yet.</p>".into();
    }
    format!("{}\n{}{}", statement(facts, third.len()), histograms(&groups), table(&groups))
}

/// What the difference is, in words that claim no more than it shows.
fn statement(facts: &Facts, late: usize) -> String {
    if facts.generator.is_empty() {
        return "<p class=\"lead\">No network of the generator has been evaluated in this run, so there is nothing to \
                compare the explorer's with.</p>"
            .into();
    }
    let Some(Difference { difference, standard_error }) = facts.gain() else {
        return "<p class=\"lead\">There are too few evaluated networks to compare: each side needs two at least.</p>"
            .into();
    };
    let verdict = if difference.abs() <= 2.0 * standard_error {
        "This lies within two standard errors: by itself this run does not tell the two apart."
    } else if difference > 0.0 {
        "This is more than two standard errors in the generator\u{2019}s favour."
    } else {
        "This is more than two standard errors against the generator."
    };
    format!(
        "<p class=\"lead\">The last third of the generator\u{2019}s networks ({late} of {}) less the explorer\u{2019}s {}: \
         <strong>{} \u{b1} {:.2}</strong> percentage points of mean validation accuracy (difference of means \u{b1} its \
         standard error, networks taken as independent). {verdict} It is one run with one seed; judge the method by \
         several.</p>",
        facts.generator.len(),
        facts.explorer.len(),
        points(difference),
        100.0 * standard_error
    )
}

/// One histogram a group over the same bins, to the same scale of shares, with every network as a stroke below.
fn histograms(groups: &[Group]) -> String {
    let all = groups.iter().flat_map(|group| group.accuracies.iter().copied());
    let Some((low, high)) = span(all, 0.02) else { return String::new() };
    let edges = bins(low, high);
    let shares: Vec<Vec<f64>> = groups.iter().map(|group| shares(group.accuracies, &edges)).collect();
    let tallest = shares.iter().flatten().copied().fold(0.0, f64::max);
    let domain = (edges[0], edges[edges.len() - 1]);
    let mut chart = Chart::new(1000.0, 48.0 + ROW * groups.len() as f64, domain, (0.0, 1.0));
    let tick = |value: f64| format!("{:.1}", 100.0 * value);
    chart.x_axis(&Axis { label: "validation accuracy, %", tick, ticks: 10 });
    for (index, (group, shares)) in groups.iter().zip(&shares).enumerate() {
        let top = 4.0 + ROW * index as f64;
        row(&mut chart, group, &Bars { edges: &edges, shares, tallest }, top);
    }
    chart.finish("histograms of the validation accuracies of the explorer's and the generator's networks")
}

/// About 24 bins with round edges that hold everything.
fn bins(low: f64, high: f64) -> Vec<f64> {
    let inner = ticks(low, high, 24);
    let step = if inner.len() > 1 { inner[1] - inner[0] } else { (high - low).max(1e-3) };
    let first = inner.first().map_or(low, |edge| edge - step);
    let count = ((high - first) / step).ceil().max(1.0) as usize;
    (0..=count).map(|index| first + index as f64 * step).collect()
}

/// The share of the values in every bin; a value on an edge belongs to the bin above.
fn shares(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; edges.len() - 1];
    for value in values {
        let bin = edges.partition_point(|edge| edge <= value).saturating_sub(1).min(edges.len() - 2);
        shares[bin] += 1.0 / values.len() as f64;
    }
    shares
}

struct Bars<'a> {
    edges: &'a [f64],
    shares: &'a [f64],
    /// The share that fills the height.
    tallest: f64,
}

fn row(chart: &mut Chart, group: &Group, bars: &Bars, top: f64) {
    let base = top + ROW - STRIP;
    let height = ROW - STRIP - 28.0;
    for (pair, share) in bars.edges.windows(2).zip(bars.shares).filter(|(_, share)| **share > 0.0) {
        let (left, right) = (chart.x.at(pair[0]) + 1.0, chart.x.at(pair[1]) - 1.0);
        let tall = share / bars.tallest * height;
        let _ = writeln!(
            chart.body,
            "<rect class=\"bar {}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"1.5\"><title>{} \
             to {}: {:.0} of {}</title></rect>",
            group.class,
            base - tall,
            (right - left).max(1.0),
            percent(pair[0]),
            percent(pair[1]),
            share * group.accuracies.len() as f64,
            group.accuracies.len(),
        );
    }
    let (left, right) = chart.x.range;
    let _ = writeln!(chart.body, "<path class=\"axis\" d=\"M{left:.1} {base:.1}H{right:.1}\"/>");
    for accuracy in group.accuracies {
        let (x, y) = (chart.x.at(*accuracy), base + 4.0);
        let _ = writeln!(chart.body, "<path class=\"strip {}\" d=\"M{x:.1} {y:.1}v9\"/>", group.class);
    }
    let Some(summary) = Summary::of(group.accuracies) else { return };
    let x = chart.x.at(summary.mean);
    let _ = writeln!(chart.body, "<path class=\"mean\" d=\"M{x:.1} {:.1}V{:.1}\"/>", top + 14.0, base + 15.0);
    let side = if x > (left + right) / 2.0 { ("value end", x - 5.0) } else { ("value", x + 5.0) };
    chart.label(side.0, side.1, top + 20.0, &format!("mean {}", percent(summary.mean)));
    // The name stands on the side that the mean's label leaves free.
    let name = format!("{} ({})", group.name, group.accuracies.len());
    if x > (left + right) / 2.0 {
        chart.label("group", left, top + 20.0, &name);
    } else {
        chart.label("group end", right, top + 20.0, &name);
    }
}

fn table(groups: &[Group]) -> String {
    let mut rows = String::new();
    for group in groups {
        let Some(summary) = Summary::of(group.accuracies) else { continue };
        let deviation = summary.standard_deviation.map_or("\u{2013}".into(), |s| format!("{:.2}", 100.0 * s));
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{deviation}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            group.name,
            summary.count,
            percent(summary.mean),
            percent(summary.minimum),
            percent(summary.median),
            percent(summary.maximum)
        );
    }
    let networks = counted(groups.iter().map(|g| g.accuracies.len()).max().unwrap_or(0), "network");
    format!(
        "<div class=\"scroll\"><table aria-label=\"summary of up to {networks} a group\"><thead><tr><th \
         scope=\"col\">networks</th><th scope=\"col\">number</th><th scope=\"col\">mean</th><th scope=\"col\">standard \
         deviation</th><th scope=\"col\">least</th><th scope=\"col\">median</th><th scope=\"col\">greatest</th></tr>\
         </thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_value_once() {
        let values = [0.8, 0.801, 0.85, 0.85, 0.9];
        let edges = bins(0.79, 0.91);
        assert!(edges[0] <= 0.8 && edges[edges.len() - 1] > 0.9, "{edges:?}");
        let shares = shares(&values, &edges);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() <= 1e-12);
        let tallest = shares.iter().copied().fold(0.0, f64::max);
        assert!((tallest - 0.4).abs() <= 1e-12, "{shares:?}");
    }

    #[test]
    fn a_single_value_has_a_bin() {
        let (low, high) = span([0.5], 0.02).unwrap();
        assert!((shares(&[0.5], &bins(low, high)).iter().sum::<f64>() - 1.0).abs() <= 1e-12);
    }
}
