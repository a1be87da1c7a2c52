//! How host functions are bound to a script: checks before each call, and the names in its errors.

use super::arguments::wrong_argument;
use super::protected::raising;
use super::results::Results;
use super::stubs::Stub;
use super::{Host, Needs};
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::fmt::Display;
use std::future::Future;
use std::rc::Rc;

/// The host of a function, what the function needs, and the name that its errors begin with.
pub struct Binding {
    host: Rc<Host>,
    name: String,
    needs: Needs,
    /// The address of the module's table.
    module: usize,
    results: Results,
}

impl Binding {
    /// Binds the function `name` (`fs.read`) of a module's table to the host of a script.
    pub(super) fn new(host: Rc<Host>, name: String, needs: Needs, module: &Table) -> Self {
        Self {
            host,
            results: Results::of(&name),
            name,
            needs,
            module: module.to_pointer() as usize,
        }
    }

    /// Makes a function that touches nothing outside the script, and can be called while it loads.
    pub fn pure<A, R, E>(
        self,
        lua: &Lua,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        self.synchronous(lua, Self::check_budget, f)
    }

    /// Makes a function that touches something outside the script and does not wait for it.
    pub fn instant<A, R, E>(
        self,
        lua: &Lua,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        self.synchronous(lua, Self::admit, f)
    }

    /// Makes a function that waits (for a disk, a process, the kernel) while other calls continue.
    pub fn waiting<A, R, E, F>(
        self,
        lua: &Lua,
        f: fn(Lua, Rc<Host>, A) -> F,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
        F: Future<Output = Result<R, E>> + 'static,
    {
        let binding = Rc::new(self);
        lua.create_async_function(move |lua, args: MultiValue| {
            let binding = binding.clone();
            async move {
                binding.admit(&lua)?;
                let args = binding.arguments(&lua, args)?;
                let outcome = f(lua.clone(), binding.host.clone(), args).await;
                let result = outcome.map_err(|e| binding.error(&e))?;
                binding.results.close(&lua, result)
            }
        })
    }

    /// Makes a function that waits for a function of the script.
    ///
    /// `f` calls that function through [`call_protected`](super::protected::call_protected) and
    /// returns the values of that. Results are returned, and an error is raised unchanged, whatever
    /// value it is. An error of `f` itself is raised with the function's name.
    pub fn calling<A, E, F>(self, lua: &Lua, f: fn(Lua, Rc<Host>, A) -> F) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        E: Display + 'static,
        F: Future<Output = Result<MultiValue, E>> + 'static,
    {
        raising(lua, &self.waiting(lua, f)?)
    }

    fn synchronous<A, R, E>(
        self,
        lua: &Lua,
        check: fn(&Self, &Lua) -> mlua::Result<()>,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        lua.create_function(move |lua, args: MultiValue| {
            check(&self, lua)?;
            let args = self.arguments(lua, args)?;
            let result = f(lua, &self.host, args).map_err(|e| self.error(&e))?;
            self.results.close(lua, result)
        })
    }

    /// Converts the arguments.
    fn arguments<A: FromLuaMulti>(&self, lua: &Lua, args: MultiValue) -> mlua::Result<A> {
        match args.front() {
            Some(Value::Table(first)) if first.to_pointer() as usize == self.module => Err(self
                .error(&format!(
                    "`{}` is a module: write `{}(…)`, with a dot",
                    self.names().0,
                    self.name
                ))),
            _ => A::from_lua_args(args, 1, None, lua).map_err(|error| self.wrong_argument(&error)),
        }
    }

    fn wrong_argument(&self, error: &mlua::Error) -> mlua::Error {
        let (module, function) = self.names();
        let stub = Stub::of(module);
        let parameters = stub.signature(function).map(|s| s.parameters);
        self.error(&wrong_argument(
            stub,
            &parameters.unwrap_or_default(),
            error,
        ))
    }

    /// Returns the names of the module and of the function in it.
    fn names(&self) -> (&str, &str) {
        self.name.split_once('.').unwrap_or_default()
    }

    fn check_budget(&self, lua: &Lua) -> mlua::Result<()> {
        self.host.check_budget(lua)
    }

    /// Checks that a hook is running, and the grant that does not depend on the arguments.
    fn admit(&self, lua: &Lua) -> mlua::Result<()> {
        self.check_budget(lua)?;
        if !self.host.in_call.get() {
            return Err(mlua::Error::runtime(format!(
                "`{}` cannot be used while the script loads: call it from a hook",
                self.name
            )));
        }
        let Some(grant) = self.needs.stands_alone() else {
            return Ok(());
        };
        let required = self.host.shared.granted().require(&grant);
        required.map_err(|refused| self.error(&refused))
    }

    fn error(&self, error: &dyn Display) -> mlua::Error {
        mlua::Error::runtime(format!("{}: {error}", self.name))
    }
}
