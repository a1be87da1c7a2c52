//! The routes of the Engine API as data, and their lookup.
//!
//! Actions are `noun.verb`; the first placeholder of a pattern is the id of the object. `{id}` stands for one
//! path segment, `{id*}` for any text, slashes included, as the engine's router has it.

use std::ops::Range;

use self::BodyKind::{Forbidden, Json, JsonRequired, Opaque};
use self::Effect::{Read, Write};

/// What a call can do to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It only looks.
    Read,
    /// It changes something, or opens a channel through which something can be changed.
    Write,
    /// The route is not known.
    Unknown,
}

impl Effect {
    /// The word that policies see: `read`, `write` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Read => "read",
            Write => "write",
            Effect::Unknown => "unknown",
        }
    }
}

/// What body a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// None; the engine reads nothing.
    None,
    /// None, and one that is sent may be read by an old API version.
    Forbidden,
    /// JSON, or nothing.
    Json,
    /// JSON.
    JsonRequired,
    /// Bytes that no plugin is shown: archives, streams.
    Opaque,
}

/// One route.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method. A HEAD finds the GET row where it has none of its own.
    pub method: &'static str,
    /// The path without version, with placeholders.
    pub pattern: &'static str,
    /// The name that policies see, as in `container.create`.
    pub action: &'static str,
    /// What it does.
    pub effect: Effect,
    /// What body it takes.
    pub body: BodyKind,
    open: usize,
    close: usize,
}

/// A placeholder's name and where its value stands in the path.
pub(super) type Param = (&'static str, Range<usize>);
/// No route has more placeholders.
pub(super) type Params = [Option<Param>; 2];

/// All rows, in the order in which they are tried.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter())
}

/// Finds the row for a decoded path without version.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static Route, Params)> {
    if method == "OPTIONS" {
        return Some((&ANY_OPTIONS, [None, None]));
    }
    let first = path.strip_prefix('/')?.split('/').next()?;
    let (_, rows) = GROUPS.iter().find(|(name, _)| *name == first)?;
    find_in(rows, method, path).or_else(|| {
        if method == "HEAD" {
            find_in(rows, "GET", path)
        } else {
            None
        }
    })
}

fn find_in(rows: &'static [Route], method: &str, path: &str) -> Option<(&'static Route, Params)> {
    rows.iter()
        .filter(|row| row.method == method)
        .find_map(|row| Some((row, row.matches(path)?)))
}

impl Route {
    const fn of(
        effect: Effect,
        body: BodyKind,
        method: &'static str,
        pattern: &'static str,
        action: &'static str,
    ) -> Self {
        let open = position(pattern, b'{');
        Route {
            method,
            pattern,
            action,
            effect,
            body,
            open,
            close: position(pattern, b'}'),
        }
    }

    fn matches(&self, path: &str) -> Option<Params> {
        if self.open == self.pattern.len() {
            return (path == self.pattern).then_some([None, None]);
        }
        let rest = path.strip_prefix(&self.pattern[..self.open])?;
        let tail = &self.pattern[self.close + 1..];
        match rest.strip_suffix(tail) {
            Some(value) => self.only(value),
            None if tail.ends_with('}') => {
                let (between, second) = tail.split_once('{')?;
                self.both(rest, between, second.trim_end_matches('}'))
            }
            None => None,
        }
    }

    fn only(&self, value: &str) -> Option<Params> {
        let name = &self.pattern[self.open + 1..self.close];
        match name.strip_suffix('*') {
            // The router's `.*` knows no line feeds.
            Some(name) if !value.contains('\n') => Some([Some((name, self.range(0, value))), None]),
            None if is_segment(value) => Some([Some((name, self.range(0, value))), None]),
            _ => None,
        }
    }

    fn both(&self, rest: &str, between: &str, second: &'static str) -> Option<Params> {
        let (one, two) = rest
            .split_once(between)
            .filter(|(one, two)| is_segment(one) && is_segment(two))?;
        let name = &self.pattern[self.open + 1..self.close];
        let at = one.len() + between.len();
        Some([
            Some((name, self.range(0, one))),
            Some((second, self.range(at, two))),
        ])
    }

    fn range(&self, at: usize, value: &str) -> Range<usize> {
        self.open + at..self.open + at + value.len()
    }
}

fn is_segment(value: &str) -> bool {
    !value.is_empty() && !value.contains('/')
}

const fn position(text: &str, byte: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != byte {
        at += 1;
    }
    at
}

