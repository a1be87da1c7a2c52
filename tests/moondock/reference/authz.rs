//! `docs/reference/authz-request.md`: the authorization request, and the actions of the Engine API.

use moondock::authz::{BodyKind, routes};
use moondock::plugin::{REQUEST_FIELDS, REQUEST_TYPES};

const INTRO: &str = "# The authorization request

What `authz.request(req)` and `authz.response(req)` get. Moondock reads the engine's message as the engine itself reads the
request, before it calls the script. It rejects whatever has more than one reading. The
[guide to policies](../guides/policies.md) says more.

Fields are made when they are first read, so unused fields cost nothing. Reading a field that does not exist raises, with the
nearest known name. The tables are valid until the request is answered: copy the values that you need later.

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

| action | effect | request | body |
|---|---|---|---|
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
            "| `{}` | {effect} | `{} {}` | {body} |\n",
            route.action, route.method, route.pattern
        );
    }
    page
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
