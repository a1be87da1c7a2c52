//! `@moondock/log`: lines in Moondock's log, with the place that they come from.

use super::{Host, Module, Needs, function, values};
use mlua::{Lua, LuaString, Table, Value, Variadic};
use std::fmt::Write;
use std::rc::Rc;
use tracing::{Level, enabled};

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "log",
    functions: &[
        function("debug", Needs::Nothing, |lua, bind| bind.pure(lua, debug)),
        function("info",  Needs::Nothing, |lua, bind| bind.pure(lua, info)),
        function("warn",  Needs::Nothing, |lua, bind| bind.pure(lua, warn)),
        function("error", Needs::Nothing, |lua, bind| bind.pure(lua, error)),
    ],
};

/// The limit of a line in bytes; the rest is cut off.
const MAX_LINE: usize = 8 << 10;

/// The limit of the fields of a line; the others are left out.
const MAX_FIELDS: usize = 100;

type Arguments = (LuaString, Option<Table>);

fn debug(lua: &Lua, host: &Host, (message, fields): Arguments) -> Result<(), String> {
    emit(lua, host, Level::DEBUG, &text(&message), fields.as_ref())
}

fn info(lua: &Lua, host: &Host, (message, fields): Arguments) -> Result<(), String> {
    emit(lua, host, Level::INFO, &text(&message), fields.as_ref())
}

fn warn(lua: &Lua, host: &Host, (message, fields): Arguments) -> Result<(), String> {
    emit(lua, host, Level::WARN, &text(&message), fields.as_ref())
}

fn error(lua: &Lua, host: &Host, (message, fields): Arguments) -> Result<(), String> {
    emit(lua, host, Level::ERROR, &text(&message), fields.as_ref())
}

/// Makes the global `print` of a script, which logs its values as one line at the level info.
pub fn print(lua: &Lua, host: &Rc<Host>) -> mlua::Result<mlua::Function> {
    let host = host.clone();
    lua.create_function(move |lua, values: Variadic<Value>| {
        let mut line = String::new();
        for value in values.iter() {
            if line.len() > MAX_LINE {
                break;
            }
            line += &value.to_string()?;
            line.push('\t');
        }
        line.pop();
        emit(lua, &host, Level::INFO, &one_line(&line), None).map_err(mlua::Error::runtime)
    })
}

fn emit(
    lua: &Lua,
    host: &Host,
    level: Level,
    message: &str,
    fields: Option<&Table>,
) -> Result<(), String> {
    if !is_enabled(level) {
        return Ok(());
    }
    let fields = fields.map(|fields| render(lua, host, fields)).transpose()?;
    let length = message.len() + fields.as_ref().map_or(0, String::len);
    if !host.lines.admits(length, host.limits.log_lines) {
        return Ok(());
    }
    let (script, line) = caller(lua).unwrap_or_else(|| (host.script.clone(), 0));
    let (plugin, fields) = (host.shared.name.as_str(), fields.as_deref());
    match level {
        Level::ERROR => {
            tracing::error!(target: "script", plugin, script, line, fields, "{message}");
        }
        Level::WARN => tracing::warn!(target: "script", plugin, script, line, fields, "{message}"),
        Level::INFO => tracing::info!(target: "script", plugin, script, line, fields, "{message}"),
        _ => tracing::debug!(target: "script", plugin, script, line, fields, "{message}"),
    }
    Ok(())
}

fn is_enabled(level: Level) -> bool {
    match level {
        Level::ERROR => enabled!(target: "script", Level::ERROR),
        Level::WARN => enabled!(target: "script", Level::WARN),
        Level::INFO => enabled!(target: "script", Level::INFO),
        _ => enabled!(target: "script", Level::DEBUG),
    }
}

/// Reports, after a call, how many of the script's lines were left out.
pub fn report_left_out(host: &Host) {
    let left_out = host.lines.take_left_out();
    if left_out == 0 {
        return;
    }
    let (plugin, script) = (host.shared.name.as_str(), host.script.as_str());
    tracing::warn!(
        plugin,
        script,
        "{left_out} log lines left out: more than `log_lines_per_s` of plugin.toml allows"
    );
}

/// Returns the file and line of the calling Lua function.
fn caller(lua: &Lua) -> Option<(String, usize)> {
    lua.inspect_stack(1, |frame| {
        let source = frame.source().source?;
        let file = source.strip_prefix(['@', '='])?.to_owned();
        Some((file, frame.current_line().unwrap_or_default()))
    })?
}

fn render(lua: &Lua, host: &Host, fields: &Table) -> Result<String, String> {
    let mut rendered = Vec::new();
    for pair in fields.pairs::<LuaString, Value>() {
        let (key, value) = pair.map_err(|_| "the keys of the fields must be strings".to_owned())?;
        rendered.push((
            field(lua, host, &Value::String(key)),
            field(lua, host, &value),
        ));
        if rendered.len() == MAX_FIELDS {
            break;
        }
    }
    rendered.sort();
    let mut line = String::new();
    for (key, value) in rendered {
        let space = if line.is_empty() { "" } else { " " };
        let _ = write!(line, "{space}{key}={value}");
    }
    Ok(clip(line))
}

/// Renders a plain word as it is, other values as JSON, and the type of a value that JSON cannot
/// hold.
fn field(lua: &Lua, host: &Host, value: &Value) -> String {
    if let Value::String(word) = value
        && word
            .as_bytes()
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\"=".contains(byte))
        && !word.as_bytes().is_empty()
    {
        return text(word);
    }
    match values::encode(lua, &host.budget, value, false) {
        Ok(json) => one_line(&String::from_utf8_lossy(&json)),
        Err(_) => format!("<{}>", value.type_name()),
    }
}

fn text(text: &LuaString) -> String {
    one_line(&text.to_string_lossy())
}

/// Escapes control characters, so that no text can look like a line of its own.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars().take(MAX_LINE) {
        match letter {
            '\t' => line.push(letter),
            _ if letter.is_control() => line.extend(letter.escape_default()),
            _ => line.push(letter),
        }
    }
    clip(line)
}

fn clip(mut line: String) -> String {
    if line.len() > MAX_LINE {
        line.truncate(line.floor_char_boundary(MAX_LINE));
        line.push('…');
    }
    line
}
