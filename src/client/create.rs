//! `docker run`, `docker create` and `docker update`.

use super::attached::{endpoint, exposed, is_own, network, ports, set};
use super::options::{Args, at, push};
use super::uri::{Query, path};
use super::{ApiRequest, ID, Result, refused};
use serde_json::{Value, json};

/// What the client sends for `docker create IMAGE`.
const CREATE: &str = include_str!("bodies/create.json");
/// What the client sends for `docker update`.
const UPDATE: &str = include_str!("bodies/update.json");

/// Returns a body that is kept as a text.
pub fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

pub fn create(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut requests = pulls(args)?;
    requests.push(create_of(args, body(args)?));
    Ok(requests)
}

pub fn run(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut body = body(args)?;
    if args.flag("detach") {
        if args.has("attach") {
            return refused("`--attach` and `--detach` exclude each other: leave one out");
        }
        for stream in ["AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"] {
            body[stream] = false.into();
        }
    }
    let streams = Streams::of(&body);
    let removes = body["HostConfig"]["AutoRemove"] == true;
    let mut requests = pulls(args)?;
    requests.push(create_of(args, body));
    if streams.any() {
        requests.push(streams.attach(ID, args.text("detach-keys")));
    }
    let condition = if removes { "removed" } else { "next-exit" };
    requests.push(waits(ID, condition));
    requests.push(starts(ID));
    Ok(requests)
}

fn pulls(args: &Args) -> Result<Vec<ApiRequest>> {
    let image = args.name(1);
    let (repository, _) = reference(image)?;
    if args.text("pull") != Some("always") {
        return Ok(Vec::new());
    }
    Ok(super::exec::pull_of(
        image,
        &repository,
        args.text("platform"),
    ))
}

fn create_of(args: &Args, body: Value) -> ApiRequest {
    let mut query = Query::default();
    args.ask(&mut query);
    ApiRequest::new("POST", &query.on("/containers/create")).with_body(body)
}

pub fn waits(container: &str, condition: &str) -> ApiRequest {
    let query = Query::of(&[("condition", condition)]);
    ApiRequest::new(
        "POST",
        &query.on(&format!("/containers/{}/wait", path(container))),
    )
}

pub fn starts(container: &str) -> ApiRequest {
    ApiRequest::new("POST", &format!("/containers/{}/start", path(container)))
}

/// Which streams the client attaches to.
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Streams {
    fn of(body: &Value) -> Streams {
        Streams {
            stdin: body["AttachStdin"] == true,
            stdout: body["AttachStdout"] == true,
            stderr: body["AttachStderr"] == true,
        }
    }

    fn any(&self) -> bool {
        self.stdin || self.stdout || self.stderr
    }

    pub fn attach(&self, container: &str, keys: Option<&str>) -> ApiRequest {
        let mut query = Query::of(&[("stream", "1")]);
        for (name, attached) in [
            ("stdin", self.stdin),
            ("stdout", self.stdout),
            ("stderr", self.stderr),
        ] {
            if attached {
                query.set(name, "1");
            }
        }
        if let Some(keys) = keys {
            query.set("detachKeys", keys);
        }
        let uri = query.on(&format!("/containers/{}/attach", path(container)));
        ApiRequest::new("POST", &uri).upgraded()
    }
}

/// Returns an image without its tag or digest, and that.
pub fn reference(image: &str) -> Result<(String, Option<String>)> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let own = match repository.split_once('/') {
        Some((first, rest)) if is_host(first) => rest,
        _ => repository,
    };
    if own.is_empty() || own.chars().any(|c| c.is_uppercase() || c.is_whitespace()) {
        return refused(format!(
            "`{image}` is not the name of an image: write REPOSITORY[:TAG] in lower case"
        ));
    }
    Ok((repository.to_owned(), digest.or(tag).map(str::to_owned)))
}

fn body(args: &Args) -> Result<Value> {
    conflicts(args)?;
    let mut body = kept(CREATE);
    args.fill(&mut body);
    body["Image"] = args.name(1).into();
    body["Cmd"] = args.rest(2);
    streams(args, &mut body);
    volumes(args, &mut body);
    published(args, &mut body)?;
    networks(args, &mut body)?;
    secured(args, &mut body);
    if args.flag("no-healthcheck") {
        body["Healthcheck"] = json!({ "Test": ["NONE"] });
    }
    Ok(body)
}

