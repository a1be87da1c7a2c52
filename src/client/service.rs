//! `docker service create`.

use super::attached::long_port;
use super::create::{kept, reference};
use super::options::Kind::{File, Flag, Many, Map, One};
use super::options::To::{Body, Own};
use super::options::{Args, Opt, at, opt, push};
use super::uri::{Query, path};
use super::values::{
    Parsed, address, bytes, duration, fields, number, pair, processors, ratio, setting,
    shell_check, text, ulimit, variable,
};
use super::{ApiRequest, Result, refused};
use serde_json::{Value, json};

const CREATE: &str = r#"{
    "Labels": {},
    "TaskTemplate": {
        "ContainerSpec": { "Init": false, "DNSConfig": {} },
        "Resources": { "Limits": {}, "Reservations": {} },
        "Placement": {},
        "ForceUpdate": 0
    },
    "Mode": {},
    "EndpointSpec": { "Mode": "vip" }
}"#;

/// What the client adds to the settings of updates and rollbacks if one of them is given.
const UPDATES: &str = r#"{
    "Parallelism": 1, "FailureAction": "pause", "Monitor": 5000000000, "MaxFailureRatio": 0, "Order": "stop-first"
}"#;

const MODES: &[&str] = &["replicated", "global", "replicated-job", "global-job"];

/// Returns `ADDRESS NAME`, as it stands in a file of hosts.
fn host(text: &str) -> Parsed {
    match text.split_once(':') {
        Some((name, address)) => Ok(format!("{address} {name}").into()),
        None => Err("write NAME:ADDRESS".into()),
    }
}

/// Returns a capability with its prefix.
fn capability(text: &str) -> Parsed {
    let name = text.to_uppercase();
    Ok(if name == "ALL" || name.starts_with("CAP_") {
        name
    } else {
        format!("CAP_{name}")
    }
    .into())
}

fn command(text: &str) -> Parsed {
    shlex::split(text).map_or_else(
        || Err("a quote is not closed".into()),
        |words| Ok(json!(words)),
    )
}

fn spread(text: &str) -> Parsed {
    match text.strip_prefix("spread=") {
        Some(label) => Ok(json!({ "Spread": { "SpreadDescriptor": label } })),
        None => Err("write spread=LABEL".into()),
    }
}

