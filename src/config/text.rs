//! The configuration explained: the commented file that `init` prints and the reference of the README.

use super::SpaceKind;
use super::keys::{SECTIONS, keys_of};
use std::fmt::Write;

/// What a space needs instead of the defaults, with the settings of the authors of GraphPNAS for the benchmarks.
fn changes(kind: SpaceKind) -> &'static [(&'static str, &'static str, &'static str)] {
    match kind {
        SpaceKind::Randwire => &[],
        SpaceKind::Enas => {
            &[("run", "name", "\"enas\""), ("space", "kind", "\"enas\""), ("search", "explorer", "[\"uniform\"]")]
        }
        SpaceKind::Nasbench101 => &[
            ("run", "name", "\"nasbench101\""),
            ("space", "kind", "\"nasbench101\""),
            ("generator", "hidden", "24"),
            ("search", "budget", "150"),
            ("search", "samples_per_iteration", "10"),
            ("search", "explorer", "[\"uniform\"]"),
            ("oracle", "kind", "\"table\""),
            ("oracle", "table", "\"nasbench_only108.tfrecord\""),
        ],
        SpaceKind::Nasbench201 => &[
            ("run", "name", "\"nasbench201\""),
            ("space", "kind", "\"nasbench201\""),
            ("generator", "hidden", "24"),
            ("search", "budget", "100"),
            ("search", "samples_per_iteration", "1"),
            ("search", "exploration", "{ schedule = \"first\", iterations = 30 }"),
            ("search", "explorer", "[\"uniform\"]"),
            ("oracle", "kind", "\"table\""),
            ("oracle", "table", "\"nasbench201.csv\""),
        ],
        SpaceKind::Table => &[
            ("run", "name", "\"table\""),
            ("space", "kind", "\"table\""),
            ("search", "explorer", "[\"uniform\"]"),
            ("oracle", "kind", "\"table\""),
            ("oracle", "table", "\"table.csv\""),
        ],
    }
}

/// A configuration of this space with every key, each with its meaning and range beside it; all at their defaults but for
/// those that the space needs otherwise.
pub fn annotated(kind: SpaceKind) -> String {
    let mut text =
        String::from("# Every key. A key that is left out has the value shown here, or the default beside it.\n");
    for &(section, about) in SECTIONS {
        let _ = write!(text, "\n# {about}\n[{section}]\n");
        for key in keys_of(section) {
            let _ = writeln!(text, "# {}; {}", key.help, key.form.expected());
            let change = changes(kind).iter().find(|(of, name, _)| *of == section && *name == key.name);
            let _ = match change {
                Some((_, name, value)) => writeln!(text, "{name} = {value} # default: {}", key.default),
                None => writeln!(text, "{} = {}", key.name, key.default),
            };
        }
    }
    text
}

/// Every key as Markdown tables, one a section.
pub fn reference() -> String {
    let mut text = String::new();
    for (index, &(section, about)) in SECTIONS.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        let _ =
            write!(text, "{gap}**`[{section}]`** {about}\n\n| key | default | meaning | value |\n|---|---|---|---|\n");
        for key in keys_of(section) {
            let (name, default, help) = (key.name, key.default, key.help);
            let _ = writeln!(text, "| `{name}` | `{default}` | {help} | {} |", key.form.expected().replace('|', "\\|"));
        }
    }
    text
}
