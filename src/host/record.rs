//! Tables that scripts pass as arguments, read strictly: a misspelt field or a wrong type is an error that names it.

use mlua::{Table, Value};
use std::time::Duration;

/// What is wrong with a table that a script passed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A field that the function does not know.
    #[error("unknown field `{field}`; the fields are {known}")]
    Unknown {
        /// The field's name.
        field: String,
        /// Those there are.
        known: String,
    },
    /// A field that must be given.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field that holds more than [`MOST_TEXT`].
    #[error("`{0}` holds more than 16 MiB")]
    TooLarge(&'static str),
    /// A time that is no time, or too long a one, with the longest.
    #[error("`timeout` must be above 0 and at most {0} s")]
    Timeout(u64),
    /// A field of a wrong type.
    #[error("`{field}` must be {wanted}, not this {found}")]
    Type {
        /// The field's, or argument's, name.
        field: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
}

/// A table with known fields. Metamethods are not asked.
pub struct Record(Table);

/// A type that a field can have. Nothing is converted: `"1"` is no number, and `0` is no boolean.
pub trait Field: Sized {
    /// The type, for errors: `a string`.
    const WANTED: &'static str;
    /// The value, if it has the type.
    fn of(value: &Value) -> Option<Self>;
    /// How many bytes of text it holds.
    fn text(&self) -> usize {
        0
    }
}

/// How much text a list may hold, in bytes. One text can stand in a table many times, so that a copy of
/// them all may be far larger than the script's memory.
pub const MOST_TEXT: usize = 16 << 20;

impl Record {
    /// Takes a table whose fields are among `known`.
    pub fn new(table: Table, known: &[&str]) -> Result<Self, RecordError> {
        for (key, _) in table.pairs::<Value, Value>().flatten() {
            let field = key.to_string().unwrap_or_default();
            if !key.is_string() || !known.contains(&field.as_str()) {
                return Err(RecordError::Unknown {
                    field,
                    known: format!("`{}`", known.join("`, `")),
                });
            }
        }
        Ok(Self(table))
    }

    /// A field that may be absent.
    pub fn optional<T: Field>(&self, field: &'static str) -> Result<Option<T>, RecordError> {
        match self.0.raw_get(field).unwrap_or(Value::Nil) {
            Value::Nil => Ok(None),
            value => typed(field, &value).map(Some),
        }
    }

    /// The field `timeout`, in seconds.
    pub fn timeout(&self, default: Duration, longest: Duration) -> Result<Duration, RecordError> {
        match self.optional::<f64>("timeout")? {
            None => Ok(default),
            Some(seconds) if seconds > 0.0 && seconds <= longest.as_secs_f64() => {
                Ok(Duration::from_secs_f64(seconds))
            }
            Some(_) => Err(RecordError::Timeout(longest.as_secs())),
        }
    }

    /// A field that must be there.
    pub fn required<T: Field>(&self, field: &'static str) -> Result<T, RecordError> {
        self.optional(field)?.ok_or(RecordError::Missing(field))
    }
}

/// The value as that type, or an error that names it.
pub fn typed<T: Field>(name: &str, value: &Value) -> Result<T, RecordError> {
    T::of(value).ok_or_else(|| RecordError::Type {
        field: name.to_owned(),
        wanted: T::WANTED,
        found: if f64::of(value).is_some() {
            "number"
        } else {
            value.type_name()
        },
    })
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
        let mut room = MOST_TEXT;
        let item = |index| {
            let item = T::of(&table.raw_get(index).ok()?)?;
            room = room.checked_sub(item.text())?;
            Some(item)
        };
        let items: Option<Self> = (1..=count).map(item).collect();
        items.filter(|_| table.pairs::<Value, Value>().count() == count)
    }
}

/// A list type, and what errors call it.
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
