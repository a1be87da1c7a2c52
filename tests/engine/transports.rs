//! Plugins that the engine reaches by a port, with and without TLS, and engines that are reached by TLS.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::daemon::Daemon;
use crate::harness::wait::{holds_within, wait_for};

const START: Duration = Duration::from_secs(30);

/// All volumes are one directory, of which it remembers the names.
pub const VOLUME: &str = r#"local store = require("@moondock/store")
local volume = {}

local function known(name)
  return { Name = name, Mountpoint = "/srv/data" }
end

function volume.create(req)
  store.set(req.Name, true)
end

function volume.remove(req)
  store.delete(req.Name)
end

function volume.mount(req)
  return { Mountpoint = "/srv/data" }
end

function volume.unmount(req) end

function volume.get(req)
  return { Volume = if store.get(req.Name) then known(req.Name) else nil }
end

function volume.list()
  local volumes = {}
  for _, entry in store.list() do table.insert(volumes, known(entry.key)) end
  return { Volumes = volumes }
end

return volume
"#;

/// Lets in who has proved to be somebody; others may look.
const AUTHZ: &str = r#"local log = require("@moondock/log")
local authz = {}

function authz.request(req)
  local user = req.user
  if user then
    log.info(`asked by {user.name} ({user.method}), certified as {user.certificate.common_name}`)
    if user.name == "engine" and user.certificate.common_name == "engine" then return true end
  end
  if req.effect == "read" then return true end
  return false, `{req.action} is not for those whom nobody knows`
end

return authz
"#;

impl Bed {
    /// Serves these plugins, each with one script, and waits until all are ready.
    pub fn serve(&self, plugins: &[(&str, &str, &str)], listens: &[&str]) {
        for (name, file, text) in plugins {
            self.write_script(&format!("scripts/{name}/{file}"), text);
        }
        self.serve_again(plugins.len(), listens);
    }

    fn serve_again(&self, plugins: usize, listens: &[&str]) {
        let before = self.ready();
        let mut daemon = Daemon::start(self.namespaces(), "moondock", &self.serving(listens));
        let up = holds_within(START, || {
            daemon.ended().is_some() || self.ready() == before + plugins
        });
        assert!(
            up && daemon.ended().is_none(),
            "moondock did not start: {}",
            daemon.log()
        );
        self.moondock.put(daemon);
    }

    /// The command that serves all scripts.
    fn serving(&self, listens: &[&str]) -> Vec<String> {
        let dir = self.dir().display();
        let fixed = [
            "serve".to_owned(),
            format!("{dir}/scripts"),
            "--state".into(),
            format!("{dir}/state"),
        ];
        let listens = listens.iter().map(|listen| format!("--listen={listen}"));
        [env!("CARGO_BIN_EXE_moondock").to_owned()]
            .into_iter()
            .chain(fixed)
            .chain(listens)
            .collect()
    }

