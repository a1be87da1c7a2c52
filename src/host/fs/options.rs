//! The options that functions of the module take.

use super::paths::{Failure, Outcome};
use crate::host::record::typed;
use mlua::{FromLua, Table, Value};

/// The table of options that some functions take last.
pub(super) struct Options(Option<Table>);

impl Options {
    pub(super) fn of(table: Option<Table>, known: &[&str]) -> Outcome<Self> {
        for pair in table.iter().flat_map(Table::pairs::<Value, Value>) {
            let key = pair?.0.to_string()?;
            if !known.contains(&key.as_str()) {
                return Err(Failure::Unknown(key));
            }
        }
        Ok(Self(table))
    }

    fn value(&self, name: &str) -> Outcome<Value> {
        self.0
            .as_ref()
            .map_or(Ok(Value::Nil), |table| Ok(table.get(name)?))
    }

    pub(super) fn get<T: FromLua>(&self, name: &'static str, expected: &'static str) -> Outcome<T> {
        let Some(table) = &self.0 else {
            return Err(Failure::Option(name, expected, "nil"));
        };
        let value: Value = table.get(name)?;
        let given = value.type_name();
        table
            .get(name)
            .map_err(|_| Failure::Option(name, expected, given))
    }

    pub(super) fn texts(&self, name: &'static str) -> Outcome<Vec<String>> {
        match self.value(name)? {
            Value::Nil => Ok(Vec::new()),
            list => typed(name, &list)
                .map_err(|_| Failure::Option(name, "a list of strings", list.type_name())),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> Outcome<bool> {
        match self.value(name)? {
            Value::Nil => Ok(false),
            Value::Boolean(flag) => Ok(flag),
            other => Err(Failure::Option(name, "a boolean", other.type_name())),
        }
    }

    pub(super) fn bytes(&self, name: &'static str) -> Outcome<Option<u64>> {
        match self.value(name)? {
            Value::Nil => Ok(None),
            count => typed(name, &count)
                .map(Some)
                .map_err(|_| Failure::Option(name, "a number of bytes", count.type_name())),
        }
    }

    pub(super) fn mode(&self) -> Outcome<Option<u32>> {
        match self.value("mode")? {
            Value::Nil => Ok(None),
            mode => mode_of(&mode).map(Some),
        }
    }
}

/// A mode is a number, or its octal digits.
pub(super) fn mode_of(mode: &Value) -> Outcome<u32> {
    let bits = match mode {
        Value::Integer(bits) => u32::try_from(*bits).ok(),
        Value::String(digits) => u32::from_str_radix(&digits.to_string_lossy(), 8).ok(),
        _ => None,
    };
    match bits.filter(|bits| *bits <= 0o7777) {
        Some(bits) => Ok(bits),
        None => Err(Failure::Mode(mode.to_string()?)),
    }
}
