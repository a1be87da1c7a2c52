//! From the engine's JSON to the table that a hook gets.

use super::close_message;
use crate::protocol::{Field, Shape, Type};
use base64::Engine;
use mlua::{Lua, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Decodes a request body. Like Go's decoder, reads the first JSON value, and treats `null` as
/// absent.
///
/// # Errors
/// One line for Docker's user: the field that is missing or of the wrong type.
pub fn decode(lua: &Lua, shape: &'static Shape, body: &[u8]) -> Result<Table, String> {
    let body = match body.trim_ascii() {
        b"" => empty_body(shape)?,
        body => body,
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    Record { lua, shape }
        .deserialize(&mut json)
        .map_err(|e| e.to_string())
}

/// Handles an empty body. A retried request may have lost its body (protocol 1.6), which must not
/// count as "all defaults": a request for one pool would become a request for any pool.
fn empty_body(shape: &Shape) -> Result<&'static [u8], String> {
    if shape.fields.is_empty() {
        Ok(b"{}")
    } else {
        Err("the request's body is empty".to_owned())
    }
}

struct Record<'a> {
    lua: &'a Lua,
    shape: &'static Shape,
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = Table;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Table, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object ({})", self.shape.name)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Table, M::Error> {
        let table = self
            .lua
            .create_table_with_capacity(0, self.shape.fields.len())
            .map_err(M::Error::custom)?;
        while let Some(key) = map.next_key::<String>()? {
            let ty = self.shape.field(&key).map_or(Type::Any, |field| field.ty);
            let value = map.next_value_seed(Typed {
                lua: self.lua,
                ty,
                at: &key,
            })?;
            table.raw_set(key, value).map_err(M::Error::custom)?;
        }
        check_required(self.shape, &table).map_err(M::Error::custom)?;
        close_message(self.lua, self.shape, &table).map_err(M::Error::custom)?;
        Ok(table)
    }
}

fn check_required(shape: &Shape, table: &Table) -> Result<(), String> {
    let absent = |field: &&Field| match table.raw_get(field.name) {
        Ok(Value::String(text)) => text.as_bytes().is_empty(),
        Ok(value) => value.is_nil(),
        Err(_) => true,
    };
    match shape
        .fields
        .iter()
        .filter(|field| field.required)
        .find(absent)
    {
        None => Ok(()),
        Some(field) => Err(format!("`{}` is missing or empty", field.name)),
    }
}

struct Typed<'a> {
    lua: &'a Lua,
    ty: Type,
    at: &'a str,
}

impl Typed<'_> {
    fn text<E: Error>(&self, text: &[u8]) -> Result<Value, E> {
        self.lua
            .create_string(text)
            .map(Value::String)
            .map_err(E::custom)
    }

    fn accepts_text(&self) -> bool {
        self.ty.is_text() || matches!(self.ty, Type::Time | Type::Any)
    }

    fn number<E: Error>(&self, number: f64) -> Result<Value, E> {
        match self.ty {
            Type::Int | Type::Number | Type::Any => Ok(Value::Number(number)),
            _ => Err(E::invalid_type(serde::de::Unexpected::Float(number), self)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} in `{}`", self.ty.noun(), self.at)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        match self.ty {
            Type::Bool | Type::Any => Ok(Value::Boolean(value)),
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.number(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.number(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        match self.ty {
            Type::Bytes => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(value);
                self.text(
                    &bytes.map_err(|e| E::custom(format!("`{}` is not Base64: {e}", self.at)))?,
                )
            }
            _ if self.accepts_text() => self.text(value.as_bytes()),
            _ => Err(E::invalid_type(serde::de::Unexpected::Str(value), &self)),
        }
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Value, S::Error> {
        let item = match self.ty {
            Type::List(item) => *item,
            Type::Any => Type::Any,
            _ => return Err(S::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        };
        let list = self.lua.create_table().map_err(S::Error::custom)?;
        while let Some(value) = seq.next_element_seed(Typed {
            lua: self.lua,
            ty: item,
            at: self.at,
        })? {
            list.raw_push(value).map_err(S::Error::custom)?;
        }
        Ok(Value::Table(list))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value, M::Error> {
        let item = match self.ty {
            Type::Record(shape) => {
                return Record {
                    lua: self.lua,
                    shape,
                }
                .visit_map(map)
                .map(Value::Table);
            }
            Type::Map(item) => *item,
            Type::Any => Type::Any,
            _ => return Err(M::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        };
        let table = self.lua.create_table().map_err(M::Error::custom)?;
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Typed {
                lua: self.lua,
                ty: item,
                at: &key,
            })?;
            table.raw_set(key, value).map_err(M::Error::custom)?;
        }
        Ok(Value::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;

    fn refusal(method: &str, body: &str) -> String {
        decode(
            &Lua::new(),
            find(method).expect(method).request,
            body.as_bytes(),
        )
        .unwrap_err()
    }

    #[test]
    fn null_and_unset_are_absent() {
        for body in [r#"{"Name":"v","Opts":null}"#, r#"{"Name":"v"}"#] {
            let lua = Lua::new();
            let table = decode(
                &lua,
                find("VolumeDriver.Create").unwrap().request,
                body.as_bytes(),
            )
            .unwrap();
            assert!(table.get::<Value>("Opts").unwrap().is_nil(), "{body}");
        }
    }

    #[test]
    fn decoding_errors_name_the_field() {
        let cases = [
            ("", "empty"),
            ("{", "EOF"),
            ("[]", "expected an object (CreateVolumeRequest)"),
            ("{}", "`Name` is missing or empty"),
            (r#"{"Name":""}"#, "`Name` is missing or empty"),
            (r#"{"Name":null}"#, "`Name` is missing or empty"),
            (r#"{"Name":7}"#, "expected a string in `Name`"),
            (r#"{"Name":"v","Opts":[]}"#, "expected a table in `Opts`"),
            (
                r#"{"Name":"v","Opts":{"size":1}}"#,
                "expected a string in `size`",
            ),
        ];
        for (body, message) in cases {
            let error = refusal("VolumeDriver.Create", body);
            assert!(error.contains(message), "{body}: {error}");
        }
    }

    #[test]
    fn fields_of_later_engines_are_passed_on() {
        let lua = Lua::new();
        let body = br#"{"Name":"v","Opts":{},"New":{"a":[1,true,"x"]}}"#;
        let table = decode(&lua, find("VolumeDriver.Create").unwrap().request, body).unwrap();
        assert_eq!(
            table
                .get::<Table>("New")
                .unwrap()
                .get::<Table>("a")
                .unwrap()
                .get::<String>(3)
                .unwrap(),
            "x"
        );
    }
}
