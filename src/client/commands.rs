//! The commands: their words, their options, and what they send.

use super::build::build;
use super::container::{CONTAINER, RUN, UPDATE};
use super::create::{create, kept, run, update};
use super::exec::{
    attach, commit, cp, exec, images, images_prune, import, inspect_any, load, login, node_update,
    plugin_install, pull, push, save, start, stats, system_prune, tag,
};
use super::options::Kind::{File, Filter, Flag, Many, Map, One};
use super::options::To::{Body, Own, Query as Key};
use super::options::{Args, Opt, opt};
use super::service;
use super::uri::{Query, path};
use super::values::{
    address, bytes, duration, host, number, pair, setting, swap, text, ulimit, variable,
};
use super::{ApiRequest, ClientError, Result, near, refused};
use serde_json::{Value, json};

/// A command, such as `docker volume create`.
pub struct Command {
    /// Its words, in all of their spellings.
    pub words: &'static [&'static str],
    /// The fewest and the most names, and what they are.
    names: (usize, usize, &'static str),
    options: &'static [&'static [Opt]],
    /// Whether options end at the first name, because what follows is a command of the container.
    pub passes_on: bool,
    sends: Sends,
}

/// What a command sends.
enum Sends {
    /// Requests such as `POST /networks/{1}/connect`, with the names by their places. Options go to the first one
    /// that changes something, else to the last.
    Once(&'static [&'static str]),
    /// The same for each name, which is `{1}`.
    Each(&'static [&'static str]),
    /// The same with a body, in which a text may be a name by its place, or all from one on: `{2..}`.
    Json(&'static [&'static str], &'static str),
    /// Requests that code makes.
    By(fn(&Args) -> Result<Vec<ApiRequest>>),
}

use Sends::{By, Each, Json, Once};

const MANY: usize = usize::MAX;

const fn row(
    words: &'static [&'static str],
    names: (usize, usize, &'static str),
    options: &'static [&'static [Opt]],
    sends: Sends,
) -> Command {
    Command {
        words,
        names,
        options,
        passes_on: false,
        sends,
    }
}

/// A command that passes what follows its first name on.
const fn passing(
    words: &'static [&'static str],
    names: (usize, usize, &'static str),
    options: &'static [&'static [Opt]],
    sends: Sends,
) -> Command {
    Command {
        words,
        names,
        options,
        passes_on: true,
        sends,
    }
}

#[rustfmt::skip]
mod options {
    #![allow(clippy::wildcard_imports, reason = "the tables use nearly all of it")]
    use super::*;