const fn read(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::of(Read, BodyKind::None, method, pattern, action)
}

const fn write(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::of(Write, BodyKind::None, method, pattern, action)
}

const fn with(
    body: BodyKind,
    method: &'static str,
    pattern: &'static str,
    action: &'static str,
) -> Route {
    Route::of(Write, body, method, pattern, action)
}

static ANY_OPTIONS: Route = read("OPTIONS", "/{any*}", "system.options");

/// First path segment → rows. Literal patterns stand before those that would swallow them.
static GROUPS: &[(&str, &[Route])] = &[
    (
        "_ping",
        &[
            read("GET", "/_ping", "system.ping"),
            read("HEAD", "/_ping", "system.ping"),
        ],
    ),
    ("containers", CONTAINERS),
    ("exec", EXEC),
    ("images", IMAGES),
    ("volumes", VOLUMES),
    ("networks", NETWORKS),
    ("info", &[read("GET", "/info", "system.info")]),
    ("version", &[read("GET", "/version", "system.version")]),
    ("events", &[read("GET", "/events", "system.events")]),
    ("system", &[read("GET", "/system/df", "system.df")]),
    // A login makes the engine send credentials to a server that the caller names.
    ("auth", &[with(Json, "POST", "/auth", "system.auth")]),
    ("build", BUILD),
    // Both open a tunnel to the builder, of which nothing further is seen.
    (
        "session",
        &[with(Opaque, "POST", "/session", "session.open")],
    ),
    ("grpc", &[with(Opaque, "POST", "/grpc", "grpc.open")]),
    (
        "commit",
        &[with(Json, "POST", "/commit", "container.commit")],
    ),
    (
        "distribution",
        &[read(
            "GET",
            "/distribution/{name*}/json",
            "distribution.inspect",
        )],
    ),
    ("plugins", PLUGINS),
    ("swarm", SWARM),
    ("services", SERVICES),
    ("tasks", TASKS),
    ("nodes", NODES),
    ("secrets", SECRETS),
    ("configs", CONFIGS),
    ("debug", DEBUG),
    ("pprof", PPROF),
    ("vars", &[read("GET", "/vars", "debug.vars")]),
];

static CONTAINERS: &[Route] = &[
    read("GET", "/containers/json", "container.list"),
    with(
        JsonRequired,
        "POST",
        "/containers/create",
        "container.create",
    ),
    write("POST", "/containers/prune", "container.prune"),
    read("GET", "/containers/{id}/checkpoints", "checkpoint.list"),
    with(
        JsonRequired,
        "POST",
        "/containers/{id}/checkpoints",
        "checkpoint.create",
    ),
    write(
        "DELETE",
        "/containers/{id}/checkpoints/{checkpoint}",
        "checkpoint.remove",
    ),
    read("GET", "/containers/{id*}/json", "container.inspect"),
    with(
        Forbidden,
        "POST",
        "/containers/{id*}/start",
        "container.start",
    ),
    write("POST", "/containers/{id*}/attach", "container.attach"),
    // A web socket carries standard input just as the POST does.
    write("GET", "/containers/{id*}/attach/ws", "container.attach"),
    read("POST", "/containers/{id*}/wait", "container.wait"),
    read("GET", "/containers/{id*}/logs", "container.logs"),
    read("GET", "/containers/{id*}/stats", "container.stats"),
    read("GET", "/containers/{id*}/top", "container.top"),
    read("GET", "/containers/{id*}/changes", "container.changes"),
    read("GET", "/containers/{id*}/export", "container.export"),
    read("GET", "/containers/{id*}/archive", "container.read_files"),
    read("HEAD", "/containers/{id*}/archive", "container.stat_file"),
    with(
        Opaque,
        "PUT",
        "/containers/{id*}/archive",
        "container.write_files",
    ),
    // Reads files, until API 1.23; a write because nothing legitimate sends it any more.
    with(
        JsonRequired,
        "POST",
        "/containers/{id*}/copy",
        "container.copy",
    ),
    with(
        JsonRequired,
        "POST",
        "/containers/{id*}/exec",
        "exec.create",
    ),
    with(
        JsonRequired,
        "POST",
        "/containers/{id*}/update",
        "container.update",
    ),
    write("POST", "/containers/{id*}/stop", "container.stop"),
    write("POST", "/containers/{id*}/restart", "container.restart"),
    write("POST", "/containers/{id*}/kill", "container.kill"),
    write("POST", "/containers/{id*}/pause", "container.pause"),
    write("POST", "/containers/{id*}/unpause", "container.unpause"),
    write("POST", "/containers/{id*}/rename", "container.rename"),
    write("POST", "/containers/{id*}/resize", "container.resize"),
    write("DELETE", "/containers/{id*}", "container.remove"),
];