fn resource(text: &str) -> Parsed {
    let (kind, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok(match value.parse::<i64>() {
        Ok(value) => json!({ "DiscreteResourceSpec": { "Kind": kind, "Value": value } }),
        Err(_) => json!({ "NamedResourceSpec": { "Kind": kind, "Value": value } }),
    })
}

fn port(text: &str) -> Parsed {
    if text.contains('=') {
        return long_port(text);
    }
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let long = match numbers.split_once(':') {
        Some((outside, inside)) => {
            format!("published={outside},target={inside},protocol={protocol}")
        }
        None => format!("target={numbers},protocol={protocol}"),
    };
    long_port(&long)
}

/// The options of `docker service create`.
#[rustfmt::skip]
pub const OPTIONS: &[Opt] = &[
    opt("name",                        "",  One(text),        Body("Name")),
    opt("label",                       "l", Map(pair),        Body("Labels")),
    opt("endpoint-mode",               "",  One(text),        Body("EndpointSpec.Mode")),
    opt("publish",                     "p", Many(port),       Body("EndpointSpec.Ports")),
    opt("cap-add",                     "",  Many(capability), Body("TaskTemplate.ContainerSpec.CapabilityAdd")),
    opt("cap-drop",                    "",  Many(capability), Body("TaskTemplate.ContainerSpec.CapabilityDrop")),
    opt("container-label",             "",  Map(pair),        Body("TaskTemplate.ContainerSpec.Labels")),
    opt("dns",                         "",  Many(address),    Body("TaskTemplate.ContainerSpec.DNSConfig.Nameservers")),
    opt("dns-option",                  "",  Many(text),       Body("TaskTemplate.ContainerSpec.DNSConfig.Options")),
    opt("dns-search",                  "",  Many(text),       Body("TaskTemplate.ContainerSpec.DNSConfig.Search")),
    opt("entrypoint",                  "",  One(command),     Body("TaskTemplate.ContainerSpec.Command")),
    opt("env",                         "e", Many(variable),   Body("TaskTemplate.ContainerSpec.Env")),
    opt("group",                       "",  Many(text),       Body("TaskTemplate.ContainerSpec.Groups")),
    opt("health-cmd",                  "",  One(shell_check), Body("TaskTemplate.ContainerSpec.Healthcheck.Test")),
    opt("health-interval",             "",  One(duration),    Body("TaskTemplate.ContainerSpec.Healthcheck.Interval")),
    opt("health-timeout",              "",  One(duration),    Body("TaskTemplate.ContainerSpec.Healthcheck.Timeout")),
    opt("health-retries",              "",  One(number),      Body("TaskTemplate.ContainerSpec.Healthcheck.Retries")),
    opt("health-start-period",         "",  One(duration),    Body("TaskTemplate.ContainerSpec.Healthcheck.StartPeriod")),
    opt("health-start-interval",       "",  One(duration),    Body("TaskTemplate.ContainerSpec.Healthcheck.StartInterval")),
    opt("host",                        "",  Many(host),       Body("TaskTemplate.ContainerSpec.Hosts")),
    opt("hostname",                    "",  One(text),        Body("TaskTemplate.ContainerSpec.Hostname")),
    opt("init",                        "",  Flag,             Body("TaskTemplate.ContainerSpec.Init")),
    opt("isolation",                   "",  One(text),        Body("TaskTemplate.ContainerSpec.Isolation")),
    opt("mount",                       "",  Many(super::attached::mount), Body("TaskTemplate.ContainerSpec.Mounts")),
    opt("oom-score-adj",               "",  One(number),      Body("TaskTemplate.ContainerSpec.OomScoreAdj")),
    opt("read-only",                   "",  Flag,             Body("TaskTemplate.ContainerSpec.ReadOnly")),
    opt("stop-grace-period",           "",  One(duration),    Body("TaskTemplate.ContainerSpec.StopGracePeriod")),
    opt("stop-signal",                 "",  One(text),        Body("TaskTemplate.ContainerSpec.StopSignal")),
    opt("sysctl",                      "",  Map(setting),     Body("TaskTemplate.ContainerSpec.Sysctls")),
    opt("tty",                         "t", Flag,             Body("TaskTemplate.ContainerSpec.TTY")),
    opt("ulimit",                      "",  Many(ulimit),     Body("TaskTemplate.ContainerSpec.Ulimits")),
    opt("user",                        "u", One(text),        Body("TaskTemplate.ContainerSpec.User")),
    opt("workdir",                     "w", One(text),        Body("TaskTemplate.ContainerSpec.Dir")),
    opt("log-driver",                  "",  One(text),        Body("TaskTemplate.LogDriver.Name")),
    opt("log-opt",                     "",  Map(pair),        Body("TaskTemplate.LogDriver.Options")),
    opt("constraint",                  "",  Many(text),       Body("TaskTemplate.Placement.Constraints")),
    opt("placement-pref",              "",  Many(spread),     Body("TaskTemplate.Placement.Preferences")),
    opt("replicas-max-per-node",       "",  One(number),      Body("TaskTemplate.Placement.MaxReplicas")),
    opt("limit-cpu",                   "",  One(processors),  Body("TaskTemplate.Resources.Limits.NanoCPUs")),
    opt("limit-memory",                "",  One(bytes),       Body("TaskTemplate.Resources.Limits.MemoryBytes")),
    opt("limit-pids",                  "",  One(number),      Body("TaskTemplate.Resources.Limits.Pids")),
    opt("reserve-cpu",                 "",  One(processors),  Body("TaskTemplate.Resources.Reservations.NanoCPUs")),
    opt("reserve-memory",              "",  One(bytes),       Body("TaskTemplate.Resources.Reservations.MemoryBytes")),
    opt("generic-resource",            "",  Many(resource),   Body("TaskTemplate.Resources.Reservations.GenericResources")),
    opt("restart-condition",           "",  One(text),        Body("TaskTemplate.RestartPolicy.Condition")),
    opt("restart-delay",               "",  One(duration),    Body("TaskTemplate.RestartPolicy.Delay")),
    opt("restart-max-attempts",        "",  One(number),      Body("TaskTemplate.RestartPolicy.MaxAttempts")),
    opt("restart-window",              "",  One(duration),    Body("TaskTemplate.RestartPolicy.Window")),
    opt("update-delay",                "",  One(duration),    Body("UpdateConfig.Delay")),
    opt("update-failure-action",       "",  One(text),        Body("UpdateConfig.FailureAction")),
    opt("update-max-failure-ratio",    "",  One(ratio),       Body("UpdateConfig.MaxFailureRatio")),
    opt("update-monitor",              "",  One(duration),    Body("UpdateConfig.Monitor")),
    opt("update-order",                "",  One(text),        Body("UpdateConfig.Order")),
    opt("update-parallelism",          "",  One(number),      Body("UpdateConfig.Parallelism")),
    opt("rollback-delay",              "",  One(duration),    Body("RollbackConfig.Delay")),
    opt("rollback-failure-action",     "",  One(text),        Body("RollbackConfig.FailureAction")),
    opt("rollback-max-failure-ratio",  "",  One(ratio),       Body("RollbackConfig.MaxFailureRatio")),
    opt("rollback-monitor",            "",  One(duration),    Body("RollbackConfig.Monitor")),
    opt("rollback-order",              "",  One(text),        Body("RollbackConfig.Order")),
    opt("rollback-parallelism",        "",  One(number),      Body("RollbackConfig.Parallelism")),
    opt("mode",                        "",  One(text),        Own),
    opt("replicas",                    "",  One(number),      Own),
    opt("max-concurrent",              "",  One(number),      Own),
    opt("network",                     "",  Many(text),       Own),
    opt("secret",                      "",  Many(text),       Own),
    opt("config",                      "",  Many(text),       Own),
    opt("no-healthcheck",              "",  Flag,             Own),
    opt("no-resolve-image",            "",  Flag,             Own),
    opt("with-registry-auth",          "",  Flag,             Own),
    opt("detach",                      "d", Flag,             Own),
    opt("quiet",                       "q", Flag,             Own),
    opt("env-file",                    "",  File,             Own),
    opt("credential-spec",             "",  File,             Own),
];

pub fn create(args: &Args) -> Result<Vec<ApiRequest>> {
    let (repository, tag) = reference(args.name(1))?;
    let image = match &tag {
        None => format!("{repository}:latest"),
        Some(_) => args.name(1).to_owned(),
    };
    let mut body = kept(CREATE);
    for (options, key) in [("update-", "UpdateConfig"), ("rollback-", "RollbackConfig")] {
        let given = |option: &&Opt| option.long.starts_with(options) && args.has(option.long);
        if OPTIONS.iter().any(|option| given(&option)) {
            body[key] = kept(UPDATES);
        }
    }
    args.fill(&mut body);
    mode(args, &mut body)?;
    let task = &mut body["TaskTemplate"];
    task["ContainerSpec"]["Image"] = image.as_str().into();
    if args.names.len() > 1 {
        task["ContainerSpec"]["Args"] = args.rest(2);
    }
    if args.flag("no-healthcheck") {
        task["ContainerSpec"]["Healthcheck"] = json!({ "Test": ["NONE"] });
    }
    let mut requests = Vec::new();
    named(args, task, &mut requests);
    if !args.flag("no-resolve-image") {
        requests.push(ApiRequest::new(
            "GET",
            &format!("/distribution/{}/json", path(&image)),
        ));
    }
    let create = ApiRequest::new("POST", "/services/create").with("Version", "1.41");
    requests.push(create.with_body(body));
    Ok(requests)
}

fn mode(args: &Args, body: &mut Value) -> Result<()> {
    let mode = args.text("mode").unwrap_or("replicated");
    let count = |option| args.text(option).and_then(|text| text.parse::<i64>().ok());
    let (replicas, most) = (count("replicas"), count("max-concurrent"));
    if !MODES.contains(&mode) {
        return refused(format!(
            "`--mode {mode}`: the modes are {}",
            MODES.join(", ")
        ));
    }
    if replicas.is_some() && mode.starts_with("global") {
        return refused("`--replicas` is for replicated services: leave it out");
    }
    if most.is_some() && mode != "replicated-job" {
        return refused("`--max-concurrent` needs `--mode replicated-job`");
    }
    let (path, numbers) = match mode {
        "global" => ("Mode.Global", vec![]),
        "global-job" => ("Mode.GlobalJob", vec![]),
        "replicated-job" => {
            let total = replicas.unwrap_or(1);
            let most = most.unwrap_or(total);
            (
                "Mode.ReplicatedJob",
                vec![
                    ("MaxConcurrent", Some(most)),
                    ("TotalCompletions", Some(total)),
                ],
            )
        }
        _ => ("Mode.Replicated", vec![("Replicas", replicas)]),
    };
    let place = at(body, path);
    *place = json!({});
    for (key, number) in numbers {
        if let Some(number) = number {
            place[key] = number.into();
        }
    }
    Ok(())
}

/// Networks, secrets and configs, which the client looks up by their names.
fn named(args: &Args, task: &mut Value, requests: &mut Vec<ApiRequest>) {
    let source = |text: &str| {
        let named = fields(text).into_iter().find_map(|field| {
            let (key, value) = field.split_once('=')?;
            matches!(key, "name" | "source" | "src").then(|| value.to_owned())
        });
        named.unwrap_or_else(|| text.to_owned())
    };
    for (option, list, kind) in [
        ("secret", "Secrets", "Secret"),
        ("config", "Configs", "Config"),
    ] {
        for text in args.all(option) {
            let name = source(text);
            let filters = json!({ "name": { name.as_str(): true } }).to_string();
            let uri = Query::of(&[("filters", &filters)]).on(&format!("/{option}s"));
            requests.push(ApiRequest::new("GET", &uri));
            let file = json!({ "Name": name, "UID": "0", "GID": "0", "Mode": 0o444 });
            let (id, called) = (format!("{kind}ID"), format!("{kind}Name"));
            let place = &mut task["ContainerSpec"][list];
            push(place, json!({ "File": file, id: super::ID, called: name }));
        }
    }
    for text in args.all("network") {
        let name = source(text);
        let uri = format!("/networks/{}?scope=swarm", path(&name));
        requests.push(ApiRequest::new("GET", &uri));
        push(&mut task["Networks"], json!({ "Target": super::ID }));
    }
}
