//! From what a hook returns to the engine's JSON.

use crate::protocol::{Field, Shape, Type, is_rfc3339};
use crate::script::loader::LONGEST_NAME;
use base64::Engine;
use mlua::{LuaString, Table, Value};
use serde_json::{Map, Number, Value as Json};
use std::cell::Cell;

/// How deep a value of no fixed shape may be nested.
const DEPTH: usize = 64;

/// How much a reply may hold: its texts, and [`EACH`] for each value. Tables can share what they hold, so a script's
/// memory is no limit on what it stands for.
const ROOM: usize = 16 << 20;
const EACH: usize = 16;

/// Why a reply is not what the engine can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at} {problem}")]
pub struct Mismatch {
    /// Where, for example: the reply's field `Volume.Name`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it, if that is known.
    pub cure: Option<String>,
}

/// Encodes a reply.
///
/// # Errors
/// The first field that is missing, unknown or of the wrong type.
pub fn encode(shape: &'static Shape, value: &Value) -> Result<Vec<u8>, Mismatch> {
    let room = Cell::new(ROOM);
    let at = Path {
        outer: None,
        name: "",
        room: &room,
    };
    let json = match value {
        Value::Nil if shape.first_required().is_none() => Json::Object(Map::new()),
        Value::Nil => return Err(at.mismatch("is missing").cure(expected_fields(shape))),
        value => record(shape, value, &at)?,
    };
    Ok(json.to_string().into_bytes())
}

/// A place in a reply, as a list from the inside out.
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    name: &'a str,
    room: &'a Cell<usize>,
}

impl Path<'_> {
    fn inner<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path {
            outer: Some(self),
            name,
            room: self.room,
        }
    }

    fn render(&self) -> String {
        match self.outer {
            None => self.name.to_owned(),
            Some(outer) if outer.name.is_empty() => self.name.to_owned(),
            Some(outer) => format!("{}.{}", outer.render(), self.name),
        }
    }

    /// Takes from the room that the whole reply has.
    fn take(&self, bytes: usize) -> Result<(), Mismatch> {
        match self.room.get().checked_sub(bytes.saturating_add(EACH)) {
            Some(left) => {
                self.room.set(left);
                Ok(())
            }
            None => Err(Mismatch {
                at: "the reply".to_owned(),
                problem: format!("holds more than {} MiB", ROOM >> 20),
                cure: None,
            }),
        }
    }

    fn mismatch(&self, problem: impl Into<String>) -> Mismatch {
        let place = self.render();
        let at = if place.is_empty() {
            "the reply".to_owned()
        } else {
            format!("the reply's `{place}`")
        };
        Mismatch {
            at,
            problem: problem.into(),
            cure: None,
        }
    }

    fn wrong_type(&self, ty: Type, value: &Value) -> Mismatch {
        self.mismatch(format!("must be {}, not {}", ty.noun(), describe(value)))
    }
}

impl Mismatch {
    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

fn expected_fields(shape: &Shape) -> String {
    let fields: Vec<_> = shape
        .fields
        .iter()
        .map(|field| format!("{} = …", field.name))
        .collect();
    if fields.is_empty() {
        return "return nothing".to_owned();
    }
    format!("return {{ {} }}", fields.join(", "))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Boolean(value) => format!("`{value}`"),
        Value::Number(_) | Value::Integer(_) => "a number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Nil => "nil".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}

fn record(shape: &'static Shape, value: &Value, at: &Path) -> Result<Json, Mismatch> {
    let Value::Table(table) = value else {
        return Err(at
            .wrong_type(Type::Record(shape), value)
            .cure(expected_fields(shape)));
    };
    refuse_unknown_fields(shape, table, at)?;
    let mut object = Map::new();
    for field in shape.fields {
        let value = table
            .raw_get(field.name)
            .map_err(|e| at.mismatch(e.to_string()))?;
        let at = at.inner(field.name);
        match typed(field.ty, &value, &at)? {
            Json::Null if field.required => {
                return Err(at.mismatch("is missing").cure(expected_fields(shape)));
            }
            Json::String(text) if field.required && field.ty.is_text() && text.is_empty() => {
                return Err(at.mismatch("is empty"));
            }
            Json::Null => {}
            json => {
                object.insert(field.name.to_owned(), json);
            }
        }
    }
    Ok(Json::Object(object))
}

fn refuse_unknown_fields(shape: &Shape, table: &Table, at: &Path) -> Result<(), Mismatch> {
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|e| at.mismatch(e.to_string()))?;
        let key = key
            .as_string()
            .map_or_else(|| describe(&key), mlua::LuaString::to_string_lossy);
        if shape.field(&key).is_none() {
            return Err(at
                .inner(&key)
                .mismatch("is not a field that Docker reads")
                .cure(near(shape, &key)));
        }
    }
    Ok(())
}

