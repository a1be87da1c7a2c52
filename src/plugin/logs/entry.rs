//! Log entries as Lua tables.

use crate::host::hint;
use crate::protocol::{LOG_ENTRY, LogEntry, PartialMetadata};
use crate::script::close_message;
use mlua::{Lua, Table, Value};

/// The longest line that `emit` accepts, in bytes. The engine limits frames (protocol 8).
const LINE_LENGTH_LIMIT: usize = 999_000;

/// Creates the table of an entry, which is number `seq` of its stream.
///
/// # Errors
/// Only if the state has no memory left.
pub fn to_table(lua: &Lua, entry: &LogEntry, seq: u64) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("source", entry.source.as_str())?;
    table.raw_set("time", entry.time_nano.to_string())?;
    table.raw_set("line", lua.create_string(&entry.line)?)?;
    table.raw_set("seq", seq as f64)?;
    if entry.partial {
        table.raw_set("partial", true)?;
    }
    if let Some(part) = &entry.partial_log_metadata {
        table.raw_set("partial_id", part.id.as_str())?;
        table.raw_set("ordinal", part.ordinal)?;
        table.raw_set("last", part.last)?;
    }
    close_message(lua, LOG_ENTRY, &table)?;
    Ok(table)
}

/// The argument of `emit`, one entry or a list, as an iterator over its entries. They are converted
/// one by one: tables can share their contents, so all entries may be far larger than the script's
/// memory.
pub struct Emitted {
    table: Table,
    /// The index of the next entry of a list; 0 if there is only one entry.
    next: Option<usize>,
}

impl Emitted {
    /// Creates an iterator over the argument of `emit`.
    ///
    /// # Errors
    /// An argument that is not a table.
    pub fn new(value: Value) -> Result<Self, String> {
        match value {
            Value::Table(table) => {
                let is_list = table.raw_len() > 0 || table.is_empty();
                Ok(Self {
                    next: Some(usize::from(is_list)),
                    table,
                })
            }
            other => Err(format!(
                "expects an entry or a list of entries, not a {}",
                other.type_name()
            )),
        }
    }
}

impl Iterator for Emitted {
    type Item = Result<LogEntry, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next.take()?;
        if index == 0 {
            return Some(of_table(&self.table));
        }
        match self.table.raw_get::<Value>(index) {
            Ok(Value::Nil) => None,
            Ok(Value::Table(entry)) => {
                self.next = Some(index + 1);
                Some(of_table(&entry).map_err(|e| format!("entry {index}: {e}")))
            }
            _ => Some(Err(format!("entry {index} is not a table"))),
        }
    }
}

/// Returns the entry of a table, as the engine reads it.
///
/// # Errors
/// A wrong field, or one that is missing.
pub fn of_table(table: &Table) -> Result<LogEntry, String> {
    let mut entry = LogEntry {
        source: "stdout".to_owned(),
        ..LogEntry::default()
    };
    let (mut part, mut has_time) = (PartialMetadata::default(), false);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|e| e.to_string())?;
        let key = key.to_string().unwrap_or_default();
        let wrong_type = || format!("`{key}` is a {}", value.type_name());
        match key.as_str() {
            "source" => entry.source = text(&value).ok_or_else(wrong_type)?,
            "time" => {
                entry.time_nano = nanoseconds(&value)?;
                has_time = true;
            }
            "line" => entry.line = line(&value)?,
            "partial" => entry.partial = value.as_boolean().ok_or_else(wrong_type)?,
            "partial_id" => part.id = text(&value).ok_or_else(wrong_type)?,
            "ordinal" => part.ordinal = value.as_i32().ok_or_else(wrong_type)?,
            "last" => part.last = value.as_boolean().ok_or_else(wrong_type)?,
            "seq" => {}
            _ => return Err(unknown(&key)),
        }
    }
    if !has_time {
        return Err("`time` is missing".to_owned());
    }
    if entry.partial {
        entry.partial_log_metadata = Some(part);
    }
    Ok(with_newline(entry))
}

/// Appends a newline, which the engine expects except for the parts of a line before the last.
fn with_newline(mut entry: LogEntry) -> LogEntry {
    if ends_line(&entry) {
        entry.line.push(b'\n');
    }
    entry
}

/// Whether an entry is a line, or its last part.
pub fn ends_line(entry: &LogEntry) -> bool {
    let part = entry.partial_log_metadata.as_ref();
    part.is_none_or(|part| part.last)
}

fn unknown(key: &str) -> String {
    let known: Vec<_> = LOG_ENTRY.fields.iter().map(|field| field.name).collect();
    format!("unknown field `{key}`{}", hint(key, &known))
}

fn text(value: &Value) -> Option<String> {
    value.as_string().map(mlua::LuaString::to_string_lossy)
}

fn line(value: &Value) -> Result<Vec<u8>, String> {
    match value.as_string().map(|text| text.as_bytes().to_vec()) {
        Some(line) if line.len() <= LINE_LENGTH_LIMIT => Ok(line),
        Some(line) => Err(format!(
            "`line` has {} bytes, more than the limit of {LINE_LENGTH_LIMIT}",
            line.len()
        )),
        None => Err(format!("`line` is a {}", value.type_name())),
    }
}

fn nanoseconds(value: &Value) -> Result<i64, String> {
    let digits = value.as_string().map(mlua::LuaString::to_string_lossy);
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| {
        "`time` must be the nanoseconds since 1970, as a string of digits".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(source: &str) -> Result<Vec<LogEntry>, String> {
        Emitted::new(Lua::new().load(source).eval().unwrap())?.collect()
    }

    #[test]
    fn an_entry_is_emitted_as_it_was_delivered() {
        let lua = Lua::new();
        for (partial, last, line) in [
            (false, false, "x\n"),
            (true, false, "x"),
            (true, true, "x\n"),
        ] {
            let piece = PartialMetadata {
                last,
                id: "p".into(),
                ordinal: 2,
            };
            let mut entry = LogEntry {
                source: "stderr".into(),
                time_nano: 1_732_440_000_123_456_789,
                line: "x".into(),
                partial,
                partial_log_metadata: partial.then_some(piece),
            };
            let table = to_table(&lua, &entry, 7).unwrap();
            entry.line = line.into();
            assert_eq!(
                Emitted::new(Value::Table(table))
                    .unwrap()
                    .collect::<Vec<_>>(),
                [Ok(entry)]
            );
        }
    }

    #[test]
    fn one_entry_or_a_list_may_be_emitted() {
        assert_eq!(
            emitted("{ { time = '1', line = 'a' }, { time = '2', line = '\\255' } }")
                .unwrap()
                .len(),
            2
        );
        assert_eq!(emitted("{}").unwrap(), []);
        assert_eq!(emitted("{ time = '1' }").unwrap()[0].line, b"\n");
    }

    #[test]
    fn invalid_entries_are_rejected() {
        for (source, part) in [
            ("1", "expects an entry or a list of entries, not a"),
            ("{ line = 'x' }", "`time` is missing"),
            (
                "{ time = 12, line = 'x' }",
                "`time` must be the nanoseconds",
            ),
            ("{ time = '1', line = {} }", "`line` is a table"),
            ("{ { time = '1' }, 3 }", "entry 2 is not a table"),
            (
                "{ { time = '1', lines = 'x' } }",
                "entry 1: unknown field `lines`",
            ),
            (
                "{ time = '1', line = string.rep('x', 1000000) }",
                "`line` has 1000000 bytes",
            ),
        ] {
            let error = emitted(source).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
