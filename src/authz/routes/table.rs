//! The routes of the Engine API, as rows.

use super::{BodyKind, Effect, Route};

/// A route that reads no body and only looks.
const fn read(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(method, pattern, action, Effect::Read, BodyKind::None)
}

/// A route that reads no body.
const fn write(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(method, pattern, action, Effect::Write, BodyKind::None)
}

/// A route that needs JSON.
const fn json(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(
        method,
        pattern,
        action,
        Effect::Write,
        BodyKind::JsonRequired,
    )
}

/// A route that takes JSON or nothing.
const fn may_json(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(method, pattern, action, Effect::Write, BodyKind::Json)
}

/// A route that takes bytes which no plugin sees.
const fn opaque(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(method, pattern, action, Effect::Write, BodyKind::Opaque)
}

/// A route that takes no body, and whose body an old API version may read.
const fn no_body(method: &'static str, pattern: &'static str, action: &'static str) -> Route {
    Route::new(method, pattern, action, Effect::Write, BodyKind::Forbidden)
}

/// The row of every OPTIONS request, whatever its path.
pub(super) static ANY_OPTIONS: Route = read("OPTIONS", "/{any*}", "system.options");

/// The rows by the first segment of their paths.
#[rustfmt::skip]
pub(super) static GROUPS: &[(&str, &[Route])] = &[
    ("_ping",        PING),
    ("containers",   CONTAINERS),
    ("exec",         EXEC),
    ("images",       IMAGES),
    ("volumes",      VOLUMES),
    ("networks",     NETWORKS),
    ("info",         INFO),
    ("version",      VERSION),
    ("events",       EVENTS),
    ("system",       SYSTEM),
    ("auth",         AUTH),
    ("build",        BUILD),
    ("session",      SESSION),
    ("grpc",         GRPC),
    ("commit",       COMMIT),
    ("distribution", DISTRIBUTION),
    ("plugins",      PLUGINS),
    ("swarm",        SWARM),
    ("services",     SERVICES),
    ("tasks",        TASKS),
    ("nodes",        NODES),
    ("secrets",      SECRETS),
    ("configs",      CONFIGS),
    ("debug",        DEBUG),
    ("pprof",        PPROF),
    ("vars",         VARS),
];

#[rustfmt::skip]
static PING: &[Route] = &[
    read(    "GET",    "/_ping",                                    "system.ping"),
    read(    "HEAD",   "/_ping",                                    "system.ping"),
];

// A literal pattern precedes the patterns that would match its path too.
#[rustfmt::skip]
static CONTAINERS: &[Route] = &[
    read(    "GET",    "/containers/json",                          "container.list"),
    json(    "POST",   "/containers/create",                        "container.create"),
    write(   "POST",   "/containers/prune",                         "container.prune"),
    read(    "GET",    "/containers/{id}/checkpoints",              "checkpoint.list"),
    json(    "POST",   "/containers/{id}/checkpoints",              "checkpoint.create"),
    write(   "DELETE", "/containers/{id}/checkpoints/{checkpoint}", "checkpoint.remove"),
    read(    "GET",    "/containers/{id*}/json",                    "container.inspect"),
    no_body( "POST",   "/containers/{id*}/start",                   "container.start"),
    write(   "POST",   "/containers/{id*}/attach",                  "container.attach"),
    // A web socket carries standard input, as the POST does.
    write(   "GET",    "/containers/{id*}/attach/ws",               "container.attach"),
    read(    "POST",   "/containers/{id*}/wait",                    "container.wait"),
    read(    "GET",    "/containers/{id*}/logs",                    "container.logs"),
    read(    "GET",    "/containers/{id*}/stats",                   "container.stats"),
    read(    "GET",    "/containers/{id*}/top",                     "container.top"),
    read(    "GET",    "/containers/{id*}/changes",                 "container.changes"),
    read(    "GET",    "/containers/{id*}/export",                  "container.export"),
    read(    "GET",    "/containers/{id*}/archive",                 "container.read_files"),
    read(    "HEAD",   "/containers/{id*}/archive",                 "container.stat_file"),
    opaque(  "PUT",    "/containers/{id*}/archive",                 "container.write_files"),
    // Reads files, until API 1.23. A write, because no client has a reason to send it any more.
    json(    "POST",   "/containers/{id*}/copy",                    "container.copy"),
    json(    "POST",   "/containers/{id*}/exec",                    "exec.create"),
    json(    "POST",   "/containers/{id*}/update",                  "container.update"),
    write(   "POST",   "/containers/{id*}/stop",                    "container.stop"),
    write(   "POST",   "/containers/{id*}/restart",                 "container.restart"),
    write(   "POST",   "/containers/{id*}/kill",                    "container.kill"),
    write(   "POST",   "/containers/{id*}/pause",                   "container.pause"),
    write(   "POST",   "/containers/{id*}/unpause",                 "container.unpause"),
    write(   "POST",   "/containers/{id*}/rename",                  "container.rename"),
    write(   "POST",   "/containers/{id*}/resize",                  "container.resize"),
    write(   "DELETE", "/containers/{id*}",                         "container.remove"),
];

