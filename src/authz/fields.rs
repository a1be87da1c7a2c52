//! The fields of JSON bodies and the parameters of queries that some engine's API knows, versions
//! 1.25 to 1.55. A name that is neither known nor in the request is a mistake of the policy.

#[rustfmt::skip]
mod bodies;
#[rustfmt::skip]
mod queries;

use super::json::is_same_field;
use super::{Document, Refusal};

/// An object in a body.
#[derive(Debug)]
pub struct Object {
    /// What the reference calls it: the action whose body it is, or the engine's name.
    pub name: &'static str,
    /// The objects whose fields it has too.
    pub with: &'static [&'static Object],
    /// Its fields with a text, a number, a list of these, or a map whose keys are data.
    pub plain: &'static [&'static str],
    /// Its fields that hold an object, a list of such objects or a map of them.
    pub objects: &'static [(&'static str, &'static Object)],
}

impl Object {
    /// Returns the object of the field `name`, as the engine finds it, whatever its case.
    pub fn within(&self, name: &str) -> Option<&'static Object> {
        let own = self
            .objects
            .iter()
            .find(|(field, _)| is_same_field(field, name));
        let own = own.map(|(_, object)| *object);
        own.or_else(|| self.with.iter().find_map(|object| object.within(name)))
    }

    /// Returns whether it has a field `name`, whatever the case.
    pub fn has(&self, name: &str) -> bool {
        self.own_names().any(|field| is_same_field(field, name))
            || self.with.iter().any(|object| object.has(name))
    }

    /// Returns the names of all its fields.
    pub fn names(&self) -> Vec<&'static str> {
        let inherited = self.with.iter().flat_map(|object| object.names());
        self.own_names().chain(inherited).collect()
    }

    /// Returns the names of its own fields.
    pub fn own_names(&self) -> impl Iterator<Item = &'static str> {
        let objects = self.objects.iter().map(|(field, _)| *field);
        self.plain.iter().copied().chain(objects)
    }

    /// Returns the name of the object directly within that has a field `name`, if there is one.
    pub fn holder_of(&self, name: &str) -> Option<&'static str> {
        let holds = |(_, object): &&(&str, &Object)| object.has(name);
        self.objects.iter().find(holds).map(|(field, _)| *field)
    }
}

/// Returns the body that an action takes, `None` if nothing is known of it. A list stands for its
/// items.
pub fn body_of(action: &str) -> Option<&'static Object> {
    let found = bodies::BODIES.iter().find(|(name, _)| *name == action);
    found.map(|(_, object)| *object)
}

/// Returns the parameters that an action takes in its query.
pub fn query_of(action: &str) -> &'static [&'static str] {
    let found = queries::QUERIES.iter().find(|(name, _)| *name == action);
    found.map_or(&[], |(_, names)| names)
}

/// Refuses a field of `HostConfig` beside it. Engines up to 26 read it there, unless there is a
/// `HostConfig` too, and later ones ignore it (protocol 16). Only `null` is the same as no field: an
/// empty list of masked paths masks none.
pub(super) fn refuse_misplaced(action: &str, body: &Document) -> Result<(), Refusal> {
    if action != "container.create" {
        return Ok(());
    }
    let is_misplaced = |name: &str| bodies::HOST_CONFIG.has(name) || is_same_field(name, "Cpuset");
    let mut given = body.root().entries().filter(|(_, value)| !value.is_null());
    match given.find(|(name, _)| is_misplaced(name)) {
        Some((name, _)) => Err(Refusal::Misplaced(name.into_owned())),
        None => Ok(()),
    }
}
