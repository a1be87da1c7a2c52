//! `@moondock/json`: JSON text and Lua values.

use super::{Function, Host, Module, Needs, values};
use mlua::{BString, Lua, LuaString, Table, Value};

/// The module's table.
pub const MODULE: Module = Module {
    name: "json",
    summary: "JSON text as Lua values, and back. `null` is `nil`: a key whose value is `null` is absent.",
    types: "",
    functions: &[
        Function {
            name: "encode",
            signature: "(value: any, options: { pretty: boolean? }?) -> string",
            doc: "The value as JSON, with the keys of objects sorted. With `pretty` on several lines, indented by two.\n\n\
                  A table with the keys 1 to n is an array, one with strings as keys an object. An **empty** table is `{}`, unless \
                  `array` marked it or `decode` read it as an array.\n\n\
                  Raises, and says where in the value, on a function, NaN or infinity, a string that is not UTF-8, a table that has both kinds of keys, has \
                  holes, contains itself, or is nested more than 127 deep.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, encode),
        },
        Function {
            name: "decode",
            signature: "(text: string) -> any",
            doc: "The value that the text stands for. Integers are exact up to 2^53. Of a key that appears twice the last one counts. A `null` in an \
                  array leaves a hole.\n\nRaises on anything that is not one JSON value, with line and column.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, decode),
        },
        Function {
            name: "array",
            signature: "<T>(list: { T }) -> { T }",
            doc: "Marks the table as a list and returns it, so that `encode` and the store write `[]` when it is empty. It does so with a metatable, \
                  so the table must not have another one.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, array),
        },
    ],
};

fn encode(
    lua: &Lua,
    host: &Host,
    (value, options): (Value, Option<Table>),
) -> Result<BString, String> {
    let pretty = options
        .map_or(Ok(Value::Nil), |options| options.get("pretty"))
        .map_err(|e| e.to_string())?;
    let pretty = match pretty {
        Value::Nil => false,
        Value::Boolean(pretty) => pretty,
        other => {
            return Err(format!(
                "`pretty` must be a boolean, not a {}",
                other.type_name()
            ));
        }
    };
    let text =
        values::encode(lua, &host.budget, &value, pretty).map_err(|error| error.to_string())?;
    Ok(BString::from(text))
}

fn decode(lua: &Lua, host: &Host, text: LuaString) -> Result<Value, serde_json::Error> {
    values::decode(lua, &host.budget, &text.as_bytes())
}

fn array(lua: &Lua, _: &Host, list: Table) -> Result<Table, String> {
    match list.metatable() {
        Some(other) if !values::is_array_mark(lua, &other) => {
            Err("the table has a metatable already".into())
        }
        _ => values::mark_array(lua, &list)
            .map(|()| list)
            .map_err(|error| error.to_string()),
    }
}
