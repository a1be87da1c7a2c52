//! The globals of a script, and the tables of Luau's library: reading a name that they do not have
//! raises, with the name that was probably meant, or what Moondock has in its place.

use super::Sources;
use super::loader::own_names;
use super::place::OWN;
use super::prelude::REMOVED;
use crate::host::{closing, hint, keys, nearest, own_frame};
use mlua::{Lua, Table, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What scripts use instead of names that Lua or other languages have.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str)] = &[
    ("io",             "files are in `require(\"@moondock/fs\")`, and `print` writes to the log"),
    ("os.execute",     "`require(\"@moondock/process\")` runs programs"),
    ("os.getenv",      "`require(\"@moondock/env\")` reads variables of the environment"),
    ("os.remove",      "files are in `require(\"@moondock/fs\")`"),
    ("os.rename",      "files are in `require(\"@moondock/fs\")`"),
    ("os.tmpname",     "files are in `require(\"@moondock/fs\")`"),
    ("os.exit",        "a hook ends with `return`, and fails with `error(message, 0)`"),
    ("load",           "`require` loads the plugin's own files"),
    ("loadstring",     "`require` loads the plugin's own files"),
    ("loadfile",       "`require` loads the plugin's own files"),
    ("dofile",         "`require` loads the plugin's own files"),
    ("package",        "`require` finds the plugin's own files by `./name`"),
    ("collectgarbage", "memory is freed without it"),
    ("newproxy",       "use a table with a metatable"),
    ("bit",            "use `bit32`"),
    ("null",           "use `nil`"),
    ("None",           "use `nil`"),
    ("undefined",      "use `nil`"),
    ("True",           "use `true`"),
    ("False",          "use `false`"),
    ("this",           "use `self`, or a local"),
];

/// Closes the globals and the library. The globals that a script sets itself are found before.
///
/// # Errors
/// Only if memory is exhausted.
pub(super) fn close_all(lua: &Lua, sources: Arc<Sources>) -> mlua::Result<()> {
    let globals = lua.globals();
    for pair in globals.pairs::<String, Value>() {
        let (name, value) = pair?;
        if let Value::Table(library) = value
            && library != globals
        {
            close_library(lua, &library, &name)?;
        }
    }
    let missing = move |lua: &Lua, globals: &Table, name: &str| {
        let place = own_frame(lua);
        let file = place.map(|(file, _)| file).unwrap_or_default();
        let text = sources.files.get(Path::new(&file));
        let text = String::from_utf8_lossy(text.map(Vec::as_slice).unwrap_or_default());
        undefined(name, &declared(&text), &keys(globals))
    };
    globals.set_metatable(Some(closing(lua, &[], missing)?))
}

fn close_library(lua: &Lua, library: &Table, name: &str) -> mlua::Result<()> {
    let own = name.to_owned();
    let missing =
        move |_: &Lua, library: &Table, key: &str| missing_member(&own, key, &keys(library));
    library.set_metatable(Some(closing(lua, &[], missing)?))
}

/// Returns the message about a name that a table of functions does not have. `known` are those that
/// it has.
pub fn missing_member(table: &str, key: &str, known: &[String]) -> String {
    match elsewhere(&format!("{table}.{key}")) {
        Some(instead) => format!("`{table}` has no `{key}`: {instead}"),
        None => format!("`{table}` has no `{key}`{}", hint(key, known)),
    }
}

/// Returns the message about a global that neither Luau nor the script has. `text` is the file.
pub fn missing_global(name: &str, text: &str) -> String {
    undefined(name, &declared(text), &global_names())
}

/// Returns the names of the globals that scripts have.
pub fn global_names() -> Vec<String> {
    let mut names = keys(&Lua::new().globals());
    names.retain(|name| !REMOVED.contains(&name.as_str()));
    names.push("require".to_owned());
    names
}

fn elsewhere(name: &str) -> Option<&'static str> {
    let row = ELSEWHERE.iter().find(|(known, _)| *known == name);
    row.map(|(_, instead)| *instead)
}

/// Returns the message about a name that is no variable. `declared` has the names that the file
/// declares, with their lines.
fn undefined(name: &str, declared: &BTreeMap<&str, usize>, globals: &[String]) -> String {
    if let Some(instead) = elsewhere(name) {
        return format!("Luau has no `{name}` here: {instead}");
    }
    if let Some(line) = declared.get(name) {
        return format!(
            "no variable `{name}` here: it is declared on line {line}, further down or within another block"
        );
    }
    if own_names().contains(&name) {
        return format!(
            "no variable `{name}`: write `local {name} = require(\"{OWN}{name}\")` at the top"
        );
    }
    let known = declared.keys().copied();
    let known = known.chain(globals.iter().map(String::as_str));
    match nearest(name, known) {
        Some(near) => format!("no variable `{name}`: did you mean `{near}`?"),
        None => format!("no variable `{name}`: declare it with `local {name} = …`"),
    }
}

/// Returns the names that a file declares as locals or parameters, each with the first line.
fn declared(text: &str) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("--").next().unwrap_or_default();
        for name in declared_in(code) {
            names.entry(name).or_insert(index + 1);
        }
    }
    names
}

fn declared_in(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for keyword in ["local ", "for ", "function"] {
        for (at, _) in code.match_indices(keyword) {
            let rest = &code[at + keyword.len()..];
            let end = rest.find(['=', ')', ';']).unwrap_or(rest.len());
            let list = rest[..end].split(" in ").next().unwrap_or_default();
            let list = list.trim_start().trim_start_matches("function ");
            names.extend(list.split([',', '(']).filter_map(name_of));
        }
    }
    names
}

/// Returns the name at the beginning of `name: type`, if there is one.
fn name_of(part: &str) -> Option<&str> {
    let name = part.split(':').next()?.trim();
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = |c: char| is_letter(c) || c.is_ascii_digit();
    (name.starts_with(is_letter) && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locals_and_parameters_are_declared() {
        let text = "local volume, fs = {}, 1\nlocal function path(v, w: string) end -- local no\n\
                    for key, value in pairs({}) do end\nfunction volume.create(req)\n  local size = 1\nend\n\
                    local f = function(a) end\nfor i = 1, 2 do end\n";
        let found: Vec<_> = declared(text).into_iter().collect();
        assert_eq!(
            found,
            [
                ("a", 7),
                ("f", 7),
                ("fs", 1),
                ("i", 8),
                ("key", 3),
                ("path", 2),
                ("req", 4),
                ("size", 5),
                ("v", 2),
                ("value", 3),
                ("volume", 1),
                ("w", 2),
            ]
        );
    }

    #[test]
    fn the_message_says_what_was_meant() {
        let declared = declared("local volume = {}\nlocal function helper() end\n");
        for (name, message) in [
            ("volum", "no variable `volum`: did you mean `volume`?"),
            ("pront", "no variable `pront`: did you mean `print`?"),
            (
                "helper",
                "no variable `helper` here: it is declared on line 2, further down or within another block",
            ),
            (
                "fs",
                "no variable `fs`: write `local fs = require(\"@moondock/fs\")` at the top",
            ),
            (
                "io",
                "Luau has no `io` here: files are in `require(\"@moondock/fs\")`, and `print` writes to the log",
            ),
            ("zzz", "no variable `zzz`: declare it with `local zzz = …`"),
        ] {
            let globals = ["print".to_owned()];
            assert_eq!(undefined(name, &declared, &globals), message);
        }
    }
}