static EXEC: &[Route] = &[
    with(Json, "POST", "/exec/{id*}/start", "exec.start"),
    write("POST", "/exec/{id*}/resize", "exec.resize"),
    read("GET", "/exec/{id*}/json", "exec.inspect"),
];

static IMAGES: &[Route] = &[
    read("GET", "/images/json", "image.list"),
    read("GET", "/images/search", "image.search"),
    read("GET", "/images/get", "image.save"),
    // Pulls, or imports an archive.
    with(Opaque, "POST", "/images/create", "image.create"),
    with(Opaque, "POST", "/images/load", "image.load"),
    write("POST", "/images/prune", "image.prune"),
    read("GET", "/images/{name*}/json", "image.inspect"),
    read("GET", "/images/{name*}/history", "image.history"),
    read("GET", "/images/{name*}/get", "image.save"),
    read("GET", "/images/{name*}/attestations", "image.attestations"),
    write("POST", "/images/{name*}/push", "image.push"),
    write("POST", "/images/{name*}/tag", "image.tag"),
    write("DELETE", "/images/{name*}", "image.remove"),
];

static BUILD: &[Route] = &[
    with(Opaque, "POST", "/build", "image.build"),
    write("POST", "/build/prune", "build.prune"),
    write("POST", "/build/cancel", "build.cancel"),
];

static VOLUMES: &[Route] = &[
    read("GET", "/volumes", "volume.list"),
    with(JsonRequired, "POST", "/volumes/create", "volume.create"),
    write("POST", "/volumes/prune", "volume.prune"),
    read("GET", "/volumes/{name*}", "volume.inspect"),
    with(JsonRequired, "PUT", "/volumes/{name*}", "volume.update"),
    write("DELETE", "/volumes/{name*}", "volume.remove"),
];

static NETWORKS: &[Route] = &[
    read("GET", "/networks", "network.list"),
    read("GET", "/networks/", "network.list"),
    with(JsonRequired, "POST", "/networks/create", "network.create"),
    write("POST", "/networks/prune", "network.prune"),
    with(
        JsonRequired,
        "POST",
        "/networks/{id*}/connect",
        "network.connect",
    ),
    with(
        JsonRequired,
        "POST",
        "/networks/{id*}/disconnect",
        "network.disconnect",
    ),
    read("GET", "/networks/{id*}", "network.inspect"),
    write("DELETE", "/networks/{id*}", "network.remove"),
];

static PLUGINS: &[Route] = &[
    read("GET", "/plugins", "plugin.list"),
    read("GET", "/plugins/privileges", "plugin.privileges"),
    with(JsonRequired, "POST", "/plugins/pull", "plugin.pull"),
    with(Opaque, "POST", "/plugins/create", "plugin.create"),
    read("GET", "/plugins/{name*}/json", "plugin.inspect"),
    write("POST", "/plugins/{name*}/enable", "plugin.enable"),
    write("POST", "/plugins/{name*}/disable", "plugin.disable"),
    write("POST", "/plugins/{name*}/push", "plugin.push"),
    with(
        JsonRequired,
        "POST",
        "/plugins/{name*}/upgrade",
        "plugin.upgrade",
    ),
    with(JsonRequired, "POST", "/plugins/{name*}/set", "plugin.set"),
    write("DELETE", "/plugins/{name*}", "plugin.remove"),
];

static SWARM: &[Route] = &[
    // These hand out what opens the swarm: the tokens to join it, and the key of the managers' store.
    write("GET", "/swarm", "swarm.inspect"),
    write("GET", "/swarm/unlockkey", "swarm.unlockkey"),
    with(JsonRequired, "POST", "/swarm/init", "swarm.init"),
    with(JsonRequired, "POST", "/swarm/join", "swarm.join"),
    write("POST", "/swarm/leave", "swarm.leave"),
    with(JsonRequired, "POST", "/swarm/update", "swarm.update"),
    with(JsonRequired, "POST", "/swarm/unlock", "swarm.unlock"),
];

