//! Requests that no `docker` command sends: the policy must judge what the engine would run.

use serde_json::json;

use crate::harness::api::{self, Reply};
use crate::harness::bed::Bed;

const DENIED: &str = "authorization denied by plugin ops: ";
const WITHHELD: &str = "the engine did not pass it on";
const CREATE: &str = "/v1.41/containers/create";
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const PRIVILEGED: &str = r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"Privileged":true}}"#;

/// Asserts that the policy refused, with `part` in lower case somewhere in its message.
#[track_caller]
fn refused(case: &str, reply: &Reply, part: &str) {
    let message = reply.message();
    let named = message.starts_with(DENIED) && message.to_lowercase().contains(part);
    assert!(
        reply.status == 403 && named,
        "`{case}` should be refused with `{part}`: {reply:?}"
    );
}

#[track_caller]
fn nothing_was_made(bed: &Bed) {
    assert!(bed.containers().is_empty(), "{:?}", bed.containers());
}

/// A container's spec with a label of `size` bytes.
fn padded(size: usize, privileged: bool) -> Vec<u8> {
    let labels = json!({"pad": "x".repeat(size)});
    let spec = json!({"Image": "busybox", "Cmd": ["true"], "Labels": labels, "HostConfig": {"Privileged": privileged}});
    spec.to_string().into_bytes()
}

impl Bed {
    #[track_caller]
    fn post(&self, target: &str, body: &str) -> Reply {
        self.api("POST", target, JSON, body.as_bytes())
    }

    /// Whether the engine runs requests of 1 MiB and more without showing their bodies, as 20.10 does.
    fn withholds_large_bodies(&self) -> bool {
        self.docker(&["version", "-f", "{{.Server.Version}}"])
            .ok()
            .starts_with("20.10.")
    }

    #[track_caller]
    fn post_chunked(&self, body: &[u8]) -> Reply {
        api::send(
            &self.socket(),
            &api::chunked("POST", CREATE, JSON, body, 1000),
        )
        .unwrap()
    }
}

#[test]
fn a_body_that_the_engine_withholds_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    for privileged in [true, false] {
        let body = padded(1_200_000, privileged);
        let why = match (bed.withholds_large_bodies(), privileged) {
            (true, _) => WITHHELD,
            (false, true) => "privileged",
            (false, false) => continue,
        };
        refused("1.2 MB", &bed.api("POST", CREATE, JSON, &body), why);
        refused("1.2 MB chunked", &bed.post_chunked(&body), why);
    }
    refused(
        "900 kB",
        &bed.api("POST", CREATE, JSON, &padded(900_000, true)),
        "privileged",
    );
    nothing_was_made(&bed);
    let honest = bed.api("POST", CREATE, JSON, &padded(900_000, false));
    assert_eq!(honest.status, 201, "{honest:?}");
}

#[test]
fn a_chunked_body_is_judged() {
    needs!(engine);
    let bed = Bed::with_ops();
    refused(
        "chunked",
        &bed.post_chunked(PRIVILEGED.as_bytes()),
        "privileged",
    );
    refused(
        "many chunks",
        &bed.post_chunked(&padded(50_000, true)),
        "privileged",
    );
    nothing_was_made(&bed);
    let honest = bed.post_chunked(&padded(50_000, false));
    assert_eq!(honest.status, 201, "{honest:?}");
}

#[test]
fn an_odd_path_is_the_same_route() {
    needs!(engine);
    let bed = Bed::with_ops();
    let targets = [
        "/containers/create",
        "/v1.41/containers/%63reate",
        "/v1.41/%63ontainers/create?name=x",
        "/v01.041.0/containers/create",
        "http://elsewhere/v1.41/containers/create",
        "x:/v1.41/containers/create",
        "/v1.24/containers/create",
    ];
    for target in targets {
        refused(target, &bed.post(target, PRIVILEGED), "privileged");
    }
    refused(
        "plugin",
        &bed.post("/v1.41/plugins/%6fps/%64isable?force=1", ""),
        "plugin",
    );
    refused("swarm", &bed.post("/v1.41/swarm/%69nit", "{}"), "swarm");
    for target in ["//containers/create", "/v1.41/x/../containers/create"] {
        assert!(bed.post(target, PRIVILEGED).status >= 300, "{target}");
    }
    nothing_was_made(&bed);
}

