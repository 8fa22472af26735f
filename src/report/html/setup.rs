//! Everything needed to repeat the run.

use super::super::markup::Escaped;
use super::facts::Facts;
use serde_json::Value;
use std::fmt::Write;

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let manifest = facts.manifest;
    let mut rows = String::new();
    let mut line = |name: &str, value: &str| {
        let (name, value) = (Escaped(name), Escaped(value));
        let _ = writeln!(rows, "<tr><th scope=\"row\">{name}</th><td class=\"text\">{value}</td></tr>");
    };
    line("program", &format!("{} {}", manifest.program, manifest.version));
    line("seed", &manifest.seed.to_string());
    let host = &manifest.host;
    line("machine", &format!("{}, {} logical cores, {}", host.cpu, host.cores, host.system));
    let device = &manifest.device;
    line("device", &format!("{}, kernels {}, threads {}", device.name, device.instruction_set, device.threads));
    line("data", &manifest.data.name);
    for file in &manifest.data.files {
        line(&file.name, &format!("SHA-256 {}", file.sha256));
    }
    for session in &manifest.sessions {
        let ended = session.ended.as_deref().unwrap_or("not known");
        line("session", &format!("{} to {ended}", session.started));
    }
    format!(
        "<div class=\"scroll\"><table class=\"plain\"><tbody>\n{rows}</tbody></table></div>\n<h3>Configuration, every default \
         filled in</h3>\n<pre>{}</pre>\n",
        Escaped(configuration(facts))
    )
}

/// `[section]` and `key = value` lines.
fn configuration(facts: &Facts) -> String {
    let mut text = String::new();
    let Ok(Value::Object(sections)) = serde_json::to_value(&facts.record.config) else { return text };
    for name in ["run", "data", "space", "generator", "search", "oracle", "retrain"] {
        let Some(Value::Object(keys)) = sections.get(name) else { continue };
        let _ = writeln!(text, "{}[{name}]", if text.is_empty() { "" } else { "\n" });
        for (key, value) in keys {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}
