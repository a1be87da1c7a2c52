//! Calls from host functions back into the script.

use mlua::{Function, IntoLuaMulti, Lua, MultiValue};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The chunk name of Moondock's own code in a state, whose frames are left out of traces.
pub const PRELUDE: &str = "=moondock";

const PCALL: &str = "moondock.pcall";
const ERROR: &str = "moondock.error";

/// Raises what the function `run` returns after `false`. Rust can raise errors only; Lua can raise
/// any value.
const RAISING: &str = r"
local run, error = ...
local function raise(ok, ...)
  if ok then return ... end
  error((...), 0)
end
return function(...) return raise(run(...)) end
";

/// Keeps the state's `pcall` as it is now, before a script can replace it.
pub fn keep_pcall(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(PCALL, lua.globals().get::<Function>("pcall")?)
}

/// Keeps the state's `error` as it is now.
pub fn keep_error(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(ERROR, lua.globals().get::<Function>("error")?)
}

fn kept(lua: &Lua, name: &str, global: &str) -> mlua::Result<Function> {
    match lua.named_registry_value::<Option<Function>>(name)? {
        Some(kept) => Ok(kept),
        None => lua.globals().get(global),
    }
}

/// Calls a function of the script through the state's `pcall`.
pub(super) async fn call_protected(lua: &Lua, args: impl IntoLuaMulti) -> mlua::Result<MultiValue> {
    let pcall = kept(lua, PCALL, "pcall")?;
    let nested = Nested {
        lua: lua.clone(),
        call: Some(Box::pin(pcall.call_async(args))),
    };
    nested.await
}

/// Wraps `run`, which returns what `pcall` does: results are returned, errors are raised unchanged.
pub(super) fn raising(lua: &Lua, run: &Function) -> mlua::Result<Function> {
    let error = kept(lua, ERROR, "error")?;
    lua.load(RAISING).set_name(PRELUDE).call((run, error))
}

/// A call within a call, which lifts the memory limit while it is dropped: mlua then cleans up its
/// coroutine, and panics if Luau refuses the memory for that.
struct Nested<F> {
    lua: Lua,
    call: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = mlua::Result<MultiValue>>> Future for Nested<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<F::Output> {
        match &mut self.call {
            Some(call) => call.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Nested<F> {
    fn drop(&mut self) {
        let limit = self.lua.set_memory_limit(0);
        self.call = None;
        // Only a state with a foreign allocator has no limit.
        let _ = limit.and_then(|limit| self.lua.set_memory_limit(limit));
    }
}
