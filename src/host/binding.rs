//! How host functions are bound to a script: checks before each call, and the names in its errors.

use super::arguments::wrong_argument;
use super::protected::raising;
use super::results::close_result;
use super::stubs::Stub;
use super::{Host, Needs, Played};
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::fmt::{self, Display, Formatter};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

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
        self.synchronous(lua, false, f)
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
        self.synchronous(lua, true, f)
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
                let delay = binding.admit(&lua)?;
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                if let Some(played) = binding.played::<A>(&lua, true, &args)? {
                    let result = played.map_err(|e| binding.error(&e))?;
                    return close_result(&lua, binding.name, result);
                }
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
        reaches: bool,
        f: fn(&Lua, &Host, A) -> Result<R, E>,
    ) -> mlua::Result<Function>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
        E: Display + 'static,
    {
        lua.create_function(move |lua, args: MultiValue| {
            if reaches {
                self.admit(lua)?;
            } else {
                self.host.check_budget(lua)?;
            }
            if let Some(played) = self.played::<A>(lua, reaches, &args)? {
                let result = played.map_err(|e| self.error(&e))?;
                return close_result(lua, self.name, result);
            }
            let args = self.arguments(lua, args)?;
            let result = f(lua, &self.host, args).map_err(|e| self.error(&e))?;
            close_result(lua, self.name, result)
        })
    }

    /// Returns the double's answer to a call with valid arguments, if there is a double that has
    /// one. A function whose grant depends on its arguments asks the double itself.
    fn played<A: FromLuaMulti>(
        &self,
        lua: &Lua,
        reaches: bool,
        args: &MultiValue,
    ) -> mlua::Result<Option<Played>> {
        if self.host.shared.stage.is_none() || !self.needs.are_checked_first() {
            return Ok(None);
        }
        self.arguments::<A>(lua, args.clone())?;
        Ok(self.host.answer(lua, self.name, reaches, args))
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

    /// Checks that a hook is running, and the grant that does not depend on the arguments. Returns
    /// how long the double of a test delays the function.
    fn admit(&self, lua: &Lua) -> mlua::Result<Duration> {
        self.host.check_budget(lua)?;
        if !self.host.in_call.get() {
            return Err(mlua::Error::runtime(format!(
                "`{}` cannot be used while the script loads: call it from a hook",
                self.name
            )));
        }
        if let Some(grant) = self.needs.stands_alone() {
            let required = self.host.shared.granted().require(&grant);
            required.map_err(|refused| self.error(&refused))?;
        }
        self.host.before(self.name).map_err(|e| self.error(&e))
    }

    fn error(&self, error: &dyn Display) -> mlua::Error {
        let text = format!("{}: {error}", self.name);
        mlua::Error::runtime(self.host.unlocated_text(text))
    }
}
