//! `serve` as the process of a managed plugin: settings from the environment, activation, the host's files.

use crate::harness::process::{Served, Setup};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::os::unix::fs::symlink;

/// A driver whose volumes' mountpoints tell what it knows.
const TELLING: &str = r#"local plugin = require("@moondock/plugin")
local volume = {}
function volume.create(req) end
function volume.remove(req) end
function volume.unmount(req) end
function volume.list() return { Volumes = {} } end
function volume.mount(req) return { Mountpoint = "/" } end
function volume.get(req)
  local s = plugin.settings()
  local told = { s.root, tostring(s.retries), table.concat(s.names, "+"), tostring(plugin.activation()) }
  return { Volume = { Name = req.Name, Mountpoint = table.concat(told, " ") } }
end
return volume
"#;

const SETTINGS: &str = "[settings]\nroot = \"/srv\"\nretries = 3\nnames = [\"a\", \"b\"]\n";

const POLICY: &str = r#"return {
  request = function(req) return false, "resolved " .. tostring(req.mounts[1].resolved) end,
}
"#;

fn telling() -> Setup {
    Setup::new()
        .plugin("vol", "volume.lua", TELLING)
        .plugin("vol", "plugin.toml", SETTINGS)
}

fn launch(setup: Setup) -> Served {
    let command = setup.command();
    let served = setup.launch(command);
    served.wait_for_log("ready");
    served
}

