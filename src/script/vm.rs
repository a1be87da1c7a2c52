//! One sandboxed Luau state, and the only way to call into it.

use super::diagnostic::has_place;
use crate::std::{Exhausted, Host, Limits};
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

const PRELUDE: &str = include_str!("prelude.luau");
/// The chunk name of the prelude, whose frames are left out of traces.
pub(super) const PRELUDE_NAME: &str = "=moondock";

/// The chunks between a script and a host function: the prelude, and what mlua waits in.
const BENEATH: [&str; 2] = ["moondock:", "__mlua_"];

/// What a message about memory says, whoever raises it.
const MEMORY_MESSAGE: &str = "not enough memory";

/// Coroutines that are kept for the next call.
const THREADS: usize = 64;

/// A Luau state with its meter.
pub struct Vm {
    lua: Lua,
    run: Function,
    host: Rc<Host>,
    limits: Limits,
}

/// Why a call into a state gave no result.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The budget is used up.
    Exhausted(Exhausted),
    /// The script raised an error.
    Raised(Raised),
}

/// What a script raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The message, with the place in front where Luau put it.
    pub message: String,
    /// The script raised it as it stands, with `error(message, 0)`: there is no fault in the script to look for.
    pub deliberate: bool,
    /// The frames from the inside out, each as `file:line` and perhaps a function's name.
    pub trace: Vec<String>,
}

impl Vm {
    /// A new state whose host functions belong to `host`.
    ///
    /// # Errors
    /// Only for want of memory.
    pub fn new(host: Rc<Host>, limits: Limits) -> mlua::Result<Self> {
        let options = LuaOptions::new().thread_pool_size(THREADS);
        let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
        lua.set_memory_limit(limits.memory)?;
        let run = load_prelude(&lua, &host, limits.memory)?;
        let meter = host.clone();
        lua.set_interrupt(move |_| {
            meter.budget.check().map(|()| VmState::Continue).map_err(mlua::Error::external)
        });
        Ok(Self { lua, run, host, limits })
    }

    /// The state itself, to make values in.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// What the state's host functions belong to.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Closes the library and the globals to writing. What scripts assign to globals is theirs alone.
    ///
    /// # Errors
    /// Only for want of memory.
    pub fn seal(&self) -> mlua::Result<()> {
        self.lua.sandbox(true)
    }