#[rustfmt::skip]
static EXEC: &[Route] = &[
    may_json("POST",   "/exec/{id*}/start",                         "exec.start"),
    write(   "POST",   "/exec/{id*}/resize",                        "exec.resize"),
    read(    "GET",    "/exec/{id*}/json",                          "exec.inspect"),
];

#[rustfmt::skip]
static IMAGES: &[Route] = &[
    read(    "GET",    "/images/json",                              "image.list"),
    read(    "GET",    "/images/search",                            "image.search"),
    read(    "GET",    "/images/get",                               "image.save"),
    // Pulls an image, or imports an archive.
    opaque(  "POST",   "/images/create",                            "image.create"),
    opaque(  "POST",   "/images/load",                              "image.load"),
    write(   "POST",   "/images/prune",                             "image.prune"),
    read(    "GET",    "/images/{name*}/json",                      "image.inspect"),
    read(    "GET",    "/images/{name*}/history",                   "image.history"),
    read(    "GET",    "/images/{name*}/get",                       "image.save"),
    read(    "GET",    "/images/{name*}/attestations",              "image.attestations"),
    write(   "POST",   "/images/{name*}/push",                      "image.push"),
    write(   "POST",   "/images/{name*}/tag",                       "image.tag"),
    write(   "DELETE", "/images/{name*}",                           "image.remove"),
];

#[rustfmt::skip]
static VOLUMES: &[Route] = &[
    read(    "GET",    "/volumes",                                  "volume.list"),
    json(    "POST",   "/volumes/create",                           "volume.create"),
    write(   "POST",   "/volumes/prune",                            "volume.prune"),
    read(    "GET",    "/volumes/{name*}",                          "volume.inspect"),
    json(    "PUT",    "/volumes/{name*}",                          "volume.update"),
    write(   "DELETE", "/volumes/{name*}",                          "volume.remove"),
];

#[rustfmt::skip]
static NETWORKS: &[Route] = &[
    read(    "GET",    "/networks",                                 "network.list"),
    read(    "GET",    "/networks/",                                "network.list"),
    json(    "POST",   "/networks/create",                          "network.create"),
    write(   "POST",   "/networks/prune",                           "network.prune"),
    json(    "POST",   "/networks/{id*}/connect",                   "network.connect"),
    json(    "POST",   "/networks/{id*}/disconnect",                "network.disconnect"),
    read(    "GET",    "/networks/{id*}",                           "network.inspect"),
    write(   "DELETE", "/networks/{id*}",                           "network.remove"),
];

#[rustfmt::skip]
static INFO: &[Route] = &[
    read(    "GET",    "/info",                                     "system.info"),
];

#[rustfmt::skip]
static VERSION: &[Route] = &[
    read(    "GET",    "/version",                                  "system.version"),
];

#[rustfmt::skip]
static EVENTS: &[Route] = &[
    read(    "GET",    "/events",                                   "system.events"),
];

#[rustfmt::skip]
static SYSTEM: &[Route] = &[
    read(    "GET",    "/system/df",                                "system.df"),
];

#[rustfmt::skip]
static AUTH: &[Route] = &[
    // A login makes the engine send credentials to a server that the caller names.
    may_json("POST",   "/auth",                                     "system.auth"),
];

#[rustfmt::skip]
static BUILD: &[Route] = &[
    opaque(  "POST",   "/build",                                    "image.build"),
    write(   "POST",   "/build/prune",                              "build.prune"),
    write(   "POST",   "/build/cancel",                             "build.cancel"),
];

#[rustfmt::skip]
static SESSION: &[Route] = &[
    // A tunnel to the builder, inside which no plugin sees anything.
    opaque(  "POST",   "/session",                                  "session.open"),
];

#[rustfmt::skip]
static GRPC: &[Route] = &[
    // A tunnel to the builder, inside which no plugin sees anything.
    opaque(  "POST",   "/grpc",                                     "grpc.open"),
];

#[rustfmt::skip]
static COMMIT: &[Route] = &[
    may_json("POST",   "/commit",                                   "container.commit"),
];