    pub const FORMAT: &[Opt] = &[
        opt("format",                         "",   One(text),       Own),
        opt("quiet",                          "q",  Flag,            Own),
        opt("no-trunc",                       "",   Flag,            Own),
    ];
    pub const FILTER: &[Opt] = &[
        opt("filter",                         "f",  Filter,          Key("filters")),
    ];
    pub const PRUNE: &[Opt] = &[
        opt("force",                          "f",  Flag,            Own),
        opt("filter",                         "",   Filter,          Key("filters")),
    ];
    pub const PRUNE_ALL: &[Opt] = &[
        opt("force",                          "f",  Flag,            Own),
        opt("filter",                         "",   Filter,          Own),
        opt("all",                            "a",  Flag,            Own),
    ];
    pub const PRUNE_SYSTEM: &[Opt] = &[
        opt("force",                          "f",  Flag,            Own),
        opt("filter",                         "",   Filter,          Key("filters")),
        opt("all",                            "a",  Flag,            Own),
        opt("volumes",                        "",   Flag,            Own),
    ];
    pub const PRUNE_VOLUMES: &[Opt] = &[
        opt("all",                            "a",  Flag,            Own),
    ];
    pub const FORCE: &[Opt] = &[
        opt("force",                          "f",  Flag,            Key("force")),
    ];
    pub const YES: &[Opt] = &[
        opt("force",                          "f",  Flag,            Own),
    ];
    pub const TIME: &[Opt] = &[
        opt("time",                           "t",  One(number),     Key("t")),
        opt("timeout",                        "",   One(number),     Key("t")),
    ];
    pub const SIGNAL: &[Opt] = &[
        opt("signal",                         "s",  One(text),       Key("signal")),
    ];
    pub const RM: &[Opt] = &[
        opt("force",                          "f",  Flag,            Key("force")),
        opt("volumes",                        "v",  Flag,            Key("v")),
        opt("link",                           "l",  Flag,            Key("link")),
    ];
    pub const START: &[Opt] = &[
        opt("attach",                         "a",  Flag,            Own),
        opt("interactive",                    "i",  Flag,            Own),
        opt("detach-keys",                    "",   One(text),       Own),
        opt("checkpoint",                     "",   One(text),       Key("checkpoint")),
        opt("checkpoint-dir",                 "",   One(text),       Key("checkpoint-dir")),
    ];
    pub const INSPECT: &[Opt] = &[
        opt("format",                         "f",  One(text),       Own),
        opt("size",                           "s",  Flag,            Key("size")),
    ];
    pub const TYPE: &[Opt] = &[
        opt("type",                           "",   One(text),       Own),
    ];
    pub const PRETTY: &[Opt] = &[
        opt("format",                         "f",  One(text),       Own),
        opt("pretty",                         "",   Flag,            Own),
    ];
    pub const VERBOSE: &[Opt] = &[
        opt("verbose",                        "v",  Flag,            Key("verbose")),
    ];
    pub const LOGS: &[Opt] = &[
        opt("follow",                         "f",  Flag,            Key("follow")),
        opt("tail",                           "n",  One(text),       Key("tail")),
        opt("timestamps",                     "t",  Flag,            Key("timestamps")),
        opt("details",                        "",   Flag,            Key("details")),
        opt("since",                          "",   One(text),       Key("since")),
        opt("until",                          "",   One(text),       Key("until")),
    ];
    pub const STATS: &[Opt] = &[
        opt("all",                            "a",  Flag,            Key("all")),
        opt("no-stream",                      "",   Flag,            Own),
    ];
    pub const OUTPUT: &[Opt] = &[
        opt("output",                         "o",  One(text),       Own),
        opt("platform",                       "",   One(text),       Own),
    ];
    pub const INPUT: &[Opt] = &[
        opt("input",                          "i",  One(text),       Own),
        opt("quiet",                          "q",  Flag,            Own),
        opt("platform",                       "",   One(text),       Own),
    ];
    pub const ATTACH: &[Opt] = &[
        opt("detach-keys",                    "",   One(text),       Own),
        opt("no-stdin",                       "",   Flag,            Own),
        opt("sig-proxy",                      "",   Flag,            Own),
    ];
    pub const COMMIT: &[Opt] = &[
        opt("author",                         "a",  One(text),       Key("author")),
        opt("message",                        "m",  One(text),       Key("comment")),
        opt("change",                         "c",  Many(text),      Key("changes")),
        opt("pause",                          "p",  Flag,            Own),
    ];
    pub const EXEC: &[Opt] = &[
        opt("detach",                         "d",  Flag,            Body("Detach")),
        opt("detach-keys",                    "",   One(text),       Body("DetachKeys")),
        opt("env",                            "e",  Many(variable),  Body("Env")),
        opt("env-file",                       "",   File,            Own),
        opt("interactive",                    "i",  Flag,            Body("AttachStdin")),
        opt("privileged",                     "",   Flag,            Body("Privileged")),
        opt("tty",                            "t",  Flag,            Body("Tty")),
        opt("user",                           "u",  One(text),       Body("User")),
        opt("workdir",                        "w",  One(text),       Body("WorkingDir")),
    ];
    pub const CP: &[Opt] = &[
        opt("archive",                        "a",  Flag,            Own),
        opt("follow-link",                    "L",  Flag,            Own),
        opt("quiet",                          "q",  Flag,            Own),
    ];
    pub const PS: &[Opt] = &[
        opt("all",                            "a",  Flag,            Key("all")),
        opt("last",                           "n",  One(number),     Key("limit")),
        opt("latest",                         "l",  Flag,            Key("limit")),
        opt("size",                           "s",  Flag,            Key("size")),
    ];
    pub const IMAGES: &[Opt] = &[
        opt("all",                            "a",  Flag,            Key("all")),
        opt("digests",                        "",   Flag,            Own),
        opt("tree",                           "",   Flag,            Own),
    ];
    pub const PULL: &[Opt] = &[
        opt("all-tags",                       "a",  Flag,            Own),
        opt("platform",                       "",   One(text),       Own),
        opt("quiet",                          "q",  Flag,            Own),
        opt("disable-content-trust",          "",   Flag,            Own),
    ];
    pub const RMI: &[Opt] = &[
        opt("force",                          "f",  Flag,            Key("force")),
        opt("no-prune",                       "",   Flag,            Key("noprune")),
    ];
    pub const IMPORT: &[Opt] = &[
        opt("change",                         "c",  Many(text),      Key("changes")),
        opt("message",                        "m",  One(text),       Key("message")),
        opt("platform",                       "",   One(text),       Key("platform")),
    ];
    pub const HUMAN: &[Opt] = &[
        opt("human",                          "H",  Flag,            Own),
    ];
    pub const SEARCH: &[Opt] = &[
        opt("limit",                          "",   One(number),     Key("limit")),
    ];
    pub const BUILD: &[Opt] = &[
        opt("add-host",                       "",   Many(host),      Key("extrahosts")),
        opt("build-arg",                      "",   Many(text),      Own),
        opt("cache-from",                     "",   Many(text),      Own),
        opt("cgroup-parent",                  "",   One(text),       Key("cgroupparent")),
        opt("compress",                       "",   Flag,            Own),
        opt("cpu-period",                     "",   One(number),     Key("cpuperiod")),
        opt("cpu-quota",                      "",   One(number),     Key("cpuquota")),
        opt("cpu-shares",                     "c",  One(number),     Key("cpushares")),
        opt("cpuset-cpus",                    "",   One(text),       Key("cpusetcpus")),
        opt("cpuset-mems",                    "",   One(text),       Key("cpusetmems")),
        opt("disable-content-trust",          "",   Flag,            Own),
        opt("file",                           "f",  One(text),       Key("dockerfile")),
        opt("force-rm",                       "",   Flag,            Own),
        opt("iidfile",                        "",   One(text),       Own),
        opt("isolation",                      "",   One(text),       Key("isolation")),
        opt("label",                          "",   Many(text),      Own),
        opt("memory",                         "m",  One(bytes),      Key("memory")),
        opt("memory-swap",                    "",   One(swap),       Key("memswap")),
        opt("network",                        "",   One(text),       Key("networkmode")),
        opt("no-cache",                       "",   Flag,            Key("nocache")),
        opt("platform",                       "",   One(text),       Key("platform")),
        opt("pull",                           "",   Flag,            Key("pull")),
        opt("quiet",                          "q",  Flag,            Key("q")),
        opt("rm",                             "",   Flag,            Own),
        opt("security-opt",                   "",   Many(text),      Key("securityopt")),
        opt("shm-size",                       "",   One(bytes),      Key("shmsize")),
        opt("squash",                         "",   Flag,            Key("squash")),
        opt("tag",                            "t",  Many(text),      Key("t")),
        opt("target",                         "",   One(text),       Key("target")),
        opt("ulimit",                         "",   Many(ulimit),    Own),
    ];
    pub const VOLUME: &[Opt] = &[
        opt("driver",                         "d",  One(text),       Body("Driver")),
        opt("opt",                            "o",  Map(pair),       Body("DriverOpts")),
        opt("label",                          "",   Map(pair),       Body("Labels")),
        opt("name",                           "",   One(text),       Body("Name")),
    ];
    pub const NETWORK: &[Opt] = &[
        opt("driver",                         "d",  One(text),       Body("Driver")),
        opt("attachable",                     "",   Flag,            Body("Attachable")),
        opt("internal",                       "",   Flag,            Body("Internal")),
        opt("ingress",                        "",   Flag,            Body("Ingress")),
        opt("ipv6",                           "",   Flag,            Body("EnableIPv6")),
        opt("ipv4",                           "",   Flag,            Body("EnableIPv4")),
        opt("scope",                          "",   One(text),       Body("Scope")),
        opt("config-only",                    "",   Flag,            Body("ConfigOnly")),
        opt("config-from",                    "",   One(text),       Body("ConfigFrom.Network")),
        opt("opt",                            "o",  Map(pair),       Body("Options")),
        opt("label",                          "",   Map(pair),       Body("Labels")),
        opt("ipam-driver",                    "",   One(text),       Body("IPAM.Driver")),
        opt("ipam-opt",                       "",   Map(pair),       Body("IPAM.Options")),
        opt("subnet",                         "",   Many(text),      Own),
        opt("gateway",                        "",   Many(text),      Own),
        opt("ip-range",                       "",   Many(text),      Own),
        opt("aux-address",                    "",   Map(setting),    Own),
    ];
    pub const CONNECT: &[Opt] = &[
        opt("alias",                          "",   Many(text),      Body("EndpointConfig.Aliases")),
        opt("ip",                             "",   One(address),    Body("EndpointConfig.IPAMConfig.IPv4Address")),
        opt("ip6",                            "",   One(address),    Body("EndpointConfig.IPAMConfig.IPv6Address")),
        opt("link-local-ip",                  "",   Many(text),      Body("EndpointConfig.IPAMConfig.LinkLocalIPs")),
        opt("link",                           "",   Many(text),      Body("EndpointConfig.Links")),
        opt("driver-opt",                     "",   Map(setting),    Body("EndpointConfig.DriverOpts")),
        opt("gw-priority",                    "",   One(number),     Body("EndpointConfig.GwPriority")),
    ];
    pub const DISCONNECT: &[Opt] = &[
        opt("force",                          "f",  Flag,            Body("Force")),
    ];
    pub const EVENTS: &[Opt] = &[
        opt("since",                          "",   One(text),       Key("since")),
        opt("until",                          "",   One(text),       Key("until")),
    ];
    pub const DF: &[Opt] = &[
        opt("verbose",                        "v",  Flag,            Own),
    ];
    pub const LOGIN: &[Opt] = &[
        opt("username",                       "u",  One(text),       Own),
        opt("password",                       "p",  One(text),       Own),
        opt("password-stdin",                 "",   File,            Own),
    ];
    pub const SWARM: &[Opt] = &[
        opt("advertise-addr",                 "",   One(text),       Body("AdvertiseAddr")),
        opt("listen-addr",                    "",   One(text),       Body("ListenAddr")),
        opt("data-path-addr",                 "",   One(text),       Body("DataPathAddr")),
        opt("availability",                   "",   One(text),       Body("Availability")),
    ];
    pub const INIT: &[Opt] = &[
        opt("data-path-port",                 "",   One(number),     Body("DataPathPort")),
        opt("force-new-cluster",              "",   Flag,            Body("ForceNewCluster")),
        opt("default-addr-pool",              "",   Many(text),      Body("DefaultAddrPool")),
        opt("default-addr-pool-mask-length",  "",   One(number),     Body("SubnetSize")),
        opt("autolock",                       "",   Flag,            Own),
        opt("cert-expiry",                    "",   One(duration),   Body("Spec.CAConfig.NodeCertExpiry")),
        opt("dispatcher-heartbeat",           "",   One(duration),   Body("Spec.Dispatcher.HeartbeatPeriod")),
        opt("task-history-limit",             "",   One(number),     Body("Spec.Orchestration.TaskHistoryRetentionLimit")),
        opt("max-snapshots",                  "",   One(number),     Body("Spec.Raft.KeepOldSnapshots")),
        opt("snapshot-interval",              "",   One(number),     Body("Spec.Raft.SnapshotInterval")),
        opt("external-ca",                    "",   Many(text),      Own),
    ];
    pub const JOIN: &[Opt] = &[
        opt("token",                          "",   One(text),       Body("JoinToken")),
    ];
    pub const NODE: &[Opt] = &[
        opt("availability",                   "",   One(text),       Body("Availability")),
        opt("role",                           "",   One(text),       Body("Role")),
        opt("label-add",                      "",   Map(pair),       Body("Labels")),
        opt("label-rm",                       "",   Many(text),      Own),
    ];
    pub const SECRET: &[Opt] = &[
        opt("label",                          "l",  Map(pair),       Body("Labels")),
        opt("driver",                         "d",  One(text),       Body("Driver.Name")),
        opt("template-driver",                "",   One(text),       Body("Templating.Name")),
    ];
    pub const ENABLE: &[Opt] = &[
        opt("timeout",                        "",   One(number),     Key("timeout")),
    ];
    pub const INSTALL: &[Opt] = &[
        opt("alias",                          "",   One(text),       Own),
        opt("disable",                        "",   Flag,            Own),
        opt("grant-all-permissions",          "",   Flag,            Own),
        opt("disable-content-trust",          "",   Flag,            Own),
    ];
}

