//! Axes for the page's charts.

use super::super::markup::Escaped;
use std::fmt::Write;

/// Maps values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Least and greatest value.
    pub domain: (f64, f64),
    /// Their pixels.
    pub range: (f64, f64),
}

impl Scale {
    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        self.range.0 + share * (self.range.1 - self.range.0)
    }
}

/// Round numbers (1, 2 or 5 times a power of ten apart) within `low..=high`, about `wanted` of them.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![low];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// The least and greatest of these, widened by a share of their distance; `None` where there are none.
pub fn span(values: impl IntoIterator<Item = f64>, margin: f64) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let room = if high > low { (high - low) * margin } else { (high.abs() * 0.01).max(1e-3) };
    (low <= high).then_some((low - room, high + room))
}

/// A chart: its axes' scales and everything drawn so far.
pub struct Chart {
    /// Across.
    pub x: Scale,
    /// Upwards.
    pub y: Scale,
    width: f64,
    height: f64,
    /// SVG elements.
    pub body: String,
}

/// What an axis is called, and how its ticks are written.
pub struct Axis<'a> {
    /// Caption.
    pub label: &'a str,
    /// Writes a tick.
    pub tick: fn(f64) -> String,
    /// About how many ticks.
    pub ticks: usize,
}

const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;

impl Chart {
    /// An empty chart with these domains.
    pub fn new(width: f64, height: f64, x: (f64, f64), y: (f64, f64)) -> Chart {
        let x = Scale { domain: x, range: (LEFT, width - RIGHT) };
        let y = Scale { domain: y, range: (height - BOTTOM, TOP) };
        Chart { x, y, width, height, body: String::new() }
    }

    /// Draws the horizontal axis below.
    pub fn x_axis(&mut self, axis: &Axis) {
        let bottom = self.y.range.0;
        let (left, right) = self.x.range;
        let _ = writeln!(self.body, "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>");
        for value in ticks(self.x.domain.0, self.x.domain.1, axis.ticks) {
            let x = self.x.at(value);
            let text = (axis.tick)(value);
            self.label("tick middle", x, bottom + 17.0, &text);
        }
        self.label("axis-label middle", (left + right) / 2.0, self.height - 6.0, axis.label);
    }

    /// Draws the vertical axis as lines across, its caption above.
    pub fn y_axis(&mut self, axis: &Axis) {
        let (left, right) = self.x.range;
        for value in ticks(self.y.domain.0, self.y.domain.1, axis.ticks) {
            let y = self.y.at(value);
            let text = (axis.tick)(value);
            let _ = writeln!(self.body, "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>");
            self.label("tick end", left - 8.0, y + 3.5, &text);
        }
        self.label("axis-label", 4.0, 12.0, axis.label);
    }

    /// Writes text.
    pub fn label(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = writeln!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", Escaped(text));
    }

    /// A line through points of the chart's domains.
    pub fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>, title: &str) {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x.at(x), self.y.at(y));
        }
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"><title>{}</title></path>", Escaped(title));
    }

    /// The chart as an `svg` element.
    pub fn finish(self, label: &str) -> String {
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            self.width,
            self.height,
            Escaped(label),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() <= 1e-9, "{found:?}");
            }
        };
        near(ticks(0.0, 1.0, 5), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        near(ticks(0.813, 0.868, 5), &[0.82, 0.84, 0.86]);
        near(ticks(-7.0, 12.0, 4), &[-5.0, 0.0, 5.0, 10.0]);
        near(ticks(3.0, 3.0, 5), &[3.0]);
        near(ticks(0.0, f64::INFINITY, 5), &[0.0]);
    }

    #[test]
    fn spans_hold_all_finite_values() {
        assert_eq!(span([], 0.1), None);
        assert_eq!(span([f64::NAN], 0.1), None);
        assert_eq!(span([0.0, f64::INFINITY, 10.0], 0.1), Some((-1.0, 11.0)));
        let (low, high) = span([0.0], 0.1).unwrap();
        assert!(low < 0.0 && high > 0.0);
    }

    #[test]
    fn scales_map_ends_to_ends() {
        let scale = Scale { domain: (1.0, 3.0), range: (100.0, 0.0) };
        assert_eq!([1.0, 2.0, 3.0].map(|x| scale.at(x)), [100.0, 50.0, 0.0]);
        assert_eq!(Scale { domain: (1.0, 1.0), range: (0.0, 10.0) }.at(1.0), 5.0);
    }
}
