//! `[settings]` of `plugin.toml`, and the environment variables that override it: the administrator
//! of a managed plugin cannot edit the file.

use super::validate::InvalidValue;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Environment variables by name.
pub type Variables = BTreeMap<String, String>;

/// Variables with a meaning to the system.
const RESERVED: [&str; 4] = ["PATH", "HOME", "HOSTNAME", "TERM"];
/// Variables with a meaning to Moondock, and to the system's loader.
const RESERVED_PREFIXES: [&str; 2] = ["MOONDOCK_", "LD_"];

/// Returns the variable that overrides `setting`: `VOLUME_ROOT` for `volume_root`.
///
/// # Errors
/// Why there is none.
pub fn variable_of(setting: &str) -> Result<String, String> {
    let variable: String = setting.chars().map(variable_char).collect();
    if is_reserved(&variable) {
        return Err(format!(
            "its variable would be `{variable}`, which is reserved"
        ));
    }
    match variable.chars().next() {
        None => Err("its name is empty".to_owned()),
        Some(first) if first.is_ascii_digit() => {
            Err("a variable cannot begin with a digit".to_owned())
        }
        Some(_) => Ok(variable),
    }
}

fn variable_char(c: char) -> char {
    if c.is_ascii_alphanumeric() {
        c.to_ascii_uppercase()
    } else {
        '_'
    }
}

fn is_reserved(variable: &str) -> bool {
    let mut prefixes = RESERVED_PREFIXES.iter();
    RESERVED.contains(&variable) || prefixes.any(|prefix| variable.starts_with(prefix))
}

/// Describes how to write a value of the type of `default`.
pub fn form_of(default: &Value) -> String {
    let form = match default {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "`true` or `false`",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) if is_list_of_strings(default) => {
            "a list of strings, such as `a,b` or `[\"a\", \"b\"]`"
        }
        Value::Array(_) => "a list in TOML",
        Value::Table(_) => "a table in TOML, such as `{ key = 1 }`",
    };
    form.to_owned()
}

/// Rejects a list of grants that stands below `[settings]` by mistake.
pub(super) fn validate(settings: &Table) -> Result<(), InvalidValue> {
    if settings.contains_key("grants") {
        let message =
            "`grants` is in `[settings]`, where it has no effect: move it above the first `[…]`";
        return Err(InvalidValue::new("grants", message));
    }
    Ok(())
}

/// Replaces settings by the values of their variables. Ignores empty variables.
pub(super) fn apply(variables: &Variables, settings: &mut Table) -> Result<(), InvalidValue> {
    for (setting, value) in settings.iter_mut() {
        let Ok(variable) = variable_of(setting) else {
            continue;
        };
        let Some(text) = variables.get(&variable).filter(|text| !text.is_empty()) else {
            continue;
        };
        let new = parse(text, value);
        *value = new.ok_or_else(|| invalid(setting, &variable, text, value))?;
    }
    Ok(())
}

fn invalid(setting: &str, variable: &str, text: &str, default: &Value) -> InvalidValue {
    let form = form_of(default);
    let message = format!("the variable `{variable}` sets `{setting}`, and `{text}` is not {form}");
    InvalidValue::new(setting, message)
}

/// Parses a value of the type of `default`: a string is taken as it is, a list of strings may be
/// separated by commas, and anything else is TOML.
fn parse(text: &str, default: &Value) -> Option<Value> {
    let is_toml_list = text.trim_start().starts_with('[');
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Array(_) if is_list_of_strings(default) && !is_toml_list => {
            let parts = text.split(',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty()).map(Value::from);
            Some(Value::Array(parts.collect()))
        }
        _ => with_type_of(default, text.trim().parse().ok()?),
    }
}

/// Returns `value` if it has the type of `default`. A whole number becomes a float where one is
/// expected.
fn with_type_of(default: &Value, value: Value) -> Option<Value> {
    match (default, value) {
        (Value::Float(_), Value::Integer(number)) => Some(Value::Float(number as f64)),
        (Value::Array(defaults), Value::Array(items)) => {
            let is_typed = match defaults.first() {
                Some(default) => items.iter().all(|item| default.same_type(item)),
                None => true,
            };
            is_typed.then_some(Value::Array(items))
        }
        (default, value) => default.same_type(&value).then_some(value),
    }
}

/// Whether it is a list of strings. An empty list is taken for one.
fn is_list_of_strings(value: &Value) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| items.iter().all(Value::is_str))
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
        apply(&variables, &mut settings)
            .map(|()| settings)
            .map_err(|invalid| invalid.message)
    }

    #[test]
    fn text_is_parsed_as_the_type_of_the_default() {
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
    fn empty_unknown_and_reserved_variables_change_nothing() {
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
    fn text_of_another_type_is_rejected() {
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
    fn reserved_variables_are_left_alone() {
        assert_eq!(variable_of("volume_root").as_deref(), Ok("VOLUME_ROOT"));
        for taken in ["path", "Home", "moondock_state", "ld_preload", "1st", ""] {
            assert!(variable_of(taken).is_err(), "{taken}");
        }
    }
}
