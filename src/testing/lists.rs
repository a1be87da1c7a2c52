//! Lua has one kind of table: what is a list in a request is known by its shape.

use crate::protocol::{Shape, Type};
use serde_json::Value;

/// Makes the empty objects of a request lists where its shape has lists.
pub fn mark_lists(request: &mut Value, shape: &Shape) {
    for field in shape.fields {
        if let Some(value) = request.get_mut(field.name) {
            mark(value, &field.ty);
        }
    }
}

fn mark(value: &mut Value, ty: &Type) {
    match ty {
        Type::List(item) => {
            if value.as_object().is_some_and(serde_json::Map::is_empty) {
                *value = Value::Array(Vec::new());
            }
            let items = value.as_array_mut().into_iter().flatten();
            items.for_each(|value| mark(value, item));
        }
        Type::Map(item) => {
            let values = value.as_object_mut().into_iter().flatten();
            values.for_each(|(_, value)| mark(value, item));
        }
        Type::Record(shape) => mark_lists(value, shape),
        _ => {}
    }
}
