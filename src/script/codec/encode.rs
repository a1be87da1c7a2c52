//! From what a hook returns to the engine's JSON.

use super::mismatch::{Mismatch, Path, describe, expected_fields};
use crate::host::nearest;
use crate::protocol::{Shape, Type, is_rfc3339};
use base64::Engine;
use mlua::{LuaString, Table, Value};

/// How deep a value of no fixed shape may be nested.
const MAX_DEPTH: usize = 64;

/// The limit of a reply: the bytes of its texts, and [`VALUE_SIZE`] for each value. Tables can
/// share what they hold, so the script's memory limit does not bound the reply.
const MAX_SIZE: usize = 16 << 20;
const VALUE_SIZE: usize = 16;

/// How many characters of a wrong text a message shows.
const EXCERPT: usize = 100;

/// Encodes a reply.
///
/// # Errors
/// The first field that is missing, unknown or of the wrong type.
pub fn encode(shape: &'static Shape, value: &Value) -> Result<Vec<u8>, Mismatch> {
    let root = Path::default();
    if value.is_nil() {
        return match shape.first_required() {
            None => Ok(b"{}".to_vec()),
            Some(_) => Err(root.mismatch("is missing").cure(expected_fields(shape))),
        };
    }
    let mut encoder = Encoder {
        out: Vec::new(),
        size: 0,
    };
    encoder.record(shape, value, &root)?;
    Ok(encoder.out)
}

/// Writes JSON as it checks the values.
struct Encoder {
    out: Vec<u8>,
    size: usize,
}

impl Encoder {
    fn record(&mut self, shape: &'static Shape, value: &Value, at: &Path) -> Result<(), Mismatch> {
        let Value::Table(table) = value else {
            let mismatch = at.wrong_type(Type::Record(shape), value);
            return Err(mismatch.cure(expected_fields(shape)));
        };
        reject_unknown_fields(shape, table, at)?;
        let mut separator = b'{';
        for field in shape.fields {
            let value: Value = table.raw_get(field.name).map_err(|e| at.failed(&e))?;
            let at = at.field(field.name);
            match &value {
                Value::Nil if field.required => {
                    return Err(at.mismatch("is missing").cure(expected_fields(shape)));
                }
                Value::Nil => continue,
                Value::String(text) if field.required && field.ty.is_text() && is_empty(text) => {
                    return Err(at.mismatch("is empty"));
                }
                _ => {}
            }
            self.write_key(&mut separator, field.name, &at)?;
            self.typed(field.ty, &value, &at)?;
        }
        self.close(separator, b'{', b'}');
        Ok(())
    }

    fn typed(&mut self, ty: Type, value: &Value, at: &Path) -> Result<(), Mismatch> {
        match (ty, value) {
            (Type::Any, _)
            | (Type::Bool, Value::Boolean(_))
            | (Type::Number, Value::Integer(_) | Value::Number(_)) => {
                self.any(value, at, MAX_DEPTH)
            }
            (Type::Int, Value::Integer(_) | Value::Number(_)) => match integer(value) {
                Some(number) => self.put(&number, 0, at),
                None => Err(at.mismatch("must be a whole number")),
            },
            (ty, Value::String(text)) if ty.is_text() => self.formed(ty, text, at),
            (Type::Time, Value::String(text)) => self.time(text, at),
            (Type::Bytes, Value::String(bytes)) => self.base64(bytes, at),
            (Type::BytesUpTo(limit), Value::String(bytes)) => match bytes.as_bytes().len() {
                length if (1..=limit).contains(&length) => self.base64(bytes, at),
                length => {
                    Err(at.mismatch(format!("has {length} bytes, and must have 1 to {limit}")))
                }
            },
            (Type::List(item), Value::Table(table)) => {
                self.list(table, at, |this, value, at| this.typed(*item, value, at))
            }
            (Type::Map(item), Value::Table(table)) => {
                self.map(table, at, |this, value, at| this.typed(*item, value, at))
            }
            (Type::Record(shape), value) => {
                self.count(0)?;
                self.record(shape, value, at)
            }
            _ => Err(at.wrong_type(ty, value)),
        }
    }

    /// An empty text means that the field is unset.
    fn formed(&mut self, ty: Type, text: &LuaString, at: &Path) -> Result<(), Mismatch> {
        let text = utf8(text, at)?;
        match ty.form() {
            Some(form) if !text.is_empty() && !(form.matches)(&text) => {
                let start: String = text.chars().take(EXCERPT).collect();
                let problem = format!("must be {}, not `{}`", form.noun, start.escape_debug());
                Err(at.mismatch(problem).cure(form.cure))
            }
            _ => self.put(&*text, text.len(), at),
        }
    }

    fn time(&mut self, text: &LuaString, at: &Path) -> Result<(), Mismatch> {
        let text = utf8(text, at)?;
        if !is_rfc3339(&text) {
            let mismatch = at.mismatch("is not an RFC 3339 time");
            return Err(mismatch.cure("use `time.rfc3339()`, or leave the field out"));
        }
        self.put(&*text, text.len(), at)
    }

    fn base64(&mut self, bytes: &LuaString, at: &Path) -> Result<(), Mismatch> {
        let bytes = bytes.as_bytes();
        self.count(bytes.len())?;
        let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
        self.put(&text, 0, at)
    }

