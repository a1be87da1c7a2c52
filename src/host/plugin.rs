//! `@moondock/plugin`: the plugin that a script belongs to.

use super::{Host, Module, Needs, closing, function, hint, values};
use mlua::{Lua, Table, Value};
use std::io;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "plugin",
    functions: &[
        function("name",       Needs::Nothing, |lua, bind| bind.pure(lua, name)),
        function("settings",   Needs::Nothing, |lua, bind| bind.pure(lua, settings)),
        function("activation", Needs::Nothing, |lua, bind| bind.pure(lua, activation)),
        function("boot",       Needs::Nothing, |lua, bind| bind.pure(lua, boot)),
        function("process",    Needs::Nothing, |lua, bind| bind.pure(lua, process)),
        function("age",        Needs::Nothing, |lua, bind| bind.pure(lua, age)),
    ],
};

fn name(_: &Lua, host: &Host, (): ()) -> mlua::Result<String> {
    Ok(host.shared.name.clone())
}

fn settings(lua: &Lua, host: &Host, (): ()) -> Result<Value, String> {
    let json = serde_json::to_vec(&*host.settings).map_err(|e| e.to_string())?;
    let settings = values::decode(lua, &host.budget, &json).map_err(|e| e.to_string())?;
    if let Value::Table(table) = &settings {
        close(lua, host, table).map_err(|e| e.to_string())?;
    }
    Ok(settings)
}

/// Makes reading a setting raise that `plugin.toml` does not have. Tables in it may be maps, whose keys
/// are data.
fn close(lua: &Lua, host: &Host, table: &Table) -> mlua::Result<()> {
    let settings = host.settings.clone();
    let unknown = move |_: &Lua, _: &Table, name: &str| {
        let known: Vec<_> = settings.keys().collect();
        format!("plugin.toml has no setting `{name}`{}", hint(name, &known))
    };
    table.set_metatable(Some(closing(lua, &[], unknown)?))
}

fn activation(_: &Lua, host: &Host, (): ()) -> mlua::Result<u64> {
    Ok(host.shared.activation())
}

fn boot(_: &Lua, host: &Host, (): ()) -> io::Result<String> {
    host.shared.boot()
}

fn process(_: &Lua, host: &Host, (): ()) -> io::Result<String> {
    host.shared.process()
}

fn age(_: &Lua, host: &Host, (): ()) -> mlua::Result<f64> {
    Ok(host.shared.since.elapsed().as_secs_f64())
}
