//! JSON to Lua values and back, without an untyped value in between.
//!
//! `null` is `nil`. JSON has arrays and objects, but Lua only tables: an empty table is an object
//! unless it is marked as an array ([`mark_array`]). Every decoded array is marked.

use super::Budget;
use mlua::{Lua, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::ffi::c_void;
use std::fmt;

/// How deep tables can be nested, in both directions.
pub const MAX_DEPTH: usize = 127;

/// What `getmetatable` returns for a table that is filled as it is read. The prelude uses it too.
pub const SELF_FILLING: &str = "request";

/// The limit of JSON text in bytes. Tables can share what they hold, so the script's memory limit
/// does not bound the text.
const MAX_LENGTH: usize = 64 << 20;

/// Why a Lua value cannot be written as JSON, and the place in it.
#[derive(Debug, thiserror::Error)]
#[error("{}{reason}", place(path))]
pub struct EncodeError {
    /// The keys that lead to the place, the outermost first.
    pub path: Vec<String>,
    /// What is wrong there.
    pub reason: String,
}

fn place(path: &[String]) -> String {
    let path = path.concat();
    if path.is_empty() {
        path
    } else {
        format!("at `{}`: ", path.trim_start_matches('.'))
    }
}

/// The metatable that marks arrays, kept in the state.
struct ArrayMark(Table);

/// Marks a table as a list, so that an empty one is written as `[]`.
pub fn mark_array(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(array_mark(lua)?))
}

/// Returns whether a metatable is the one that [`mark_array`] sets.
pub fn is_array_mark(lua: &Lua, metatable: &Table) -> bool {
    lua.app_data_ref::<ArrayMark>()
        .is_some_and(|mark| mark.0 == *metatable)
}

fn array_mark(lua: &Lua) -> mlua::Result<Table> {
    if let Some(mark) = lua.app_data_ref::<ArrayMark>() {
        return Ok(mark.0.clone());
    }
    let mark = lua.create_table()?;
    mark.set_readonly(true);
    lua.set_app_data(ArrayMark(mark.clone()));
    Ok(mark)
}

/// Writes a Lua value as JSON, keys sorted; `pretty` with line breaks and an indent of two.
pub fn encode(
    lua: &Lua,
    budget: &Budget,
    value: &Value,
    pretty: bool,
) -> Result<Vec<u8>, EncodeError> {
    let mark = array_mark(lua).map_err(|e| EncodeError {
        path: Vec::new(),
        reason: e.to_string(),
    })?;
    let mut encoder = Encoder {
        budget,
        mark,
        pretty,
        out: Vec::new(),
        path: Vec::new(),
        around: Vec::new(),
    };
    match encoder.value(value) {
        Ok(()) => Ok(encoder.out),
        Err(reason) => Err(EncodeError {
            path: encoder.path,
            reason,
        }),
    }
}