#[allow(clippy::wildcard_imports, reason = "the commands use all of it")]
use options::*;

const INIT_BODY: &str = r#"{
    "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "", "DataPathAddr": "", "DataPathPort": 0, "ForceNewCluster": false,
    "Spec": {
        "Labels": null, "Orchestration": {}, "Raft": { "ElectionTick": 0, "HeartbeatTick": 0 }, "Dispatcher": {},
        "CAConfig": {}, "TaskDefaults": {}, "EncryptionConfig": { "AutoLockManagers": false }
    },
    "AutoLockManagers": false, "Availability": "", "DefaultAddrPool": null, "SubnetSize": 24
}"#;
const JOIN_BODY: &str = r#"{
    "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "", "DataPathAddr": "", "RemoteAddrs": ["{1}"], "JoinToken": "",
    "Availability": ""
}"#;
const NETWORK_BODY: &str = r#"{
    "CheckDuplicate": true, "Driver": "bridge", "Scope": "", "EnableIPv6": false,
    "IPAM": { "Driver": "default", "Options": {}, "Config": [] },
    "Internal": false, "Attachable": false, "Ingress": false, "ConfigOnly": false, "ConfigFrom": null,
    "Options": {}, "Labels": {}, "Name": "{1}"
}"#;
const CONNECT_BODY: &str = r#"{
    "Container": "{2}",
    "EndpointConfig": {
        "IPAMConfig": {}, "Links": null, "Aliases": [], "NetworkID": "", "EndpointID": "", "Gateway": "",
        "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
        "MacAddress": "", "DriverOpts": {}
    }
}"#;

