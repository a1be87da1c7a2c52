//! `grants` of `plugin.toml`: settings put in, each line read.

use crate::grants::{Grant, GrantError};
use crate::script::nearest;
use toml::{Spanned, Table, Value};

/// One grant, and where the line that it comes from begins in the file, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    pub grant: Grant,
    pub offset: usize,
}

/// Why a line gives no grants.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("`{{{0}` has no end: write `{{settings.NAME}}`")]
    Open(String),
    #[error("`{{{0}}}` names no setting: write `{{settings.NAME}}`")]
    Form(String),
    #[error("there is no setting `{name}`{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown { name: String, near: Option<String> },
    #[error("the setting `{0}` is of the type {1}: a grant takes a string, or a list of strings")]
    Type(String, &'static str),
    #[error("gives more than {MOST} grants, or one longer than {LONGEST} bytes")]
    TooMany,
    #[error(transparent)]
    Grant(#[from] GrantError),
}

/// How many grants a plugin may have, and how long one may be, in bytes: lists of settings multiply.
const MOST: usize = 1000;
const LONGEST: usize = 8192;

/// All grants of the lines, in their order.
///
/// # Errors
/// The first that is wrong, and where its line begins.
pub fn read(lines: &[Spanned<String>], settings: &Table) -> Result<Vec<Declared>, (usize, Wrong)> {
    let mut declared = Vec::new();
    for line in lines {
        let offset = line.span().start;
        let located = |wrong| (offset, wrong);
        for text in expand(line.get_ref(), settings).map_err(located)? {
            let grant = text.parse::<Grant>().map_err(|e| located(e.into()))?;
            declared.push(Declared { grant, offset });
            if declared.len() > MOST {
                return Err(located(Wrong::TooMany));
            }
        }
    }
    Ok(declared)
}

/// The line with every `{settings.NAME}` replaced, once for each value of a list.
fn expand(line: &str, settings: &Table) -> Result<Vec<String>, Wrong> {
    let (mut lines, mut rest) = (vec![String::new()], line);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| Wrong::Open(after.to_owned()))?;
        let setting = name
            .strip_prefix("settings.")
            .ok_or_else(|| Wrong::Form(name.to_owned()))?;
        let values: Vec<_> = values(setting, settings)?
            .iter()
            .map(|value| [before, value].concat())
            .collect();
        lines = continued(&lines, &values)?;
        rest = after;
    }
    continued(&lines, &[rest.to_owned()])
}

/// Each line with each of the ends.
fn continued(lines: &[String], ends: &[String]) -> Result<Vec<String>, Wrong> {
    let longest = |texts: &[String]| texts.iter().map(String::len).max().unwrap_or_default();
    if lines.len() * ends.len() > MOST || longest(lines) + longest(ends) > LONGEST {
        return Err(Wrong::TooMany);
    }
    Ok(lines
        .iter()
        .flat_map(|line| ends.iter().map(move |end| [line.as_str(), end].concat()))
        .collect())
}

/// The strings that a setting holds; `a.b` is `b` in the table `a`.
fn values<'a>(name: &str, settings: &'a Table) -> Result<Vec<&'a str>, Wrong> {
    let (mut table, mut parts) = (settings, name.split('.').peekable());
    while let Some(part) = parts.next() {
        match table.get(part) {
            Some(Value::Table(inner)) if parts.peek().is_some() => table = inner,
            Some(value) if parts.peek().is_none() => return strings(name, value),
            _ => {
                let near = nearest(part, table.keys().map(String::as_str)).map(str::to_owned);
                return Err(Wrong::Unknown {
                    name: name.to_owned(),
                    near,
                });
            }
        }
    }
    Err(Wrong::Unknown {
        name: name.to_owned(),
        near: None,
    })
}

fn strings<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, Wrong> {
    let wrong = |value: &Value| Wrong::Type(name.to_owned(), value.type_str());
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list
            .iter()
            .map(|item| item.as_str().ok_or_else(|| wrong(value)))
            .collect(),
        other => Err(wrong(other)),
    }
}
