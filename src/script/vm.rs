//! A sandboxed Luau state, and the only way to call into it.

use super::failure::CallFailure;
use super::place::Place;
use super::prelude;
use crate::host::{Exhausted, Host, log};
use mlua::chunk::Compiler;
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Value, VmState};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The level at which the lines that ran are counted while scripts are tested: statements.
const COVERAGE: u8 = 1;

/// How many coroutines are kept for later calls.
const THREAD_POOL_SIZE: usize = 64;

/// A Luau state with its budget.
pub struct Vm {
    lua: Lua,
    enter: Function,
    host: Rc<Host>,
}

/// A function of a script, wrapped by the prelude.
pub struct Hook {
    run: Function,
    /// The file and line on which it begins, if they are known.
    pub place: Option<Place>,
}

impl Vm {
    /// Creates a state whose host functions belong to `host`.
    ///
    /// # Errors
    /// Only if memory is exhausted.
    pub fn new(host: Rc<Host>) -> mlua::Result<Self> {
        let options = LuaOptions::new().thread_pool_size(THREAD_POOL_SIZE);
        let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
        // Otherwise the compiler takes `for … in next, t` for Luau's own `next`, and bypasses the
        // prelude's.
        let compiler = Compiler::new().set_mutable_globals(["next"]);
        lua.set_compiler(match host.shared.stage {
            Some(_) => compiler.set_coverage_level(COVERAGE),
            None => compiler,
        });
        let enter = prelude::load(&lua, &host)?;
        lua.set_interrupt(interrupt(host.clone()));
        Ok(Self { lua, enter, host })
    }

    /// Returns the state itself, to make values in.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Returns the host that the state's host functions belong to.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Makes the library and the globals read-only. Globals that a script sets are its own.
    ///
    /// # Errors
    /// Only if memory is exhausted.
    pub fn seal(&self) -> mlua::Result<()> {
        self.lua.sandbox(true)
    }

    /// Wraps a function of the script, so that it can be called.
    ///
    /// # Errors
    /// Only if memory is exhausted.
    pub fn hook(&self, f: &Function) -> mlua::Result<Hook> {
        let info = f.info();
        let file = info.short_src.or(info.source);
        Ok(Hook {
            run: self.enter.call(f)?,
            place: file.zip(info.line_defined),
        })
    }

    /// Calls `hook` within the budget.
    ///
    /// # Errors
    /// [`CallFailure::Exhausted`] whether or not the script caught it; otherwise what it raised.
    pub async fn call(
        &self,
        hook: &Hook,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, CallFailure> {
        let outcome = match self.timed(hook, args, deadline).await {
            Ok(mut values) => match values.pop_front() {
                Some(Value::Boolean(true)) => Ok(values),
                _ => Err(self.raised(&values.pop_front().unwrap_or(Value::Nil))),
            },
            Err(failure) => Err(failure),
        };
        log::report_left_out(&self.host);
        if outcome
            .as_ref()
            .is_err_and(CallFailure::abandons_coroutines)
        {
            self.collect_abandoned();
        }
        outcome
    }

    async fn timed(
        &self,
        hook: &Hook,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, CallFailure> {
        let mut call = pin!(hook.run.call_async::<MultiValue>(args));
        // Each poll is a slice: it runs until the script waits.
        let metered = poll_fn(|context| {
            self.host.budget.begin(self.host.limits.cpu);
            self.host.stopped_at.take();
            let poll = self.within_memory(|| call.as_mut().poll(context));
            match self.host.budget.end() {
                Err(why) => Poll::Ready(Err(self.exhausted(why))),
                Ok(()) => poll?.map_err(|e| self.rust_failure(&e)),
            }
        });
        let late = CallFailure::Exhausted(Exhausted::Deadline(deadline.as_millis()), None);
        tokio::time::timeout(deadline, metered)
            .await
            .unwrap_or(Err(late))
    }

    /// Sets the memory limit while the script runs, and only then. Where mlua makes room for
    /// arguments or cleans up a coroutine, it aborts the process if Luau refuses it memory.
    fn within_memory<T>(&self, run: impl FnOnce() -> T) -> Result<T, CallFailure> {
        let limit = |bytes| {
            self.lua
                .set_memory_limit(bytes)
                .map_err(|e| self.rust_failure(&e))
        };
        limit(self.host.limits.memory)?;
        let outcome = run();
        limit(0)?;
        Ok(outcome)
    }

    /// Collects the coroutines that a cancelled call left behind, with their processes and locks.
    pub(super) fn collect_abandoned(&self) {
        for _ in 0..2 {
            if let Err(error) = self.lua.gc_collect() {
                tracing::warn!(%error, "garbage collection after a cancelled call failed");
            }
        }
    }

    fn raised(&self, value: &Value) -> CallFailure {
        CallFailure::of_value(value).unwrap_or_else(|| self.out_of_memory())
    }

    /// Returns what an error on the Rust side of the state means to the script's author.
    pub fn rust_failure(&self, error: &mlua::Error) -> CallFailure {
        CallFailure::of_error(error).unwrap_or_else(|| self.out_of_memory())
    }

    fn out_of_memory(&self) -> CallFailure {
        self.exhausted(self.host.limits.out_of_memory())
    }

    fn exhausted(&self, why: Exhausted) -> CallFailure {
        CallFailure::Exhausted(why, self.host.stopped_at.take())
    }
}

/// Makes the function that Luau calls every few steps of a script.
fn interrupt(host: Rc<Host>) -> impl Fn(&Lua) -> mlua::Result<VmState> {
    let live = Cell::new(0);
    move |lua| {
        let checked = host.budget.check();
        if checked.map_err(|why| host.stopped(lua, why))? {
            collect_if_needed(lua, host.limits.memory, &live)?;
        }
        Ok(VmState::Continue)
    }
}

/// Collects garbage once half of the memory is in use, and again when the live data has grown by a
/// quarter of the limit.
///
/// Luau fails an allocation without collecting garbage first, and some functions allocate without
/// ever triggering a collection.
fn collect_if_needed(lua: &Lua, limit: usize, live: &Cell<usize>) -> mlua::Result<()> {
    if lua.used_memory() > (live.get() + limit / 4).max(limit / 2) {
        lua.gc_collect()?;
        live.set(lua.used_memory());
    }
    Ok(())
}