/// All commands.
#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    passing(&["run", "container run"], (1, MANY, "IMAGE [COMMAND …]"), &[CONTAINER, RUN], By(run)),
    passing(&["create", "container create"], (1, MANY, "IMAGE [COMMAND …]"), &[CONTAINER], By(create)),
    passing(&["exec", "container exec"], (2, MANY, "CONTAINER COMMAND …"), &[EXEC], By(exec)),
    passing(&["top", "container top"], (1, MANY, "CONTAINER [OPTIONS OF ps]"), &[], By(top)),
    row(&["start", "container start"], (1, MANY, "CONTAINER …"), &[START], By(start)),
    row(&["stop", "container stop"], (1, MANY, "CONTAINER …"), &[TIME, SIGNAL], Each(&["POST /containers/{1}/stop"])),
    row(&["kill", "container kill"], (1, MANY, "CONTAINER …"), &[SIGNAL], Each(&["POST /containers/{1}/kill?signal=KILL"])),
    row(&["restart", "container restart"], (1, MANY, "CONTAINER …"), &[TIME, SIGNAL], Each(&["POST /containers/{1}/restart"])),
    row(&["rm", "container rm", "container remove"], (1, MANY, "CONTAINER …"), &[RM], Each(&["DELETE /containers/{1}"])),
    row(&["pause", "container pause"], (1, MANY, "CONTAINER …"), &[], Each(&["POST /containers/{1}/pause"])),
    row(&["unpause", "container unpause"], (1, MANY, "CONTAINER …"), &[], Each(&["POST /containers/{1}/unpause"])),
    row(&["rename", "container rename"], (2, 2, "CONTAINER NAME"), &[], Once(&["POST /containers/{1}/rename?name={2}"])),
    row(&["update", "container update"], (1, MANY, "CONTAINER …"), &[UPDATE], By(update)),
    row(&["inspect"], (1, MANY, "NAME …"), &[INSPECT, TYPE], By(inspect_any)),
    row(&["container inspect"], (1, MANY, "CONTAINER …"), &[INSPECT], Each(&["GET /containers/{1}/json"])),
    row(&["logs", "container logs"], (1, 1, "CONTAINER"), &[LOGS], Once(&["GET /containers/{1}/json", "GET /containers/{id}/logs?stderr=1&stdout=1&tail=all"])),
    row(&["stats", "container stats"], (0, MANY, "[CONTAINER …]"), &[STATS, FORMAT], By(stats)),
    row(&["diff", "container diff"], (1, 1, "CONTAINER"), &[], Once(&["GET /containers/{1}/changes"])),
    row(&["export", "container export"], (1, 1, "CONTAINER"), &[OUTPUT], Once(&["GET /containers/{1}/export"])),
    row(&["port", "container port"], (1, 2, "CONTAINER [PORT]"), &[], Once(&["GET /containers/{1}/json"])),
    row(&["wait", "container wait"], (1, MANY, "CONTAINER …"), &[], Each(&["POST /containers/{1}/wait?condition="])),
    row(&["attach", "container attach"], (1, 1, "CONTAINER"), &[ATTACH], By(attach)),
    row(&["commit", "container commit"], (1, 2, "CONTAINER [REPOSITORY[:TAG]]"), &[COMMIT], By(commit)),
    row(&["cp", "container cp"], (2, 2, "FROM TO"), &[CP], By(cp)),
    row(&["ps", "container ls", "container list", "container ps"], (0, 0, "no names"), &[PS, FILTER, FORMAT], Once(&["GET /containers/json"])),
    row(&["container prune"], (0, 0, "no names"), &[PRUNE], Once(&["POST /containers/prune"])),

    row(&["images", "image ls", "image list"], (0, 1, "[REPOSITORY[:TAG]]"), &[IMAGES, FILTER, FORMAT], By(images)),
    row(&["pull", "image pull"], (1, 1, "IMAGE"), &[PULL], By(pull)),
    row(&["push", "image push"], (1, 1, "IMAGE"), &[PULL], By(push)),
    row(&["rmi", "image rm", "image remove"], (1, MANY, "IMAGE …"), &[RMI], Each(&["DELETE /images/{1}"])),
    row(&["tag", "image tag"], (2, 2, "IMAGE IMAGE"), &[], By(tag)),
    row(&["image inspect"], (1, MANY, "IMAGE …"), &[PRETTY], Each(&["GET /images/{1}/json"])),
    row(&["save", "image save"], (1, MANY, "IMAGE …"), &[OUTPUT], By(save)),
    row(&["load", "image load"], (0, 0, "no names"), &[INPUT], By(load)),
    row(&["import", "image import"], (1, 2, "FILE [REPOSITORY[:TAG]]"), &[IMPORT], By(import)),
    row(&["history", "image history"], (1, 1, "IMAGE"), &[HUMAN, FORMAT], Once(&["GET /images/{1}/history"])),
    row(&["search"], (1, 1, "TERM"), &[SEARCH, FILTER, FORMAT], Once(&["GET /info", "GET /images/search?limit=25&term={1}"])),
    row(&["build", "image build", "builder build"], (1, 1, "DIRECTORY"), &[BUILD], By(build)),
    row(&["image prune"], (0, 0, "no names"), &[PRUNE_ALL], By(images_prune)),

    row(&["volume create"], (0, 1, "[VOLUME]"), &[VOLUME], Json(&["POST /volumes/create"], r#"{"Driver":"local","DriverOpts":{},"Labels":{},"Name":"{1}"}"#)),
    row(&["volume ls", "volume list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /volumes"])),
    row(&["volume inspect"], (1, MANY, "VOLUME …"), &[PRETTY], Each(&["GET /volumes/{1}"])),
    row(&["volume rm", "volume remove"], (1, MANY, "VOLUME …"), &[FORCE], Each(&["DELETE /volumes/{1}"])),
    row(&["volume prune"], (0, 0, "no names"), &[PRUNE, PRUNE_VOLUMES], Once(&["POST /volumes/prune"])),

    row(&["network create"], (1, 1, "NETWORK"), &[NETWORK], By(network_create)),
    row(&["network ls", "network list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /networks"])),
    row(&["network inspect"], (1, MANY, "NETWORK …"), &[PRETTY, VERBOSE], Each(&["GET /networks/{1}"])),
    row(&["network rm", "network remove"], (1, MANY, "NETWORK …"), &[YES], Each(&["GET /networks/{1}", "DELETE /networks/{1}"])),
    row(&["network connect"], (2, 2, "NETWORK CONTAINER"), &[CONNECT], Json(&["POST /networks/{1}/connect"], CONNECT_BODY)),
    row(&["network disconnect"], (2, 2, "NETWORK CONTAINER"), &[DISCONNECT], Json(&["POST /networks/{1}/disconnect"], r#"{"Container":"{2}","Force":false}"#)),
    row(&["network prune"], (0, 0, "no names"), &[PRUNE], Once(&["POST /networks/prune"])),

    row(&["info", "system info"], (0, 0, "no names"), &[PRETTY], Once(&["GET /info"])),
    row(&["version"], (0, 0, "no names"), &[PRETTY], Once(&["GET /version"])),
    row(&["events", "system events"], (0, 0, "no names"), &[EVENTS, FILTER, FORMAT], Once(&["GET /events"])),
    row(&["system df"], (0, 0, "no names"), &[DF, FORMAT], Once(&["GET /system/df"])),
    row(&["system prune"], (0, 0, "no names"), &[PRUNE_SYSTEM], By(system_prune)),
    row(&["login"], (0, 1, "[SERVER]"), &[LOGIN], By(login)),

    passing(&["service create"], (1, MANY, "IMAGE [COMMAND …]"), &[service::OPTIONS], By(service::create)),
    row(&["service ls", "service list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /services?status=true"])),
    row(&["service inspect"], (1, MANY, "SERVICE …"), &[PRETTY], Each(&["GET /services/{1}?insertDefaults=true"])),
    row(&["service rm", "service remove"], (1, MANY, "SERVICE …"), &[], Each(&["DELETE /services/{1}"])),
    row(&["swarm init"], (0, 0, "no names"), &[SWARM, INIT], By(swarm_init)),
    row(&["swarm join"], (1, 1, "HOST:PORT"), &[SWARM, JOIN], Json(&["POST /swarm/join", "GET /info"], JOIN_BODY)),
    row(&["swarm leave"], (0, 0, "no names"), &[FORCE], Once(&["POST /swarm/leave"])),
    row(&["node ls", "node list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /nodes"])),
    row(&["node inspect"], (1, MANY, "NODE …"), &[PRETTY], Each(&["GET /nodes/{1}"])),
    row(&["node update"], (1, 1, "NODE"), &[NODE], By(node_update)),
    row(&["node rm", "node remove"], (1, MANY, "NODE …"), &[FORCE], Each(&["DELETE /nodes/{1}"])),
    row(&["secret create"], (1, 2, "SECRET [FILE]"), &[SECRET], Json(&["POST /secrets/create"], r#"{"Name":"{1}","Labels":{},"Data":""}"#)),
    row(&["secret ls", "secret list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /secrets"])),
    row(&["secret inspect"], (1, MANY, "SECRET …"), &[PRETTY], Each(&["GET /secrets/{1}"])),
    row(&["secret rm", "secret remove"], (1, MANY, "SECRET …"), &[], Each(&["DELETE /secrets/{1}"])),
    row(&["config create"], (2, 2, "CONFIG FILE"), &[SECRET], Json(&["POST /configs/create"], r#"{"Name":"{1}","Labels":{},"Data":""}"#)),
    row(&["config ls", "config list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /configs"])),
    row(&["config inspect"], (1, MANY, "CONFIG …"), &[PRETTY], Each(&["GET /configs/{1}"])),
    row(&["config rm", "config remove"], (1, MANY, "CONFIG …"), &[], Each(&["DELETE /configs/{1}"])),

    row(&["plugin ls", "plugin list"], (0, 0, "no names"), &[FILTER, FORMAT], Once(&["GET /plugins"])),
    row(&["plugin inspect"], (1, MANY, "PLUGIN …"), &[PRETTY], Each(&["GET /plugins/{1}/json"])),
    row(&["plugin enable"], (1, 1, "PLUGIN"), &[ENABLE], Once(&["POST /plugins/{1}/enable?timeout=30"])),
    row(&["plugin disable"], (1, 1, "PLUGIN"), &[FORCE], Once(&["POST /plugins/{1}/disable"])),
    row(&["plugin rm", "plugin remove"], (1, MANY, "PLUGIN …"), &[FORCE], Each(&["DELETE /plugins/{1}"])),
    row(&["plugin set"], (2, MANY, "PLUGIN KEY=VALUE …"), &[], Json(&["POST /plugins/{1}/set"], r#""{2..}""#)),
    passing(&["plugin install"], (1, MANY, "PLUGIN [KEY=VALUE …]"), &[INSTALL], By(plugin_install)),
];

/// Finds a command, and returns what follows its words.
pub fn find(words: &[String]) -> Result<(&'static Command, &[String])> {
    if let Some(option) = words.first().filter(|word| word.starts_with('-')) {
        return refused(format!(
            "`{option}` stands before the command: leave it out"
        ));
    }
    for length in [2, 1] {
        let Some(first) = words.get(..length) else {
            continue;
        };
        let name = first.join(" ");
        let is_it = |command: &&Command| command.words.contains(&name.as_str());
        if let Some(command) = COMMANDS.iter().find(is_it) {
            return Ok((command, &words[length..]));
        }
    }
    let Some(first) = words.first() else {
        return refused("there is no command: write one such as `run busybox`");
    };
    let known = COMMANDS
        .iter()
        .flat_map(|command| command.words.iter().copied());
    let is_group = known
        .clone()
        .any(|words| words.starts_with(&format!("{first} ")));
    let name = match words.get(1) {
        Some(second) if is_group => format!("{first} {second}"),
        _ => first.clone(),
    };
    let hint = near(&name, known);
    refused(format!(
        "there is no command `docker {name}`, or its requests are not known{hint}"
    ))
}

impl Command {
    pub fn options(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().flat_map(|options| options.iter())
    }

    /// Checks how many names there are.
    pub fn check_names(&self, args: &Args) -> Result<()> {
        let (least, most, what) = self.names;
        if (least..=most).contains(&args.names.len()) {
            return Ok(());
        }
        refused(format!(
            "`docker {}` takes {what}, not `{}`",
            self.words[0],
            args.names.join(" ")
        ))
    }

    /// Returns what the command sends.
    pub fn sends(&self, args: &Args) -> Result<Vec<ApiRequest>> {
        match self.sends {
            By(make) => make(args),
            Once(steps) => steps_of(steps, args, &args.names, None),
            Json(steps, body) => {
                let mut body = named(kept(body), args);
                args.fill(&mut body);
                steps_of(steps, args, &args.names, Some(body))
            }
            Each(steps) => {
                let mut requests = Vec::new();
                for name in &args.names {
                    requests.extend(steps_of(steps, args, std::slice::from_ref(name), None)?);
                }
                Ok(requests)
            }
        }
    }
}

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "HEAD"];

fn steps_of(
    steps: &[&str],
    args: &Args,
    names: &[String],
    mut body: Option<Value>,
) -> Result<Vec<ApiRequest>> {
    let main = steps.iter().position(|step| !step.starts_with("GET"));
    let main = main.unwrap_or(steps.len() - 1);
    let request = |(at, step): (usize, &&str)| {
        let (method, target) = step.split_once(' ').unwrap_or_default();
        let known = METHODS.iter().find(|known| **known == method);
        let method = *known.ok_or_else(|| ClientError(format!("unknown method `{method}`")))?;
        let (route, asked) = target.split_once('?').unwrap_or((target, ""));
        let mut query = Query::default();
        for pair in asked.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.add(key, &placed(value, names, str::to_owned));
        }
        if at == main {
            args.ask(&mut query);
        }
        let request = ApiRequest::new(method, &query.on(&placed(route, names, path)));
        Ok(match body.take_if(|_| at == main) {
            Some(body) => request.with_body(body),
            None => request,
        })
    };
    steps.iter().enumerate().map(request).collect()
}

/// Puts names into a text by their places, and the ID for `{id}`.
fn placed(template: &str, names: &[String], spell: fn(&str) -> String) -> String {
    let mut text = template.replace("{id}", super::ID);
    for (at, name) in names.iter().enumerate().take(2) {
        text = text.replace(&format!("{{{}}}", at + 1), &spell(name));
    }
    text
}

/// Puts names into a body.
fn named(body: Value, args: &Args) -> Value {
    match body {
        Value::String(text) => match text.as_str() {
            "{1}" => args.name(1).into(),
            "{2}" => args.name(2).into(),
            "{2..}" => args.rest(2),
            _ => text.into(),
        },
        Value::Array(list) => list.into_iter().map(|value| named(value, args)).collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key, named(value, args)))
            .collect(),
        other => other,
    }
}

