//! Small tables of a request whose names are fixed: reading another name is a mistake of the
//! policy, and raises.

use crate::authz::query_of;
use crate::script::nearest;
use mlua::{Lua, MetaMethod, Table, Value};

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

    /// Creates the metatable of such tables. It lets everything be done with them but to read an
    /// unknown name.
    pub fn metatable(self, lua: &Lua) -> mlua::Result<Table> {
        let index = move |_: &Lua, (_, key): (Value, Value)| match key.as_string() {
            Some(name) => self.absent(&name.to_str()?),
            None => Ok(Value::Nil),
        };
        let meta = lua.create_table()?;
        meta.raw_set(MetaMethod::Index.name(), lua.create_function(index)?)?;
        meta.set_readonly(true);
        Ok(meta)
    }

    /// Returns `nil` for a known name.
    fn absent(self, name: &str) -> mlua::Result<Value> {
        if self.names().contains(&name) {
            return Ok(Value::Nil);
        }
        let names = self.names().iter().copied();
        Err(unknown(&self.missing(name), nearest(name, names)))
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
    let hint = near.map(|near| format!("; did you mean `{near}`?"));
    mlua::Error::runtime(format!("{what}{}", hint.unwrap_or_default()))
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
