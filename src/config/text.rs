//! The configuration explained: the commented file that `init` prints and the reference of the README.

use super::SpaceKind;
use super::keys::{SECTIONS, keys_of};
use std::fmt::Write;

/// A configuration of this space with every key at its default, each with its meaning and range beside it.
pub fn annotated(kind: SpaceKind) -> String {
    let SpaceKind::Randwire = kind;
    let mut text = String::from("# Every key with its default. A key that is left out has the value shown here.\n");
    for &(section, about) in SECTIONS {
        let _ = write!(text, "\n# {about}\n[{section}]\n");
        for key in keys_of(section) {
            let _ = writeln!(text, "# {}; {}", key.help, key.form.expected());
            let _ = writeln!(text, "{} = {}", key.name, key.default);
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
