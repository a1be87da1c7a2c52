//! The shipped policy, by the commands that it refuses and those that it lets pass.

use std::fs;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;

const SOON: Duration = Duration::from_secs(5);

const DENIED: &str = "authorization denied by plugin ops: ";

/// How each refusal begins: the rule's name, and what it is about.
mod rule {
    pub const PRIVILEGED: &str = "privileged: ";
    pub const NAMESPACES: &str = "namespaces: containers may not share the host's ";
    pub const CAPABILITIES: &str = "capabilities: containers may not add ";
    pub const MOUNTS: &str = "mounts: host path ";
    pub const SECURITY: &str = "security-opt: ";
    pub const DEVICES: &str = "devices: ";
    pub const PLUGINS: &str = "plugins: ";
    pub const SWARM: &str = "swarm: ";
    pub const LOGGING: &str = "logging: containers may not log to ";
    pub const NETWORKS: &str = "networks: ";
    pub const REMOTE: &str = "remote: the engine may not fetch ";
}

/// A command line, the rule that refuses it, and what the message says next.
type Case = (&'static str, &'static str, &'static str);

/// Options of `docker run` and `docker create`.
const RUNS: &[Case] = &[
    (
        "--privileged",
        rule::PRIVILEGED,
        "containers may not be privileged",
    ),
    ("--pid host", rule::NAMESPACES, "process"),
    ("--network host", rule::NAMESPACES, "network"),
    ("--ipc host", rule::NAMESPACES, "IPC"),
    ("--uts host", rule::NAMESPACES, "host name"),
    ("--userns host", rule::NAMESPACES, "user"),
    ("--cap-add SYS_ADMIN", rule::CAPABILITIES, "SYS_ADMIN"),
    (
        "--cap-add CAP_SYS_MODULE",
        rule::CAPABILITIES,
        "CAP_SYS_MODULE",
    ),
    ("--cap-add ALL", rule::CAPABILITIES, "ALL"),
    ("--cap-add SYS_TIME", rule::CAPABILITIES, "SYS_TIME"),
    (
        "--log-driver syslog --log-opt syslog-address=udp://127.0.0.1:1",
        rule::LOGGING,
        "syslog",
    ),
    (
        "--log-opt syslog-address=udp://127.0.0.1:1",
        rule::LOGGING,
        "what syslog-address names",
    ),
    ("--log-driver gelf", rule::LOGGING, "gelf"),
    (
        "--cgroup-parent /system.slice",
        "cgroups: ",
        "containers may not be below /system.slice",
    ),
    (
        "--ulimit rtprio=9",
        "realtime: ",
        "containers may not have the limit rtprio",
    ),
    (
        "--oom-score-adj -500",
        "oom: ",
        "containers may not be spared",
    ),
    (
        "--device-read-bps /dev/null:1mb",
        rule::DEVICES,
        "containers may not name block devices",
    ),
    (
        "--runtime other",
        "runtimes: ",
        "containers may not use other",
    ),
    (
        "--cap-add CHOWN --cap-add SYS_PTRACE",
        rule::CAPABILITIES,
        "SYS_PTRACE",
    ),
    ("-v /etc:/x", rule::MOUNTS, "/etc"),
    ("-v /etc:/x:ro", rule::MOUNTS, "/etc"),
    ("-v /:/x", rule::MOUNTS, "/"),
    ("-v /srv/data/../../etc:/x", rule::MOUNTS, "/"),
    ("-v /srv/database:/x", rule::MOUNTS, "/srv/database"),
    ("-v /srv/data:/x", rule::MOUNTS, "/srv/data contains"),
    (
        "-v /srv/data/alice/photos:/x",
        rule::MOUNTS,
        "/srv/data/alice/photos is inside of /srv/data/alice",
    ),
    (
        "--mount type=volume,dst=/x,volume-driver=local,volume-opt=o=bind,volume-opt=device=/srv/data",
        rule::MOUNTS,
        "/srv/data contains",
    ),
    ("-v /srv/data/to-etc:/x", rule::MOUNTS, "/srv/data/to-etc"),
    ("--mount type=bind,src=/etc,dst=/x", rule::MOUNTS, "/etc"),
    (
        "--mount type=bind,src=/srv/data/to-etc/ssl,dst=/x",
        rule::MOUNTS,
        "/srv/data/to-etc/ssl",
    ),
    (
        "--mount type=volume,dst=/x,volume-driver=local,volume-opt=o=bind,volume-opt=device=/etc",
        rule::MOUNTS,
        "/etc",
    ),
    ("--device /dev/kmsg", rule::MOUNTS, "/dev/kmsg"),
    (
        "--gpus all",
        rule::DEVICES,
        "containers may not have devices of the host",
    ),
    (
        "--security-opt apparmor=unconfined",
        rule::SECURITY,
        "containers may not weaken",
    ),
    (
        "--security-opt systempaths=unconfined",
        rule::SECURITY,
        "containers may not unmask",
    ),
];

/// Other commands that are refused, two of them by more than one rule. `DIR` is the bed's directory.
const COMMANDS: &[Case] = &[
    (
        "volume create -o o=bind -o type=none -o device=/etc evil",
        rule::MOUNTS,
        "/etc",
    ),
    (
        "volume create -o o=rbind,ro -o device=/etc evil",
        rule::MOUNTS,
        "/etc",
    ),
    ("volume create -o type=ext4 -o device=/dev/vda evil", "", ""),
    (
        "volume create -o type=overlay -o device=overlay -o o=lowerdir=/etc evil",
        "",
        "",
    ),
    (
        "exec --privileged plain true",
        rule::PRIVILEGED,
        "commands in containers may not be privileged",
    ),
    (
        "build --network host DIR/build",
        "namespaces: ",
        "builds may not share the host's network",
    ),
    (
        "plugin disable -f ops",
        rule::PLUGINS,
        "plugins may not be changed",
    ),
    (
        "plugin enable other",
        rule::PLUGINS,
        "plugins may not be changed",
    ),
    (
        "plugin rm -f other",
        rule::PLUGINS,
        "plugins may not be changed",
    ),
    (
        "plugin set other a=b",
        rule::PLUGINS,
        "plugins may not be changed",
    ),
    (
        "plugin create other DIR/plugin",
        rule::PLUGINS,
        "plugins may not be changed",
    ),
    (
        "network create -d macvlan -o parent=eth0 evil",
        rule::NETWORKS,
        "networks may not be of the driver macvlan",
    ),
    (
        "network create -o com.docker.network.bridge.name=docker0 evil",
        rule::NETWORKS,
        "the bridge may not be named docker0",
    ),
    (
        "network create --subnet 8.8.8.0/24 evil",
        rule::NETWORKS,
        "the subnet may not be 8.8.8.0/24",
    ),
    (
        "import http://127.0.0.1:1/x",
        rule::REMOTE,
        "http://127.0.0.1:1/x",
    ),
    ("swarm init", rule::SWARM, "the swarm may not be changed"),
    (
        "swarm join --token x 198.51.100.2",
        rule::SWARM,
        "the swarm may not be changed",
    ),
    (
        "swarm leave -f",
        rule::SWARM,
        "the swarm may not be changed",
    ),
];

/// What stays allowed.
const ALLOWED: &[&str] = &[
    "info",
    "ps -a",
    "images",
    "plugin ls",
    "system df",
    "run --rm busybox true",
    "run --rm -v /srv/data/new:/x busybox touch /x/file",
    "run --rm --mount type=bind,src=/srv/data/new,dst=/x busybox ls /x/file",
    "run --rm --mount type=tmpfs,dst=/x busybox true",
    "run --rm --cap-add NET_BIND_SERVICE --cap-drop CHOWN busybox true",
    "run --rm --pid container:plain --network container:plain busybox true",
    "run --rm --ipc private --network none --memory 64m --user 1000 busybox true",
    "run --rm -l a=1 -l A=2 -e b=1 -e B=2 busybox true",
    "exec plain true",
    "logs plain",
    "top plain",
    "stats --no-stream plain",
    "cp plain:/bin/busybox DIR/copied",
    "cp DIR/daemon.json plain:/daemon.json",
    "commit plain copy:1",
    "tag copy:1 copy:2",
    "rmi copy:1 copy:2",
    "save -o DIR/saved busybox",
    "load -i DIR/saved",
    "build -t built DIR/build",
    "rename plain plain2",
    "update --memory 64m --memory-swap 128m plain2",
    "restart -t 0 plain2",
    "volume create local-one",
    "volume create -d ops ops-one",
    "volume create -o type=tmpfs -o device=tmpfs in-memory",
    "volume create -o o=bind -o type=none -o device=/srv/data/new in-roots",
    "volume rm local-one ops-one in-memory in-roots",
    "run --rm --log-opt max-size=1m --ulimit nofile=64 --oom-score-adj 5 busybox true",
    "network create --subnet 10.231.0.0/24 one",
    "network create -d ops --ipam-driver ops two",
    "network connect two plain2",
    "network disconnect two plain2",
    "network rm one two",
    "events --since 1m --until 0s",
    "rm -f plain2",
    "system prune -f",
];

impl Bed {
    fn docker_line(&self, line: &str) -> Output {
        let line = line.replace("DIR", self.dir().to_str().unwrap());
        self.docker(&line.split(' ').collect::<Vec<_>>())
    }

    fn with_policy_files() -> Bed {
        let bed = Bed::with_ops();
        bed.exec_in_ns(&["mkdir", "-p", "/srv/database"]).ok();
        bed.exec_in_ns(&["ln", "-s", "/etc", "/srv/data/to-etc"])
            .ok();
        bed.write_script("build/Dockerfile", "FROM busybox\nRUN true\n");
        bed.write_script("plugin/config.json", "{}");
        fs::create_dir(bed.dir().join("plugin/rootfs")).unwrap();
        bed.run_sleeper("plain", &[]);
        bed
    }
}

#[test]
fn each_forbidden_run_is_refused_by_name() {
    needs!(engine);
    let bed = Bed::with_policy_files();
    for (options, rule, subject) in RUNS {
        for command in ["run --rm", "create"] {
            refused(
                &bed,
                &format!("{command} {options} busybox true"),
                rule,
                subject,
            );
        }
    }
    assert_eq!(bed.containers(), ["plain"]);
    assert!(bed.volumes().is_empty());
}

#[test]
fn each_forbidden_command_is_refused_by_name() {
    needs!(engine);
    let bed = Bed::with_policy_files();
    for (line, rule, subject) in COMMANDS {
        refused(&bed, line, rule, subject);
    }
    assert!(bed.volumes().is_empty());
    assert_eq!(bed.inspect("plain", "{{.State.Running}}"), "true");
    assert_eq!(
        bed.docker(&["info", "-f", "{{.Swarm.LocalNodeState}}"])
            .ok(),
        "inactive"
    );
}

#[test]
fn everything_else_is_allowed() {
    needs!(engine);
    let bed = Bed::with_policy_files();
    for line in ALLOWED {
        bed.docker_line(line).ok();
    }
    assert!(
        bed.moondock_log().contains("container.create"),
        "no log line names the action"
    );
}

#[test]
fn the_engine_refuses_everything_while_its_policy_is_down() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.moondock_kill9();
    let seen = bed.api("GET", "/v1.41/containers/json", &[], b"");
    assert!(
        seen.status == 500 && seen.message().contains("plugin ops failed with error"),
        "{seen:?}"
    );
    bed.moondock_start(&bed.dir().join("scripts"), &[]);
    bed.docker(&["ps"]).ok();
}

#[test]
fn a_policy_that_does_not_load_denies_with_the_reason() {
    needs!(engine);
    let bed = Bed::new();
    let scripts = bed.install_ops();
    let good = bed.ops_script("authz.lua");
    bed.write_script("scripts/ops/authz.lua", "local authz = {\nreturn authz\n");
    bed.moondock_start(&scripts, &[]);
    bed.engine_configure(&["ops"]);
    bed.engine_boot();
    bed.docker(&["ps"]).fails_with(&[DENIED, "authz.lua"]);
    bed.write_script("scripts/ops/authz.lua", &good);
    wait_for("allowed by the mended policy", SOON, || {
        bed.docker(&["ps"]).code == Some(0)
    });
}

/// Asserts that a command is refused by this rule, and says so.
#[track_caller]
fn refused(bed: &Bed, line: &str, rule: &str, subject: &str) {
    bed.docker_line(line)
        .fails_with(&[&format!("{DENIED}{rule}{subject}")]);
}
