//! Commands whose requests depend on their arguments in ways of their own.

use super::create::{Streams, kept, reference, starts, waits};
use super::options::Args;
use super::uri::{Query, path};
use super::{ApiRequest, ID, Result, refused};
use serde_json::{Value, json};

const EXEC: &str = r#"{
    "User": "", "Privileged": false, "Tty": false, "AttachStdin": false, "AttachStderr": true, "AttachStdout": true,
    "Detach": false, "DetachKeys": "", "Env": null, "WorkingDir": "", "Cmd": null
}"#;

fn inspect(container: &str) -> ApiRequest {
    ApiRequest::new("GET", &format!("/containers/{}/json", path(container)))
}

pub fn exec(args: &Args) -> Result<Vec<ApiRequest>> {
    let container = args.name(1);
    let mut body = kept(EXEC);
    args.fill(&mut body);
    body["Cmd"] = args.rest(2);
    let detached = args.flag("detach");
    if detached {
        for stream in ["AttachStdin", "AttachStdout", "AttachStderr"] {
            body[stream] = false.into();
        }
    }
    let begin = json!({ "Detach": detached, "Tty": args.flag("tty") });
    let create = format!("/containers/{}/exec", path(container));
    let start = ApiRequest::new("POST", &format!("/exec/{ID}/start")).with_body(begin);
    let mut requests = vec![
        inspect(container),
        ApiRequest::new("POST", &create).with_body(body),
    ];
    if detached {
        requests.push(start);
    } else {
        requests.push(start.upgraded());
        requests.push(ApiRequest::new("GET", &format!("/exec/{ID}/json")));
    }
    Ok(requests)
}

pub fn start(args: &Args) -> Result<Vec<ApiRequest>> {
    let interactive = args.flag("interactive");
    if !args.flag("attach") && !interactive {
        let mut query = Query::default();
        args.ask(&mut query);
        let of = |name: &String| {
            let uri = query.on(&format!("/containers/{}/start", path(name)));
            ApiRequest::new("POST", &uri)
        };
        return Ok(args.names.iter().map(of).collect());
    }
    if args.names.len() > 1 {
        return refused("only one container can be attached to: leave the others out");
    }
    let streams = Streams {
        stdin: false,
        stdout: true,
        stderr: true,
    };
    Ok(vec![
        inspect(args.name(1)),
        streams.attach(ID, args.text("detach-keys")),
        waits(ID, "next-exit"),
        starts(ID),
    ])
}

pub fn attach(args: &Args) -> Result<Vec<ApiRequest>> {
    let container = args.name(1);
    let streams = Streams {
        stdin: false,
        stdout: true,
        stderr: true,
    };
    Ok(vec![
        waits(container, ""),
        inspect(container),
        streams.attach(container, args.text("detach-keys")),
        inspect(container),
    ])
}

