//! Which keys two configurations differ in.

use super::Config;
use serde_json::Value;

/// Keys that change no result.
const IRRELEVANT: [&str; 4] = ["run.name", "run.threads", "data.cache", "oracle.candidates_per_batch"];

/// The keys, as `section.key`, in which two configurations differ; those that change no result are left out.
pub fn differences(first: &Config, second: &Config) -> Vec<String> {
    let (Ok(first), Ok(second)) = (serde_json::to_value(first), serde_json::to_value(second)) else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (section, values) in first.as_object().into_iter().flatten() {
        for (name, value) in values.as_object().into_iter().flatten() {
            let key = format!("{section}.{name}");
            if !IRRELEVANT.contains(&key.as_str()) && lookup(&second, section, name) != Some(value) {
                keys.push(key);
            }
        }
    }
    keys
}

fn lookup<'a>(config: &'a Value, section: &str, name: &str) -> Option<&'a Value> {
    config.get(section)?.get(name)
}
