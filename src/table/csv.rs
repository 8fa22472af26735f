//! CSV files: a header, then lines of as many fields; fields may stand in double quotes.

use super::TableError;
use std::path::Path;

/// A CSV file, split into lines.
pub(super) struct Csv<'a> {
    path: &'a Path,
    header: Vec<String>,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

/// A line and its number.
pub(super) struct Line<'a> {
    path: &'a Path,
    /// From 1.
    pub number: usize,
    fields: Vec<String>,
}

impl<'a> Csv<'a> {
    /// Reads the header.
    pub fn new(path: &'a Path, text: &'a str) -> Result<Self, TableError> {
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        let error = |problem| TableError::Line { path: path.to_path_buf(), line: 1, problem };
        Ok(Csv { path, header: fields(header).map_err(error)?, lines })
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Result<usize, TableError> {
        self.optional_column(name).ok_or_else(|| TableError::Line {
            path: self.path.to_path_buf(),
            line: 1,
            problem: format!(
                "no column `{name}` among {}",
                self.header.join(",").chars().take(120).collect::<String>()
            ),
        })
    }

    /// The place of a column that need not be there.
    pub fn optional_column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}

impl<'a> Iterator for Csv<'a> {
    type Item = Result<Line<'a>, TableError>;

    /// The next line that is not empty.
    fn next(&mut self) -> Option<Self::Item> {
        let (index, text) = self.lines.find(|(_, line)| !line.is_empty())?;
        let mut line = Line { path: self.path, number: index + 1, fields: vec![] };
        Some(match fields(text) {
            Ok(fields) if fields.len() == self.header.len() => {
                line.fields = fields;
                Ok(line)
            }
            Ok(fields) => Err(line.error(format!("{} fields for {} columns", fields.len(), self.header.len()))),
            Err(problem) => Err(line.error(problem)),
        })
    }
}

impl Line<'_> {
    /// An error of this line.
    pub fn error(&self, problem: impl Into<String>) -> TableError {
        TableError::Line { path: self.path.to_path_buf(), line: self.number, problem: problem.into() }
    }

    /// The text of a column.
    pub fn text(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }

    /// The number of a column.
    pub fn number(&self, column: usize) -> Result<f64, TableError> {
        let text = self.text(column);
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error(format!("{:?} is no number", text.chars().take(40).collect::<String>())))
    }
}

/// The fields of a line. Inside quotes a doubled quote is one.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_string(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("field {} goes on after its closing quote", fields.len())),
        }
    }
}

/// The field up to its closing quote, and what follows.
fn quoted(inside: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = inside;
    loop {
        let end = rest.find('"').ok_or("a field's closing quote is missing")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        let split = |line: &str| fields(line);
        assert_eq!(split("a,\"b,c\",,d"), Ok(vec!["a".into(), "b,c".into(), String::new(), "d".into()]));
        assert_eq!(split("\"a\"\"b\""), Ok(vec!["a\"b".into()]));
        assert_eq!(split(""), Ok(vec![String::new()]));
        assert!(split("\"a").unwrap_err().contains("closing quote is missing"));
        assert!(split("a,\"b\"c").unwrap_err().contains("field 2 goes on"));
    }

    proptest! {
        #[test]
        fn quoting_is_undone(original in prop::collection::vec("[a-z\",]{0,6}", 1..6)) {
            let line: Vec<String> = original.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            prop_assert_eq!(fields(&line.join(",")), Ok(original));
        }

        #[test]
        fn no_line_panics(line in "\\PC{0,40}") {
            let _ = fields(&line);
        }
    }
}
