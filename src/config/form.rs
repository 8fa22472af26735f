//! The form of a key's value: its type and range, how it is checked, and how that is said.

use super::DeviceChoice;
use toml::{Table, Value};

/// The type and range of a key's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A finite number.
    Number(Interval),
    /// `true` or `false`.
    Flag,
    /// Text that can name a folder.
    Name,
    /// A folder or file; empty: the usual one.
    Path,
    /// A file; empty: none.
    File,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of at least one of these words.
    Choices(&'static [&'static str]),
    /// [`DeviceChoice`].
    Device,
    /// [`Exploration`](super::Exploration), as a word or a table.
    Exploration,
}

/// The numbers between two bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    low: f64,
    high: f64,
    low_open: bool,
    high_open: bool,
}

impl Interval {
    /// `[low, high]`
    pub(super) const fn closed(low: f64, high: f64) -> Self {
        Interval { low, high, low_open: false, high_open: false }
    }

    /// `(low, high]`
    pub(super) const fn above(low: f64, high: f64) -> Self {
        Interval { low, high, low_open: true, high_open: false }
    }

    /// `[low, high)`
    pub(super) const fn below(low: f64, high: f64) -> Self {
        Interval { low, high, low_open: false, high_open: true }
    }

    /// Whether it holds this number; never one that is not finite.
    fn contains(self, number: f64) -> bool {
        let above = if self.low_open { number > self.low } else { number >= self.low };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = (if self.low_open { '(' } else { '[' }, if self.high_open { ')' } else { ']' });
        write!(f, "{open}{}, {}{close}", self.low, self.high)
    }
}

impl Form {
    /// The value in the shape in which [`Config`](super::Config) reads it; `None`: wrong type or out of range.
    pub(super) fn check(self, value: &Value) -> Option<Value> {
        let right = match self {
            Form::Integer(low, high) => (low..=high).contains(&value.as_integer()?),
            Form::Number(interval) => {
                let number = as_number(value)?;
                return interval.contains(number).then_some(Value::Float(number));
            }
            Form::Flag => value.is_bool(),
            Form::Name => is_name(value.as_str()?),
            Form::Path | Form::File => !value.as_str()?.contains('\0'),
            Form::Choice(words) => words.contains(&value.as_str()?),
            Form::Choices(words) => {
                let list = value.as_array()?;
                !list.is_empty() && list.iter().all(|word| word.as_str().is_some_and(|word| words.contains(&word)))
            }
            Form::Device => value.as_str()?.parse::<DeviceChoice>().is_ok(),
            Form::Exploration => return exploration(value),
        };
        right.then(|| value.clone())
    }

    /// What would be right, to follow "must be".
    pub(super) fn expected(self) -> String {
        match self {
            Form::Integer(low, high) => format!("a whole number from {low} to {high}"),
            Form::Number(interval) => format!("a number in {interval}"),
            Form::Flag => "true or false".into(),
            Form::Name => "1 to 100 letters, digits, `-`, `_` or `.`, not beginning with `.`".into(),
            Form::Path => "the path of a folder or file in quotes, or \"\" for the usual place".into(),
            Form::File => "the path of a file in quotes, or \"\" for none".into(),
            Form::Choice(words) => quoted(words),
            Form::Choices(words) => format!("a list, not empty, of {}", quoted(words)),
            Form::Device => "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\"".into(),
            Form::Exploration => {
                "\"none\", \"harmonic\", \"exponential\", { schedule = \"first\", iterations = N } with \
                                  N from 1, or { schedule = \"constant\", share = S } with S in [0, 1]"
                    .into()
            }
        }
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    words.join(" or ")
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=100).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('.')
}

/// A schedule as the table that [`Exploration`](super::Exploration) reads.
fn exploration(value: &Value) -> Option<Value> {
    let table = match value {
        Value::String(word) => Table::from_iter([("schedule".to_string(), Value::String(word.clone()))]),
        Value::Table(table) => table.clone(),
        _ => return None,
    };
    let parameter = match table.get("schedule")?.as_str()? {
        "none" | "harmonic" | "exponential" => None,
        "first" => Some(("iterations", Form::Integer(1, i64::from(u32::MAX)))),
        "constant" => Some(("share", Form::Number(Interval::closed(0.0, 1.0)))),
        _ => return None,
    };
    let mut checked = Table::from_iter([("schedule".to_string(), table.get("schedule")?.clone())]);
    if let Some((name, form)) = parameter {
        checked.insert(name.to_string(), form.check(table.get(name)?)?);
    }
    (checked.len() == table.len()).then_some(Value::Table(checked))
}