    /// A value of no fixed shape, nested at most `depth` deep.
    fn any(&mut self, value: &Value, at: &Path, depth: usize) -> Result<(), Mismatch> {
        let Some(inner) = depth.checked_sub(1) else {
            return Err(at.mismatch("is nested too deeply, or contains itself"));
        };
        match value {
            Value::Nil => self.put(&(), 0, at),
            Value::Boolean(truth) => self.put(truth, 0, at),
            Value::String(text) => {
                let text = utf8(text, at)?;
                self.put(&*text, text.len(), at)
            }
            Value::Integer(_) | Value::Number(_) => match (integer(value), number(value)) {
                (Some(whole), _) => self.put(&whole, 0, at),
                (None, Some(number)) if number.is_finite() => self.put(&number, 0, at),
                _ => Err(at.mismatch("is not a finite number")),
            },
            Value::Table(table) if table.raw_len() > 0 => {
                self.list(table, at, |this, value, at| this.any(value, at, inner))
            }
            Value::Table(table) => {
                self.map(table, at, |this, value, at| this.any(value, at, inner))
            }
            other => Err(at.mismatch(format!("cannot be {}", describe(other)))),
        }
    }

    fn list(
        &mut self,
        table: &Table,
        at: &Path,
        item: impl Fn(&mut Self, &Value, &Path) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        let length = table.raw_len();
        let entries = table.pairs::<Value, Value>().take(length + 1).count();
        if entries != length {
            return Err(at.mismatch("must be a list: keys 1, 2, 3 … without gaps"));
        }
        self.count(length.saturating_mul(VALUE_SIZE))?;
        let mut separator = b'[';
        for index in 1..=length {
            self.out.push(std::mem::replace(&mut separator, b','));
            let value: Value = table.raw_get(index).map_err(|e| at.failed(&e))?;
            item(self, &value, &at.item(index))?;
        }
        self.close(separator, b'[', b']');
        Ok(())
    }

    fn map(
        &mut self,
        table: &Table,
        at: &Path,
        item: impl Fn(&mut Self, &Value, &Path) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        self.count(0)?;
        let mut separator = b'{';
        for key in self.sorted_keys(table, at)? {
            let at = at.field(&key);
            let value = table.raw_get(key.as_str()).map_err(|e| at.failed(&e))?;
            self.write_key(&mut separator, &key, &at)?;
            item(self, &value, &at)?;
        }
        self.close(separator, b'{', b'}');
        Ok(())
    }

    /// Returns the keys of a table, sorted. Each counts as part of the reply before it is copied,
    /// because a table that contains itself would be copied at every depth.
    fn sorted_keys(&mut self, table: &Table, at: &Path) -> Result<Vec<String>, Mismatch> {
        let mut keys = Vec::new();
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|e| at.failed(&e))?;
            let Value::String(key) = key else {
                return Err(at.mismatch("must have text for keys"));
            };
            self.count(key.as_bytes().len())?;
            let key = key.to_str();
            let key = key.map_err(|_| at.mismatch("has a key that is not valid UTF-8"))?;
            keys.push(key.to_owned());
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Writes a key after its separator, which is the opening brace for the first.
    fn write_key(&mut self, separator: &mut u8, key: &str, at: &Path) -> Result<(), Mismatch> {
        self.out.push(std::mem::replace(separator, b','));
        self.put(key, 0, at)?;
        self.out.push(b':');
        Ok(())
    }

    /// Writes the closing bracket, and the opening one if there was no element.
    fn close(&mut self, separator: u8, opening: u8, closing: u8) {
        if separator == opening {
            self.out.push(opening);
        }
        self.out.push(closing);
    }

    fn put<T>(&mut self, value: &T, bytes: usize, at: &Path) -> Result<(), Mismatch>
    where
        T: serde::Serialize + ?Sized,
    {
        self.count(bytes)?;
        serde_json::to_writer(&mut self.out, value).map_err(|e| at.mismatch(e.to_string()))
    }

    /// Adds a value with so many bytes of text to the reply's size.
    fn count(&mut self, bytes: usize) -> Result<(), Mismatch> {
        self.size = self.size.saturating_add(bytes).saturating_add(VALUE_SIZE);
        if self.size <= MAX_SIZE {
            return Ok(());
        }
        let problem = format!("holds more than {} MiB", MAX_SIZE >> 20);
        Err(Path::default().mismatch(problem))
    }
}

fn reject_unknown_fields(shape: &Shape, table: &Table, at: &Path) -> Result<(), Mismatch> {
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|e| at.failed(&e))?;
        let key = key
            .as_string()
            .map_or_else(|| describe(&key), LuaString::to_string_lossy);
        if shape.field(&key).is_none() {
            let mismatch = at.field(&key).mismatch("is not a field that Docker reads");
            return Err(mismatch.cure(cure_of_unknown(shape, &key)));
        }
    }
    Ok(())
}

fn cure_of_unknown(shape: &Shape, key: &str) -> String {
    if key == "Err" || key == "Error" {
        return "report a failure with `error(\"…\", 0)`".to_owned();
    }
    match nearest(key, shape.fields.iter().map(|field| field.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => expected_fields(shape),
    }
}

fn is_empty(text: &LuaString) -> bool {
    text.as_bytes().is_empty()
}

fn utf8(text: &LuaString, at: &Path) -> Result<mlua::BorrowedStr, Mismatch> {
    text.to_str().map_err(|_| at.mismatch("is not valid UTF-8"))
}

/// Luau has one type of numbers; mlua has two.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number of at most 53 bits"
)]
fn integer(value: &Value) -> Option<i64> {
    let whole = number(value).filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
    whole.map(|number| number as i64)
}

#[cfg(test)]
mod tests;
