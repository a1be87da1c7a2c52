//! How host functions are bound to a script: checks before each call, and the names in its errors.

use super::arguments::wrong_argument;
use super::protected::raising;
use super::results::close_result;
use super::stubs::Stub;
use super::{Host, Needs};
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::fmt::{self, Display, Formatter};
use std::future::Future;
use std::rc::Rc;

/// The name of a host function: `fs.read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The module's name.
    pub module: &'static str,
    /// The function's name in the module.
    pub function: &'static str,
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.function)
    }
}

/// The host of a function, what the function needs, and the name that its errors begin with.
pub struct Binding {
    host: Rc<Host>,
    name: Name,
    needs: Needs,
    /// The address of the module's table.
    module: usize,
}

impl Binding {
    /// Binds a function of a module's table to the host of a script.
    pub(super) fn new(host: Rc<Host>, name: Name, needs: Needs, module: &Table) -> Self {
        Self {
            host,
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
                close_result(&lua, binding.name, result)
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
            close_result(lua, self.name, result)
        })
    }

    /// Converts the arguments.
    fn arguments<A: FromLuaMulti>(&self, lua: &Lua, args: MultiValue) -> mlua::Result<A> {
        match args.front() {
            Some(Value::Table(first)) if first.to_pointer() as usize == self.module => Err(self
                .error(&format!(
                    "`{}` is a module: write `{}(…)`, with a dot",
                    self.name.module, self.name
                ))),
            _ => A::from_lua_args(args, 1, None, lua).map_err(|error| self.wrong_argument(&error)),
        }
    }

    fn wrong_argument(&self, error: &mlua::Error) -> mlua::Error {
        let stub = Stub::of(self.name.module);
        let parameters = stub.signature(self.name.function).map(|s| s.parameters);
        self.error(&wrong_argument(
            stub,
            &parameters.unwrap_or_default(),
            error,
        ))
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
