//! Rules of a reply that depend on its request.

use super::Mismatch;
use crate::protocol::{Method, Tie, Type};
use mlua::{Table, Value};

/// The rule for the reply to one request, read from the request before the hook can change it.
pub enum Owed {
    /// No rule.
    Nothing,
    /// A record must not have these fields.
    Unset(&'static str, Vec<&'static str>),
    /// A record must have this text in this field.
    Echo(&'static str, &'static str, String),
}

impl Owed {
    /// Returns the rule for the reply to `request`.
    pub fn of(method: &Method, request: &Table) -> Self {
        match method.tie {
            None => Owed::Nothing,
            Some(Tie::Unset(record)) => Owed::Unset(record, set_fields(method, record, request)),
            Some(Tie::Echo(record, field)) => {
                Owed::Echo(record, field, text(request, field).unwrap_or_default())
            }
        }
    }

    /// Checks `reply`, whose shape is right already.
    ///
    /// # Errors
    /// The field that breaks the rule.
    pub fn check(&self, reply: &Value) -> Result<(), Mismatch> {
        let inner = |record: &str| {
            reply
                .as_table()
                .and_then(|table| table.raw_get::<Table>(record).ok())
        };
        match self {
            Owed::Nothing => Ok(()),
            Owed::Unset(record, fields) => {
                let Some(inner) = inner(record) else {
                    return Ok(());
                };
                let set = |field: &&&str| text(&inner, field).is_some();
                fields
                    .iter()
                    .find(set)
                    .map_or(Ok(()), |field| Err(set_already(record, field)))
            }
            Owed::Echo(record, field, asked) => {
                match inner(record).and_then(|inner| text(&inner, field)) {
                    Some(given) if given != *asked => Err(changed(record, field, asked)),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn set_fields(method: &Method, record: &str, request: &Table) -> Vec<&'static str> {
    let Some(Type::Record(shape)) = method.reply.field(record).map(|field| field.ty) else {
        return Vec::new();
    };
    let Ok(given) = request.raw_get::<Table>(record) else {
        return Vec::new();
    };
    shape
        .fields
        .iter()
        .map(|field| field.name)
        .filter(|field| text(&given, field).is_some())
        .collect()
}

/// Returns a text that is not empty.
fn text(table: &Table, field: &str) -> Option<String> {
    table
        .raw_get::<String>(field)
        .ok()
        .filter(|text| !text.is_empty())
}

fn set_already(record: &str, field: &str) -> Mismatch {
    Mismatch {
        at: format!("the reply's `{record}.{field}`"),
        problem: "is already set by the request".to_owned(),
        cure: Some("leave it out: the engine rejects it, even with the same value".to_owned()),
    }
}

fn changed(record: &str, field: &str, asked: &str) -> Mismatch {
    Mismatch {
        at: format!("the reply's `{record}.{field}`"),
        problem: format!("must be `{}`, as in the request", asked.escape_debug()),
        cure: Some(format!("write `{field} = req.{field}`")),
    }
}
