//! Tables with a fixed set of names: reading another one raises, with the name that was probably
//! meant.

use super::near::nearest;
use mlua::{Lua, MetaMethod, Table, Value};

/// Creates a metatable for tables whose absent fields are read through `check`, which returns what
/// is wrong with a name, if anything is. Fields can still be set, and are found like any other.
///
/// # Errors
/// Only if memory is exhausted.
pub fn closing(
    lua: &Lua,
    check: impl Fn(&Lua, &Table, &str) -> Option<String> + 'static,
) -> mlua::Result<Table> {
    let index = move |lua: &Lua, (table, key): (Table, Value)| {
        let name = key.as_string().map(mlua::LuaString::to_string_lossy);
        match name.and_then(|name| check(lua, &table, &name)) {
            None => Ok(Value::Nil),
            Some(problem) => Err(mlua::Error::runtime(problem)),
        }
    };
    let metatable = lua.create_table()?;
    metatable.raw_set(MetaMethod::Index.name(), lua.create_function(index)?)?;
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
    let metatable = closing(lua, move |_, table, key| {
        Some(format!(
            "`{owned}` has no `{key}`{}",
            hint(key, &keys(table))
        ))
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

/// Returns the message about a field that `subject` does not have, unless it is `known`.
pub fn unknown_field(subject: &str, known: &[&str], name: &str) -> Option<String> {
    let is_known = known.contains(&name);
    (!is_known).then(|| format!("{subject} has no field `{name}`{}", hint(name, known)))
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
        Some(near) => format!("; did you mean `{near}`?"),
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
