//! The policy of `ops`, with requests as the engine sends them: no rule reads a field that the
//! body cannot have.

use crate::authz_traffic::calls;
use crate::harness::netns::{Namespace, sh};
use crate::harness::scripted::{Scripts, request, request_with};
use serde_json::{Value, json};

const FILES: [(&str, &str); 6] = [
    ("authz.lua", include_str!("../../scripts/ops/authz.lua")),
    (
        "policy/containers.lua",
        include_str!("../../scripts/ops/policy/containers.lua"),
    ),
    (
        "policy/networks.lua",
        include_str!("../../scripts/ops/policy/networks.lua"),
    ),
    (
        "policy/paths.lua",
        include_str!("../../scripts/ops/policy/paths.lua"),
    ),
    (
        "policy/settings.lua",
        include_str!("../../scripts/ops/policy/settings.lua"),
    ),
    ("plugin.toml", include_str!("../../scripts/ops/plugin.toml")),
];

fn decisions(requests: Vec<Value>) -> Vec<Option<String>> {
    decisions_with(&[], requests)
}

/// Decides with lines of `plugin.toml` replaced.
fn decisions_with(settings: &[(&str, &str)], requests: Vec<Value>) -> Vec<Option<String>> {
    let scripts = Scripts::new(FILES);
    let mut toml = include_str!("../../scripts/ops/plugin.toml").to_owned();
    for (shipped, changed) in settings {
        assert!(toml.contains(shipped), "{shipped}");
        toml = toml.replace(shipped, changed);
    }
    scripts.write("plugin.toml", &toml);
    scripts.open(async |plugin| {
        let mut decisions = Vec::new();
        for request in requests {
            decisions.push(plugin.decision(request).await);
        }
        decisions
    })
}

#[test]
fn ops_judges_every_recorded_request() {
    let calls: Vec<_> = calls().collect();
    let decisions = decisions(calls.iter().map(|call| call.message.clone()).collect());
    for (call, decision) in calls.iter().zip(decisions) {
        let failed = decision
            .as_ref()
            .is_some_and(|reason| reason.contains("failed"));
        assert!(!failed, "{}: {decision:?}", call.op);
    }
}

/// Every field that a rule of `ops` reads of a body is absent from these.
#[test]
fn ops_allows_the_smallest_requests() {
    let allowed = [
        ("container.create", json!({ "Image": "x" })),
        ("container.create", json!({ "HostConfig": {} })),
        (
            "container.create",
            json!({ "HostConfig": { "LogConfig": {}, "Ulimits": [{ "Name": "core" }], "Mounts": [{}] } }),
        ),
        ("container.update", json!({})),
        ("exec.create", json!({})),
        ("volume.create", json!({})),
        ("network.create", json!({})),
        ("network.create", json!({ "IPAM": { "Config": [{}] } })),
        ("service.create", json!({})),
        (
            "service.create",
            json!({ "TaskTemplate": { "ContainerSpec": { "Privileges": { "Seccomp": {}, "AppArmor": {}, "SELinuxContext": {} } } } }),
        ),
    ];
    let path = |action: &str| match action {
        "container.update" => "/containers/c/update".to_owned(),
        "exec.create" => "/containers/c/exec".to_owned(),
        other => format!("/{}s/create", other.trim_end_matches(".create")),
    };
    let requests = allowed
        .iter()
        .map(|(action, body)| request_with("POST", &path(action), body));
    for (decision, (action, body)) in decisions(requests.collect()).into_iter().zip(&allowed) {
        assert_eq!(decision, None, "{action} {body}");
    }
}