    /// Calls `f` under the budget.
    ///
    /// # Errors
    /// [`Failure::Exhausted`] whatever the script made of it; else what it raised.
    pub async fn call(
        &self,
        f: &Function,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, Failure> {
        let outcome = match self.timed(f, args, deadline).await {
            Ok(mut values) => match values.pop_front() {
                Some(Value::Boolean(true)) => Ok(values),
                _ => Err(self.failure(values.pop_front().unwrap_or(Value::Nil))),
            },
            Err(failure) => Err(failure),
        };
        if matches!(outcome, Err(Failure::Exhausted(_))) {
            self.release_abandoned();
        }
        outcome
    }

    async fn timed(
        &self,
        f: &Function,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, Failure> {
        let mut args = args.into_lua_multi(&self.lua).map_err(|e| self.rust_failure(&e))?;
        args.push_front(Value::Function(f.clone()));
        let mut call = pin!(self.run.call_async::<MultiValue>(args));
        let metered = poll_fn(|context| {
            self.host.budget.begin(self.limits.cpu);
            let poll = call.as_mut().poll(context);
            match self.host.budget.end() {
                Err(why) => Poll::Ready(Err(Failure::Exhausted(why))),
                Ok(()) => poll.map_err(|e| self.rust_failure(&e)),
            }
        });
        let late = Failure::Exhausted(Exhausted::Deadline(deadline.as_millis()));
        tokio::time::timeout(deadline, metered).await.unwrap_or(Err(late))
    }

    /// Coroutines that a given-up call left behind hold processes and locks until they are collected.
    fn release_abandoned(&self) {
        for _ in 0..2 {
            if let Err(error) = self.lua.gc_collect() {
                tracing::warn!(%error, "collecting what a call left behind");
            }
        }
    }

    fn failure(&self, raised: Value) -> Failure {
        let (value, trace) = match raised {
            Value::Table(located) => (
                located.get("value").unwrap_or(Value::Nil),
                located.get::<String>("trace").unwrap_or_default(),
            ),
            other => (other, String::new()),
        };
        let trace = format!("{}\n{trace}", trace_of(&value));
        let deliberate = value.is_string() || message_in(&value).is_some();
        self.raised(message_of(&value), &trace, deliberate)
    }

    /// What an error on the Rust side of the state means to the script's author.
    pub fn rust_failure(&self, error: &mlua::Error) -> Failure {
        self.raised(root_message(error), "", false)
    }

    fn raised(&self, message: String, trace: &str, deliberate: bool) -> Failure {
        if message.contains(MEMORY_MESSAGE) {
            return Failure::Exhausted(Exhausted::Memory(self.limits.memory >> 20));
        }
        let is_script =
            |line: &&str| !line.is_empty() && !BENEATH.iter().any(|chunk| line.starts_with(chunk));
        let trace = trace.lines().map(str::trim).filter(is_script).map(str::to_owned).collect();
        let message = without_prelude(&message);
        let deliberate = deliberate && !has_place(&message);
        Failure::Raised(Raised { message, deliberate, trace })
    }
}

fn load_prelude(lua: &Lua, host: &Rc<Host>, memory: usize) -> mlua::Result<Function> {
    let meter = host.clone();
    let memory_used_up = lua.create_function(move |_, ()| -> mlua::Result<()> {
        let why = Exhausted::Memory(memory >> 20);
        meter.budget.exhaust(why);
        Err(mlua::Error::external(why))
    })?;
    let values = (
        Lua::poll_pending(),
        memory_used_up,
        lua.create_function(|lua, raised: Value| lua.create_string(message_of(&raised)))?,
        lua.create_function(find_text)?,
        lua.create_function(split_text)?,
    );
    let globals = lua.globals();
    for name in ["loadstring", "require", "collectgarbage", "newproxy"] {
        globals.raw_set(name, Value::Nil)?;
    }
    lua.load(PRELUDE).set_name(PRELUDE_NAME).call(values)
}

/// `string.find` of plain text in linear time.
fn find_text(
    _: &Lua,
    (text, part, init): (mlua::LuaString, mlua::LuaString, Option<i64>),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let length = text.as_bytes().len();
    let start = match init.unwrap_or(1) {
        init @ 1.. => init as usize - 1,
        0 => 0,
        back => length.saturating_sub(back.unsigned_abs() as usize),
    };
    let found = text
        .as_bytes()
        .get(start..)
        .and_then(|rest| memchr::memmem::find(rest, &part.as_bytes()))
        .map(|at| start + at);
    Ok((found.map(|at| at + 1), found.map(|at| at + part.as_bytes().len())))
}

/// `string.split` in linear time.
fn split_text(lua: &Lua, (text, separator): (mlua::LuaString, mlua::LuaString)) -> mlua::Result<Table> {
    let (text, separator) = (text.as_bytes(), separator.as_bytes());
    let parts = lua.create_table()?;
    let mut start = 0;
    for at in memchr::memmem::find_iter(&text, &separator) {
        parts.raw_push(lua.create_string(&text[start..at])?)?;
        start = at + separator.len();
    }
    parts.raw_push(lua.create_string(&text[start..])?)?;
    Ok(parts)
}

/// The text of anything that `error` was given: a string, a table with a `message`, or a host function's error.
fn message_of(value: &Value) -> String {
    match value {
        Value::Error(error) => root_message(error),
        Value::Table(_) => {
            message_in(value).unwrap_or_else(|| "error with a table without `message`".to_owned())
        }
        Value::Nil => "error without a message".to_owned(),
        other => other.to_string().unwrap_or_else(|_| format!("a {}", other.type_name())),
    }
}

fn message_in(value: &Value) -> Option<String> {
    value.as_table().and_then(|table| table.get::<Option<String>>("message").ok().flatten())
}

/// The frames of the file in which `require` failed, beyond which the trace of the whole does not see.
fn trace_of(value: &Value) -> &str {
    let mut error = value.as_error();
    let mut innermost = "";
    while let Some(mlua::Error::CallbackError { traceback, cause }) = error {
        (innermost, error) = (traceback, Some(cause.as_ref()));
    }
    innermost
}

fn root_message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => root_message(cause),
        mlua::Error::WithContext { context, cause } => format!("{context}: {}", root_message(cause)),
        mlua::Error::RuntimeError(message)
        | mlua::Error::MemoryError(message)
        | mlua::Error::SyntaxError { message, .. } => {
            message.split("\nstack traceback:").next().unwrap_or_default().trim_end().to_owned()
        }
        other => other.to_string(),
    }
}

/// Luau puts the place of the prelude in front of errors of the functions that it wraps.
fn without_prelude(message: &str) -> String {
    let place = message.strip_prefix(&PRELUDE_NAME[1..]).and_then(|rest| rest.strip_prefix(':'));
    match place.and_then(|rest| rest.split_once(": ")) {
        Some((line, message)) if line.bytes().all(|b| b.is_ascii_digit()) => message.to_owned(),
        _ => message.to_owned(),
    }
}
