//! `@moondock/plugin`: the plugin that a script belongs to.

use super::{Host, Module, Needs, function, values};
use mlua::{Lua, Value};
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
    values::decode(lua, &host.budget, &json).map_err(|e| e.to_string())
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
