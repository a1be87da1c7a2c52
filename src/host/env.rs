//! `@moondock/env`: variables of Moondock's environment.

use super::{Host, Module, Needs, function};
use crate::grants::{Grant, Refused};
use mlua::{BString, Lua};
use std::os::unix::ffi::OsStringExt;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "env",
    functions: &[
        function("get", Needs::Env, |lua, bind| bind.instant(lua, get)),
    ],
};

fn get(_: &Lua, host: &Host, name: String) -> Result<Option<BString>, Refused> {
    host.shared.granted().require(&Grant::Env(name.clone()))?;
    Ok(std::env::var_os(name).map(|value| BString::from(value.into_vec())))
}
