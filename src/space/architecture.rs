//! The exchange format of architectures.

use super::SpaceError;
use super::cell::{Cell, OperatorName};
use super::enas::MacroNetwork;
use super::nasbench101::Cell101;
use super::nasbench201::Cell201;
use crate::graph::Dag;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The largest number of stages that is read.
pub const MAX_STAGES: usize = 16;

/// The longest text that is read: the largest architecture, generously indented, fits.
pub const MAX_TEXT_BYTES: usize = 1 << 23;

/// An architecture in the exchange format that the command line reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "space", deny_unknown_fields)]
pub enum Architecture {
    /// `{"space": "randwire", "stages": [{"nodes": 16, "edges": [[0, 3], ...]}, ...]}`
    #[serde(rename = "randwire")]
    RandWire {
        /// One graph a stage.
        #[serde(deserialize_with = "stages")]
        stages: Vec<Dag>,
    },
    /// `{"space": "enas", "ops": ["conv3x3", ...], "skips": [[0, 2], ...]}`
    #[serde(rename = "enas")]
    Enas(MacroNetwork),
    /// `{"space": "nasbench101", "adjacency": ["0110001", ...], "ops": ["input", "conv3x3-bn-relu", ..., "output"]}`
    #[serde(rename = "nasbench101")]
    NasBench101(Cell101),
    /// `{"space": "nasbench201", "arch": "|nor_conv_3x3~0|+|...|"}`
    #[serde(rename = "nasbench201")]
    NasBench201(Cell201),
    /// `{"space": "table", "adjacency": ["01", "00"], "ops": ["a", "b"]}`
    #[serde(rename = "table")]
    Table(Cell<OperatorName>),
}

impl Architecture {
    /// The name of its space.
    pub fn space(&self) -> &'static str {
        match self {
            Architecture::RandWire { .. } => "randwire",
            Architecture::Enas(_) => "enas",
            Architecture::NasBench101(_) => "nasbench101",
            Architecture::NasBench201(_) => "nasbench201",
            Architecture::Table(_) => "table",
        }
    }

    /// A cell on one line, as its table writes it; `None` for whole networks, which are too long for that.
    pub fn one_line(&self) -> Option<String> {
        match self {
            Architecture::RandWire { .. } | Architecture::Enas(_) => None,
            Architecture::NasBench101(cell) => Some(cell.describe()),
            Architecture::NasBench201(cell) => Some(cell.to_string()),
            Architecture::Table(cell) => Some(cell.describe()),
        }
    }
}

/// Reads an architecture from JSON. What is read is legal by itself (1 to [`MAX_STAGES`] stages, acyclic graphs of a
/// possible size); whether it belongs to a space is for [`Space::check`](super::Space::check). Errors name the stage, the
/// edge, line and column.
pub fn read_architecture(text: &str) -> Result<Architecture, SpaceError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(SpaceError::TextLength(text.len()));
    }
    let tag: Tag = parse(text)?;
    match tag.space.as_str() {
        "randwire" => Ok(Architecture::RandWire { stages: parse::<RandWireText>(text)?.stages }),
        "enas" => parse(text).map(Architecture::Enas),
        "nasbench101" => parse(text).map(Architecture::NasBench101),
        "nasbench201" => parse(text).map(Architecture::NasBench201),
        "table" => parse(text).map(Architecture::Table),
        _ => Err(SpaceError::UnknownSpace(one_line(&tag.space))),
    }
}

/// The member that says which members there are besides.
#[derive(Deserialize)]
struct Tag {
    space: String,
}

/// `Architecture::RandWire` once more, without the tag: serde buffers tagged enums and forgets lines and paths.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RandWireText {
    #[serde(rename = "space")]
    _space: String,
    #[serde(deserialize_with = "stages")]
    stages: Vec<Dag>,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, SpaceError> {
    let error = |place: String, problem: serde_json::Error| SpaceError::Text {
        place: one_line(&place),
        problem: one_line(&problem.to_string()),
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|found| {
        let path = found.path().to_string();
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        error(place, found.into_inner())
    })?;
    json.end().map_err(|problem| error(String::new(), problem))?;
    Ok(value)
}

