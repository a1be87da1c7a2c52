//! Loads `prelude.luau`, which wraps the functions of Luau's library that the budget cannot stop.

use super::failure::message_of;
use super::place::PRELUDE;
use crate::host::{Host, keep_error, keep_index, keep_pcall};
use mlua::{Function, Lua, LuaString, Table, Value};
use std::rc::Rc;

const TEXT: &str = include_str!("prelude.luau");

/// Globals that scripts do not get, or not in Luau's version.
pub(super) const REMOVED: [&str; 4] = ["loadstring", "require", "collectgarbage", "newproxy"];

/// Runs the prelude, and returns its function that wraps hooks.
pub(super) fn load(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Function> {
    let values = (
        Lua::poll_pending(),
        out_of_memory(lua, host.clone())?,
        lua.create_function(|lua, raised: Value| lua.create_string(message_of(&raised)))?,
        lua.create_function(find_text)?,
        lua.create_function(split_text)?,
        lua.create_function(span_of_sets)?,
        host.limits.memory / 1024 / 4 * 3,
    );
    for name in REMOVED {
        lua.globals().raw_set(name, Value::Nil)?;
    }
    keep_error(lua)?;
    keep_index(lua)?;
    let enter = lua.load(TEXT).set_name(PRELUDE).call(values)?;
    keep_pcall(lua)?;
    Ok(enter)
}

/// Makes the function that ends the running slice when the state is out of memory.
fn out_of_memory(lua: &Lua, host: Rc<Host>) -> mlua::Result<Function> {
    lua.create_function(move |lua, ()| -> mlua::Result<()> {
        let why = host.limits.out_of_memory();
        host.budget.exhaust(why);
        Err(host.stopped(lua, why))
    })
}

/// `string.find` of plain text in linear time.
fn find_text(
    _: &Lua,
    (text, part, init): (LuaString, LuaString, Option<i64>),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let start = match init.unwrap_or(1) {
        0 => 0,
        init @ 1.. => magnitude(init) - 1,
        back => text.len().saturating_sub(magnitude(back)),
    };
    let rest = text.get(start..);
    let found = rest.and_then(|rest| memchr::memmem::find(rest, &part));
    let found = found.map(|at| start + at);
    Ok((found.map(|at| at + 1), found.map(|at| at + part.len())))
}

/// Returns the absolute value, or the largest one if it does not fit.
fn magnitude(number: i64) -> usize {
    usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)
}

/// `string.split` in linear time.
fn split_text(lua: &Lua, (text, separator): (LuaString, LuaString)) -> mlua::Result<Table> {
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

/// Counts the bytes from the first set of a pattern to the end of the last: no set is longer.
fn span_of_sets(_: &Lua, pattern: LuaString) -> mlua::Result<usize> {
    let pattern = pattern.as_bytes();
    let span = memchr::memchr(b'[', &pattern).zip(memchr::memrchr(b']', &pattern));
    Ok(span.map_or(0, |(first, last)| last.saturating_sub(first)))
}
