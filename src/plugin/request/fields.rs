//! The fields of a request as a table: their names, their documentation, and how their values are
//! made.

use super::records::Record;
use super::registry::{RequestField, RunningRequest};
use crate::authz::{Document, Headers, PeerCertificate, Request, body_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mlua::{IntoLua, Lua, Table, Value};
use std::rc::Rc;

/// The types that those of the fields refer to, as they stand in the type stub.
pub const REQUEST_TYPES: &str = "\
export type AuthzMount = {
    source: string, -- as it was asked for
    resolved: string?, -- with symbolic links followed; nil where the file system is not visible
    target: string?, -- in the container
    read_only: boolean,
    via: string, -- where in the request it stands, such as HostConfig.Binds[0]
}
export type AuthzCertificate = {
    common_name: string?,
    organizations: { string },
    organizational_units: { string },
    dns_names: { string },
    ip_addresses: { string },
    emails: { string },
    uris: { string },
    serial: string,
    not_after: number, -- seconds since 1970
}
export type AuthzUser = { name: string?, method: string?, certificate: AuthzCertificate? }";

/// The fields that a policy can read. A table has `action` and `effect` from the start, and each
/// other field once it was read.
pub const REQUEST_FIELDS: &[RequestField] = &[
    RequestField {
        name: "action",
        ty: "AuthzAction?",
        doc: "What is asked for, such as `container.create`; `nil` when the route is unknown.",
        make: |lua, request| request.action.into_lua(lua),
    },
    RequestField {
        name: "effect",
        ty: "\"read\" | \"write\" | \"unknown\"",
        doc: "`read`: it only reads. `write`: it changes something, or opens a channel through \
              which something can be changed. `unknown`: the route is unknown.",
        make: |lua, request| request.effect.as_str().into_lua(lua),
    },
    RequestField {
        name: "id",
        ty: "string?",
        doc: "The object's name or ID in the path, decoded: of `/containers/web/start`, `web`.",
        make: |lua, request| request.target().id().into_lua(lua),
    },
    RequestField {
        name: "params",
        ty: "{ [string]: string }",
        doc: "All placeholders of the route by name, `id` included.",
        make: |lua, request| params(lua, request),
    },
    RequestField {
        name: "path",
        ty: "string",
        doc: "The path, decoded once, without host and version: `/containers/web/start`.",
        make: |lua, request| request.target().path.as_ref().into_lua(lua),
    },
    RequestField {
        name: "query",
        ty: "{ [string]: string }",
        doc: "The query's parameters; of a repeated one the first value, which is the one that the \
              engine uses.",
        make: |lua, request| query(lua, request),
    },
    RequestField {
        name: "queries",
        ty: "{ [string]: { string } }",
        doc: "The query's parameters with all their values.",
        make: |lua, request| queries(lua, request),
    },
    RequestField {
        name: "api_version",
        ty: "string?",
        doc: "The version in the path, `1.41`; `nil` when there is none.",
        make: |lua, request| request.target().api_version.as_deref().into_lua(lua),
    },
    RequestField {
        name: "body_state",
        ty: "\"none\" | \"json\" | \"opaque\"",
        doc: "`none`: there is no body, or none that the engine reads. `json`: see `body`. \
              `opaque`: an archive, a stream or a login, which the engine passes to no plugin.",
        make: |lua, request| request.body.state().into_lua(lua),
    },
    RequestField {
        name: "body",
        ty: "any",
        doc: "The JSON body, when `body_state` is `json`. Names of fields are found as the engine \
              finds them, whatever their case; `null` is `nil`.",
        make: |lua, request| match request.body.document() {
            Some(document) => {
                let known = request.action.and_then(body_of);
                request.value(lua, document.root(), known)
            }
            None => Ok(Value::Nil),
        },
    },
    RequestField {
        name: "mounts",
        ty: "{ AuthzMount }",
        doc: "Every host path that the request reaches: binds, mounts, devices and local volumes, \
              those of services too.",
        make: |lua, request| mounts(lua, request),
    },
    RequestField {
        name: "user",
        ty: "AuthzUser?",
        doc: "Who asks, when a TLS certificate says so; `nil` on the Unix socket.",
        make: |lua, request| user(lua, request),
    },
    RequestField {
        name: "RequestMethod",
        ty: "string",
        doc: "The HTTP method.",
        make: |lua, request| request.method.as_str().into_lua(lua),
    },
    RequestField {
        name: "RequestUri",
        ty: "string",
        doc: "The request target as it was sent; prefer `path` and `query`.",
        make: |lua, request| request.uri.as_str().into_lua(lua),
    },
    RequestField {
        name: "RequestHeaders",
        ty: "{ [string]: string }",
        doc: "The headers; of a repeated one the last value. The engine leaves out credentials.",
        make: |lua, request| headers(lua, &request.headers),
    },
    RequestField {
        name: "RequestBody",
        ty: "string?",
        doc: "The JSON text of the body, when `body_state` is `json`; prefer `body`.",
        make: |lua, request| request.body.document().map(Document::text).into_lua(lua),
    },
    RequestField {
        name: "RequestPeerCertificates",
        ty: "{ string }",
        doc: "The client's certificates as the engine passes them on; prefer `user.certificate`.",
        make: |lua, request| {
            request
                .certificates
                .clone()
                .unwrap_or_default()
                .into_lua(lua)
        },
    },
    RequestField {
        name: "User",
        ty: "string?",
        doc: "The common name of the client's TLS certificate.",
        make: |lua, request| request.user.as_deref().into_lua(lua),
    },
    RequestField {
        name: "UserAuthNMethod",
        ty: "string?",
        doc: "`TLS`, or `nil`.",
        make: |lua, request| request.user_method.as_deref().into_lua(lua),
    },
    RequestField {
        name: "ResponseStatusCode",
        ty: "number?",
        doc: "In `response` only: the HTTP status; `nil` for failures, streams and replies over 64 \
              KiB.",
        make: |lua, request| request.status.into_lua(lua),
    },
    RequestField {
        name: "ResponseHeaders",
        ty: "{ [string]: string }?",
        doc: "In `response` only: the reply's headers.",
        make: |lua, request| match &request.response_headers {
            Some(fields) => headers(lua, fields),
            None => Ok(Value::Nil),
        },
    },
    RequestField {
        name: "ResponseBody",
        ty: "string?",
        doc: "In `response` only: the reply's body, if it is small.",
        make: |lua, request| response_body(lua, request),
    },
];

