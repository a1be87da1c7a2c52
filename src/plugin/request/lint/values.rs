//! What the fields of a request can be.

use crate::authz::{Object, body_of, routes};
use crate::script::nearest;

/// The values of a field.
#[derive(Clone, Copy)]
pub enum Values {
    /// The actions of the routes.
    Actions,
    /// These words.
    Words(&'static [&'static str]),
    /// Where something stands in a body.
    Paths,
}

/// The fields whose values are known.
pub const VALUES: &[(&str, Values)] = &[
    ("action", Values::Actions),
    ("effect", Values::Words(&["read", "write", "unknown"])),
    ("body_state", Values::Words(&["none", "json", "opaque"])),
    ("via", Values::Paths),
];

impl Values {
    /// Returns the values of a field, if they are known.
    pub fn of(field: &str) -> Option<Self> {
        let found = VALUES.iter().find(|(name, _)| *name == field);
        found.map(|(_, values)| *values)
    }

    /// Returns whether the field can be `text`.
    pub fn contain(self, text: &str) -> bool {
        match self {
            Values::Paths => !text.is_empty() && bodies().any(|body| is_path(body, text)),
            _ => self.words().contains(&text),
        }
    }

    /// Returns whether `text` stands for a value that does not exist, and not for something else
    /// that is kept in the same table.
    pub fn may_mean(self, text: &str) -> bool {
        let looks_like_one = matches!(self, Values::Actions) && text.contains('.');
        !self.contain(text) && (looks_like_one || self.near(text).is_some())
    }

    /// Returns the value nearest to `text`.
    pub fn near(self, text: &str) -> Option<&'static str> {
        nearest(text, self.words().into_iter())
    }

    /// Returns the values, none if they are paths.
    fn words(self) -> Vec<&'static str> {
        match self {
            Values::Actions => {
                let actions = routes().map(|route| route.action);
                actions.chain(["system.options"]).collect()
            }
            Values::Words(words) => words.to_vec(),
            Values::Paths => Vec::new(),
        }
    }
}

fn bodies() -> impl Iterator<Item = &'static Object> {
    routes().filter_map(|route| body_of(route.action))
}

/// Returns whether a value of such a body can stand at `path`, as in `HostConfig.Binds[0]`.
fn is_path(body: &Object, path: &str) -> bool {
    let (field, rest) = path.split_once('.').unwrap_or((path, ""));
    let field = field.split('[').next().unwrap_or_default();
    match body.within(field) {
        _ if field.is_empty() => rest.is_empty() || is_path(body, rest),
        Some(inner) if !rest.is_empty() => is_path(inner, rest),
        _ => body.has(field),
    }
}
