//! Tables with a fixed set of names: reading another one raises, with the name that was probably
//! meant.

use super::near::{nearest, suggestion};
use super::protected::PRELUDE;
use mlua::{Function, Lua, LuaString, MetaMethod, Table, Value};

/// The `__index` of closed tables. It passes what is absent and not known to `check`: scripts read
/// fields that are known and absent all the time, which Lua answers faster than a function of Rust.
const INDEX: &str = r#"
local type, getmetatable = type, getmetatable
return function(table, key)
  local meta = getmetatable(table)
  if meta.known[key] or type(key) ~= "string" then return nil end
  return meta.check(table, key)
end
"#;

const KEPT: &str = "moondock.index";

/// Makes the `__index` of closed tables, before the state has a budget: later, code that runs between
/// calls would count against the call before it.
///
/// # Errors
/// Only if memory is exhausted.
pub fn keep_index(lua: &Lua) -> mlua::Result<Function> {
    let index: Function = lua.load(INDEX).set_name(PRELUDE).call(())?;
    lua.set_named_registry_value(KEPT, &index)?;
    Ok(index)
}

fn index(lua: &Lua) -> mlua::Result<Function> {
    match lua.named_registry_value::<Option<Function>>(KEPT)? {
        Some(kept) => Ok(kept),
        None => keep_index(lua),
    }
}

/// Creates a metatable for tables of which reading any other field than `known` raises what
/// `problem` returns. Fields can still be set, and are found like any other.
///
/// # Errors
/// Only if memory is exhausted.
pub fn closing(
    lua: &Lua,
    known: &[&str],
    problem: impl Fn(&Lua, &Table, &str) -> String + 'static,
) -> mlua::Result<Table> {
    let check = move |lua: &Lua, (table, key): (Table, LuaString)| -> mlua::Result<()> {
        let problem = problem(lua, &table, &key.to_string_lossy());
        Err(mlua::Error::runtime(problem))
    };
    let known = lua.create_table_from(known.iter().map(|name| (*name, true)))?;
    known.set_readonly(true);
    let metatable = lua.create_table()?;
    metatable.raw_set("known", known)?;
    metatable.raw_set("check", lua.create_function(check)?)?;
    metatable.raw_set(MetaMethod::Index.name(), index(lua)?)?;
    metatable.set_readonly(true);
    Ok(metatable)
}

/// Closes a table of functions, which messages call `name`: reading a name that it does not have
/// raises.
///
/// # Errors
/// Only if memory is exhausted.
pub fn close(lua: &Lua, table: &Table, name: &str) -> mlua::Result<()> {
    let (owned, call) = (name.to_owned(), uncallable(name));
    let metatable = closing(lua, &[], move |_, table, key| {
        format!("`{owned}` has no `{key}`{}", hint(key, &keys(table)))
    })?;
    metatable.set_readonly(false);
    metatable.raw_set(MetaMethod::Call.name(), lua.create_function(call)?)?;
    metatable.set_readonly(true);
    let readonly = table.is_readonly();
    table.set_readonly(false);
    table.set_metatable(Some(metatable))?;
    table.set_readonly(readonly);
    Ok(())
}

/// Returns the message about a field that `subject` does not have.
pub fn unknown_field(subject: &str, known: &[&str], name: &str) -> String {
    format!("{subject} has no field `{name}`{}", hint(name, known))
}

/// Makes the answer to a call of the table `name` itself.
fn uncallable(name: &str) -> impl Fn(&Lua, Table) -> mlua::Result<()> + 'static {
    let name = name.to_owned();
    move |_, table| {
        let example = keys(&table).into_iter().next().unwrap_or_default();
        Err(mlua::Error::runtime(format!(
            "`{name}` is a table: call one of its functions, such as `{name}.{example}`"
        )))
    }
}

/// Returns the end of a message about an unknown name: the nearest of `known`, or all of them.
pub fn hint<'a>(name: &str, known: &'a [impl AsRef<str> + 'a]) -> String {
    let known = || known.iter().map(AsRef::as_ref);
    match nearest(name, known()) {
        Some(near) => suggestion(Some(near)),
        None if known().next().is_none() => String::new(),
        None => format!("; there are {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the names in a table, sorted.
pub fn keys(table: &Table) -> Vec<String> {
    let keys = table.pairs::<Value, Value>().flatten();
    let mut keys: Vec<_> = keys
        .filter_map(|(key, _)| Some(key.as_string()?.to_string_lossy()))
        .collect();
    keys.sort_unstable();
    keys
}
