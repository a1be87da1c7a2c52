//! The types of bodies: the fields that policies can read, with the types that the descriptions of
//! the API give them.

use crate::known_fields::{described_fields, holder};
use moondock::authz::{BodyKind, Object, body_of, routes};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr;

/// The types of fields, by the name of the object that holds them.
type Described = BTreeMap<(&'static str, &'static str), &'static str>;

/// The actions with a body of which something is known.
pub fn actions() -> BTreeSet<&'static str> {
    let actions = routes().map(|route| route.action);
    actions.filter(|action| body_of(action).is_some()).collect()
}

/// The type of an action's body, which is absent if the engine can do without it.
pub fn body_type(action: &str) -> String {
    let name = type_name(body_of(action).unwrap());
    let is_list = described_fields().any(|row| row.action == action && row.path.starts_with("[]"));
    let ty = if is_list {
        format!("{{ {name} }}")
    } else {
        name
    };
    let mut of_action = routes().filter(|route| route.action == action);
    if of_action.all(|route| route.body == BodyKind::JsonRequired) {
        ty
    } else {
        ty + "?"
    }
}

/// The types of all bodies and of the objects in them.
pub fn types() -> String {
    let described = described();
    let mut objects = Vec::new();
    for action in actions() {
        collect(body_of(action).unwrap(), &mut objects);
    }
    let types = objects.iter().map(|object| object_type(object, &described));
    types.collect()
}

/// Adds the object and those within it, each once.
fn collect(object: &'static Object, into: &mut Vec<&'static Object>) {
    if into.iter().any(|other| ptr::eq(*other, object)) {
        return;
    }
    for name in object.names() {
        if let Some(inner) = object.within(name) {
            collect(inner, into);
        }
    }
    assert!(
        into.iter()
            .all(|other| type_name(other) != type_name(object)),
        "two objects are named {}",
        object.name
    );
    into.push(object);
}

fn described() -> Described {
    let mut described = Described::new();
    for row in described_fields() {
        let (object, field) = holder(body_of(row.action).unwrap(), row.path);
        described.insert((object.name, field), row.ty);
    }
    described
}

fn object_type(object: &Object, described: &Described) -> String {
    let mut names = object.names();
    names.sort_unstable();
    names.dedup();
    let fields = names.into_iter().map(|name| {
        let described = described.get(&(object.name, name)).copied();
        let ty = field_type(described, object.within(name));
        format!("    {name}: {ty},\n")
    });
    let fields: String = fields.collect();
    format!("export type {} = {{\n{fields}}}\n", type_name(object))
}

/// What the engine reads from a field. A field that no description lists may hold anything.
fn field_type(described: Option<&str>, within: Option<&Object>) -> String {
    let Some(described) = described else {
        return "any".to_owned();
    };
    let (outer, item) = described.split_once(" of ").unwrap_or(("", described));
    let item = match (item, within) {
        ("object", Some(object)) => type_name(object),
        ("array", Some(object)) => format!("{{ {} }}", type_name(object)),
        ("array", None) => "{ any }".to_owned(),
        ("integer" | "number", _) => "number".to_owned(),
        ("string" | "boolean", _) => item.to_owned(),
        // Mostly an object without fields, as for each exposed port, or a text of certain values.
        _ => "any".to_owned(),
    };
    match outer {
        _ if item == "any" && outer.is_empty() => item,
        "" => item + "?",
        "list" => format!("{{ {item} }}?"),
        "map" => format!("{{ [string]: {item} }}?"),
        _ => panic!("{described} is no known type"),
    }
}

/// The name of an object's type: `DockerContainerCreate` of `container.create`.
fn type_name(object: &Object) -> String {
    format!("Docker{}", camel_case(object.name))
}

/// Returns words with dots between them as one name.
pub fn camel_case(words: &str) -> String {
    let words = words.split('.').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}