#[test]
fn keys_fold_as_the_engine_folds_them() {
    needs!(engine);
    let bed = Bed::with_ops();
    let bodies = [
        (
            r#"{"Image":"busybox","Cmd":["true"],"hostconfig":{"privileged":true}}"#,
            "privileged",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HOSTCONFIG":{"PRIVILEGED":true}}"#,
            "privileged",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"Ho\u017ftConfig":{"Privileged":true}}"#,
            "privileged",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HoſtConfig":{"Privileged":true}}"#,
            "privileged",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"Privileged":true}"#,
            "outside of `hostconfig`",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"capadd":["SYS_ADMIN"]}}"#,
            "sys_admin",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"CapAdd":"SYS_ADMIN"}}"#,
            "sys_admin",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"CapAdd":["ſys_admin"]}}"#,
            "capabilities: containers may not add",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"binds":["/etc:/x"]}}"#,
            "/etc",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"mounts":[{"type":"bind","source":"/etc","target":"/x"}]}}"#,
            "/etc",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"Binds":["/etc:/x"]}"#,
            "outside of `hostconfig`",
        ),
    ];
    for (body, part) in bodies {
        refused(body, &bed.post(CREATE, body), part);
    }
    let volume = r#"{"name":"evil","driveropts":{"o":"bind","device":"/etc"}}"#;
    refused(volume, &bed.post("/v1.41/volumes/create", volume), "/etc");
    nothing_was_made(&bed);
    assert!(bed.volumes().is_empty());
}

#[test]
fn a_body_with_two_readings_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    let bodies = [
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"Privileged":true},"HostConfig":{}}"#,
            "mean the same",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"Privileged":false,"privileged":true}}"#,
            "mean the same",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"],"Hostconfig":{"Privileged":true},"HostConfig":{"CapDrop":["CHOWN"]}}"#,
            "mean the same",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"]} {"HostConfig":{"Privileged":true}}"#,
            "something follows the json value",
        ),
        (
            r#"{"Image":"busybox","Cmd":["true"]"#,
            "ends in the middle of the json",
        ),
    ];
    for (body, part) in bodies {
        refused(body, &bed.post(CREATE, body), part);
    }
    let honest = r#"{"Image":"busybox","Cmd":["true"],"Labels":{"a":"1","A":"2"}}"#;
    nothing_was_made(&bed);
    assert_eq!(bed.post(CREATE, honest).status, 201);
}

#[test]
fn bodies_of_other_content_types_are_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    refused(
        "no body",
        &bed.api("POST", CREATE, JSON, b""),
        "needs a json body",
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = bed.api(
        "POST",
        "/v1.41/images/create?fromImage=good&tag=1",
        &form,
        b"fromImage=evil",
    );
    refused("form", &reply, "send the parameters in the query");
    let reply = bed.api(
        "POST",
        CREATE,
        &[("Content-Type", "text/plain")],
        PRIVILEGED.as_bytes(),
    );
    assert!(reply.status >= 400, "{reply:?}");
    nothing_was_made(&bed);
}

/// The CLI fetches a context itself.
#[test]
fn the_engine_may_not_fetch_urls_or_read_checkpoints_elsewhere() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.docker(&["create", "--name", "plain", "busybox", "true"])
        .ok();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = socket.local_addr().unwrap();
    for (method, target, why) in [
        (
            "POST",
            format!("/v1.41/build?remote=http://{secret}/x"),
            "remote: ",
        ),
        (
            "POST",
            format!("/v1.41/build?t=x&remote=git://{secret}/x"),
            "remote: ",
        ),
        ("POST", "/v1.41/build?version=2".to_owned(), "buildkit"),
        (
            "POST",
            "/v1.41/containers/plain/start?checkpoint=c&checkpoint-dir=/etc".to_owned(),
            "checkpoints: ",
        ),
        (
            "GET",
            "/v1.41/containers/plain/checkpoints?dir=/etc".to_owned(),
            "checkpoints: ",
        ),
    ] {
        refused(&target, &bed.api(method, &target, &[], b""), why);
    }
    assert_eq!(bed.inspect("plain", "{{.State.Status}}"), "created");
}