/// The start of a message that may quote what it complains of, on one line.
fn one_line(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Reads the stages one by one and stops where there are too many.
fn stages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Dag>, D::Error> {
    deserializer.deserialize_seq(StagesVisitor)
}

struct StagesVisitor;

impl<'de> Visitor<'de> for StagesVisitor {
    type Value = Vec<Dag>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list of 1 to {MAX_STAGES} stages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Dag>, A::Error> {
        let mut stages = Vec::new();
        while let Some(stage) = sequence.next_element()? {
            if stages.len() == MAX_STAGES {
                return Err(A::Error::custom(format_args!("more than {MAX_STAGES} stages")));
            }
            stages.push(stage);
        }
        if stages.is_empty() {
            return Err(A::Error::invalid_length(0, &self));
        }
        Ok(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str =
        r#"{"space": "randwire", "stages": [{"nodes": 4, "edges": [[0, 3], [1, 2]]}, {"nodes": 1, "edges": []}]}"#;

    fn randwire(stages: &str) -> String {
        format!(r#"{{"space": "randwire", "stages": {stages}}}"#)
    }

    #[test]
    fn the_exchange_format_is_read_and_written() {
        let architecture = read_architecture(GOOD).unwrap();
        let stages = vec![Dag::new(4, &[[0, 3], [1, 2]]).unwrap(), Dag::without_edges(1).unwrap()];
        assert_eq!(architecture, Architecture::RandWire { stages });
        let text = serde_json::to_string(&architecture).unwrap();
        assert_eq!(text, GOOD.replace(' ', ""));
        assert_eq!(read_architecture(&serde_json::to_string_pretty(&architecture).unwrap()), Ok(architecture));
    }

    #[test]
    fn the_largest_architecture_fits_the_limits() {
        let edges: Vec<[usize; 2]> = (0..128).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
        let stages = vec![Dag::new(128, &edges).unwrap(); MAX_STAGES];
        let architecture = Architecture::RandWire { stages };
        let text = serde_json::to_string_pretty(&architecture).unwrap();
        assert!(read_architecture(&text) == Ok(architecture), "{} bytes", text.len());
    }

    #[test]
    fn malformed_texts_are_refused_at_their_place() {
        let seventeen = randwire(&format!("[{}]", vec![r#"{"nodes": 1, "edges": []}"#; 17].join(",")));
        let cases: Vec<(String, &str)> = vec![
            (String::new(), "EOF while parsing"),
            ("  ".into(), "EOF while parsing"),
            ("null".into(), "invalid type: null"),
            ("7".into(), "invalid type: integer"),
            ("\u{feff}{}".into(), "expected value at line 1 column 1"),
            ("[[[[[[".into(), "line 1 column"),
            ("[".repeat(100_000), "line 1 column"),
            ("{}".into(), "missing field `space`"),
            (r#"{"stages": []}"#.into(), "missing field `space`"),
            (r#"{"space": 1, "stages": []}"#.into(), "space: invalid type: integer `1`"),
            (r#"{"space": "randwire"}"#.into(), "missing field `stages`"),
            (r#"{"space": "darts", "stages": []}"#.into(), "unknown space \"darts\"; known: \"randwire\", \"enas\""),
            (r#"{"space": "RandWire", "stages": []}"#.into(), "unknown space \"RandWire\""),
            (r#"{"space": "randwire", "space": "randwire", "stages": []}"#.into(), "duplicate field `space`"),
            (GOOD.replace("{\"space\"", "{\"name\": 1, \"space\""), "unknown field `name`"),
            (GOOD.replace("\"edges\": []", "\"edges\": [], \"ops\": []"), "stages[1].ops: unknown field `ops`"),
            (format!("{GOOD} x"), "trailing characters at line 1"),
            (format!("{GOOD}{GOOD}"), "trailing characters at line 1"),
            (GOOD[..GOOD.len() - 1].into(), "EOF while parsing an object"),
            (GOOD[..40].into(), "EOF while parsing"),
            (randwire("{}"), "stages: invalid type: map, expected a list of 1 to 16 stages"),
            (randwire("null"), "stages: invalid type: null"),
            (randwire("[]"), "stages: invalid length 0, expected a list of 1 to 16 stages"),
            (randwire("[1]"), "stages[0]: invalid type: integer `1`"),
            (randwire("[[]]"), "stages[0]: invalid length 0"),
            (randwire("[{}]"), "stages[0]: missing field `nodes`"),
            (randwire(r#"[{"nodes": 3}]"#), "stages[0]: missing field `edges`"),
            (randwire(r#"[{"edges": []}]"#), "stages[0]: missing field `nodes`"),
            (randwire(r#"[{"nodes": 0, "edges": []}]"#), "stages[0]: a graph has 1 to 128 nodes, not 0"),
            (randwire(r#"[{"nodes": 129, "edges": []}]"#), "a graph has 1 to 128 nodes, not 129"),
            (randwire(r#"[{"nodes": 18446744073709551615, "edges": []}]"#), "not 18446744073709551615"),
            (randwire(r#"[{"nodes": 18446744073709551616, "edges": []}]"#), "stages[0].nodes: invalid"),
            (randwire(r#"[{"nodes": -1, "edges": []}]"#), "stages[0].nodes: invalid value: integer `-1`"),
            (randwire(r#"[{"nodes": 2.5, "edges": []}]"#), "stages[0].nodes: invalid type: floating point"),
            (randwire(r#"[{"nodes": "2", "edges": []}]"#), "stages[0].nodes: invalid type: string"),
            (randwire(r#"[{"nodes": 3, "edges": {}}]"#), "stages[0].edges: invalid type: map"),
            (randwire(r#"[{"nodes": 3, "edges": [3]}]"#), "stages[0].edges[0]: invalid type: integer `3`"),
            (randwire(r#"[{"nodes": 3, "edges": [[0, 1], []]}]"#), "stages[0].edges[1]: invalid length 0"),
            (randwire(r#"[{"nodes": 3, "edges": [[0]]}]"#), "stages[0].edges[0]: invalid length 1"),
            (randwire(r#"[{"nodes": 3, "edges": [[0, 1, 2]]}]"#), "trailing characters"),
            (randwire(r#"[{"nodes": 3, "edges": [[0, -1]]}]"#), "stages[0].edges[0][1]: invalid value: integer `-1`"),
            (randwire(r#"[{"nodes": 3, "edges": [[0, 1.0]]}]"#), "stages[0].edges[0][1]: invalid type: floating"),
            (
                randwire(r#"[{"nodes": 3, "edges": [[0, 1]]}, {"nodes": 3, "edges": [[2, 1]]}]"#),
                "stages[1]: edge [2, 1]",
            ),
            (randwire(r#"[{"nodes": 3, "edges": [[1, 1]]}]"#), "stages[0]: edge [1, 1] is not from a lower"),
            (
                randwire(r#"[{"nodes": 3, "edges": [[0, 3]]}]"#),
                "edge [0, 3] is not from a lower to a higher of the nodes 0..3",
            ),
            (randwire(r#"[{"nodes": 3, "edges": [[0, 1], [0, 1]]}]"#), "stages[0]: edge [0, 1] is given twice"),
            (randwire(r#"[{"nodes": 3, "nodes": 4, "edges": []}]"#), "duplicate field `nodes`"),
            (randwire("[{\"nodes\": 3,\n \"edges\": [[0, 1],]}]"), "line 2 column"),
            (GOOD.replace("edges", "\\n\\u0007").replace("nodes", &"x".repeat(9999)), "stages[0].xxx"),
            (format!("{{\"space\": \"{}\"}}", "\\n".repeat(9999)), "unknown space"),
            (seventeen, "stages: more than 16 stages"),
            (" ".repeat(MAX_TEXT_BYTES + 1), "bytes, but at most"),
        ];
        for (text, part) in cases {
            let error = read_architecture(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{:.100}\n{error}\n{part}", text);
            assert!(!error.contains(char::is_control) && error.len() < 500, "{error}");
            assert!(serde_json::from_str::<Architecture>(&text).is_err(), "{:.100}", text);
        }
    }

    const CELL: &str = r#"{"space": "nasbench101", "adjacency": ["0110", "0001", "0001", "0000"],
        "ops": ["input", "conv3x3-bn-relu", "maxpool3x3", "output"]}"#;
    const ARCH: &str = r#"{"space": "nasbench201",
        "arch": "|none~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"}"#;
    const ROW: &str = r#"{"space": "table", "adjacency": ["01", "00"], "ops": ["any thing", "x"]}"#;

    #[test]
    fn cells_are_read_and_written() {
        for text in [CELL, ARCH, ROW] {
            let architecture = read_architecture(text).unwrap();
            let written = serde_json::to_string(&architecture).unwrap();
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&written), value(text));
            assert_eq!(serde_json::from_str::<Architecture>(text).unwrap(), architecture);
            assert_eq!(architecture.space(), value(text)["space"]);
        }
    }

    #[test]
    fn malformed_cells_are_refused_at_their_place() {
        let cases: Vec<(String, &str)> = vec![
            (CELL.replace("adjacency", "matrix"), "matrix: unknown field `matrix`, expected"),
            (
                CELL.replace("\"0001\"", "\"0021\""),
                "adjacency[1]: a row of the adjacency matrix is a text of 0 and 1 at line 1",
            ),
            (CELL.replace("\"0001\"", "17"), "adjacency[1]: invalid type: integer `17`"),
            (CELL.replace("\"0001\"", "\"001\""), "adjacency[1] has 3 entries, but there are 4 rows"),
            (CELL.replace("\"0001\"", "\"1001\""), "adjacency[1] has an edge to node 0"),
            (CELL.replace("\"0001\"", "\"0101\""), "adjacency[1] has an edge to node 1"),
            (CELL.replace(", \"maxpool3x3\"", ""), "3 ops for 4 nodes"),
            (CELL.replace("maxpool3x3", "avgpool3x3"), "ops[2] is \"avgpool3x3\": must be \"conv3x3-bn-relu\" or"),
            (CELL.replace("\"input\"", "\"maxpool3x3\""), "ops[0] is \"maxpool3x3\": must be \"input\", the first"),
            (CELL.replace("\"output\"", "\"input\""), "ops[3] is \"input\": must be \"output\", the last"),
            (CELL.replace("maxpool3x3", "output"), "ops[2] is \"output\""),
            (CELL.replace("\"maxpool3x3\"", "null"), "ops[2]: invalid type: null, expected a string at line 2"),
            (CELL.replace("\"ops\"", "\"ops\": [], \"ops\""), "duplicate field `ops`"),
            (CELL.replace("[\"0110\", \"0001\", \"0001\", \"0000\"]", "[]"), "a graph has 1 to 128 nodes, not 0"),
            (CELL.replace("nasbench101", "nasbench201"), "adjacency: unknown field `adjacency`"),
            (format!("{CELL}."), "trailing characters"),
            (ARCH.replace("skip_connect~1", "skip~1"), "arch: the operator from node 1 to node 2 is \"skip\""),
            (ARCH.replace("+|nor_conv_1", "|nor_conv_1"), "arch: a cell is written |op~0|+"),
            (ARCH.replace("\"arch\"", "\"cell\""), "cell: unknown field `cell`"),
            (ARCH.replace("nasbench201", "nasbench2"), "unknown space \"nasbench2\""),
            (ROW.replace("any thing", ""), "ops[0] is \"\": must be a name of 1 to 64 bytes"),
            (ROW.replace("any thing", "a,b"), "ops[0] is \"a,b\""),
            (ROW.replace("any thing", &"x".repeat(65)), "a name of 1 to 64 bytes"),
        ];
        for (text, part) in cases {
            let error = read_architecture(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}\n{error}\n{part}");
            assert!(error.starts_with("architecture: ") && !error.contains(char::is_control), "{error}");
            assert!(serde_json::from_str::<Architecture>(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_both_readers_agree(at in 0usize..GOOD.len(), with in "[\\[\\]{},:\"0-9a-z -]{0,3}", cut in 0usize..4) {
            let end = (at + cut).min(GOOD.len());
            let text = format!("{}{with}{}", &GOOD[..at], &GOOD[end..]);
            let strict = read_architecture(&text).ok();
            prop_assert_eq!(strict, serde_json::from_str(&text).ok());
        }

        #[test]
        fn no_cell_text_panics(which in 0usize..3, at in 0usize..500, with in "[\\[\\]{},:\"0-9a-z|~+ -]{0,3}", cut in 0usize..4) {
            let good = [CELL, ARCH, ROW][which];
            let at = at % good.len();
            let text = format!("{}{with}{}", &good[..at], &good[(at + cut).min(good.len())..]);
            prop_assert_eq!(read_architecture(&text).ok(), serde_json::from_str(&text).ok());
        }

        #[test]
        fn random_text_never_panics(text in any::<String>()) {
            prop_assert!(read_architecture(&text).is_err());
        }
    }
}
