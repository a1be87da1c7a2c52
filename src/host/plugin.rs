//! `@moondock/plugin`: what a script may know of the plugin that it belongs to.

use super::{Function, Host, Module, Needs, values};
use mlua::{Lua, Value};
use std::io;

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
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, name),
        },
        Function {
            name: "settings",
            signature: "() -> { [string]: any }",
            doc: "`[settings]` of `plugin.toml`, as a table of its own. A changed file loads the scripts again, so what is read while the \
                  script loads stays right.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, settings),
        },
        Function {
            name: "activation",
            signature: "() -> number",
            doc: "How often a Docker daemon has taken the plugin up. The number grows when the daemon is started again, and stays when only \
                  Moondock is. A managed plugin, which no daemon activates, counts each start of its process, and each time that the daemon \
                  asks again for the capabilities of its network or IPAM driver.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, activation),
        },
        Function {
            name: "boot",
            signature: "() -> string",
            doc: "A token that is another one each time the machine is started: what was written with the old one tells of mounts, links and firewall \
                  rules that are gone.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, boot),
        },
        Function {
            name: "process",
            signature: "() -> string",
            doc: "A token that is another one each time Moondock is started, the machine too: an answer that was about to be given with the old \
                  one may never have arrived.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, process),
        },
        Function {
            name: "age",
            signature: "() -> number",
            doc: "For how many seconds this Moondock has been there to be asked.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, age),
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

fn boot(_: &Lua, host: &Host, (): ()) -> io::Result<String> {
    host.shared.boot()
}

fn process(_: &Lua, host: &Host, (): ()) -> io::Result<String> {
    host.shared.process()
}

fn age(_: &Lua, host: &Host, (): ()) -> mlua::Result<f64> {
    Ok(host.shared.since.elapsed().as_secs_f64())
}
