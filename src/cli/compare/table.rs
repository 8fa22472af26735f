//! A comparison as a table of text.

use crate::cli::text::{counted, percent};
use crate::compare::{Comparison, Moments, StrategyResult, Test};
use std::fmt::Write;

/// The results, for people.
pub(super) fn text(comparison: &Comparison) -> String {
    let Comparison { budget, seeds, optimum, .. } = comparison;
    let known = optimum.map_or(String::new(), |optimum| format!("; the best there is: {}", percent(optimum)));
    let mut text = format!(
        "{} after {} of {}{known}\n\n",
        "accuracy of the incumbent by validation, mean and standard deviation,",
        counted(*budget, "architecture"),
        counted(seeds.len(), "run"),
    );
    let header = ["strategy", "validation", "test", "regret", "known", "illegal", "random", "steps/s", "s/run"];
    let rows = comparison.strategies.iter().map(row);
    text.push_str(&aligned(std::iter::once(header.map(String::from)).chain(rows).collect()));
    text.push_str(
        "\nknown, illegal: shares of the architectures drawn; random: candidates a run that the explorer had to supply\n",
    );
    if let Some(first) = comparison.strategies.first().filter(|_| !comparison.tests.is_empty()) {
        let _ = writeln!(text, "\n{} less its rivals, in points of validation accuracy, paired by seed\n", first.name);
        let header = ["rival", "difference", "p (Wilcoxon)", "p (t)", "better", "equal"].map(String::from);
        text.push_str(&aligned(std::iter::once(header).chain(comparison.tests.iter().map(test_row)).collect()));
        text.push_str("\np: two-sided, exact for Wilcoxon's signed-rank test\n");
    }
    text
}

fn row(strategy: &StrategyResult) -> [String; 9] {
    let share = |count: f64| if strategy.drawn > 0.0 { percent(count / strategy.drawn) } else { "-".into() };
    let optional = |value: Option<Moments>| value.map_or("-".into(), spread);
    [
        strategy.name.clone(),
        spread(strategy.validation),
        optional(strategy.test),
        optional(strategy.regret),
        share(strategy.duplicates),
        share(strategy.invalid),
        format!("{:.1}", strategy.filled_by_explorer),
        strategy.refit_steps_per_second.map_or("-".into(), |rate| format!("{rate:.0}")),
        format!("{:.2}", strategy.seconds_per_run),
    ]
}

/// `38.07 ± 0.62`, in percent.
fn spread(value: Moments) -> String {
    format!("{:.3} ± {:.3}", 100.0 * value.mean, 100.0 * value.std)
}

fn test_row(test: &Test) -> [String; 6] {
    [
        test.rival.clone(),
        format!("{:+.3}", 100.0 * test.difference),
        format!("{:.2e}", test.p),
        test.p_t.map_or("-".into(), |p| format!("{p:.2e}")),
        test.wins.to_string(),
        test.ties.to_string(),
    ]
}

/// Columns side by side: the first to the left, the others to the right.
fn aligned<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![["a".to_string(), "bb".to_string()], ["ccc".to_string(), "±".to_string()]];
        assert_eq!(aligned(rows), "a    bb\nccc   ±\n");
        assert_eq!(spread(Moments { mean: 0.380_712, std: 0.0062 }), "38.071 ± 0.620");
    }
}