#[test]
fn ops_denies_what_reaches_beyond_the_container() {
    let create = |host: Value| {
        request_with(
            "POST",
            "/containers/create",
            &json!({ "Image": "x", "HostConfig": host }),
        )
    };
    let network = |body: Value| request_with("POST", "/networks/create", &body);
    let volume = |body: Value| request_with("POST", "/volumes/create", &body);
    let query = |uri: &str| request("POST", uri);
    let limits = "%5B%7B%22Name%22%3A%22rtprio%22%2C%22Hard%22%3A9%7D%5D";
    for (request, rule) in [
        (
            create(
                json!({ "LogConfig": { "Type": "syslog", "Config": { "syslog-address": "unix:///run/x" } } }),
            ),
            "logging: containers may not log to syslog",
        ),
        (
            create(json!({ "CapAdd": ["SYS_TIME"] })),
            "capabilities: containers may not add SYS_TIME",
        ),
        (
            create(json!({ "CapAdd": ["cap_sys_nice"] })),
            "capabilities: containers may not add cap_sys_nice",
        ),
        (
            create(json!({ "CgroupParent": "/system.slice" })),
            "cgroups: containers may not be below /system.slice",
        ),
        (
            create(json!({ "Ulimits": [{ "name": "rtprio" }] })),
            "realtime: ",
        ),
        (create(json!({ "OomScoreAdj": -999 })), "oom: "),
        (
            create(json!({ "BlkioWeightDevice": [{ "Path": "/dev/sda", "Weight": 10 }] })),
            "devices: ",
        ),
        (
            create(json!({ "Runtime": "kata" })),
            "runtimes: containers may not use kata",
        ),
        (
            create(json!({ "Annotations": { "a": "b" } })),
            "annotations: containers may not have a",
        ),
        (
            network(json!({ "Name": "n", "Driver": "macvlan", "Options": { "parent": "eth0" } })),
            "networks: networks may not be of the driver macvlan",
        ),
        (
            network(json!({ "Name": "n", "Driver": "ipvlan" })),
            "networks: networks may not be of the driver ipvlan",
        ),
        (
            network(
                json!({ "Name": "n", "Options": { "com.docker.network.bridge.name": "docker0" } }),
            ),
            "networks: the bridge may not be named docker0",
        ),
        (
            network(
                json!({ "Name": "n", "IPAM": { "Config": [{ "Subnet": "10.1.0.0/16" }, { "Subnet": "8.8.8.0/24" }] } }),
            ),
            "networks: the subnet may not be 8.8.8.0/24",
        ),
        (
            query("/build?remote=http%3A%2F%2F127.0.0.1%2F"),
            "remote: the engine may not fetch http://127.0.0.1/",
        ),
        (
            query("/images/create?fromSrc=http://127.0.0.1/"),
            "remote: the engine may not fetch http://127.0.0.1/",
        ),
        (
            network(json!({ "Name": "n", "IPAM": { "Driver": "null" } })),
            "networks: the addresses of networks may not be of the driver null",
        ),
        (
            volume(json!({ "Driver": "vieux/sshfs:latest" })),
            "volumes: volumes may not be of the driver vieux/sshfs:latest",
        ),
        (
            create(json!({ "VolumeDriver": "sshfs" })),
            "volumes: volumes may not be of the driver sshfs",
        ),
        (
            create(
                json!({ "Mounts": [{ "Type": "volume", "VolumeOptions": { "DriverConfig": { "Name": "sshfs" } } }] }),
            ),
            "volumes: volumes may not be of the driver sshfs",
        ),
        (query("/build?version=2"), "builds: "),
        (query("/build?cgroupparent=/x"), "cgroups: "),
        (
            query(&format!("/build?ulimits={limits}")),
            "realtime: containers may not have the limit rtprio",
        ),
        (
            query("/containers/c/start?checkpoint=x&checkpoint-dir=/etc"),
            "checkpoints: ",
        ),
        (
            request("GET", "/containers/c/checkpoints?dir=/etc"),
            "checkpoints: ",
        ),
        (
            request_with(
                "POST",
                "/volumes/create",
                &json!({ "ClusterVolumeSpec": {} }),
            ),
            "swarm: ",
        ),
    ] {
        let decision = decisions(vec![request.clone()]).remove(0);
        let denied = decision
            .as_ref()
            .is_some_and(|reason| reason.starts_with(rule));
        assert!(denied, "{rule}: {decision:?}");
        assert!(
            decision.is_some_and(|reason| reason.contains("(see the setting ")),
            "{rule}"
        );
    }
}