/// Of two `Content-Type` headers, the engine reads the first and shows the plugin the last.
#[test]
fn a_form_behind_another_content_type_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.docker(&["create", "--name", "plain", "busybox", "true"])
        .ok();
    let routes = [
        (
            "/v1.41/images/create?fromImage=good&tag=1",
            "fromImage=evil",
        ),
        ("/v1.41/containers/plain/rename?name=good", "name=evil"),
        ("/v1.41/containers/plain/start", "checkpoint-dir=/etc"),
        ("/v1.41/images/busybox/tag?repo=good", "repo=evil"),
    ];
    let hidden = |shown| {
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        [form, ("Content-Type", shown)]
    };
    for (target, form) in routes {
        for (shown, why) in [
            ("application/json", WITHHELD),
            ("text/plain", "takes no body"),
            ("", "takes no body"),
        ] {
            let headers = hidden(shown);
            let sent = bed.api("POST", target, &headers, form.as_bytes());
            refused(target, &sent, why);
            let chunked = api::chunked("POST", target, &headers, form.as_bytes(), 5);
            let sent = api::send(&bed.socket(), &chunked).unwrap();
            refused(target, &sent, why);
        }
    }
    assert_eq!(bed.containers(), ["plain"]);
    assert_eq!(bed.inspect("plain", "{{.State.Status}}"), "created");
    let honest = bed.api("POST", "/v1.41/containers/plain/rename?name=good", &[], b"");
    assert_eq!(honest.status, 204, "{honest:?}");
}

/// What the policy is guarded from: the engine takes the form, and the query does not count.
#[test]
fn a_form_overrides_the_query_for_the_engine() {
    needs!(engine);
    let bed = Bed::start();
    bed.docker(&["create", "--name", "plain", "busybox", "true"])
        .ok();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/json"),
    ];
    let target = "/v1.41/containers/plain/rename?name=good";
    let renamed = bed.api("POST", target, &headers, b"name=evil");
    assert_eq!(renamed.status, 204, "{renamed:?}");
    assert_eq!(bed.containers(), ["evil"]);
}

#[test]
fn an_old_api_cannot_make_a_container_privileged_at_start() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.docker(&["create", "--name", "plain", "busybox", "sleep", "60"])
        .ok();
    let target = "/v1.20/containers/plain/start";
    refused(
        target,
        &bed.post(target, r#"{"Privileged":true,"Binds":["/etc:/x"]}"#),
        "takes no body",
    );
    assert_eq!(
        bed.inspect("plain", "{{.State.Running}} {{.HostConfig.Privileged}}"),
        "false false"
    );
    assert_eq!(bed.post("/v1.41/containers/plain/start", "").status, 204);
}

/// What the policy is guarded from: the engine takes a driver's name for a path.
#[test]
fn the_engine_does_not_clean_the_name_of_a_driver() {
    needs!(engine);
    let bed = Bed::new();
    let scripts = bed.install_ops();
    bed.moondock_start(&scripts, &[]);
    bed.engine_start(&[]);
    let path = "../../../proc/self/root/run/docker/plugins/ops";
    bed.docker(&["volume", "create", "-d", path, "found"]).ok();
    assert_eq!(bed.inspect("found", "{{.Driver}}"), path);
}

#[test]
fn a_path_for_a_driver_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    let path = "../../../proc/1/root/run/docker/plugins/ops";
    let tagged = format!("{path}:1");
    let create = |host| {
        (
            CREATE,
            json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": host}),
        )
    };
    let mount = json!({"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": path}}});
    for (target, body) in [
        (
            "/v1.41/volumes/create",
            json!({"Name": "evil", "Driver": path}),
        ),
        create(json!({"VolumeDriver": path, "Binds": ["evil:/x"]})),
        create(json!({"Mounts": [mount]})),
        create(json!({"LogConfig": {"Type": tagged}})),
        (
            "/v1.41/networks/create",
            json!({"Name": "evil", "Driver": tagged}),
        ),
        (
            "/v1.41/networks/create",
            json!({"Name": "evil", "IPAM": {"Driver": path}}),
        ),
    ] {
        let body = body.to_string();
        refused(
            &body,
            &bed.post(target, &body),
            "the engine would take it for a path",
        );
    }
    nothing_was_made(&bed);
    assert!(bed.volumes().is_empty());
    assert!(bed.networks().is_empty());
    bed.volume_create("one", &[]).ok();
    bed.network_create("two", &[]).ok();
    bed.docker(&["volume", "create", "-d", "local", "three"])
        .ok();
}

