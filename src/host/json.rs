//! `@moondock/json`: JSON text to Lua values and back.

use super::record::{Record, RecordError};
use super::{Host, Module, Needs, function, values};
use mlua::{BString, Lua, LuaString, Table, Value};

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "json",
    functions: &[
        function("encode", Needs::Nothing, |lua, bind| bind.pure(lua, encode)),
        function("decode", Needs::Nothing, |lua, bind| bind.pure(lua, decode)),
        function("array",  Needs::Nothing, |lua, bind| bind.pure(lua, array)),
    ],
};

#[derive(Debug, thiserror::Error)]
enum JsonFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Encode(#[from] values::EncodeError),
}

fn encode(
    lua: &Lua,
    host: &Host,
    (value, options): (Value, Option<Table>),
) -> Result<BString, JsonFailure> {
    let options = Record::new(options, &["pretty"])?;
    let pretty = options.optional("pretty")?.unwrap_or_default();
    Ok(values::encode(lua, &host.budget, &value, pretty)?.into())
}

fn decode(lua: &Lua, host: &Host, text: LuaString) -> Result<Value, serde_json::Error> {
    values::decode(lua, &host.budget, &text.as_bytes())
}

fn array(lua: &Lua, _: &Host, list: Table) -> Result<Table, String> {
    match list.metatable() {
        Some(other) if !values::is_array_mark(lua, &other) => {
            Err("the table already has a metatable".into())
        }
        _ => values::mark_array(lua, &list)
            .map(|()| list)
            .map_err(|error| error.to_string()),
    }
}
