//! `@moondock/plugin`: what a script may know of the plugin that it belongs to.

use super::{Function, Host, Module, values};
use mlua::{Lua, Value};

/// The module's table.
pub const MODULE: Module = Module {
    name: "plugin",
    summary: "The plugin that the script belongs to.",
    types: "",
    functions: &[
        Function {
            name: "name",
            signature: "() -> string",
            doc: "The plugin's name, as Docker knows it: the name of its directory. May be used while the script loads.",
            make: |lua, binding| binding.pure(lua, name),
        },
        Function {
            name: "settings",
            signature: "() -> { [string]: any }",
            doc: "`[settings]` of `plugin.toml`, as a table of its own. A changed file loads the scripts again, so what is read while the \
                  script loads stays right.",
            make: |lua, binding| binding.pure(lua, settings),
        },
        Function {
            name: "activation",
            signature: "() -> number",
            doc: "How often a Docker daemon has activated the plugin. The number grows when the daemon is started again, and stays when only \
                  Moondock is. A managed plugin is started by the engine, so there it grows with each start.",
            make: |lua, binding| binding.pure(lua, activation),
        },
    ],
};

fn name(_: &Lua, host: &Host, (): ()) -> mlua::Result<String> {
    Ok(host.shared.name.clone())
}

fn settings(lua: &Lua, host: &Host, (): ()) -> Result<Value, String> {
    let json = serde_json::to_vec(&*host.settings).map_err(|e| e.to_string())?;
    values::decode(lua, &host.budget, &json).map_err(|e| e.to_string())
}

fn activation(_: &Lua, host: &Host, (): ()) -> mlua::Result<u64> {
    Ok(host.shared.activation())
}
