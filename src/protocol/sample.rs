//! A sample request of each method.

use super::Method;
use serde_json::{Map, Value};

/// The requests by the names of the methods for authors.
const SAMPLES: &str = include_str!("samples.json");

/// Returns a request of `method` as the engine sends it, but with the bodies in the requests of a
/// policy as JSON; or as Moondock makes it, for a hook that no engine calls.
pub fn sample(method: &Method) -> Option<Value> {
    let mut samples: Map<String, Value> = serde_json::from_str(SAMPLES).ok()?;
    samples.remove(&method.key())
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, Type, methods};
    use super::*;

    #[test]
    fn every_method_has_a_sample_of_its_shape() {
        let samples: Map<String, Value> = serde_json::from_str(SAMPLES).unwrap();
        assert_eq!(samples.len(), methods().count());
        for method in methods() {
            fits(
                &Type::Record(method.request),
                &samples[&method.key()],
                &method.key(),
            );
        }
    }

    /// Checks that a value has no unknown field, all that must be present, and values of their
    /// types.
    fn fits(ty: &Type, value: &Value, at: &str) {
        let is_right = match (ty, value) {
            (Type::Record(shape), Value::Object(fields)) => return fits_record(shape, fields, at),
            (Type::List(item), Value::Array(items)) => {
                return items.iter().for_each(|value| fits(item, value, at));
            }
            (Type::Map(item), Value::Object(entries)) => {
                return entries.values().for_each(|value| fits(item, value, at));
            }
            (Type::Any, _) => true,
            (Type::Bool, value) => value.is_boolean(),
            (Type::Int, value) => value.is_i64(),
            (Type::Number, value) => value.is_number(),
            // Written as JSON, for readers.
            (Type::Bytes, value) => value.is_object(),
            (ty, value) => ty.is_text() && value.is_string(),
        };
        assert!(is_right, "{at}: {value} is not {}", ty.noun());
    }

    fn fits_record(shape: &Shape, fields: &Map<String, Value>, at: &str) {
        for name in fields.keys() {
            assert!(shape.field(name).is_some(), "{at}: unknown field `{name}`");
        }
        for field in shape.fields {
            match fields.get(field.name) {
                None | Some(Value::Null) => assert!(!field.required, "{at}: no `{}`", field.name),
                Some(value) => fits(&field.ty, value, &format!("{at}.{}", field.name)),
            }
        }
    }
}
