//! `grants` of `plugin.toml`: replaces settings by their values, and parses the lines.

use crate::grants::{Grant, GrantError};
use crate::host::{nearest, suggestion};
use toml::{Spanned, Table, Value};

/// A grant, and the offset in bytes of the line that declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredGrant {
    pub grant: Grant,
    pub offset: usize,
}

/// An invalid line of `grants`.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    #[error("`{{{0}` is not closed: write `{{settings.NAME}}`")]
    Unclosed(String),
    #[error("`{{{0}}}` is not a setting: write `{{settings.NAME}}`")]
    NotASetting(String),
    #[error("unknown setting `{name}`{}", suggestion(near.as_deref()))]
    UnknownSetting { name: String, near: Option<String> },
    #[error("the setting `{0}` is of the type {1}: use a string or a list of strings in a grant")]
    Type(String, &'static str),
    #[error(
        "expands to more than {GRANTS_LIMIT} grants, or to one longer than {GRANT_LENGTH_LIMIT} bytes"
    )]
    TooMany,
    #[error(transparent)]
    Grant(#[from] GrantError),
}

/// The number of grants of a plugin at most: several lists in one line multiply.
const GRANTS_LIMIT: usize = 1000;
/// The longest grant, in bytes.
const GRANT_LENGTH_LIMIT: usize = 8192;

/// Parses the lines, in their order.
///
/// # Errors
/// The first error, with its line.
pub fn parse<'l>(
    lines: &'l [Spanned<String>],
    settings: &Table,
) -> Result<Vec<DeclaredGrant>, (&'l Spanned<String>, GrantsError)> {
    let mut declared = Vec::new();
    for line in lines {
        let offset = line.span().start;
        let grants = parse_line(line.get_ref(), settings).map_err(|error| (line, error))?;
        declared.extend(
            grants
                .into_iter()
                .map(|grant| DeclaredGrant { grant, offset }),
        );
        if declared.len() > GRANTS_LIMIT {
            return Err((line, GrantsError::TooMany));
        }
    }
    Ok(declared)
}

fn parse_line(line: &str, settings: &Table) -> Result<Vec<Grant>, GrantsError> {
    let texts = expand(line, settings)?;
    let grants = texts
        .iter()
        .map(|text| text.parse().map_err(GrantsError::from));
    grants.collect()
}

/// Replaces every `{settings.NAME}`, and returns a text for each value of a list.
fn expand(line: &str, settings: &Table) -> Result<Vec<String>, GrantsError> {
    let (mut texts, mut rest) = (vec![String::new()], line);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(GrantsError::Unclosed(after.to_owned()));
        };
        let Some(setting) = name.strip_prefix("settings.") else {
            return Err(GrantsError::NotASetting(name.to_owned()));
        };
        let values = values(setting, settings)?;
        let values: Vec<_> = values
            .iter()
            .map(|value| [before, value].concat())
            .collect();
        texts = append_each(&texts, &values)?;
        rest = after;
    }
    append_each(&texts, &[rest.to_owned()])
}

/// Appends each of `ends` to each of `texts`.
fn append_each(texts: &[String], ends: &[String]) -> Result<Vec<String>, GrantsError> {
    let longest = |texts: &[String]| texts.iter().map(String::len).max().unwrap_or_default();
    let is_too_long = longest(texts) + longest(ends) > GRANT_LENGTH_LIMIT;
    if texts.len() * ends.len() > GRANTS_LIMIT || is_too_long {
        return Err(GrantsError::TooMany);
    }
    let appended = texts
        .iter()
        .flat_map(|text| ends.iter().map(move |end| [text.as_str(), end].concat()));
    Ok(appended.collect())
}

/// Returns the strings of a setting. `a.b` is `b` in the table `a`.
fn values<'a>(name: &str, settings: &'a Table) -> Result<Vec<&'a str>, GrantsError> {
    let (mut table, mut parts) = (settings, name.split('.').peekable());
    while let Some(part) = parts.next() {
        match table.get(part) {
            Some(Value::Table(inner)) if parts.peek().is_some() => table = inner,
            Some(value) if parts.peek().is_none() => return strings(name, value),
            _ => {
                let near = nearest(part, table.keys().map(String::as_str)).map(str::to_owned);
                let name = name.to_owned();
                return Err(GrantsError::UnknownSetting { name, near });
            }
        }
    }
    Err(GrantsError::UnknownSetting {
        name: name.to_owned(),
        near: None,
    })
}

fn strings<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, GrantsError> {
    let wrong_type = || GrantsError::Type(name.to_owned(), value.type_str());
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => {
            let strings = items.iter().map(Value::as_str);
            strings.collect::<Option<_>>().ok_or_else(wrong_type)
        }
        _ => Err(wrong_type()),
    }
}
