//! The std modules: what a script gets from `require("@moondock/…")`.
//!
//! Each module is one file with its table of functions on top. The table is the single source of the
//! module's Lua table, its type stub under `scripts/types/` and its reference page.

mod budget;
mod needs;
mod record;
mod shared;
mod values;

pub mod docker;
pub mod env;
pub mod firewall;
pub mod fs;
pub mod hash;
pub mod http;
pub mod json;
pub mod log;
pub mod net;
pub mod plugin;
pub mod process;
pub mod store;
pub mod time;

pub use budget::{Budget, Exhausted, Limits};
pub use needs::Needs;
pub use shared::{Host, Shared};
pub use values::SELF_FILLING;

use mlua::{FromLuaMulti, IntoLuaMulti, Lua, MultiValue, Table};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use crate::sys::scripts::MANIFEST;

/// All modules, by name.
pub const MODULES: &[&Module] = &[
    &docker::MODULE,
    &env::MODULE,
    &firewall::MODULE,
    &fs::MODULE,
    &hash::MODULE,
    &http::MODULE,
    &json::MODULE,
    &log::MODULE,
    &net::MODULE,
    &plugin::MODULE,
    &process::MODULE,
    &store::MODULE,
    &time::MODULE,
];

/// One std module.
pub struct Module {
    /// The name after `@moondock/`.
    pub name: &'static str,
    /// What it is for, in one or two sentences of Markdown.
    pub summary: &'static str,
    /// Luau type aliases that the signatures use, as they stand in the type stub.
    pub types: &'static str,
    /// Its functions, in the order of the reference page.
    pub functions: &'static [Function],
}

/// One function of a std module.
pub struct Function {
    /// Its name in the module's table.
    pub name: &'static str,
    /// Its Luau type without the name, such as `(path: string) -> string`.
    pub signature: &'static str,
    /// What it does, what it raises, in Markdown.
    pub doc: &'static str,
    /// What the plugin must be granted for it.
    pub needs: Needs,
    /// Makes the Lua function; one of [`Binding`]'s constructors.
    pub make: fn(&Lua, Binding) -> mlua::Result<mlua::Function>,
}

/// A function's tie to its host, and the name that its errors begin with.
pub struct Binding {
    host: Rc<Host>,
    name: String,
    needs: Needs,
}

/// Keeps the state's `pcall` as it is now, before any script can set another one.
pub fn keep_protected(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(PROTECTED, lua.globals().get::<mlua::Function>("pcall")?)
}

/// Keeps the state's `error` as it is now.
pub fn keep_raise(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(RAISE, lua.globals().get::<mlua::Function>("error")?)
}

const PROTECTED: &str = "moondock.pcall";
const RAISE: &str = "moondock.error";

fn kept(lua: &Lua, name: &str, global: &str) -> mlua::Result<mlua::Function> {
    match lua.named_registry_value::<Option<mlua::Function>>(name)? {
        Some(kept) => Ok(kept),
        None => lua.globals().get(global),
    }
}

/// Calls a function of the script through the state's `pcall`.
async fn call_protected(lua: &Lua, args: impl IntoLuaMulti) -> mlua::Result<MultiValue> {
    let pcall = kept(lua, PROTECTED, "pcall")?;
    let call = Box::pin(pcall.call_async(args));
    Nested {
        lua: lua.clone(),
        call: Some(call),
    }
    .await
}

/// A call from within a call. When it ends mlua clears up its coroutine, and does not bear that Luau refuses it
/// memory then: so there is no limit for that moment.
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

/// Rust can raise only what it can hold; Lua can raise any value.
const PASS_ON: &str = r"
local run, error = ...
local function raise(ok, ...)
  if ok then return ... end
  error((...), 0)
end
return function(...) return raise(run(...)) end
";

impl Module {
    /// The module's table for one script.
    pub fn table(&self, lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for function in self.functions {
            let name = format!("{}.{}", self.name, function.name);
            let binding = Binding {
                host: host.clone(),
                name,
                needs: function.needs,
            };
            table.raw_set(function.name, (function.make)(lua, binding)?)?;
        }
        table.set_readonly(true);
        Ok(table)
    }
}

impl Binding {
    /// A function that touches nothing outside the script, and so may run while the script loads.
    pub fn pure<A, R, E>(
        self,
        lua: &Lua,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<mlua::Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        self.at_once(lua, Self::look, f)
    }

    /// A function that answers at once but touches something outside the script.
    pub fn instant<A, R, E>(
        self,
        lua: &Lua,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<mlua::Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        self.at_once(lua, Self::enter, f)
    }

    fn at_once<A, R, E>(
        self,
        lua: &Lua,
        admit: fn(&Self) -> mlua::Result<()>,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<mlua::Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        lua.create_function(move |lua, args: A| {
            admit(&self)?;
            f(lua, &self.host, args).map_err(|e| self.failed(&e))
        })
    }

    /// A function that waits (for a disk, a process, the kernel): other calls go on meanwhile.
    pub fn waiting<A, R, E, F>(
        self,
        lua: &Lua,
        f: fn(Lua, Rc<Host>, A) -> F,
    ) -> mlua::Result<mlua::Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
        F: Future<Output = Result<R, E>> + 'static,
    {
        let binding = Rc::new(self);
        lua.create_async_function(move |lua, args: A| {
            let binding = binding.clone();
            async move {
                binding.enter()?;
                f(lua, binding.host.clone(), args)
                    .await
                    .map_err(|e| binding.failed(&e))
            }
        })
    }

    /// A function that waits for a function of the script. `f` calls it through [`call_protected`] and answers with what that
    /// gave: results are returned, and an error, whatever value it is, goes on unchanged. Errors of `f` itself are
    /// named as always.
    pub fn calling<A, E, F>(
        self,
        lua: &Lua,
        f: fn(Lua, Rc<Host>, A) -> F,
    ) -> mlua::Result<mlua::Function>
    where
        A: FromLuaMulti + 'static,
        E: Display + 'static,
        F: Future<Output = Result<MultiValue, E>> + 'static,
    {
        let error = kept(lua, RAISE, "error")?;
        lua.load(PASS_ON)
            .set_name("=moondock")
            .call((self.waiting(lua, f)?, error))
    }

    fn look(&self) -> mlua::Result<()> {
        self.host.budget.look().map_err(mlua::Error::external)
    }

    fn enter(&self) -> mlua::Result<()> {
        self.look()?;
        if !self.host.in_call.get() {
            return Err(mlua::Error::runtime(format!(
                "`{}` cannot be used while the script loads: call it from a hook",
                self.name
            )));
        }
        match self.needs.stands_alone() {
            Some(grant) => self
                .host
                .shared
                .granted()
                .require(&grant)
                .map_err(|e| self.failed(&e)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: &dyn Display) -> mlua::Error {
        mlua::Error::runtime(format!("{}: {error}", self.name))
    }
}