    /// How many plugins have become ready, in all of moondock's lives.
    fn ready(&self) -> usize {
        let log = fs::read_to_string(self.dir().join("moondock.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("ready")).count()
    }

    fn spec(&self, name: &str) -> PathBuf {
        self.namespaces()
            .path(&format!("/etc/docker/plugins/{name}"))
    }

    /// All that a volume goes through, with data in it.
    fn use_volume(&self, driver: &str, name: &str) {
        self.docker(&["volume", "create", "-d", driver, name]).ok();
        let mount = format!("{name}:/v");
        let write = format!("echo {name} >/v/{name} && cat /v/{name}");
        assert_eq!(
            self.docker(&["run", "--rm", "-v", &mount, "busybox", "sh", "-c", &write])
                .ok(),
            name
        );
        assert_eq!(
            fs::read_to_string(self.dir().join("srv/data").join(name))
                .unwrap()
                .trim(),
            name
        );
        assert_eq!(
            self.docker(&["volume", "inspect", "-f", "{{.Driver}}", name])
                .ok(),
            driver
        );
    }
}

/// By a port, by TLS and by a socket, out of one process.
#[test]
fn plugins_are_found_by_spec_files_and_survive_restarts_of_either_side() {
    needs!(engine);
    let bed = Bed::new();
    let listens = ["plain=tcp://127.0.0.1:0", "sealed=tls://127.0.0.1:0"];
    let plugins = [
        ("plain", "volume.lua", VOLUME),
        ("sealed", "volume.lua", VOLUME),
        ("socket", "volume.lua", VOLUME),
    ];
    bed.serve(&plugins, &listens);
    bed.engine_start(&[]);
    for (driver, _, _) in plugins {
        bed.use_volume(driver, &format!("{driver}-1"));
    }
    bed.engine_restart();
    assert_eq!(bed.volumes(), ["plain-1", "sealed-1", "socket-1"]);
    for (driver, _, _) in plugins {
        bed.use_volume(driver, &format!("{driver}-2"));
        bed.docker(&["volume", "rm", &format!("{driver}-1")]).ok();
    }
    bed.moondock_kill9();
    assert!(bed.spec("plain.spec").exists() && bed.spec("sealed.json").exists());
    bed.serve_again(3, &listens);
    bed.engine_restart();
    assert_eq!(bed.volumes(), ["plain-2", "sealed-2", "socket-2"]);
    assert!(bed.moondock_term().success());
    assert!(!bed.spec("plain.spec").exists() && !bed.spec("sealed.json").exists());
}

/// The engine remembers the address and the certificates for as long as it runs.
#[test]
fn a_fixed_port_is_found_again_by_an_engine_that_runs() {
    needs!(engine);
    let bed = Bed::new();
    let listens = ["plain=tcp://127.0.0.1:9001", "sealed=tls://127.0.0.1:9002"];
    bed.serve(
        &[
            ("plain", "volume.lua", VOLUME),
            ("sealed", "volume.lua", VOLUME),
        ],
        &listens,
    );
    bed.engine_start(&[]);
    bed.use_volume("plain", "plain-1");
    bed.use_volume("sealed", "sealed-1");
    let certificate = fs::read(bed.dir().join("state/sealed/tls/server-cert.pem")).unwrap();
    fs::remove_file(bed.dir().join("state/sealed/tls/server-cert.pem")).unwrap();
    assert!(bed.moondock_term().success());
    bed.serve_again(2, &listens);
    assert_ne!(
        fs::read(bed.dir().join("state/sealed/tls/server-cert.pem")).unwrap(),
        certificate
    );
    bed.use_volume("plain", "plain-2");
    bed.use_volume("sealed", "sealed-2");
}

#[test]
fn a_policy_sees_the_user_of_an_engine_with_tls() {
    needs!(engine);
    let bed = Bed::new();
    // The files that Moondock makes for this plugin are good for any server at 127.0.0.1, and have Docker's names.
    bed.serve(&[("gate", "authz.lua", AUTHZ)], &["tls://127.0.0.1:0"]);
    let certificates = bed.dir().join("state/gate/tls");
    bed.engine_configure(&["gate"]);
    let file = bed.dir().join("daemon.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["hosts"]
        .as_array_mut()
        .unwrap()
        .push(json!("tcp://127.0.0.1:2376"));
    config["tlsverify"] = true.into();
    for (key, name) in [
        ("tlscacert", "ca.pem"),
        ("tlscert", "server-cert.pem"),
        ("tlskey", "server-key.pem"),
    ] {
        config[key] = certificates.join(name).display().to_string().into();
    }
    bed.write_script("daemon.json", &config.to_string());
    bed.engine_boot();

    bed.docker(&["volume", "create", "mine"]).fails_with(&[
        "authorization denied by plugin gate",
        "volume.create is not for those whom nobody knows",
    ]);
    let remote = |args: &[&str]| -> Output {
        let path = format!("DOCKER_CERT_PATH={}", certificates.display());
        let client = [
            "env",
            path.as_str(),
            "DOCKER_TLS_VERIFY=1",
            "DOCKER_HOST=tcp://127.0.0.1:2376",
            "/usr/bin/docker",
        ];
        bed.exec_in_ns(&[&client, args].concat())
    };
    remote(&["volume", "create", "mine"]).ok();
    assert_eq!(bed.volumes(), ["mine"]);
    wait_for("the policy's line", START, || {
        bed.moondock_log()
            .contains("asked by engine (TLS), certified as engine")
    });
}

/// As at boot: the socket is there before the engine, and the engine's first question starts the plugin.
#[test]
fn the_engine_starts_with_a_socket_activated_policy() {
    needs!(engine);
    let bed = Bed::new();
    bed.write_script("scripts/gate/authz.lua", AUTHZ);
    let socket = "/run/docker/plugins/gate.sock";
    let activate = [
        "systemd-socket-activate",
        "--fdname=gate",
        "--listen",
        socket,
    ]
    .map(str::to_owned);
    let daemon = Daemon::start(
        bed.namespaces(),
        "moondock",
        &[&activate[..], &bed.serving(&[])].concat(),
    );
    bed.moondock.put(daemon);
    wait_for("the socket", START, || {
        bed.namespaces().path(socket).exists()
    });
    assert_eq!(bed.ready(), 0);
    bed.engine_configure(&["gate"]);
    bed.engine_boot();
    assert_eq!(bed.ready(), 1);
    bed.docker(&["volume", "create", "mine"])
        .fails_with(&["not for those whom nobody knows"]);
    assert!(bed.moondock_term().success());
    assert!(bed.namespaces().path(socket).exists());
}

/// The guide's ways out of a policy that denies everything.
#[test]
fn a_policy_that_denies_everything_can_be_fixed_or_removed() {
    needs!(engine);
    const NOBODY: &str =
        "return { request = function() return false, \"nobody may do anything\" end }\n";
    let bed = Bed::new();
    bed.serve(&[("gate", "authz.lua", NOBODY)], &[]);
    bed.engine_configure(&["gate"]);
    bed.engine_boot();
    bed.docker(&["volume", "ls"])
        .fails_with(&["nobody may do anything"]);
    bed.write_script("scripts/gate/authz.lua", AUTHZ);
    wait_for("the mended policy", START, || {
        bed.docker(&["volume", "ls"]).code == Some(0)
    });

    bed.write_script("scripts/gate/authz.lua", NOBODY);
    wait_for("the other again", START, || {
        bed.docker(&["volume", "ls"]).code != Some(0)
    });
    assert!(bed.moondock_term().success());
    bed.engine_configure(&[]);
    bed.engine.signal("HUP");
    wait_for("an engine without a policy", START, || {
        bed.docker(&["volume", "ls"]).code == Some(0)
    });
}
