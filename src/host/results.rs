//! What host functions return: reading a field that its type does not have raises.

use super::binding::Name;
use super::closed::{closing, unknown_field};
use super::stubs::{Stub, item_of};
use mlua::{IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::collections::BTreeMap;

/// The forms of a state's results; none for a function that returns no table of a known type.
#[derive(Default)]
struct Forms(BTreeMap<Name, Option<Form>>);

/// The metatable of the results of a function.
#[derive(Clone)]
struct Form {
    metatable: Table,
    /// Whether it is that of the entries of a list.
    each: bool,
}

/// Converts what a function returned, and closes the tables in it.
///
/// # Errors
/// A value that cannot be converted.
pub fn close_result(lua: &Lua, of: Name, result: impl IntoLuaMulti) -> mlua::Result<MultiValue> {
    let values = result.into_lua_multi(lua)?;
    let Some(Value::Table(table)) = values.front() else {
        return Ok(values);
    };
    let Some(form) = form(lua, of)? else {
        return Ok(values);
    };
    if form.each {
        for entry in table.sequence_values::<Table>() {
            entry?.set_metatable(Some(form.metatable.clone()))?;
        }
    } else {
        table.set_metatable(Some(form.metatable))?;
    }
    Ok(values)
}

fn form(lua: &Lua, of: Name) -> mlua::Result<Option<Form>> {
    if let Some(forms) = lua.app_data_ref::<Forms>()
        && let Some(form) = forms.0.get(&of)
    {
        return Ok(form.clone());
    }
    let form = make_form(lua, of)?;
    let mut forms = lua.remove_app_data::<Forms>().unwrap_or_default();
    forms.0.insert(of, form.clone());
    lua.set_app_data(forms);
    Ok(form)
}

fn make_form(lua: &Lua, of: Name) -> mlua::Result<Option<Form>> {
    let stub = Stub::of(of.module);
    let result = stub.signature(of.function).map_or("", |s| s.result);
    let (ty, each) = item_of(result).map_or((result, false), |item| (item, true));
    let Some(fields) = stub.fields(ty) else {
        return Ok(None);
    };
    let known: Vec<_> = fields.iter().map(|field| field.name).collect();
    let names = known.clone();
    let metatable = closing(lua, &names, move |_, _, name| {
        unknown_field(&format!("the result of `{of}`"), &known, name)
    })?;
    Ok(Some(Form { metatable, each }))
}
