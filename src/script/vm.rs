//! One sandboxed Luau state, and the only way to call into it.

use super::diagnostic::has_place;
use crate::host::{Exhausted, Host, Limits, keep_protected, keep_raise};
use mlua::chunk::Compiler;
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

const PRELUDE: &str = include_str!("prelude.luau");
/// The chunk name of the prelude, whose frames are left out of traces.
pub(super) const PRELUDE_NAME: &str = "=moondock";

/// What stands in a trace besides scripts: the prelude, and what mlua waits in.
const BENEATH: [&str; 2] = ["moondock:", "__mlua_"];

/// What Luau raises, and mlua's word for it in a host function's error.
const MEMORY_MESSAGES: [&str; 2] = ["not enough memory", "memory error: not enough memory"];

/// What comes past the prelude's handler: the message that it lets pass, and that of its own failing.
const WANT_OF_MEMORY: [&str; 2] = [MEMORY_MESSAGES[0], "error in error handling"];

/// What Luau raises where a function that waits cannot give way.
const CANNOT_WAIT: &str = "attempt to yield across";

/// Coroutines that are kept for the next call.
const THREADS: usize = 64;

/// A Luau state with its meter.
pub struct Vm {
    lua: Lua,
    enter: Function,
    host: Rc<Host>,
    limits: Limits,
}

/// A function of a script, with the prelude's way into it.
pub struct Hook {
    run: Function,
    /// The line on which it begins, where that is known.
    pub line: Option<usize>,
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
    /// The script raised it as it stands, with `error(message, 0)` or as a table: there is no fault in the script to
    /// look for.
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
        // The compiler would take `for … in next, t` for Luau's own `next`, and look past the prelude's.
        lua.set_compiler(Compiler::new().set_mutable_globals(["next"]));
        let enter = load_prelude(&lua, &host, limits.memory)?;
        lua.set_interrupt(interrupt(host.clone(), limits.memory));
        Ok(Self {
            lua,
            enter,
            host,
            limits,
        })
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

    /// Makes a function of the script ready to be called.
    ///
    /// # Errors
    /// Only for want of memory.
    pub fn hook(&self, f: &Function) -> mlua::Result<Hook> {
        Ok(Hook {
            run: self.enter.call(f)?,
            line: f.info().line_defined,
        })
    }

