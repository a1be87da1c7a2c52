//! Small tables of a request whose names are fixed: reading another name is a mistake of the
//! policy, and raises.

use crate::authz::query_of;
use crate::host::{closing, nearest, suggestion};
use mlua::{Lua, Table};

/// What a table is, which says what can be read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// An item of `req.mounts`.
    Mount,
    /// `req.user`
    User,
    /// `req.user.certificate`
    Certificate,
    /// `req.params`
    Params,
    /// `req.query` and `req.queries` of a request with this action.
    Query(&'static str),
}

const MOUNT: &[&str] = &["source", "resolved", "target", "read_only", "via"];
const USER: &[&str] = &["name", "method", "certificate"];
const CERTIFICATE: &[&str] = &[
    "common_name",
    "organizations",
    "organizational_units",
    "dns_names",
    "ip_addresses",
    "emails",
    "uris",
    "serial",
    "not_after",
];
/// The placeholders of all routes, so that one function can read those of several.
const PARAMS: &[&str] = &["id", "name", "checkpoint", "any"];

impl Record {
    /// Returns the names that can be read, whether they have a value or not.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Record::Mount => MOUNT,
            Record::User => USER,
            Record::Certificate => CERTIFICATE,
            Record::Params => PARAMS,
            Record::Query(action) => query_of(action),
        }
    }

    /// Creates the metatable of such tables: reading any other name raises.
    pub fn metatable(self, lua: &Lua) -> mlua::Result<Table> {
        closing(lua, self.names(), move |_, _, name| {
            let near = nearest(name, self.names().iter().copied());
            self.missing(name) + &suggestion(near)
        })
    }

    fn missing(self, name: &str) -> String {
        match self {
            Record::Mount => format!("a mount has no field `{name}`"),
            Record::User => format!("a user has no field `{name}`"),
            Record::Certificate => format!("a certificate has no field `{name}`"),
            Record::Params => format!("no route has a placeholder `{name}`"),
            Record::Query(action) => format!("the query of {action} has no parameter `{name}`"),
        }
    }
}

/// Returns the error about an unknown name, with the near one.
pub fn unknown(what: &str, near: Option<&str>) -> mlua::Error {
    mlua::Error::runtime(what.to_owned() + &suggestion(near))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::routes;

    #[test]
    fn params_are_the_placeholders_of_the_routes() {
        for route in routes() {
            let parts = route.pattern.split('{').skip(1);
            for name in parts.filter_map(|part| part.split(['*', '}']).next()) {
                assert!(PARAMS.contains(&name), "{name}");
            }
        }
    }
}