#[rustfmt::skip]
static DISTRIBUTION: &[Route] = &[
    read(    "GET",    "/distribution/{name*}/json",                "distribution.inspect"),
];

#[rustfmt::skip]
static PLUGINS: &[Route] = &[
    read(    "GET",    "/plugins",                                  "plugin.list"),
    read(    "GET",    "/plugins/privileges",                       "plugin.privileges"),
    json(    "POST",   "/plugins/pull",                             "plugin.pull"),
    opaque(  "POST",   "/plugins/create",                           "plugin.create"),
    read(    "GET",    "/plugins/{name*}/json",                     "plugin.inspect"),
    write(   "POST",   "/plugins/{name*}/enable",                   "plugin.enable"),
    write(   "POST",   "/plugins/{name*}/disable",                  "plugin.disable"),
    write(   "POST",   "/plugins/{name*}/push",                     "plugin.push"),
    json(    "POST",   "/plugins/{name*}/upgrade",                  "plugin.upgrade"),
    json(    "POST",   "/plugins/{name*}/set",                      "plugin.set"),
    write(   "DELETE", "/plugins/{name*}",                          "plugin.remove"),
];

#[rustfmt::skip]
static SWARM: &[Route] = &[
    // Both return secrets: the tokens to join the swarm, and the key of the managers' store.
    write(   "GET",    "/swarm",                                    "swarm.inspect"),
    write(   "GET",    "/swarm/unlockkey",                          "swarm.unlockkey"),
    json(    "POST",   "/swarm/init",                               "swarm.init"),
    json(    "POST",   "/swarm/join",                               "swarm.join"),
    write(   "POST",   "/swarm/leave",                              "swarm.leave"),
    json(    "POST",   "/swarm/update",                             "swarm.update"),
    json(    "POST",   "/swarm/unlock",                             "swarm.unlock"),
];

#[rustfmt::skip]
static SERVICES: &[Route] = &[
    read(    "GET",    "/services",                                 "service.list"),
    json(    "POST",   "/services/create",                          "service.create"),
    read(    "GET",    "/services/{id}",                            "service.inspect"),
    read(    "GET",    "/services/{id}/logs",                       "service.logs"),
    json(    "POST",   "/services/{id}/update",                     "service.update"),
    write(   "DELETE", "/services/{id}",                            "service.remove"),
];

#[rustfmt::skip]
static TASKS: &[Route] = &[
    read(    "GET",    "/tasks",                                    "task.list"),
    read(    "GET",    "/tasks/{id}",                               "task.inspect"),
    read(    "GET",    "/tasks/{id}/logs",                          "task.logs"),
];

#[rustfmt::skip]
static NODES: &[Route] = &[
    read(    "GET",    "/nodes",                                    "node.list"),
    read(    "GET",    "/nodes/{id}",                               "node.inspect"),
    json(    "POST",   "/nodes/{id}/update",                        "node.update"),
    write(   "DELETE", "/nodes/{id}",                               "node.remove"),
];

#[rustfmt::skip]
static SECRETS: &[Route] = &[
    read(    "GET",    "/secrets",                                  "secret.list"),
    json(    "POST",   "/secrets/create",                           "secret.create"),
    read(    "GET",    "/secrets/{id}",                             "secret.inspect"),
    json(    "POST",   "/secrets/{id}/update",                      "secret.update"),
    write(   "DELETE", "/secrets/{id}",                             "secret.remove"),
];

#[rustfmt::skip]
static CONFIGS: &[Route] = &[
    read(    "GET",    "/configs",                                  "config.list"),
    json(    "POST",   "/configs/create",                           "config.create"),
    read(    "GET",    "/configs/{id}",                             "config.inspect"),
    json(    "POST",   "/configs/{id}/update",                      "config.update"),
    write(   "DELETE", "/configs/{id}",                             "config.remove"),
];

#[rustfmt::skip]
static DEBUG: &[Route] = &[
    read(    "GET",    "/debug/vars",                               "debug.vars"),
    read(    "GET",    "/debug/pprof/",                             "debug.pprof"),
    read(    "GET",    "/debug/pprof/{name}",                       "debug.pprof"),
];

/// The debug router's paths, which engines up to 28 also register without `/debug`.
#[rustfmt::skip]
static PPROF: &[Route] = &[
    read(    "GET",    "/pprof/",                                   "debug.pprof"),
    read(    "GET",    "/pprof/{name}",                             "debug.pprof"),
];

#[rustfmt::skip]
static VARS: &[Route] = &[
    read(    "GET",    "/vars",                                     "debug.vars"),
];