static SERVICES: &[Route] = &[
    read("GET", "/services", "service.list"),
    with(JsonRequired, "POST", "/services/create", "service.create"),
    read("GET", "/services/{id}", "service.inspect"),
    read("GET", "/services/{id}/logs", "service.logs"),
    with(
        JsonRequired,
        "POST",
        "/services/{id}/update",
        "service.update",
    ),
    write("DELETE", "/services/{id}", "service.remove"),
];

static TASKS: &[Route] = &[
    read("GET", "/tasks", "task.list"),
    read("GET", "/tasks/{id}", "task.inspect"),
    read("GET", "/tasks/{id}/logs", "task.logs"),
];

static NODES: &[Route] = &[
    read("GET", "/nodes", "node.list"),
    read("GET", "/nodes/{id}", "node.inspect"),
    with(JsonRequired, "POST", "/nodes/{id}/update", "node.update"),
    write("DELETE", "/nodes/{id}", "node.remove"),
];

static SECRETS: &[Route] = &[
    read("GET", "/secrets", "secret.list"),
    with(JsonRequired, "POST", "/secrets/create", "secret.create"),
    read("GET", "/secrets/{id}", "secret.inspect"),
    with(
        JsonRequired,
        "POST",
        "/secrets/{id}/update",
        "secret.update",
    ),
    write("DELETE", "/secrets/{id}", "secret.remove"),
];

static CONFIGS: &[Route] = &[
    read("GET", "/configs", "config.list"),
    with(JsonRequired, "POST", "/configs/create", "config.create"),
    read("GET", "/configs/{id}", "config.inspect"),
    with(
        JsonRequired,
        "POST",
        "/configs/{id}/update",
        "config.update",
    ),
    write("DELETE", "/configs/{id}", "config.remove"),
];

static DEBUG: &[Route] = &[
    read("GET", "/debug/vars", "debug.vars"),
    read("GET", "/debug/pprof/", "debug.pprof"),
    read("GET", "/debug/pprof/{name}", "debug.pprof"),
];

/// The debug router's paths, which engines up to 28 also register without `/debug`.
static PPROF: &[Route] = &[
    read("GET", "/pprof/", "debug.pprof"),
    read("GET", "/pprof/{name}", "debug.pprof"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: &str, path: &str) -> Option<&'static str> {
        find(method, path).map(|(route, _)| route.action)
    }

    #[test]
    fn finds_every_row_by_its_own_pattern() {
        for row in routes() {
            let path = row
                .pattern
                .replace("*}", "}")
                .replace('{', "x-")
                .replace('}', "");
            let (found, _) =
                find(row.method, &path).unwrap_or_else(|| panic!("{} {path}", row.method));
            assert_eq!(found.pattern, row.pattern, "{} {path}", row.method);
        }
    }

    #[test]
    fn names_are_noun_dot_verb() {
        for row in routes() {
            let parts: Vec<_> = row.action.split('.').collect();
            assert!(
                parts.len() == 2 && parts.iter().all(|part| !part.is_empty()),
                "{}",
                row.action
            );
        }
    }

    #[test]
    fn names_of_images_may_hold_slashes() {
        let path = "/images/reg.io:5000/a/b:1/json";
        let (route, params) = find("GET", path).unwrap();
        let (name, range) = params[0].clone().unwrap();
        assert_eq!(
            (route.action, name, &path[range]),
            ("image.inspect", "name", "reg.io:5000/a/b:1")
        );
    }

    #[test]
    fn two_placeholders() {
        let path = "/containers/c/checkpoints/k";
        let (route, params) = find("DELETE", path).unwrap();
        let values: Vec<_> = params
            .into_iter()
            .flatten()
            .map(|(name, range)| (name, &path[range]))
            .collect();
        assert_eq!(
            (route.action, values),
            ("checkpoint.remove", vec![("id", "c"), ("checkpoint", "k")])
        );
    }

    #[test]
    fn unusual_routes_are_found() {
        assert_eq!(
            action("HEAD", "/containers/c/archive"),
            Some("container.stat_file")
        );
        assert_eq!(action("HEAD", "/version"), Some("system.version"));
        assert_eq!(action("OPTIONS", "/what/ever"), Some("system.options"));
        assert_eq!(action("post", "/containers/create"), None);
        assert_eq!(action("GET", "/containers/create"), None);
        assert_eq!(action("GET", "/containers/a\nb/json"), None);
        assert_eq!(action("GET", "containers/json"), None);
        assert_eq!(
            find("GET", "/containers/c/attach/ws").unwrap().0.effect,
            Write
        );
    }
}
