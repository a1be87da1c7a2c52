//! What a reply owes to its request, beyond its shape.

use super::Mismatch;
use crate::protocol::{Method, Tie, Type};
use mlua::{Table, Value};

/// What one call's reply owes, taken from the request before the hook could change it.
pub enum Owed {
    /// Nothing.
    Nothing,
    /// This record may not have these fields.
    Unset(&'static str, Vec<&'static str>),
    /// This record has this text in this field.
    Echo(&'static str, &'static str, String),
}

impl Owed {
    /// What the reply to `request` will owe.
    pub fn of(method: &Method, request: &Table) -> Self {
        match method.tie {
            None => Owed::Nothing,
            Some(Tie::Unset(record)) => Owed::Unset(record, set_fields(method, record, request)),
            Some(Tie::Echo(record, field)) => {
                Owed::Echo(record, field, text(request, field).unwrap_or_default())
            }
        }
    }

    /// Whether `reply`, which has its shape already, gives what it owes.
    ///
    /// # Errors
    /// The field that does not.
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
                    Some(told) if told != *asked => Err(another(record, field, asked)),
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

/// A text that is not empty.
fn text(table: &Table, field: &str) -> Option<String> {
    table
        .raw_get::<String>(field)
        .ok()
        .filter(|text| !text.is_empty())
}

fn set_already(record: &str, field: &str) -> Mismatch {
    Mismatch {
        at: format!("the reply's `{record}.{field}`"),
        problem: "is set by the request already".to_owned(),
        cure: Some("leave it out: the engine refuses it, even with the same value".to_owned()),
    }
}

fn another(record: &str, field: &str, asked: &str) -> Mismatch {
    Mismatch {
        at: format!("the reply's `{record}.{field}`"),
        problem: format!("is not `{}`, which was asked for", asked.escape_debug()),
        cure: Some(format!("write `{field} = req.{field}`")),
    }
}