/// Of the fields beside `HostConfig`, which engines up to 26 read, an empty list of masked paths
/// masks none.
#[test]
fn empty_lists_beside_the_host_configuration_are_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    for body in [
        r#"{"Image":"busybox","Cmd":["true"],"MaskedPaths":[],"ReadonlyPaths":[]}"#,
        r#"{"Image":"busybox","Cmd":["true"],"HostConfig":null,"ReadonlyPaths":[]}"#,
        r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{},"maskedpaths":[]}"#,
        r#"{"Image":"busybox","Cmd":["true"],"Ulimits":[]}"#,
    ] {
        refused(body, &bed.post(CREATE, body), "outside of `hostconfig`");
    }
    nothing_was_made(&bed);
    let absent = r#"{"Image":"busybox","Cmd":["true"],"MaskedPaths":null}"#;
    assert_eq!(bed.post(CREATE, absent).status, 201);
}

/// Below API 1.42 the engine ignores the specification, and makes a volume of the driver.
#[test]
fn a_volume_of_the_swarm_is_judged_as_a_volume_too() {
    needs!(engine);
    let bed = Bed::new();
    let scripts = bed.install_ops();
    let settings = bed.ops_script("plugin.toml");
    let opened = settings.replace("cluster_volumes = false", "cluster_volumes = true");
    assert_ne!(settings, opened);
    bed.write_script("scripts/ops/plugin.toml", &opened);
    bed.moondock_start(&scripts, &[]);
    bed.engine_start(&["ops"]);
    let proc = r#"{"Name":"proc","Driver":"local","DriverOpts":{"type":"proc","device":"proc"},"ClusterVolumeSpec":{}}"#;
    let reply = bed.post("/v1.41/volumes/create", proc);
    refused(proc, &reply, "a local volume may not be of type proc");
    assert!(bed.volumes().is_empty());
    let plain = r#"{"Name":"plain","ClusterVolumeSpec":{}}"#;
    assert_eq!(bed.post("/v1.41/volumes/create", plain).status, 201);
}

/// Docker's own bridge takes a subnet of the host's network, and with it the host's traffic.
#[test]
fn a_subnet_of_the_host_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.exec_in_ns(&["ip", "addr", "add", "10.55.0.1/16", "dev", "uplink"])
        .ok();
    let servers =
        "echo nameserver 10.77.0.53 >/srv/servers && mount --bind /srv/servers /etc/resolv.conf";
    bed.exec_in_ns(&["sh", "-c", servers]).ok();
    for (subnet, taken) in [
        ("10.55.0.0/24", "the host's network 10.55.0.0/16"),
        ("10.77.0.0/24", "the host's name server 10.77.0.53"),
    ] {
        let config = json!([{"Subnet": subnet}]);
        let body = json!({"Name": "mitm", "IPAM": {"Config": config}}).to_string();
        let reply = bed.post("/v1.41/networks/create", &body);
        refused(
            &body,
            &reply,
            &format!("the subnet {subnet} overlaps {taken}"),
        );
    }
    assert!(bed.networks().is_empty());
    bed.docker(&["network", "create", "--subnet", "10.56.0.0/24", "good"])
        .ok();
}

/// What the policy is guarded from.
#[test]
fn the_engines_bridge_takes_a_subnet_of_the_host() {
    needs!(engine);
    let bed = Bed::start();
    bed.exec_in_ns(&["ip", "addr", "add", "10.55.0.1/16", "dev", "uplink"])
        .ok();
    bed.docker(&["network", "create", "--subnet", "10.55.0.0/24", "mitm"])
        .ok();
    let route = bed.exec_in_ns(&["ip", "route", "get", "10.55.0.2"]).ok();
    assert!(route.contains("dev br-"), "{route}");
}

/// What no policy sees: behind another content type, a form decides what an import fetches. A build
/// reads its query.
#[test]
fn a_form_overrides_the_source_of_an_import() {
    needs!(engine);
    let bed = Bed::with_ops();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "text/plain"),
    ];
    let fetched = |target: &str, form: &str| {
        let reply = bed.api("POST", target, &headers, form.as_bytes());
        reply.body.contains("127.0.0.1:1")
    };
    let import = "/v1.41/images/create?fromSrc=-";
    assert!(fetched(import, "fromSrc=http://127.0.0.1:1/x"));
    assert!(!fetched("/v1.41/build?t=x", "remote=http://127.0.0.1:1/x"));
}
