//! `docs/reference/authz-request.md`: the authorization request, and the actions of the Engine API.

use moondock::authz::{BodyKind, Object, body_of, query_of, routes};
use moondock::plugin::{REQUEST_FIELDS, REQUEST_TYPES};
use std::collections::BTreeMap;

const INTRO: &str = "# The authorization request

What `authz.request(req)` and `authz.response(req)` get. Moondock reads the engine's message as the engine itself reads the
request, before it calls the script. It rejects whatever has more than one reading. The
[guide to policies](../guides/policies.md) says more.

Fields are made when they are first read, so unused fields cost nothing. Reading a field that does not exist raises, with the
nearest known name. This holds for the [body](#bodies) and the [query](#actions) too, for what the request has can always be
read, and for what some engine knows is `nil` if the request does not have it. The tables are valid until the request is answered: copy the values that you need later.

| field | type | |
|---|---|---|
";

const ROUTES: &str = "
## Actions

The names of the engine's routes. A `HEAD` request has the action of the `GET`. A request to any other route has `action == nil` and `effect == \"unknown\"`.

*Body* is one of:

* `none`: the engine reads no body.
* `forbidden`: Moondock rejects any body with content, as old API versions read it.
* `json`: JSON or nothing.
* `needed`: JSON; Moondock rejects the request without it.
* `opaque`: bytes that the engine shows to no plugin.

*Query* has the parameters that engines know (API 1.25 to 1.55). Reading another one raises, unless the request has it.

| action | effect | request | body | query |
|---|---|---|---|---|
";

const BODIES: &str = "
## Bodies

The fields that engines know (API 1.25 to 1.55). Reading another one raises, unless the request has it. A field whose object
is named in parentheses holds such an object, a list of them, or a map of them. Of all other fields, such as labels, options
and texts, nothing is judged, nor is the body of an action that is not here. The body of `plugin.pull` and `plugin.upgrade`
is a list of `PluginPrivilege`, those of `config.*`, `node.update`, `secret.*`, `service.*` and `swarm.update` are a
`ConfigSpec`, `NodeSpec`, `SecretSpec`, `ServiceSpec` and `SwarmSpec`, and that of `container.commit` is a `Config`.

| object | fields |
|---|---|
";

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for field in REQUEST_FIELDS {
        page += &format!(
            "| `{}` | `{}` | {} |\n",
            field.name,
            field.ty.replace('|', "\\|"),
            field.doc
        );
    }
    page += &format!("\n```luau\n{REQUEST_TYPES}\n```\n{ROUTES}");
    let mut rows: Vec<_> = routes().collect();
    rows.sort_by_key(|route| (route.action, route.pattern));
    for route in rows {
        let (effect, body) = (route.effect.as_str(), body_kind(route.body));
        page += &format!(
            "| `{}` | {effect} | `{} {}` | {body} | {} |\n",
            route.action,
            route.method,
            route.pattern,
            list(
                query_of(route.action)
                    .iter()
                    .map(|name| format!("`{name}`"))
            )
        );
    }
    page + &bodies()
}

fn bodies() -> String {
    let mut objects = BTreeMap::new();
    for body in routes().filter_map(|route| body_of(route.action)) {
        collect(body, &mut objects);
    }
    let rows = objects
        .values()
        .map(|object| format!("| `{}` | {} |\n", object.name, fields(object)));
    BODIES.to_owned() + &rows.collect::<String>()
}

/// Collects an object and those within, and asserts that no two have the same name.
fn collect(object: &'static Object, objects: &mut BTreeMap<&'static str, &'static Object>) {
    if let Some(other) = objects.insert(object.name, object) {
        assert!(std::ptr::eq(other, object), "{}", object.name);
        return;
    }
    let inner = object.objects.iter().map(|(_, inner)| *inner);
    for inner in inner.chain(object.with.iter().copied()) {
        collect(inner, objects);
    }
}

fn fields(object: &Object) -> String {
    let inherited = object
        .with
        .iter()
        .map(|other| format!("those of `{}`", other.name));
    let mut own: Vec<_> = object.own_names().collect();
    own.sort_unstable();
    list(
        inherited.chain(own.into_iter().map(|name| match object.within(name) {
            Some(inner) => format!("`{name}` (`{}`)", inner.name),
            None => format!("`{name}`"),
        })),
    )
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn body_kind(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::None => "none",
        BodyKind::Forbidden => "forbidden",
        BodyKind::Json => "json",
        BodyKind::JsonRequired => "needed",
        BodyKind::Opaque => "opaque",
    }
}
