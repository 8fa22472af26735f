//! Text -> a tree of values in which every key is known, of the right type, in its range, and present.

use super::ConfigError;
use super::form::Form;
use super::keys::{KEYS, Key, SECTIONS, keys_of};
use toml::{Table, Value};

/// One `section.key=value` from the command line, as (`section.key`, `value`).
pub type Override = (String, String);

/// Splits `section.key=value`.
///
/// # Errors
/// [`ConfigError::Override`] where it has not that form.
pub fn split_override(text: &str) -> Result<Override, ConfigError> {
    text.split_once('=')
        .filter(|(path, _)| path.contains('.'))
        .map(|(path, value)| (path.trim().to_string(), value.trim().to_string()))
        .ok_or_else(|| ConfigError::Override(text.to_string()))
}

/// The checked tree: the text's values, then the overrides', then the defaults.
pub(super) fn checked_tree(text: &str, overrides: &[Override]) -> Result<Table, ConfigError> {
    let mut tree: Table = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
    check_sections(&tree)?;
    for change in overrides {
        apply(&mut tree, change)?;
    }
    let mut checked = Table::new();
    for &(section, _) in SECTIONS {
        let given = tree.get(section).and_then(Value::as_table).cloned().unwrap_or_default();
        checked.insert(section.to_string(), Value::Table(checked_section(section, &given)?));
    }
    Ok(checked)
}

/// A TOML error with its place in the text.
pub(super) fn syntax_error(text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Syntax {
        line: 1 + before.matches('\n').count(),
        column: 1 + before.get(line_start..).unwrap_or("").chars().count(),
        message: error.message().replace('\n', "; "),
    }
}

/// Refuses whatever is not one of the sections.
fn check_sections(tree: &Table) -> Result<(), ConfigError> {
    for (name, value) in tree {
        let known = SECTIONS.iter().any(|&(section, _)| section == name);
        if known && !value.is_table() {
            return Err(ConfigError::Value {
                key: name.clone(),
                found: describe(value),
                expected: format!("a section, [{name}]"),
            });
        }
        if !known && value.is_table() {
            return Err(unknown_section(name));
        }
        if !known {
            return Err(ConfigError::OutsideSections { key: name.clone(), section: nearest_key(name, KEYS).section });
        }
    }
    Ok(())
}

fn unknown_section(name: &str) -> ConfigError {
    let names: Vec<&str> = SECTIONS.iter().map(|&(section, _)| section).collect();
    ConfigError::UnknownSection { section: name.to_string(), nearest: nearest(name, &names) }
}

/// Puts one override into the tree. A value that is not TOML is taken as a word.
fn apply(tree: &mut Table, (path, text): &Override) -> Result<(), ConfigError> {
    let (section, name) = path.split_once('.').ok_or_else(|| ConfigError::Override(path.clone()))?;
    if !SECTIONS.iter().any(|&(known, _)| known == section) {
        return Err(unknown_section(section));
    }
    let is_text =
        keys_of(section).any(|key| key.name == name && matches!(key.form, Form::Name | Form::Path | Form::File));
    let value = match text.parse::<Value>() {
        Ok(value) if value.is_str() || !is_text => value,
        _ => Value::String(text.clone()),
    };
    let section = tree.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(name.to_string(), value);
    }
    Ok(())
}

/// A section with every value checked and every missing key at its default.
fn checked_section(section: &'static str, given: &Table) -> Result<Table, ConfigError> {
    if let Some(unknown) = given.keys().find(|name| !keys_of(section).any(|key| key.name == *name)) {
        return Err(unknown_key(section, unknown));
    }
    let mut checked = Table::new();
    for key in keys_of(section) {
        let value = match given.get(key.name) {
            Some(value) => value.clone(),
            None => key.default_value()?,
        };
        let value = key.form.check(&value).ok_or_else(|| ConfigError::Value {
            key: format!("{section}.{}", key.name),
            found: describe(&value),
            expected: key.form.expected(),
        })?;
        // An absent path is `None` in the configuration.
        if !(matches!(key.form, Form::Path | Form::File) && value.as_str() == Some("")) {
            checked.insert(key.name.to_string(), value);
        }
    }
    Ok(checked)
}

fn unknown_key(section: &'static str, name: &str) -> ConfigError {
    let elsewhere = KEYS.iter().find(|key| key.name == name);
    let hint = match elsewhere {
        Some(key) => format!("it belongs in [{}]", key.section),
        None => {
            let names: Vec<&str> = keys_of(section).map(|key| key.name).collect();
            format!("did you mean `{}`?", nearest(name, &names))
        }
    };
    ConfigError::UnknownKey { key: name.to_string(), section, hint }
}

fn nearest_key<'a>(name: &str, keys: &'a [Key]) -> &'a Key {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let found = nearest(name, &names);
    keys.iter().find(|key| key.name == found).unwrap_or(&keys[0])
}

/// The word that needs the fewest edits to become `name`; the first of equals.
fn nearest(name: &str, words: &[&'static str]) -> &'static str {
    words.iter().copied().min_by_key(|word| strsim::damerau_levenshtein(name, word)).unwrap_or("")
}

/// A value as one short line.
fn describe(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string().replace('\n', " "),
    };
    if text.chars().count() <= 60 { text } else { format!("{}...", text.chars().take(60).collect::<String>()) }
}