pub fn stats(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut requests = vec![ApiRequest::new("GET", "/version")];
    if args.names.is_empty() {
        let events = Query::of(&[("filters", r#"{"type":{"container":true}}"#)]);
        requests.push(ApiRequest::new("GET", &events.on("/events")));
        let mut list = Query::of(&[("limit", "0")]);
        args.ask(&mut list);
        requests.push(ApiRequest::new("GET", &list.on("/containers/json")));
    }
    let stream = if args.flag("no-stream") { "0" } else { "1" };
    let query = Query::of(&[("stream", stream)]);
    for name in &args.names {
        let uri = query.on(&format!("/containers/{}/stats", path(name)));
        requests.push(ApiRequest::new("GET", &uri));
    }
    Ok(requests)
}

/// A path of a container, or of this machine.
fn place(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((container, inside)) if !container.starts_with(['/', '.']) => {
            (Some(container), inside)
        }
        _ => (None, text),
    }
}

pub fn cp(args: &Args) -> Result<Vec<ApiRequest>> {
    let archive = |method, container: &str, query: &Query| {
        let uri = format!("/containers/{}/archive", path(container));
        ApiRequest::new(method, &query.on(&uri))
    };
    match (place(args.name(1)), place(args.name(2))) {
        ((Some(container), inside), (None, _)) => {
            let query = Query::of(&[("path", inside)]);
            let mut requests = vec![archive("GET", container, &query)];
            if args.flag("follow-link") {
                requests.insert(0, archive("HEAD", container, &query));
            }
            Ok(requests)
        }
        ((None, _), (Some(container), inside)) => {
            let mut query = Query::of(&[("path", inside)]);
            let first = archive("HEAD", container, &query);
            query.set("path", parent(inside));
            query.set("noOverwriteDirNonDir", "true");
            if args.flag("archive") {
                query.set("copyUIDGID", "true");
            }
            Ok(vec![first, archive("PUT", container, &query)])
        }
        _ => refused("one of the two is CONTAINER:PATH, and the other a path of this machine"),
    }
}

/// Where an archive is unpacked that brings a path which does not exist yet.
fn parent(inside: &str) -> &str {
    if inside.ends_with('/') {
        return inside;
    }
    match inside.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

const KINDS: &[(&str, &str)] = &[
    ("container", "/containers/{}/json"),
    ("image", "/images/{}/json"),
    ("network", "/networks/{}"),
    ("volume", "/volumes/{}"),
    ("node", "/nodes/{}"),
    ("service", "/services/{}"),
    ("task", "/tasks/{}"),
    ("secret", "/secrets/{}"),
    ("config", "/configs/{}"),
    ("plugin", "/plugins/{}/json"),
];

pub fn inspect_any(args: &Args) -> Result<Vec<ApiRequest>> {
    let kind = args.text("type").unwrap_or("container");
    let Some((_, route)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let names = KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        return refused(format!(
            "`--type {kind}`: the types are {}",
            names.join(", ")
        ));
    };
    let mut query = Query::default();
    args.ask(&mut query);
    let of = |name: &String| ApiRequest::new("GET", &query.on(&route.replace("{}", &path(name))));
    Ok(args.names.iter().map(of).collect())
}

pub fn images(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut query = Query::default();
    args.ask(&mut query);
    let name = args.name(1);
    if !name.is_empty() {
        query.set("filters", &args.filters("filter", &[("reference", name)]));
    }
    Ok(vec![ApiRequest::new("GET", &query.on("/images/json"))])
}

pub fn pull(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = reference(args.name(1))?;
    let all = args.flag("all-tags");
    if all && tag.is_some() {
        return refused("`--all-tags` and a tag exclude each other: leave one out");
    }
    let mut requests = pull_of(args.name(1), &repository, args.text("platform"));
    if all && let Some(last) = requests.last_mut() {
        *last = ApiRequest::new(
            "POST",
            &Query::of(&[("fromImage", &repository)]).on("/images/create"),
        );
    }
    Ok(requests)
}

/// Returns what pulls an image. The client asks for the engine's registry unless the image names its own.
pub fn pull_of(image: &str, repository: &str, platform: Option<&str>) -> Vec<ApiRequest> {
    let tag = reference(image).ok().and_then(|(_, tag)| tag);
    let mut query = Query::of(&[
        ("fromImage", repository),
        ("tag", tag.as_deref().unwrap_or("latest")),
    ]);
    if let Some(platform) = platform {
        query.set("platform", platform);
    }
    let mut requests = asks_registry(repository);
    requests.push(ApiRequest::new("POST", &query.on("/images/create")));
    requests
}

fn asks_registry(repository: &str) -> Vec<ApiRequest> {
    let first = repository.split_once('/').map_or("", |(first, _)| first);
    if first.contains(['.', ':']) || first == "localhost" {
        return Vec::new();
    }
    vec![ApiRequest::new("GET", "/info")]
}

pub fn push(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = reference(args.name(1))?;
    let mut query = Query::default();
    if !args.flag("all-tags") {
        query.set("tag", tag.as_deref().unwrap_or("latest"));
    }
    let mut requests = asks_registry(&repository);
    let uri = query.on(&format!("/images/{}/push", path(&repository)));
    requests.push(ApiRequest::new("POST", &uri));
    Ok(requests)
}

pub fn tag(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = reference(args.name(2))?;
    let query = Query::of(&[
        ("repo", &repository),
        ("tag", tag.as_deref().unwrap_or("latest")),
    ]);
    let uri = query.on(&format!("/images/{}/tag", path(args.name(1))));
    Ok(vec![ApiRequest::new("POST", &uri)])
}

pub fn commit(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = match args.name(2) {
        "" => (String::new(), None),
        image => reference(image)?,
    };
    let tag = tag.unwrap_or_default();
    let mut query = Query::of(&[
        ("author", ""),
        ("comment", ""),
        ("container", args.name(1)),
        ("repo", &repository),
        ("tag", &tag),
    ]);
    args.ask(&mut query);
    if args.has("pause") && !args.flag("pause") {
        query.set("pause", "0");
    }
    Ok(vec![
        ApiRequest::new("POST", &query.on("/commit")).with_body(Value::Null),
    ])
}

pub fn save(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut query = Query::default();
    args.names.iter().for_each(|name| query.add("names", name));
    Ok(vec![ApiRequest::new("GET", &query.on("/images/get"))])
}

pub fn load(_: &Args) -> Result<Vec<ApiRequest>> {
    Ok(vec![
        ApiRequest::new("POST", "/images/load?quiet=1").with_archive(),
    ])
}

pub fn import(args: &Args) -> Result<Vec<ApiRequest>> {
    let source = args.name(1);
    let is_remote = source.starts_with("http://") || source.starts_with("https://");
    let from = if is_remote { source } else { "-" };
    let mut query = Query::of(&[
        ("fromSrc", from),
        ("message", ""),
        ("repo", args.name(2)),
        ("tag", ""),
    ]);
    args.ask(&mut query);
    let mut request = ApiRequest::new("POST", &query.on("/images/create"));
    if !is_remote {
        request.headers.retain(|(name, _)| name != "Content-Length");
    }
    Ok(vec![request])
}

pub fn images_prune(args: &Args) -> Result<Vec<ApiRequest>> {
    let dangling = if args.flag("all") { "false" } else { "true" };
    let filters = args.filters("filter", &[("dangling", dangling)]);
    let uri = Query::of(&[("filters", &filters)]).on("/images/prune");
    Ok(vec![ApiRequest::new("POST", &uri)])
}

pub fn system_prune(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut query = Query::default();
    args.ask(&mut query);
    let prune = |kind: &str| ApiRequest::new("POST", &query.on(&format!("/{kind}/prune")));
    let mut requests = vec![prune("containers"), prune("networks")];
    if args.flag("volumes") {
        requests.push(prune("volumes"));
    }
    requests.extend(images_prune(args)?);
    let filters = if args.has("filter") {
        args.filters("filter", &[])
    } else {
        String::new()
    };
    let mut build = Query::of(&[("filters", &filters), ("keep-storage", "0")]);
    if args.flag("all") {
        build.set("all", "1");
    }
    requests.push(ApiRequest::new("POST", &build.on("/build/prune")));
    Ok(requests)
}

pub fn login(args: &Args) -> Result<Vec<ApiRequest>> {
    let server = match args.name(1) {
        "" => "https://index.docker.io/v1/",
        server => server,
    };
    let text = |name| args.text(name).unwrap_or_default();
    let body = json!({ "username": text("username"), "password": text("password"), "serveraddress": server });
    Ok(vec![
        ApiRequest::new("GET", "/info"),
        ApiRequest::new("POST", "/auth").with_body(body),
    ])
}

pub fn plugin_install(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = reference(args.name(1))?;
    let first = repository.split_once('/').map_or("", |(first, _)| first);
    let host = if first.contains(['.', ':']) || first == "localhost" {
        ""
    } else {
        "docker.io/"
    };
    let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
    let remote = format!("{host}{repository}{tag}");
    let alias = args.text("alias").map_or_else(String::new, |alias| {
        if alias.contains(':') {
            alias.to_owned()
        } else {
            format!("{alias}:latest")
        }
    });
    let mut requests = asks_registry(&repository);
    let privileges = Query::of(&[("remote", &remote)]).on("/plugins/privileges");
    requests.push(ApiRequest::new("GET", &privileges));
    let pull = Query::of(&[("remote", &remote), ("name", &alias)]).on("/plugins/pull");
    requests.push(ApiRequest::new("POST", &pull).with_body(json!([])));
    let name = if alias.is_empty() {
        format!(
            "{repository}{}",
            if tag.is_empty() { ":latest" } else { &tag }
        )
    } else {
        alias
    };
    let settings = args.rest(2);
    if !settings.is_null() {
        requests.push(
            ApiRequest::new("POST", &format!("/plugins/{}/set", path(&name))).with_body(settings),
        );
    }
    if !args.flag("disable") {
        let uri = format!("/plugins/{}/enable?timeout=0", path(&name));
        requests.push(ApiRequest::new("POST", &uri));
    }
    Ok(requests)
}

pub fn node_update(args: &Args) -> Result<Vec<ApiRequest>> {
    let node = path(args.name(1));
    let mut body = json!({ "Labels": {}, "Role": "worker", "Availability": "active" });
    args.fill(&mut body);
    Ok(vec![
        ApiRequest::new("GET", &format!("/nodes/{node}")),
        ApiRequest::new("POST", &format!("/nodes/{node}/update?version=1")).with_body(body),
    ])
}
