//! Tables that scripts pass as arguments. An unknown field or a wrong type is an error that names
//! it.

use super::closed::hint;
use mlua::{LuaString, Table, Value};
use std::time::Duration;

/// What is wrong with an argument of a script.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An unknown field, and what may have been meant.
    #[error("unknown field `{0}`{1}")]
    Unknown(String, String),
    /// A value without a name, and the first known field.
    #[error("a value has no name: write `{{ {0} = … }}`")]
    Unnamed(&'static str),
    /// A required field.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field with more text than [`MAX_TEXT`].
    #[error("`{0}` has more than 16 MiB of text")]
    TooLarge(&'static str),
    /// A timeout outside its range, with the limit.
    #[error("`timeout` must be above 0 and at most {0} s")]
    Timeout(u64),
    /// A field of a wrong type.
    #[error("`{field}` must be {wanted}, not {found}")]
    Type {
        /// The field's, or argument's, name.
        field: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
}

/// A table with known fields, or none at all. Metamethods are not called.
pub struct Record(Option<Table>);

/// A type of a field. Values are not converted: `"1"` is not a number, and `0` is not a boolean.
pub trait Field: Sized {
    /// The type, for errors: `a string`.
    const WANTED: &'static str;
    /// Returns the value if it has the type.
    fn of(value: &Value) -> Option<Self>;
    /// Returns how many bytes of text the value holds.
    fn text(&self) -> usize {
        0
    }
}

/// The limit of the text in a list, in bytes. A table can hold the same string many times, so a
/// copy of all can be far larger than the script's memory.
pub const MAX_TEXT: usize = 16 << 20;

impl Record {
    /// Wraps a table, or an absent one, whose fields must be in `known`.
    pub fn new(
        table: impl Into<Option<Table>>,
        known: &[&'static str],
    ) -> Result<Self, RecordError> {
        let table = table.into();
        let pairs = table.iter().flat_map(Table::pairs::<Value, Value>);
        for (key, _) in pairs.flatten() {
            let field = key.to_string().unwrap_or_default();
            if !key.is_string() {
                let first = known.first().copied().unwrap_or_default();
                return Err(RecordError::Unnamed(first));
            }
            if !known.contains(&field.as_str()) {
                let hint = hint(&field, known);
                return Err(RecordError::Unknown(field, hint));
            }
        }
        Ok(Self(table))
    }

    /// Wraps an argument of a function, which errors call `name`. It must be a table.
    pub fn of(name: &str, argument: &Value, known: &[&'static str]) -> Result<Self, RecordError> {
        Self::new(typed::<Table>(name, argument)?, known)
    }

    /// Returns a field that may be absent.
    pub fn optional<T: Field>(&self, field: &'static str) -> Result<Option<T>, RecordError> {
        let value = self.0.as_ref().map(|table| table.raw_get(field));
        match value.transpose().unwrap_or_default() {
            None | Some(Value::Nil) => Ok(None),
            Some(value) => typed(field, &value).map(Some),
        }
    }

    /// Returns the field `timeout`, in seconds.
    pub fn timeout(&self, default: Duration, limit: Duration) -> Result<Duration, RecordError> {
        match self.optional::<f64>("timeout")? {
            None => Ok(default),
            Some(seconds) if seconds > 0.0 && seconds <= limit.as_secs_f64() => {
                Ok(Duration::from_secs_f64(seconds))
            }
            Some(_) => Err(RecordError::Timeout(limit.as_secs())),
        }
    }

    /// Returns a field that must be present.
    pub fn required<T: Field>(&self, field: &'static str) -> Result<T, RecordError> {
        self.optional(field)?.ok_or(RecordError::Missing(field))
    }
}

/// Returns the value as a type, or an error that names it.
pub fn typed<T: Field>(name: &str, value: &Value) -> Result<T, RecordError> {
    T::of(value).ok_or_else(|| RecordError::Type {
        field: name.to_owned(),
        wanted: T::WANTED,
        found: describe(value),
    })
}

fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Integer(_) | Value::Number(_) => "a number".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}

impl Field for LuaString {
    const WANTED: &'static str = "a string";
    fn of(value: &Value) -> Option<Self> {
        value.as_string().cloned()
    }
}

impl Field for String {
    const WANTED: &'static str = "a string (of UTF-8)";
    fn of(value: &Value) -> Option<Self> {
        value
            .as_string()
            .and_then(|text| text.to_str().ok().map(|text| text.to_owned()))
    }
    fn text(&self) -> usize {
        self.len()
    }
}

impl Field for Vec<u8> {
    const WANTED: &'static str = "a string";
    fn of(value: &Value) -> Option<Self> {
        value.as_string().map(|text| text.as_bytes().to_vec())
    }
    fn text(&self) -> usize {
        self.len()
    }
}

impl Field for bool {
    const WANTED: &'static str = "a boolean";
    fn of(value: &Value) -> Option<Self> {
        value.as_boolean()
    }
}

impl Field for f64 {
    const WANTED: &'static str = "a number";
    fn of(value: &Value) -> Option<Self> {
        match *value {
            Value::Number(number) => Some(number),
            Value::Integer(number) => Some(number as f64),
            _ => None,
        }
    }
}

impl Field for u16 {
    const WANTED: &'static str = "a whole number from 0 to 65535";
    fn of(value: &Value) -> Option<Self> {
        whole(value).and_then(|n| n.try_into().ok())
    }
}

impl Field for u32 {
    const WANTED: &'static str = "a whole number from 0 to 4294967295";
    fn of(value: &Value) -> Option<Self> {
        whole(value).and_then(|n| n.try_into().ok())
    }
}

impl Field for u64 {
    const WANTED: &'static str = "a whole number from 0 to 2^53";
    fn of(value: &Value) -> Option<Self> {
        whole(value).and_then(|n| n.try_into().ok())
    }
}

impl Field for i64 {
    const WANTED: &'static str = "a whole number below 2^53";
    fn of(value: &Value) -> Option<Self> {
        whole(value)
    }
}

impl Field for Value {
    const WANTED: &'static str = "a value";
    fn of(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl Field for Table {
    const WANTED: &'static str = "a table";
    fn of(value: &Value) -> Option<Self> {
        value.as_table().cloned()
    }
}

impl<T: Field> Field for Vec<T>
where
    Vec<T>: List,
{
    const WANTED: &'static str = <Vec<T> as List>::WANTED;
    fn of(value: &Value) -> Option<Self> {
        let table = value.as_table()?;
        let count = table.raw_len();
        let mut room = MAX_TEXT;
        let item = |index| {
            let item = T::of(&table.raw_get(index).ok()?)?;
            room = room.checked_sub(item.text())?;
            Some(item)
        };
        let items: Option<Self> = (1..=count).map(item).collect();
        items.filter(|_| table.pairs::<Value, Value>().count() == count)
    }
}

/// A list type, and its name in errors.
pub trait List {
    /// Such as `a list of strings`.
    const WANTED: &'static str;
}

impl List for Vec<String> {
    const WANTED: &'static str = "a list of strings (of UTF-8)";
}

impl List for Vec<Vec<u8>> {
    const WANTED: &'static str = "a list of strings";
}

impl List for Vec<Table> {
    const WANTED: &'static str = "a list of tables";
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number of at most 53 bits"
)]
fn whole(value: &Value) -> Option<i64> {
    let number = f64::of(value)?;
    (number.fract() == 0.0 && number.abs() <= 2f64.powi(53)).then_some(number as i64)
}
