//! Settings from the environment: how an administrator sets them for a managed plugin, where `plugin.toml` is out of reach.

use std::collections::BTreeMap;
use toml::{Table, Value};

/// Environment variables by name.
pub type Variables = BTreeMap<String, String>;

/// Variables that mean something to others: to the system, to its loader, to Moondock.
const TAKEN: [&str; 4] = ["PATH", "HOME", "HOSTNAME", "TERM"];
const TAKEN_PREFIXES: [&str; 2] = ["MOONDOCK_", "LD_"];

/// A setting that cannot be had from the environment, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unset {
    pub setting: String,
    pub problem: String,
}

/// The variable that sets `setting`: `volume_root` is `VOLUME_ROOT`.
///
/// # Errors
/// Why there is none.
pub fn variable_of(setting: &str) -> Result<String, String> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let variable: String = setting.chars().map(plain).collect();
    let taken = TAKEN.contains(&variable.as_str())
        || TAKEN_PREFIXES
            .iter()
            .any(|prefix| variable.starts_with(prefix));
    match variable.chars().next() {
        _ if taken => Err(format!(
            "its variable would be `{variable}`, which means something else"
        )),
        None => Err("it has no name".to_owned()),
        Some(first) if first.is_ascii_digit() => {
            Err("a variable cannot begin with a digit".to_owned())
        }
        Some(_) => Ok(variable),
    }
}

/// What a value like `default` must be written like.
pub fn form_of(default: &Value) -> String {
    match default {
        Value::String(_) => "a string".to_owned(),
        Value::Integer(_) => "a whole number".to_owned(),
        Value::Float(_) => "a number".to_owned(),
        Value::Boolean(_) => "`true` or `false`".to_owned(),
        Value::Datetime(_) => "a date or time".to_owned(),
        Value::Array(_) if is_list_of_strings(default) => {
            "a list of strings, such as `a,b` or `[\"a\", \"b\"]`".to_owned()
        }
        Value::Array(_) => "a list in TOML".to_owned(),
        Value::Table(_) => "a table in TOML, such as `{ key = 1 }`".to_owned(),
    }
}

/// Puts what the variables say in the place of what `plugin.toml` says. An empty variable says nothing.
pub(super) fn take_from(variables: &Variables, settings: &mut Table) -> Result<(), Unset> {
    for (setting, value) in settings.iter_mut() {
        let Ok(variable) = variable_of(setting) else {
            continue;
        };
        let Some(text) = variables.get(&variable).filter(|text| !text.is_empty()) else {
            continue;
        };
        *value = parse(text, value).ok_or_else(|| Unset {
            setting: setting.clone(),
            problem: format!(
                "the variable `{variable}` sets `{setting}`, and `{text}` is not {}",
                form_of(value)
            ),
        })?;
    }
    Ok(())
}

/// The text as a value of the default's type: a string as it is, all else as TOML has it, and a list of strings also
/// with commas between.
fn parse(text: &str, default: &Value) -> Option<Value> {
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Array(_) if is_list_of_strings(default) && !text.trim_start().starts_with('[') => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            Some(Value::Array(
                parts.map(|part| Value::String(part.to_owned())).collect(),
            ))
        }
        _ => like(default, text.trim().parse().ok()?),
    }
}

fn like(default: &Value, value: Value) -> Option<Value> {
    match (default, value) {
        (Value::Float(_), Value::Integer(number)) => Some(Value::Float(number as f64)),
        (Value::Array(defaults), Value::Array(items)) => {
            let fits = |item: &Value| {
                defaults
                    .first()
                    .is_none_or(|default| default.same_type(item))
            };
            items.iter().all(fits).then_some(Value::Array(items))
        }
        (default, value) => default.same_type(&value).then_some(value),
    }
}

/// An empty list is one of strings, as most are.
fn is_list_of_strings(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|items| items.iter().all(Value::is_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Table {
        "root = '/srv'\nretries = 3\nratio = 1.5\nsafe = true\nnames = ['a']\nnone = []\nranges = [{ n = 1 }]\nborn = 2026-01-01\n\
         limits = { n = 1 }\n'dash-ed' = 'x'\npath = 'own'"
            .parse()
            .unwrap()
    }

    fn set(variable: &str, text: &str) -> Result<Table, String> {
        let mut settings = settings();
        let variables = [(variable.to_owned(), text.to_owned())].into();
        take_from(&variables, &mut settings)
            .map(|()| settings)
            .map_err(|unset| unset.problem)
    }

    #[test]
    fn a_text_becomes_a_value_of_the_defaults_type() {
        for (variable, text, setting, expected) in [
            ("ROOT", " /mnt, [x] ", "root", "' /mnt, [x] '"),
            ("RETRIES", " 7 ", "retries", "7"),
            ("RATIO", "2", "ratio", "2.0"),
            ("SAFE", "false", "safe", "false"),
            ("NAMES", "b, c,", "names", "['b', 'c']"),
            ("NAMES", "['b,c']", "names", "['b,c']"),
            ("NONE", "x", "none", "['x']"),
            ("NONE", "[]", "none", "[]"),
            (
                "RANGES",
                "[{ n = 2 }, { n = 3 }]",
                "ranges",
                "[{ n = 2 }, { n = 3 }]",
            ),
            ("BORN", "2027-02-03", "born", "2027-02-03"),
            ("LIMITS", "{ n = 5 }", "limits", "{ n = 5 }"),
            ("DASH_ED", "y", "dash-ed", "'y'"),
        ] {
            let expected: Value = expected.parse().unwrap();
            assert_eq!(
                set(variable, text).unwrap()[setting],
                expected,
                "{variable}={text}"
            );
        }
    }

    #[test]
    fn what_is_empty_unknown_or_taken_changes_nothing() {
        for (variable, text) in [
            ("ROOT", ""),
            ("OTHER", "x"),
            ("PATH", "/bin"),
            ("root", "x"),
        ] {
            assert_eq!(set(variable, text).unwrap(), settings(), "{variable}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_type() {
        for (variable, text, part) in [
            (
                "RETRIES",
                "many",
                "`RETRIES` sets `retries`, and `many` is not a whole number",
            ),
            ("RETRIES", "1.5", "is not a whole number"),
            ("RETRIES", "1\nx = 2", "is not a whole number"),
            ("SAFE", "yes", "is not `true` or `false`"),
            ("NAMES", "[1]", "is not a list of strings, such as `a,b`"),
            ("NAMES", "['a'", "is not a list of strings"),
            ("RANGES", "10.0.0.0/8", "is not a list in TOML"),
            ("LIMITS", "[]", "is not a table in TOML"),
        ] {
            let error = set(variable, text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert_eq!(variable_of("volume_root").as_deref(), Ok("VOLUME_ROOT"));
        for taken in ["path", "Home", "moondock_state", "ld_preload", "1st", ""] {
            assert!(variable_of(taken).is_err(), "{taken}");
        }
    }
}