fn params(lua: &Lua, request: &RunningRequest) -> mlua::Result<Value> {
    let params = lua.create_table_from(request.target().params())?;
    let params = request.as_record(lua, params, Record::Params)?;
    Ok(Value::Table(params))
}

fn headers(lua: &Lua, headers: &Headers) -> mlua::Result<Value> {
    lua.create_table_from(headers.iter()).map(Value::Table)
}

fn query(lua: &Lua, request: &RunningRequest) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    for (name, value) in request.target().query.pairs() {
        let name = lua.create_string(&name)?;
        if !table.contains_key(&name)? {
            table.raw_set(name, lua.create_string(&value)?)?;
        }
    }
    of_known_names(lua, request, table)
}

fn queries(lua: &Lua, request: &RunningRequest) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    for (name, value) in request.target().query.pairs() {
        let name = lua.create_string(&name)?;
        let values = match table.raw_get::<Option<Table>>(&name)? {
            Some(values) => values,
            None => lua.create_table()?,
        };
        values.raw_push(lua.create_string(&value)?)?;
        table.raw_set(name, values)?;
    }
    of_known_names(lua, request, table)
}

/// Makes reading a parameter that the route does not take raise, if the route is known.
fn of_known_names(lua: &Lua, request: &RunningRequest, query: Table) -> mlua::Result<Value> {
    let query = match request.action {
        Some(action) => request.as_record(lua, query, Record::Query(action))?,
        None => query,
    };
    Ok(Value::Table(query))
}

fn mounts(lua: &Lua, request: &RunningRequest) -> mlua::Result<Value> {
    let list = lua.create_table_with_capacity(request.mounts.len(), 0)?;
    for mount in &request.mounts {
        let entry = lua.create_table_with_capacity(0, 5)?;
        let resolved = mount.resolved.as_deref();
        entry.raw_set("source", mount.source.as_str())?;
        entry.raw_set("resolved", resolved.map(|path| path.to_string_lossy()))?;
        entry.raw_set("target", mount.target.as_deref())?;
        entry.raw_set("read_only", mount.read_only)?;
        entry.raw_set("via", mount.via.as_str())?;
        list.raw_push(request.as_record(lua, entry, Record::Mount)?)?;
    }
    Ok(Value::Table(list))
}

fn user(lua: &Lua, request: &Rc<RunningRequest>) -> mlua::Result<Value> {
    let certificate = request.certificates.iter().flatten().next();
    if request.user.is_none() && certificate.is_none() {
        return Ok(Value::Nil);
    }
    let user = lua.create_table()?;
    user.raw_set("name", request.user.as_deref())?;
    user.raw_set("method", request.user_method.as_deref())?;
    if let Some(certificate) = certificate {
        let certificate = certificate_table(lua, certificate)?;
        let certificate = request.as_record(lua, certificate, Record::Certificate)?;
        user.raw_set("certificate", certificate)?;
    }
    let user = request.as_record(lua, user, Record::User)?;
    Ok(Value::Table(user))
}

fn certificate_table(lua: &Lua, element: &str) -> mlua::Result<Table> {
    let certificate = PeerCertificate::parse(element).map_err(mlua::Error::external)?;
    let addresses = certificate.ip_addresses.iter().map(ToString::to_string);
    let table = lua.create_table()?;
    table.raw_set("common_name", certificate.common_name)?;
    table.raw_set("organizations", certificate.organizations)?;
    table.raw_set("organizational_units", certificate.organizational_units)?;
    table.raw_set("dns_names", certificate.dns_names)?;
    table.raw_set("ip_addresses", addresses.collect::<Vec<_>>())?;
    table.raw_set("emails", certificate.emails)?;
    table.raw_set("uris", certificate.uris)?;
    table.raw_set("serial", certificate.serial)?;
    table.raw_set("not_after", certificate.not_after)?;
    Ok(table)
}

fn response_body(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    let Some(body) = &request.response_body else {
        return Ok(Value::Nil);
    };
    let decoded = STANDARD.decode(body).map_err(mlua::Error::external)?;
    lua.create_string(decoded).map(Value::String)
}