struct Encoder<'a> {
    budget: &'a Budget,
    mark: Table,
    pretty: bool,
    out: Vec<u8>,
    path: Vec<String>,
    /// The tables that are being written, the outermost first.
    around: Vec<*const c_void>,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value) -> Result<(), String> {
        self.budget.check().map_err(|why| why.to_string())?;
        if self.out.len() > MAX_LENGTH {
            return Err(format!(
                "the text would be longer than {} MiB",
                MAX_LENGTH >> 20
            ));
        }
        match value {
            Value::Nil => self.put(&()),
            Value::Boolean(truth) => self.put(truth),
            Value::Integer(number) => self.put(number),
            Value::Number(number) if number.is_finite() => self.put(number),
            Value::Number(number) => Err(format!("`{number}` is not a number that JSON has")),
            Value::String(text) => match text.to_str() {
                Ok(text) => self.put(&*text),
                Err(_) => Err(
                    "the string is not UTF-8: encode it first, such as with `hash.base64`".into(),
                ),
            },
            Value::Table(table) => self.table(table),
            other => Err(format!("a {} cannot be written as JSON", other.type_name())),
        }
    }

    fn put<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), String> {
        serde_json::to_writer(&mut self.out, value).map_err(|e| e.to_string())
    }

    fn table(&mut self, table: &Table) -> Result<(), String> {
        match filled(table)? {
            Some(filled) => self.plain_table(&filled),
            None => self.plain_table(table),
        }
    }

    fn plain_table(&mut self, table: &Table) -> Result<(), String> {
        let identity = table.to_pointer();
        if self.around.contains(&identity) {
            return Err("the table contains itself".into());
        }
        if self.around.len() == MAX_DEPTH {
            return Err(format!("tables are nested deeper than {MAX_DEPTH}"));
        }
        self.around.push(identity);
        match self.keys(table)? {
            Some(keys) => self.object(table, keys)?,
            None => self.array(table)?,
        }
        self.around.pop();
        Ok(())
    }

    /// Returns the keys of an object, sorted, or `None` for an array.
    fn keys(&self, table: &Table) -> Result<Option<Vec<String>>, String> {
        let (mut keys, mut numbered) = (Vec::new(), 0);
        for pair in table.pairs::<Value, Value>() {
            match pair.map_err(|e| e.to_string())?.0 {
                Value::Integer(_) => numbered += 1,
                Value::String(key) => {
                    keys.push(key.to_str().map_err(|_| "a key is not UTF-8")?.to_owned());
                }
                other => return Err(format!("a {} cannot be a key in JSON", other.type_name())),
            }
        }
        let marked = table.metatable().is_some_and(|mark| mark == self.mark);
        match (keys.is_empty(), numbered) {
            (false, 1..) => Err(format!(
                "the table has both a list's keys and `{}`",
                keys[0]
            )),
            (false, 0) if marked => Err(format!(
                "the table is marked as an array and has the key `{}`",
                keys[0]
            )),
            (true, 0) if marked => Ok(None),
            (true, 1..) if table.raw_len() == numbered => Ok(None),
            (true, 1..) => Err("the list has holes: its keys are not 1, 2, 3 and so on".into()),
            _ => {
                keys.sort_unstable();
                Ok(Some(keys))
            }
        }
    }

    fn object(&mut self, table: &Table, keys: Vec<String>) -> Result<(), String> {
        self.out.push(b'{');
        for (number, key) in keys.iter().enumerate() {
            self.separate(number);
            self.put(key)?;
            self.out
                .extend_from_slice(if self.pretty { b": " } else { b":" });
            self.path.push(format!(".{key}"));
            let value: Value = table.raw_get(key.as_str()).map_err(|e| e.to_string())?;
            self.value(&value)?;
            self.path.pop();
        }
        self.close(keys.is_empty(), b'}');
        Ok(())
    }

    fn array(&mut self, table: &Table) -> Result<(), String> {
        self.out.push(b'[');
        for number in 0..table.raw_len() {
            self.separate(number);
            self.path.push(format!("[{}]", number + 1));
            let value: Value = table.raw_get(number + 1).map_err(|e| e.to_string())?;
            self.value(&value)?;
            self.path.pop();
        }
        self.close(table.raw_len() == 0, b']');
        Ok(())
    }

    fn separate(&mut self, number: usize) {
        if number > 0 {
            self.out.push(b',');
        }
        self.line(self.around.len());
    }

    fn close(&mut self, empty: bool, bracket: u8) {
        if !empty {
            self.line(self.around.len() - 1);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * depth, b' ');
        }
    }
}

/// Returns a complete copy of a table that is filled as it is read.
fn filled(table: &Table) -> Result<Option<Table>, String> {
    let Some(meta) = table.metatable() else {
        return Ok(None);
    };
    let mark: Option<mlua::LuaString> = meta.raw_get("__metatable").unwrap_or_default();
    if mark.is_none_or(|mark| mark.as_bytes() != SELF_FILLING.as_bytes()) {
        return Ok(None);
    }
    let iterate: mlua::Function = meta.raw_get("__iter").map_err(|e| e.to_string())?;
    let (_, filled): (Value, Table) = iterate.call(table).map_err(|e| e.to_string())?;
    Ok(Some(filled))
}

/// Reads JSON as a Lua value. Numbers beyond 2^53 lose their last digits, as all numbers in Lua do.
pub fn decode(lua: &Lua, budget: &Budget, text: &[u8]) -> Result<Value, serde_json::Error> {
    let mark = array_mark(lua).map_err(serde_json::Error::custom)?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Decoder {
        lua,
        budget,
        mark: &mark,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    lua: &'a Lua,
    budget: &'a Budget,
    mark: &'a Table,
}

impl<'de> DeserializeSeed<'de> for Decoder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.check().map_err(D::Error::custom)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Decoder<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Boolean(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.lua
            .create_string(text)
            .map(Value::String)
            .map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let table = self.lua.create_table().map_err(A::Error::custom)?;
        let mut number = 0;
        while let Some(item) = items.next_element_seed(self)? {
            number += 1;
            table.raw_set(number, item).map_err(A::Error::custom)?;
        }
        table
            .set_metatable(Some(self.mark.clone()))
            .map_err(A::Error::custom)?;
        Ok(Value::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let table = self.lua.create_table().map_err(A::Error::custom)?;
        while let Some(key) = entries.next_key_seed(self)? {
            let value = entries.next_value_seed(self)?;
            table.raw_set(key, value).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(table))
    }
}
