//! `@moondock/env`: variables of the process's environment.

use super::{Function, Host, Module, Needs};
use crate::grants::{Grant, Refused};
use mlua::{BString, Lua};
use std::os::unix::ffi::OsStringExt;

/// The module's table.
pub const MODULE: Module = Module {
    name: "env",
    summary: "Variables of Moondock's environment, such as a token that the service manager hands over. In a managed plugin they are set with `docker plugin set`.",
    types: "",
    functions: &[Function {
        name: "get",
        signature: "(name: string) -> string?",
        doc: "The variable's value; `nil` when it is not set.\n\n```lua\nlocal token = env.get(\"VAULT_TOKEN\") or error(\"VAULT_TOKEN is not set\", 0)\n```",
        needs: Needs::Env,
        make: |lua, binding| binding.instant(lua, get),
    }],
};

fn get(_: &Lua, host: &Host, name: String) -> Result<Option<BString>, Refused> {
    host.shared.granted().require(&Grant::Env(name.clone()))?;
    Ok(std::env::var_os(name).map(|value| BString::from(value.into_vec())))
}