fn near(shape: &Shape, key: &str) -> String {
    if key == "Err" || key == "Error" {
        return "report a failure with `error(\"…\", 0)`".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000"
    )]
    let likeness = |field: &&Field| {
        (strsim::jaro_winkler(&field.name.to_lowercase(), &key.to_lowercase()) * 1000.0) as u32
    };
    let is_a_name = key.len() <= LONGEST_NAME;
    match shape
        .fields
        .iter()
        .filter(|_| is_a_name)
        .max_by_key(likeness)
    {
        Some(field) if likeness(&field) > 800 => format!("did you mean `{}`?", field.name),
        _ => expected_fields(shape),
    }
}

fn base64(bytes: &LuaString) -> Json {
    Json::String(base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes()))
}

fn typed(ty: Type, value: &Value, at: &Path) -> Result<Json, Mismatch> {
    at.take(value.as_string().map_or(0, |text| text.as_bytes().len()))?;
    match (ty, value) {
        (_, Value::Nil) => Ok(Json::Null),
        (Type::Bool, Value::Boolean(value)) => Ok(Json::Bool(*value)),
        (Type::Int, Value::Integer(_) | Value::Number(_)) => integer(value, at),
        (ty, Value::String(_)) if ty.is_text() => formed(ty, value, at),
        (Type::Time, Value::String(_)) => time(value, at),
        (Type::Bytes, Value::String(bytes)) => Ok(base64(bytes)),
        (Type::BytesUpTo(most), Value::String(bytes)) => match bytes.as_bytes().len() {
            length if (1..=most).contains(&length) => Ok(base64(bytes)),
            length => Err(at.mismatch(format!("has {length} bytes, and must have 1 to {most}"))),
        },
        (Type::Number, Value::Integer(_) | Value::Number(_)) => any(value, at, DEPTH),
        (Type::Any, value) => any(value, at, DEPTH),
        (Type::List(item), Value::Table(table)) => {
            list(table, at, |value, at| typed(*item, value, at))
        }
        (Type::Map(item), Value::Table(table)) => {
            map(table, at, |value, at| typed(*item, value, at))
        }
        (Type::Record(shape), value) => record(shape, value, at),
        _ => Err(at.wrong_type(ty, value)),
    }
}

fn text(value: &Value, at: &Path) -> Result<Json, Mismatch> {
    value
        .to_string()
        .map(Json::String)
        .map_err(|_| at.mismatch("is not valid UTF-8"))
}

/// An empty text says that the field is unset.
fn formed(ty: Type, value: &Value, at: &Path) -> Result<Json, Mismatch> {
    let json = text(value, at)?;
    match (ty.form(), json.as_str()) {
        (Some(form), Some(text)) if !text.is_empty() && !(form.fits)(text) => {
            let start: String = text.chars().take(LONGEST_NAME).collect();
            let problem = format!("must be {}, not `{}`", form.noun, start.escape_debug());
            Err(at.mismatch(problem).cure(form.cure))
        }
        _ => Ok(json),
    }
}

/// Luau has one type of numbers; mlua gives whole ones another.
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
fn integer(value: &Value, at: &Path) -> Result<Json, Mismatch> {
    match number(value) {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Ok(Json::Number((number as i64).into()))
        }
        _ => Err(at.mismatch("must be a whole number")),
    }
}

fn time(value: &Value, at: &Path) -> Result<Json, Mismatch> {
    match text(value, at)? {
        Json::String(text) if is_rfc3339(&text) => Ok(Json::String(text)),
        _ => Err(at
            .mismatch("is not an RFC 3339 time")
            .cure("use `time.rfc3339()`, or leave the field out")),
    }
}

fn list(
    table: &Table,
    at: &Path,
    item: impl Fn(&Value, &Path) -> Result<Json, Mismatch>,
) -> Result<Json, Mismatch> {
    let length = table.raw_len();
    let entries = table.pairs::<Value, Value>().take(length + 1).count();
    if entries != length {
        return Err(at.mismatch("must be a list: keys 1, 2, 3 … without gaps"));
    }
    at.take(length.saturating_mul(EACH))?;
    let items = (1..=length).map(|index| {
        let value: Value = table
            .raw_get(index)
            .map_err(|e| at.mismatch(e.to_string()))?;
        item(&value, &at.inner(&index.to_string()))
    });
    items.collect::<Result<Vec<_>, _>>().map(Json::Array)
}

