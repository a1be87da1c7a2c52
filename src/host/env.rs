//! `@moondock/env`: variables of Moondock's environment.

use super::{Host, Module, Name, Needs, function};
use crate::grants::{Grant, Refused};
use mlua::{BString, FromLuaMulti, IntoLuaMulti, Lua};
use std::os::unix::ffi::OsStringExt;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "env",
    functions: &[
        function("get", Needs::Env, |lua, bind| bind.instant(lua, get)),
    ],
};

const NAME: Name = Name {
    module: "env",
    function: "get",
};

#[derive(Debug, thiserror::Error)]
enum EnvFailure {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0}")]
    Played(String),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

fn get(lua: &Lua, host: &Host, name: String) -> Result<Option<BString>, EnvFailure> {
    host.shared.granted().require(&Grant::Env(name.clone()))?;
    if let Some(answer) = host.answer(lua, NAME, true, &name.as_str().into_lua_multi(lua)?) {
        let value = answer.map_err(EnvFailure::Played)?;
        return Ok(FromLuaMulti::from_lua_multi(value, lua)?);
    }
    Ok(std::env::var_os(name).map(|value| BString::from(value.into_vec())))
}