/// A managed plugin is in a setting by its last part, whatever its registry and tag.
#[test]
fn ops_knows_a_driver_by_its_name() {
    let settings = [(
        r#"volume_drivers = ["local", "ops"]"#,
        r#"volume_drivers = ["local", "ops", "b", "sshfs"]"#,
    )];
    let decide = |path: &str, body: Value| {
        let request = request_with("POST", path, &body);
        decisions_with(&settings, vec![request]).remove(0)
    };
    let names = [
        "",
        "local",
        "ops",
        "ops:1.0",
        "acme/ops:latest",
        "vieux/sshfs:latest",
        "registry:5000/a/b:tag",
        "127.0.0.1:5000/ops:v1",
    ];
    for name in names {
        let volume = decide("/volumes/create", json!({ "Driver": name }));
        assert_eq!(volume, None, "{name}");
        let host = json!({ "HostConfig": { "VolumeDriver": name } });
        assert_eq!(decide("/containers/create", host), None, "{name}");
    }
    let others = [
        "OPS",
        "ops:1:ops:1",
        "x ops:1",
        "ops/",
        "../../../proc/7/root/ops:1",
        "x/../ops:1",
        "/ops:1",
        "a:b/ops:1",
        "a/b:5000/ops:1",
        "a%2f..%2fops:1",
    ];
    for name in others {
        for (path, body) in [
            ("/volumes/create", json!({ "Driver": name })),
            ("/networks/create", json!({ "Driver": name })),
            ("/networks/create", json!({ "IPAM": { "Driver": name } })),
            (
                "/containers/create",
                json!({ "HostConfig": { "LogConfig": { "Type": name } } }),
            ),
        ] {
            assert!(decide(path, body).is_some(), "{path} {name}");
        }
    }
    let named = json!({ "Driver": "acme/ops:1.0", "IPAM": { "Driver": "acme/ops:1.0" } });
    assert_eq!(decide("/networks/create", named), None);
}

/// A setting that allows one thing leaves the other rules in force.
#[test]
fn ops_judges_the_rest_of_what_a_setting_allows() {
    let cluster = ("cluster_volumes = false", "cluster_volumes = true");
    let checkpoints = ("checkpoints = false", "checkpoints = true");
    let swarm = (
        "swarm_actions = []",
        r#"swarm_actions = ["swarm.init", "swarm.update"]"#,
    );
    let logging = json!({ "LogDriver": { "Name": "syslog" } });
    for (setting, path, body, denial) in [
        (
            cluster,
            "/v1.41/volumes/create",
            json!({ "Driver": "local", "DriverOpts": { "type": "proc", "device": "proc" }, "ClusterVolumeSpec": {} }),
            Some("volumes: a local volume may not be of type proc"),
        ),
        (
            cluster,
            "/v1.41/volumes/create",
            json!({ "Driver": "sshfs", "ClusterVolumeSpec": {} }),
            Some("volumes: volumes may not be of the driver sshfs"),
        ),
        (
            cluster,
            "/volumes/create",
            json!({ "ClusterVolumeSpec": {} }),
            None,
        ),
        (
            checkpoints,
            "/v1.23/containers/c/start?checkpoint=x",
            json!({ "Privileged": true }),
            Some("`container.start` takes no body"),
        ),
        (
            checkpoints,
            "/containers/c/start?checkpoint=x",
            json!({}),
            None,
        ),
        (
            swarm,
            "/swarm/init",
            json!({ "Spec": { "TaskDefaults": logging } }),
            Some("logging: containers may not log to syslog"),
        ),
        (
            swarm,
            "/swarm/update?version=1",
            json!({ "TaskDefaults": logging }),
            Some("logging: containers may not log to syslog"),
        ),
        (
            swarm,
            "/swarm/init",
            json!({ "ListenAddr": "127.0.0.1" }),
            None,
        ),
        (swarm, "/swarm/update?version=1", json!({}), None),
    ] {
        let request = request_with("POST", path, &body);
        let decision = decisions_with(&[setting], vec![request]).remove(0);
        match denial {
            None => assert_eq!(decision, None, "{path} {body}"),
            Some(start) => {
                let reason = decision.unwrap_or_default();
                assert!(reason.starts_with(start), "{path} {body}: {reason}");
            }
        }
    }
}