    /// Calls `hook` under the budget.
    ///
    /// # Errors
    /// [`Failure::Exhausted`] whatever the script made of it; else what it raised.
    pub async fn call(
        &self,
        hook: &Hook,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, Failure> {
        let outcome = match self.timed(hook, args, deadline).await {
            Ok(mut values) => match values.pop_front() {
                Some(Value::Boolean(true)) => Ok(values),
                _ => Err(self.failure(values.pop_front().unwrap_or(Value::Nil))),
            },
            Err(failure) => Err(failure),
        };
        if outcome.as_ref().is_err_and(Failure::abandons) {
            self.release_abandoned();
        }
        outcome
    }

    async fn timed(
        &self,
        hook: &Hook,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, Failure> {
        let mut call = pin!(hook.run.call_async::<MultiValue>(args));
        let metered = poll_fn(|context| {
            self.host.budget.begin(self.limits.cpu);
            let poll = self.within_memory(|| call.as_mut().poll(context));
            match self.host.budget.end() {
                Err(why) => Poll::Ready(Err(Failure::Exhausted(why))),
                Ok(()) => poll?.map_err(|e| self.rust_failure(&e)),
            }
        });
        let late = Failure::Exhausted(Exhausted::Deadline(deadline.as_millis()));
        tokio::time::timeout(deadline, metered)
            .await
            .unwrap_or(Err(late))
    }

    /// The limit holds while the script runs, and only then: mlua does not bear that Luau refuses it memory while it
    /// makes room for arguments or clears up a coroutine (the process would be aborted).
    fn within_memory<T>(&self, run: impl FnOnce() -> T) -> Result<T, Failure> {
        let limit = |bytes| {
            self.lua
                .set_memory_limit(bytes)
                .map_err(|e| self.rust_failure(&e))
        };
        limit(self.limits.memory)?;
        let outcome = run();
        limit(0)?;
        Ok(outcome)
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
        let located = match raised {
            Value::Table(located) => located,
            Value::String(text) if WANT_OF_MEMORY.contains(&&*text.to_string_lossy()) => {
                return self.memory_used_up();
            }
            Value::Error(error) => return self.rust_failure(&error),
            other => return failure_of(message_of(&other), "", false),
        };
        let value = located.raw_get("value").unwrap_or(Value::Nil);
        let deliberate = located.raw_get("deliberate").unwrap_or_default();
        let field = |name| {
            located
                .raw_get::<Option<mlua::LuaString>>(name)
                .ok()
                .flatten()
        };
        let trace = field("trace").map_or_else(String::new, |trace| trace.to_string_lossy());
        let trace = format!("{}\n{trace}", trace_of(&value));
        let message = match field("text") {
            Some(text) => text.to_string_lossy(),
            None => message_of(&value),
        };
        failure_of(message, &trace, deliberate)
    }

    /// What an error on the Rust side of the state means to the script's author.
    pub fn rust_failure(&self, error: &mlua::Error) -> Failure {
        let message = root_message(error);
        if message == MEMORY_MESSAGES[0] || message.contains(MEMORY_MESSAGES[1]) {
            return self.memory_used_up();
        }
        failure_of(message, "", false)
    }

    fn memory_used_up(&self) -> Failure {
        Failure::Exhausted(Exhausted::Memory(self.limits.memory >> 20))
    }
}

/// What runs every few steps of a script.
fn interrupt(meter: Rc<Host>, limit: usize) -> impl Fn(&Lua) -> mlua::Result<VmState> {
    let live = Cell::new(0);
    move |lua| {
        if meter.budget.check().map_err(mlua::Error::external)? {
            relieve(lua, limit, &live)?;
        }
        Ok(VmState::Continue)
    }
}

/// Luau fails an allocation without having looked for garbage first, and some functions make garbage without ever
/// looking. So a state that is half full is collected, and again when what lives has grown by a quarter.
fn relieve(lua: &Lua, limit: usize, live: &Cell<usize>) -> mlua::Result<()> {
    if lua.used_memory() > (live.get() + limit / 4).max(limit / 2) {
        lua.gc_collect()?;
        live.set(lua.used_memory());
    }
    Ok(())
}

impl Failure {
    /// Whether coroutines of the script may be left that wait for something.
    fn abandons(&self) -> bool {
        match self {
            Failure::Exhausted(_) => true,
            Failure::Raised(raised) => raised.message.contains(CANNOT_WAIT),
        }
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
        lua.create_function(span_of_sets)?,
        memory / 1024 / 4 * 3,
    );
    let globals = lua.globals();
    for name in ["loadstring", "require", "collectgarbage", "newproxy"] {
        globals.raw_set(name, Value::Nil)?;
    }
    keep_raise(lua)?;
    let enter = lua.load(PRELUDE).set_name(PRELUDE_NAME).call(values)?;
    keep_protected(lua)?;
    Ok(enter)
}

fn failure_of(message: String, trace: &str, deliberate: bool) -> Failure {
    let is_script =
        |line: &&str| !line.is_empty() && !BENEATH.iter().any(|chunk| line.starts_with(chunk));
    let trace = trace
        .lines()
        .map(str::trim)
        .filter(is_script)
        .map(str::to_owned)
        .collect();
    let message = without_prelude(&message);
    let deliberate = deliberate && !has_place(&message);
    Failure::Raised(Raised {
        message,
        deliberate,
        trace,
    })
}

/// The absolute value; where it does not fit, the greatest there is, which is beyond any text.
fn to_usize(number: i64) -> usize {
    usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)
}

/// `string.find` of plain text in linear time.
fn find_text(
    _: &Lua,
    (text, part, init): (mlua::LuaString, mlua::LuaString, Option<i64>),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let length = text.as_bytes().len();
    let start = match init.unwrap_or(1) {
        0 => 0,
        init @ 1.. => to_usize(init) - 1,
        back => length.saturating_sub(to_usize(back)),
    };
    let found = text
        .as_bytes()
        .get(start..)
        .and_then(|rest| memchr::memmem::find(rest, &part.as_bytes()))
        .map(|at| start + at);
    Ok((
        found.map(|at| at + 1),
        found.map(|at| at + part.as_bytes().len()),
    ))
}

/// `string.split` in linear time.
fn split_text(
    lua: &Lua,
    (text, separator): (mlua::LuaString, mlua::LuaString),
) -> mlua::Result<Table> {
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

/// How many bytes from the first set of a pattern to the end of the last: no set is longer.
fn span_of_sets(_: &Lua, pattern: mlua::LuaString) -> mlua::Result<usize> {
    let pattern = pattern.as_bytes();
    let span = memchr::memchr(b'[', &pattern).zip(memchr::memrchr(b']', &pattern));
    Ok(span.map_or(0, |(first, last)| last.saturating_sub(first)))
}

/// The text of what `error` was given, but for tables: a string, or a host function's error.
fn message_of(value: &Value) -> String {
    match value {
        Value::Error(error) => root_message(error),
        Value::Table(_) => "error with a table without `message`".to_owned(),
        Value::String(text) => text.to_string_lossy(),
        Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
            value.to_string().unwrap_or_default()
        }
        Value::Nil => "error without a message".to_owned(),
        other => format!("error with a {}", other.type_name()),
    }
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
        mlua::Error::WithContext { context, cause } => {
            format!("{context}: {}", root_message(cause))
        }
        mlua::Error::RuntimeError(message)
        | mlua::Error::MemoryError(message)
        | mlua::Error::SyntaxError { message, .. } => message
            .split("\nstack traceback:")
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        other => other.to_string(),
    }
}

/// Luau puts the place of the prelude in front of errors of the functions that it wraps.
fn without_prelude(message: &str) -> String {
    let place = message
        .strip_prefix(&PRELUDE_NAME[1..])
        .and_then(|rest| rest.strip_prefix(':'));
    match place.and_then(|rest| rest.split_once(": ")) {
        Some((line, message)) if line.bytes().all(|b| b.is_ascii_digit()) => message.to_owned(),
        _ => message.to_owned(),
    }
}
