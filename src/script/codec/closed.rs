//! The metatables of shapes: reading a field that a shape does not have raises.

use crate::host::{closing, unknown_field};
use crate::protocol::{Shape, Type, methods};
use mlua::{Lua, Table};
use std::collections::{BTreeMap, BTreeSet};

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

/// Describes a message: the request of its method, or, if it is a part of others, where it is.
fn subject(shape: &'static Shape) -> String {
    let mut asking = methods().filter(|method| std::ptr::eq(method.request, shape));
    match (asking.next(), asking.next()) {
        (Some(method), None) => format!("the request of `{}`", method.key()),
        (Some(_), Some(_)) => "the request".to_owned(),
        (None, _) => part(shape).unwrap_or_else(|| format!("`{}`", shape.name)),
    }
}

/// Returns the places in requests where a shape is, such as `IPv4Data[…]`.
fn part(shape: &Shape) -> Option<String> {
    let places = methods().flat_map(|method| places(method.request, shape));
    let places: BTreeSet<_> = places.map(|place| format!("`{place}`")).collect();
    let places: Vec<_> = places.into_iter().collect();
    (!places.is_empty()).then(|| places.join(" or "))
}

fn places(outer: &Shape, wanted: &Shape) -> Vec<String> {
    let of_field = |name: &str, ty: Type| match ty {
        Type::Record(shape) => here_or_within(name, shape, wanted),
        Type::List(Type::Record(shape)) => here_or_within(&format!("{name}[…]"), shape, wanted),
        _ => Vec::new(),
    };
    let fields = outer.fields.iter();
    fields
        .flat_map(|field| of_field(field.name, field.ty))
        .collect()
}

fn here_or_within(place: &str, shape: &Shape, wanted: &Shape) -> Vec<String> {
    if std::ptr::eq(shape, wanted) {
        return vec![place.to_owned()];
    }
    let within = places(shape, wanted).into_iter();
    within.map(|inner| format!("{place}.{inner}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;

    #[test]
    fn a_part_of_a_request_is_named_by_its_place() {
        let field = |method, name| find(method).unwrap().request.field(name).unwrap().ty;
        let Type::List(Type::Record(pool)) = field("NetworkDriver.CreateNetwork", "IPv4Data")
        else {
            panic!("not a list of records");
        };
        assert_eq!(
            unknown(pool, "Gatway"),
            "`IPv4Data[…]` or `IPv6Data[…]` has no field `Gatway`; did you mean `Gateway`?"
        );
        let Type::Record(interface) = field("NetworkDriver.CreateEndpoint", "Interface") else {
            panic!("not a record");
        };
        assert_eq!(
            unknown(interface, "Adress"),
            "`Interface` has no field `Adress`; did you mean `Address`?"
        );
    }
}