/// What the driver knows: root, retries, names, activation.
fn told(served: &Served) -> String {
    let body = served
        .call("vol", "VolumeDriver.Get", r#"{"Name":"v"}"#)
        .body;
    let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
    reply["Volume"]["Mountpoint"]
        .as_str()
        .unwrap_or(&body)
        .to_owned()
}

#[test]
fn variables_set_settings_only_with_the_option() {
    let set = |setup: Setup| {
        setup
            .env("ROOT", "/mnt")
            .env("RETRIES", "7")
            .env("NAMES", "x, y")
    };
    assert_eq!(told(&launch(set(telling()))), "/srv 3 a+b 0");
    assert_eq!(
        told(&launch(set(telling()).arg("--settings-from-env"))),
        "/mnt 7 x+y 0"
    );
}

#[test]
fn variables_override_a_changed_file() {
    let served = launch(
        telling()
            .env("RETRIES", "7")
            .env("ROOT", "")
            .arg("--settings-from-env"),
    );
    let file = served.setup().scripts().join("vol/plugin.toml");
    fs::write(file, SETTINGS.replace("/srv", "/new").replace("3", "4")).unwrap();
    served.wait_for_log("live");
    assert_eq!(told(&served), "/new 7 a+b 0");
}

#[test]
fn a_driver_does_not_start_with_an_invalid_setting() {
    let error = telling()
        .env("RETRIES", "many")
        .arg("--settings-from-env")
        .arg("--managed")
        .refused();
    let part =
        "plugin.toml:3: the variable `RETRIES` sets `retries`, and `many` is not a whole number";
    assert!(error.contains(part), "{error}");
}

#[test]
fn a_policy_with_an_invalid_setting_denies_everything() {
    let setup = Setup::new()
        .plugin("p", "authz.lua", POLICY)
        .plugin("p", "plugin.toml", SETTINGS);
    let served = launch(setup.env("RETRIES", "many").arg("--settings-from-env"));
    let reply = served.call("p", "AuthZPlugin.AuthZReq", &bind("/srv/link"));
    assert!(reply.body.contains("\"Allow\":false"), "{}", reply.body);
    assert!(
        reply.body.contains("`many` is not a whole number"),
        "{}",
        reply.body
    );
}

/// What is mounted elsewhere stays in the plugin, and a container would write into a directory that an upgrade removes.
#[test]
fn mountpoints_outside_the_propagated_mount_are_refused() {
    let setup = Setup::new();
    let place = setup.state().display().to_string();
    let telling = TELLING.replace(r#"Mountpoint = "/" }"#, "Mountpoint = req.Name }");
    let served = launch(setup.plugin("vol", "volume.lua", &telling).arg("--managed"));
    let mount = |path: &str| {
        served
            .call(
                "vol",
                "VolumeDriver.Mount",
                &format!(r#"{{"Name":"{path}","ID":"1"}}"#),
            )
            .body
    };
    assert!(mount(&format!("{place}/volumes/a")).contains("/volumes/a"));
    for path in [
        "/srv/a".to_owned(),
        format!("{place}2/a"),
        format!("{place}/../a"),
    ] {
        let reply = mount(&path);
        assert!(
            reply.contains("containers reach only what a managed plugin has below"),
            "{path}: {reply}"
        );
    }
}

/// The engine gave the plugin what its bundle asked for, so accepting more would not help.
#[test]
fn more_grants_of_a_managed_plugin_need_a_new_bundle() {
    let reading = TELLING.replace(
        "function volume.create(req) end",
        "function volume.create(req) require_fs.read(\"/etc/hostname\") end",
    );
    let reading = format!("local require_fs = require(\"@moondock/fs\")\n{reading}");
    let setup =
        Setup::new()
            .plugin("vol", "volume.lua", &reading)
            .plugin("vol", "plugin.toml", SETTINGS);
    let mut served = launch(setup.arg("--managed"));
    let create = |served: &Served| {
        served
            .call("vol", "VolumeDriver.Create", r#"{"Name":"v"}"#)
            .body
    };
    let missing = "to `grants` in plugin.toml, and make a new bundle";
    assert!(create(&served).contains(missing), "{}", create(&served));
    let more = format!("grants = [\"fs.read:/etc/hostname\"]\n{SETTINGS}");
    fs::write(served.setup().scripts().join("vol/plugin.toml"), more).unwrap();
    served.wait_for_log("cure: make a new bundle");
    served.wait_for("the declared grant", |served| {
        create(served)
            .contains("its grant is in plugin.toml but not in the bundle: make a new bundle")
    });
    assert!(
        !served.log().contains("--accept-grants"),
        "{}",
        served.log()
    );
}

#[test]
fn each_start_of_a_managed_plugin_is_an_activation() {
    let served = launch(telling().arg("--managed"));
    assert_eq!(told(&served), "/srv 3 a+b 1");
}

/// With live-restore the engine starts again while the plugin lives on.
#[test]
fn repeated_greetings_count_as_an_engine_restart() {
    let ipam = fs::read_to_string("tests/golden/permissive/ipam.lua").unwrap();
    let network = fs::read_to_string("tests/golden/permissive/network.lua").unwrap();
    let setup = telling()
        .plugin("vol", "ipam.lua", &ipam)
        .plugin("vol", "network.lua", &network);
    let served = launch(setup.arg("--managed"));
    for activation in 1..4 {
        for greeting in [
            "NetworkDriver.GetCapabilities",
            "IpamDriver.GetCapabilities",
        ] {
            assert_eq!(served.call("vol", greeting, "{}").status, 200);
        }
        assert_eq!(told(&served), format!("/srv 3 a+b {activation}"));
    }
}

/// What is not mounted into a managed plugin may be a link on the host, so nothing can be said of it.
#[test]
fn a_managed_policy_denies_paths_that_it_cannot_see() {
    let setup = Setup::new().plugin("p", "authz.lua", POLICY);
    let place = setup.path().canonicalize().unwrap();
    let path = |name: &str| place.join(name).display().to_string();
    fs::create_dir_all(place.join("seen/below")).unwrap();
    fs::create_dir_all(place.join("also")).unwrap();
    for (link, target) in [("inside", "below"), ("across", "../also"), ("out", "/etc")] {
        symlink(target, place.join("seen").join(link)).unwrap();
    }
    let setup = setup
        .arg("--managed")
        .arg("--host-path")
        .arg(&path("seen"))
        .arg("--host-path")
        .arg(&path("also"));
    let served = launch(setup);
    let judged = |source: &str| served.call("p", "AuthZPlugin.AuthZReq", &bind(source)).body;
    for (source, resolved) in [
        ("seen", "seen"),
        ("seen/inside/new", "seen/below/new"),
        ("seen/across", "also"),
        ("seen/below/..", "seen"),
    ] {
        let (source, resolved) = (path(source), path(resolved));
        let reply = judged(&source);
        assert!(
            reply.contains(&format!("resolved {resolved}\"")),
            "{source}: {reply}"
        );
    }
    for source in [
        "/etc",
        "/",
        &path("seen/out"),
        &path("seen/out/passwd"),
        &path(""),
        &path("seen2"),
        &path("seen/../x"),
    ] {
        let reply = judged(source);
        assert!(
            reply.contains("`HostConfig.Binds[0]` cannot be judged: a managed plugin sees only"),
            "{source}: {reply}"
        );
    }
}

/// What the engine asks before it makes a container with this path of the host.
fn bind(path: &str) -> String {
    let body = serde_json::json!({ "Image": "busybox", "HostConfig": { "Binds": [format!("{path}:/x")] } })
        .to_string();
    serde_json::json!({
        "RequestMethod": "POST",
        "RequestUri": "/v1.41/containers/create",
        "RequestHeaders": { "Content-Type": "application/json", "Content-Length": body.len().to_string() },
        "RequestBody": STANDARD.encode(body),
    })
    .to_string()
}