fn top(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut query = Query::default();
    if args.names.len() > 1 {
        query.set("ps_args", &args.names[1..].join(" "));
    }
    let uri = query.on(&format!("/containers/{}/top", path(args.name(1))));
    Ok(vec![ApiRequest::new("GET", &uri)])
}

fn network_create(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut body = named(kept(NETWORK_BODY), args);
    args.fill(&mut body);
    let nth = |option: &'static str, at: usize| args.all(option).nth(at).map(str::to_owned);
    let mut configs = Vec::new();
    for (at, subnet) in args.all("subnet").enumerate() {
        let mut config = json!({ "Subnet": subnet });
        for (option, key) in [("ip-range", "IPRange"), ("gateway", "Gateway")] {
            if let Some(value) = nth(option, at) {
                config[key] = value.into();
            }
        }
        configs.push(config);
    }
    if configs.is_empty()
        && ["gateway", "ip-range", "aux-address"]
            .iter()
            .any(|option| args.has(option))
    {
        return refused("addresses need a subnet: add `--subnet`");
    }
    for (name, address) in args
        .all("aux-address")
        .filter_map(|text| text.split_once('='))
    {
        configs[0]["AuxiliaryAddresses"][name] = address.into();
    }
    body["IPAM"]["Config"] = json!(configs);
    Ok(vec![
        ApiRequest::new("POST", "/networks/create").with_body(body),
    ])
}

fn swarm_init(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut body = kept(INIT_BODY);
    args.fill(&mut body);
    let locks = args.flag("autolock");
    body["AutoLockManagers"] = locks.into();
    body["Spec"]["EncryptionConfig"]["AutoLockManagers"] = locks.into();
    let mut requests = vec![
        ApiRequest::new("POST", "/swarm/init").with_body(body),
        ApiRequest::new("GET", &format!("/nodes/{}", super::ID)),
        ApiRequest::new("GET", "/swarm"),
    ];
    if locks {
        requests.push(ApiRequest::new("GET", "/swarm/unlockkey"));
    }
    Ok(requests)
}