fn conflicts(args: &Args) -> Result<()> {
    let restarts = args
        .text("restart")
        .is_some_and(|policy| !matches!(policy, "" | "no"));
    if args.flag("rm") && restarts {
        return refused("`--restart` and `--rm` exclude each other: leave one out");
    }
    let checks = [
        "health-cmd",
        "health-interval",
        "health-retries",
        "health-timeout",
        "health-start-period",
        "health-start-interval",
    ];
    if args.flag("no-healthcheck") && checks.iter().any(|check| args.has(check)) {
        return refused("`--no-healthcheck` and `--health-…` exclude each other: leave one out");
    }
    if args.text("log-driver") == Some("none") && args.has("log-opt") {
        return refused("the log driver `none` has no options: leave `--log-opt` out");
    }
    Ok(())
}

fn streams(args: &Args, body: &mut Value) {
    let attaches = |name: &str| {
        args.all("attach")
            .any(|stream| stream.eq_ignore_ascii_case(name))
    };
    let all = !args.has("attach");
    let open = args.flag("interactive");
    body["AttachStdin"] = (attaches("stdin") || open).into();
    body["AttachStdout"] = (all || attaches("stdout")).into();
    body["AttachStderr"] = (all || attaches("stderr")).into();
    body["StdinOnce"] = open.into();
}

/// Splits volumes: what has a source is a bind to the client, whatever the source is.
fn volumes(args: &Args, body: &mut Value) {
    for volume in args.all("volume") {
        if !volume.contains(':') || volume.starts_with(':') {
            body["Volumes"][volume] = json!({});
            continue;
        }
        let binds = &mut body["HostConfig"]["Binds"];
        if !binds
            .as_array()
            .is_some_and(|binds| binds.contains(&volume.into()))
        {
            push(binds, volume.into());
        }
    }
}

fn published(args: &Args, body: &mut Value) -> Result<()> {
    let mut open = Vec::new();
    for text in args.all("publish") {
        for port in ports(text).or_else(refused)? {
            open.push(port.inside.clone());
            let bindings = &mut body["HostConfig"]["PortBindings"][&port.inside];
            push(
                bindings,
                json!({ "HostIp": port.address, "HostPort": port.outside }),
            );
        }
    }
    for text in args.all("expose") {
        open.extend(exposed(text).or_else(refused)?);
    }
    if !open.is_empty() {
        body["ExposedPorts"] = set(open.into_iter());
    }
    Ok(())
}

fn networks(args: &Args, body: &mut Value) -> Result<()> {
    let mut given = Vec::new();
    for text in args.all("network").chain(args.all("net")) {
        given.push(network(text).or_else(refused)?);
    }
    if let Some((name, first)) = given.first_mut() {
        body["HostConfig"]["NetworkMode"] = name.as_str().into();
        of_first(args, first);
    }
    let own = given.iter().filter(|(name, _)| is_own(name)).count();
    if own != 0 && own != given.len() {
        return refused("networks of your own and the engine's exclude each other: leave one out");
    }
    for (name, known) in &given {
        let scoped = !known["Aliases"].is_null() || !known["Links"].is_null();
        if scoped && !is_own(name) {
            return refused(format!(
                "aliases and links need a network of your own, which `{name}` is not: see `docker network create`"
            ));
        }
    }
    if given.len() == 1 && given[0].1 == endpoint() {
        return Ok(());
    }
    for (name, endpoint) in given {
        let place = &mut body["NetworkingConfig"]["EndpointsConfig"][&name];
        if !place.is_null() {
            return refused(format!(
                "the network `{name}` is given twice: leave one out"
            ));
        }
        *place = endpoint;
    }
    Ok(())
}

/// What options outside of `--network` say of the first network.
fn of_first(args: &Args, endpoint: &mut Value) {
    for alias in args.all("network-alias").chain(args.all("net-alias")) {
        push(&mut endpoint["Aliases"], alias.into());
    }
    for link in args.all("link") {
        push(&mut endpoint["Links"], link.into());
    }
    if let Some(address) = args.text("ip") {
        *at(endpoint, "IPAMConfig.IPv4Address") = address.into();
    }
    if let Some(address) = args.text("ip6") {
        *at(endpoint, "IPAMConfig.IPv6Address") = address.into();
    }
    for address in args.all("link-local-ip") {
        push(at(endpoint, "IPAMConfig.LinkLocalIPs"), address.into());
    }
}

fn secured(args: &Args, body: &mut Value) {
    let host = &mut body["HostConfig"];
    for option in args.all("security-opt") {
        if option == "systempaths=unconfined" {
            host["MaskedPaths"] = json!([]);
            host["ReadonlyPaths"] = json!([]);
        } else {
            push(&mut host["SecurityOpt"], option.into());
        }
    }
}

pub fn update(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut body = kept(UPDATE);
    args.fill(&mut body);
    if body == kept(UPDATE) {
        return refused("add what to change, such as `--memory 512m`");
    }
    let of = |name: &String| {
        ApiRequest::new("POST", &format!("/containers/{}/update", path(name)))
            .with_body(body.clone())
    };
    Ok(args.names.iter().map(of).collect())
}