/// What is not of the engine's form has a reason, too.
#[test]
fn ops_says_what_is_wrong_with_the_form_of_a_request() {
    let subnet = |text: &str| {
        let body = json!({ "IPAM": { "Config": [{ "Subnet": text }] } });
        request_with("POST", "/networks/create", &body)
    };
    let limits = |text: &str| request("POST", &format!("/build?ulimits={text}"));
    let options = json!({ "logconfig": { "config": { "gelf-address": "udp://127.0.0.1:1" } } });
    for (request, denial) in [
        (
            request_with(
                "POST",
                "/containers/create",
                &json!({ "HostConfig": options }),
            ),
            "logging: containers may not log to what gelf-address names: name the log driver too",
        ),
        (
            subnet("010.1.0.0/24"),
            "networks: 010.1.0.0/24 is not a subnet such as 10.1.0.0/24",
        ),
        (
            subnet("x"),
            "networks: x is not a subnet such as 10.1.0.0/24",
        ),
        (
            limits("7"),
            "realtime: the limits of a build must be a list in JSON",
        ),
        (
            limits("x"),
            "realtime: the limits of a build must be a list in JSON",
        ),
        (
            limits("[7]"),
            "realtime: the limits of a build must be objects",
        ),
        (
            request_with(
                "POST",
                "/containers/create",
                &json!({ "HostConfig": { "Ulimits": 7 } }),
            ),
            "the policy failed: a number where a list belongs",
        ),
    ] {
        assert_eq!(decisions(vec![request]), [Some(denial.to_owned())]);
    }
    assert_eq!(decisions(vec![limits("null"), limits("[]")]), [None, None]);
}

/// The host would send what is meant for its neighbours to the containers.
#[test]
fn ops_denies_a_subnet_that_takes_the_traffic_of_the_host() {
    needs!(root);
    Namespace::new().enter(|| {
        sh("ip link add up0 type veth peer name far0");
        sh("ip addr add 10.55.0.1/16 dev up0 && ip link set up0 up && ip link set far0 up");
        sh("ip route add default via 10.77.0.1 dev up0 onlink");
        sh("ip route add 10.88.7.0/24 via 10.55.0.9");
        sh("ip route add 10.96.0.0/12 via 10.55.0.9");
        for (subnet, taken) in [
            ("10.55.0.0/24", Some("the host's network 10.55.0.0/16")),
            ("10.55.0.0/16", Some("the host's network 10.55.0.0/16")),
            ("10.54.0.0/15", Some("the host's network 10.55.0.0/16")),
            ("10.88.0.0/16", Some("the host's network 10.88.7.0/24")),
            ("10.77.0.0/24", Some("the host's gateway 10.77.0.1")),
            ("10.97.0.0/16", None),
            ("10.56.0.0/24", None),
            ("fd00:9::/64", None),
        ] {
            let body = json!({ "Name": "mitm", "IPAM": { "Config": [{ "Subnet": "10.231.0.0/24" }, { "Subnet": subnet }] } });
            let decision = decisions(vec![request_with("POST", "/networks/create", &body)]);
            let denial = taken.map(|what| format!("networks: the subnet {subnet} overlaps {what}"));
            assert_eq!(decision, [denial], "{subnet}");
        }
        // The driver looks for itself which networks the host is in.
        for (subnet, is_denied) in [("10.55.128.0/24", false), ("10.77.0.0/24", true)] {
            let body = json!({ "Driver": "ops", "IPAM": { "Config": [{ "Subnet": subnet }] } });
            let decision = decisions(vec![request_with("POST", "/networks/create", &body)]);
            assert_eq!(decision[0].is_some(), is_denied, "{subnet}: {decision:?}");
        }
    });
}
