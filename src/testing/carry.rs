//! Carries values from one Luau state to another.

use mlua::{Error, Lua, MultiValue, Table, Value};

/// How deep tables may be nested.
const MAX_DEPTH: usize = 64;

/// Copies values into the state `to`.
///
/// # Errors
/// A function or another value that belongs to its state, and tables that are nested too deeply.
pub fn carry(values: &MultiValue, to: &Lua) -> mlua::Result<MultiValue> {
    values.iter().map(|value| copy(value, to, 0)).collect()
}

fn copy(value: &Value, to: &Lua, depth: usize) -> mlua::Result<Value> {
    match value {
        Value::Nil => Ok(Value::Nil),
        Value::Boolean(truth) => Ok(Value::Boolean(*truth)),
        Value::Integer(number) => Ok(Value::Integer(*number)),
        Value::Number(number) => Ok(Value::Number(*number)),
        Value::String(text) => to.create_string(text.as_bytes()).map(Value::String),
        Value::Table(_) if depth == MAX_DEPTH => {
            Err(Error::runtime("the tables are nested too deeply"))
        }
        Value::Table(table) => copy_table(table, to, depth + 1).map(Value::Table),
        other => Err(Error::runtime(format!(
            "a {} cannot be passed to the machine of a test",
            other.type_name()
        ))),
    }
}

fn copy_table(table: &Table, to: &Lua, depth: usize) -> mlua::Result<Table> {
    let copied = to.create_table()?;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        copied.raw_set(copy(&key, to, depth)?, copy(&value, to, depth)?)?;
    }
    Ok(copied)
}
