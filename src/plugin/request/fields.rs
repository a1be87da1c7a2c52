//! The fields of a request as a table: what they are called, what they say, how they are made.

use super::{Registry, Request};
use crate::authz::{Document, PeerCertificate};
use mlua::{IntoLua, Lua, Table, Value};
use std::rc::Rc;

type Fill = fn(&Registry, &Lua, &Rc<Request>) -> mlua::Result<Value>;

/// A field of a request as a policy sees it.
pub struct RequestField {
    /// Its name; lower-case where Moondock derives it.
    pub name: &'static str,
    /// Its Luau type, as it stands in the type stub.
    pub ty: &'static str,
    /// What it says, in Markdown.
    pub doc: &'static str,
    pub(super) fill: Fill,
}

const fn field(
    name: &'static str,
    ty: &'static str,
    doc: &'static str,
    fill: Fill,
) -> RequestField {
    RequestField {
        name,
        ty,
        doc,
        fill,
    }
}

/// The types that those of the fields refer to, as they stand in the type stub.
pub const REQUEST_TYPES: &str = "\
export type Mount = {
    source: string, -- as it was asked for
    resolved: string?, -- with symbolic links followed; nil where the file system cannot be seen
    target: string?, -- in the container
    read_only: boolean,
    via: string, -- where in the request it stands, such as HostConfig.Binds[0]
}
export type Certificate = {
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
export type User = { name: string?, method: string?, certificate: Certificate? }";

/// The fields that a policy can read. A table has `action` and `effect` at once, and the others when they are
/// first read.
pub const REQUEST_FIELDS: &[RequestField] = &[
    field(
        "action",
        "string?",
        "What is asked for, such as `container.create`; `nil` when the route is not known.",
        |_, lua, request| request.action.into_lua(lua),
    ),
    field(
        "effect",
        "\"read\" | \"write\" | \"unknown\"",
        "Whether it only looks (`read`), changes something or opens a channel through which something can be changed (`write`), or is not known (`unknown`).",
        |_, lua, request| request.effect.as_str().into_lua(lua),
    ),
    field(
        "id",
        "string?",
        "The object's name or ID in the path, decoded: of `/containers/web/start`, `web`.",
        |_, lua, request| request.target().id().into_lua(lua),
    ),
    field(
        "params",
        "{ [string]: string }",
        "All placeholders of the route by name, `id` included.",
        |_, lua, request| params(lua, request),
    ),
    field(
        "path",
        "string",
        "The path, decoded once, without host and version: `/containers/web/start`.",
        |_, lua, request| request.target().path.as_ref().into_lua(lua),
    ),
    field(
        "query",
        "{ [string]: string }",
        "The query's parameters; of a repeated one the first value, which is the one that the engine takes.",
        |_, lua, request| query(lua, request),
    ),
    field(
        "queries",
        "{ [string]: { string } }",
        "The query's parameters with all their values.",
        |_, lua, request| queries(lua, request),
    ),
    field(
        "api_version",
        "string?",
        "The version in the path, `1.41`; `nil` when there is none.",
        |_, lua, request| request.target().api_version.as_deref().into_lua(lua),
    ),
    field(
        "body_state",
        "\"none\" | \"json\" | \"opaque\"",
        "`none`: there is none, or none that the engine reads. `json`: see `body`. `opaque`: an archive, a stream or a login, which the engine shows to no plugin.",
        |_, lua, request| request.body_state.into_lua(lua),
    ),
    field(
        "body",
        "any",
        "The JSON body, when `body_state` is `json`. Names of fields are found as the engine finds them, whatever their case; `null` is `nil`.",
        Registry::body,
    ),
    field(
        "mounts",
        "{ Mount }",
        "Every host path that the request reaches: binds, mounts, devices, local volumes, those of services too.",
        |_, lua, request| mounts(lua, request),
    ),
    field(
        "user",
        "User?",
        "Who asks, when a TLS certificate says so; `nil` on the Unix socket.",
        |_, lua, request| user(lua, request),
    ),
    field(
        "RequestMethod",
        "string",
        "The HTTP method.",
        |_, lua, request| request.method.as_str().into_lua(lua),
    ),
    field(
        "RequestUri",
        "string",
        "The request target as it was sent; prefer `path` and `query`.",
        |_, lua, request| request.uri.as_str().into_lua(lua),
    ),
    field(
        "RequestHeaders",
        "{ [string]: string }",
        "The headers. Of a repeated one the last value; credentials are left out by the engine.",
        |_, lua, request| request.headers.clone().into_lua(lua),
    ),
    field(
        "RequestBody",
        "string?",
        "The JSON text of the body, when `body_state` is `json`; prefer `body`.",
        |_, lua, request| request.document.as_ref().map(Document::text).into_lua(lua),
    ),
    field(
        "RequestPeerCertificates",
        "{ string }",
        "The client's certificates as the engine gives them; prefer `user.certificate`.",
        |_, lua, request| request.certificates.clone().into_lua(lua),
    ),
    field(
        "User",
        "string?",
        "The common name of the client's TLS certificate.",
        |_, lua, request| request.user.clone().into_lua(lua),
    ),
    field(
        "UserAuthNMethod",
        "string?",
        "`TLS`, or `nil`.",
        |_, lua, request| request.user_method.clone().into_lua(lua),
    ),
    field(
        "ResponseStatusCode",
        "number?",
        "In `response` only: the HTTP status; `nil` for failures, streams and replies over 64 KiB.",
        |_, lua, request| request.status.into_lua(lua),
    ),
    field(
        "ResponseHeaders",
        "{ [string]: string }?",
        "In `response` only: the reply's headers.",
        |_, lua, request| request.response_headers.clone().into_lua(lua),
    ),
    field(
        "ResponseBody",
        "string?",
        "In `response` only: the reply's body, if it is small.",
        |_, lua, request| response_body(lua, request),
    ),
];

fn response_body(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    use base64::Engine;
    let Some(body) = &request.response_body else {
        return Ok(Value::Nil);
    };
    let decoded = base64::engine::general_purpose::STANDARD.decode(body);
    lua.create_string(decoded.map_err(mlua::Error::external)?)
        .map(Value::String)
}

fn params(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    let target = request.target();
    lua.create_table_from(target.params()).map(Value::Table)
}

fn query(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    for (name, value) in request.target().query.pairs() {
        let name = lua.create_string(&name)?;
        if !table.contains_key(&name)? {
            table.raw_set(name, lua.create_string(&value)?)?;
        }
    }
    Ok(Value::Table(table))
}

fn queries(lua: &Lua, request: &Request) -> mlua::Result<Value> {
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
    Ok(Value::Table(table))
}

fn mounts(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    let list = lua.create_table_with_capacity(request.mounts.len(), 0)?;
    for mount in &request.mounts {
        let entry = lua.create_table_with_capacity(0, 5)?;
        entry.raw_set("source", mount.source.as_str())?;
        entry.raw_set(
            "resolved",
            mount.resolved.as_deref().map(|path| path.to_string_lossy()),
        )?;
        entry.raw_set("target", mount.target.as_deref())?;
        entry.raw_set("read_only", mount.read_only)?;
        entry.raw_set("via", mount.via.as_str())?;
        list.raw_push(entry)?;
    }
    Ok(Value::Table(list))
}

fn user(lua: &Lua, request: &Request) -> mlua::Result<Value> {
    if request.user.is_none() && request.certificates.is_empty() {
        return Ok(Value::Nil);
    }
    let user = lua.create_table()?;
    user.raw_set("name", request.user.as_deref())?;
    user.raw_set("method", request.user_method.as_deref())?;
    if let Some(certificate) = request.certificates.first() {
        user.raw_set("certificate", certificate_table(lua, certificate)?)?;
    }
    Ok(Value::Table(user))
}

fn certificate_table(lua: &Lua, element: &str) -> mlua::Result<Table> {
    let certificate = PeerCertificate::parse(element).map_err(mlua::Error::external)?;
    let table = lua.create_table()?;
    table.raw_set("common_name", certificate.common_name)?;
    table.raw_set("organizations", certificate.organizations)?;
    table.raw_set("organizational_units", certificate.organizational_units)?;
    table.raw_set("dns_names", certificate.dns_names)?;
    table.raw_set(
        "ip_addresses",
        certificate
            .ip_addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    )?;
    table.raw_set("emails", certificate.emails)?;
    table.raw_set("uris", certificate.uris)?;
    table.raw_set("serial", certificate.serial)?;
    table.raw_set("not_after", certificate.not_after)?;
    Ok(table)
}
