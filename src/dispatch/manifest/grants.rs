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
    #[error(transparent)]
    Grant(#[from] GrantError),
}

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
        }
    }
    Ok(declared)
}

/// The line with every `{settings.NAME}` replaced, once for each value of a list.
fn expand(line: &str, settings: &Table) -> Result<Vec<String>, Wrong> {
    let Some((before, rest)) = line.split_once('{') else { return Ok(vec![line.to_owned()]) };
    let (name, after) = rest.split_once('}').ok_or_else(|| Wrong::Open(rest.to_owned()))?;
    let setting = name.strip_prefix("settings.").ok_or_else(|| Wrong::Form(name.to_owned()))?;
    let ends = expand(after, settings)?;
    let mut lines = Vec::new();
    for value in values(setting, settings)? {
        lines.extend(ends.iter().map(|end| format!("{before}{value}{end}")));
    }
    Ok(lines)
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
                return Err(Wrong::Unknown { name: name.to_owned(), near });
            }
        }
    }
    Err(Wrong::Unknown { name: name.to_owned(), near: None })
}

fn strings<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, Wrong> {
    let wrong = |value: &Value| Wrong::Type(name.to_owned(), value.type_str());
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list.iter().map(|item| item.as_str().ok_or_else(|| wrong(value))).collect(),
        other => Err(wrong(other)),
    }
}