fn map(
    table: &Table,
    at: &Path,
    item: impl Fn(&Value, &Path) -> Result<Json, Mismatch>,
) -> Result<Json, Mismatch> {
    let mut object = Map::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|e| at.mismatch(e.to_string()))?;
        let Value::String(key) = key else {
            return Err(at.mismatch("must have text for keys"));
        };
        at.take(key.as_bytes().len())?;
        let key = key
            .to_str()
            .map_err(|_| at.mismatch("has a key that is not valid UTF-8"))?
            .to_owned();
        let json = item(&value, &at.inner(&key))?;
        object.insert(key, json);
    }
    Ok(Json::Object(object))
}

fn any(value: &Value, at: &Path, depth: usize) -> Result<Json, Mismatch> {
    if depth == 0 {
        return Err(at.mismatch("is nested too deeply, or contains itself"));
    }
    at.take(value.as_string().map_or(0, |text| text.as_bytes().len()))?;
    match value {
        Value::Nil => Ok(Json::Null),
        Value::Boolean(value) => Ok(Json::Bool(*value)),
        Value::String(_) => text(value, at),
        Value::Integer(_) | Value::Number(_) => integer(value, at).or_else(|_| fraction(value, at)),
        Value::Table(table) if table.raw_len() > 0 => {
            list(table, at, |value, at| any(value, at, depth - 1))
        }
        Value::Table(table) => map(table, at, |value, at| any(value, at, depth - 1)),
        other => Err(at.mismatch(format!("cannot be {}", describe(other)))),
    }
}

fn fraction(value: &Value, at: &Path) -> Result<Json, Mismatch> {
    number(value)
        .and_then(Number::from_f64)
        .map(Json::Number)
        .ok_or_else(|| at.mismatch("is not a finite number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;
    use mlua::Lua;

    fn reply(method: &str, lua_text: &str) -> Result<String, String> {
        let lua = Lua::new();
        let value: Value = lua.load(lua_text).eval().expect(lua_text);
        let bytes = encode(find(method).expect(method).reply, &value);
        bytes
            .map(|bytes| String::from_utf8(bytes).expect("JSON is UTF-8"))
            .map_err(|e| match e.cure.clone() {
                Some(cure) => format!("{e} ({cure})"),
                None => e.to_string(),
            })
    }

    #[test]
    fn empty_tables_become_lists_or_objects_by_their_field() {
        assert_eq!(
            reply("VolumeDriver.List", "return { Volumes = {} }").unwrap(),
            r#"{"Volumes":[]}"#
        );
        assert_eq!(
            reply("NetworkDriver.EndpointOperInfo", "return { Value = {} }").unwrap(),
            r#"{"Value":{}}"#
        );
        assert_eq!(reply("VolumeDriver.Create", "return nil").unwrap(), "{}");
    }

    #[test]
    fn invalid_replies_are_named_with_a_cure() {
        let cases = [
            (
                "VolumeDriver.Mount",
                "return nil",
                "the reply is missing (return { Mountpoint = … })",
            ),
            (
                "VolumeDriver.Mount",
                "return '/x'",
                "the reply must be a table, not a string (return { Mountpoint = … })",
            ),
            (
                "VolumeDriver.Mount",
                "return { Mountpont = '/x' }",
                "the reply's `Mountpont` is not a field that Docker reads (did you mean `Mountpoint`?)",
            ),
            (
                "VolumeDriver.Mount",
                "return { Mountpoint = 1 }",
                "the reply's `Mountpoint` must be a string, not a number",
            ),
            (
                "VolumeDriver.Mount",
                "return { Mountpoint = '' }",
                "the reply's `Mountpoint` is empty",
            ),
            (
                "VolumeDriver.Create",
                "return { Err = 'x' }",
                "the reply's `Err` is not a field that Docker reads (report a failure with `error(\"…\", 0)`)",
            ),
            (
                "VolumeDriver.Get",
                "return { Volume = { Name = 'v', CreatedAt = '' } }",
                "the reply's `Volume.CreatedAt` is not an RFC 3339 time (use `time.rfc3339()`, or leave the field out)",
            ),
            (
                "VolumeDriver.List",
                "return { Volumes = { a = {} } }",
                "the reply's `Volumes` must be a list: keys 1, 2, 3 … without gaps",
            ),
            (
                "VolumeDriver.List",
                "return { Volumes = { 7 } }",
                "the reply's `Volumes.1` must be a table, not a number (return { Name = …, Mountpoint = …, CreatedAt = …, Status = … })",
            ),
        ];
        for (method, text, message) in cases {
            assert_eq!(reply(method, text).unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn recursive_tables_are_refused() {
        let text = "local t = {}; t.t = t; return { Value = t }";
        assert!(
            reply("NetworkDriver.EndpointOperInfo", text)
                .unwrap_err()
                .contains("nested too deeply")
        );
    }
}
