//! The metatables of shapes: reading a field that a shape does not have raises.

use crate::host::{closing, unknown_field};
use crate::protocol::{Shape, methods};
use mlua::{Lua, Table};
use std::collections::BTreeMap;

/// The metatables of a state, by the address of their shape.
#[derive(Default)]
struct Metatables(BTreeMap<usize, Table>);

/// Closes the table of a message. Fields that a later engine sends can be read, as they are in the
/// table; optional ones of the shape are nil.
///
/// # Errors
/// Only if memory is exhausted.
pub fn close_message(lua: &Lua, shape: &'static Shape, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(metatable(lua, shape)?))
}

fn metatable(lua: &Lua, shape: &'static Shape) -> mlua::Result<Table> {
    let address = std::ptr::from_ref(shape) as usize;
    if let Some(known) = lua.app_data_ref::<Metatables>()
        && let Some(metatable) = known.0.get(&address)
    {
        return Ok(metatable.clone());
    }
    let metatable = closing(lua, &names(shape), move |_, _, name| unknown(shape, name))?;
    let mut known = lua.remove_app_data::<Metatables>().unwrap_or_default();
    known.0.insert(address, metatable.clone());
    lua.set_app_data(known);
    Ok(metatable)
}

fn names(shape: &Shape) -> Vec<&'static str> {
    shape.fields.iter().map(|field| field.name).collect()
}

fn unknown(shape: &'static Shape, name: &str) -> String {
    unknown_field(&subject(shape), &names(shape), name)
}

/// Describes a message: the request of its method, or, if it is a part of others, its type.
fn subject(shape: &'static Shape) -> String {
    let mut asking = methods().filter(|method| std::ptr::eq(method.request, shape));
    match (asking.next(), asking.next()) {
        (Some(method), None) => format!("the request of `{}`", method.key()),
        (Some(_), Some(_)) => "the request".to_owned(),
        (None, _) => format!("`{}`", shape.name),
    }
}
