//! Managed plugins from `moondock bundle`: the shipped `ops`, and live scripts.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::bed::Bed;
use crate::harness::managed_plugin::Installed;
use crate::harness::wait::wait_for;

const SOON: Duration = Duration::from_secs(30);
/// `docker plugin disable` of a plugin that ignores SIGTERM takes 10 s.
const PROMPT: Duration = Duration::from_secs(3);
/// The directory that containers may mount, for the policy to see it.
pub const GRANTS: &[&str] = &["fs.read:/srv/data"];
/// The name that `ops` is created under.
pub const NAME: &str = "acme/ops:1.0";

/// A driver that refuses to make volumes, with a word that a test changes.
const REFUSING: &str = r#"local volume = {}
function volume.create(req) error("the word is first", 0) end
function volume.remove(req) end
function volume.mount(req) return { Mountpoint = "/" } end
function volume.unmount(req) end
function volume.list() return { Volumes = {} } end
function volume.get(req) end
return volume
"#;

/// The shipped `ops`, created and not yet enabled. Its volumes are in a directory with the bed's name, which is how the
/// bed knows its loop devices.
pub fn ops(bed: &Bed) -> Installed<'_> {
    let plugin = bed.managed(&bed.ops_with_grants(GRANTS), NAME).create();
    plugin.run("set", &[&volume_root(bed)]).ok();
    plugin
}

/// The setting of `ops` that has its volumes in a directory of this bed's.
pub fn volume_root(bed: &Bed) -> String {
    format!("VOLUME_ROOT=/var/lib/moondock/{}", bed.name())
}

fn field<'a>(list: &'a Value, name: &str, field: &str) -> &'a Value {
    let all = list.as_array().unwrap();
    let found = all.iter().find(|entry| entry["Name"] == name);
    &found.unwrap_or_else(|| panic!("no {name} in {list}"))[field]
}

impl Bed {
    /// `docker volume create` with the managed `ops`.
    pub fn managed_volume(&self, name: &str, args: &[&str]) {
        self.docker(&[&["volume", "create", "-d", NAME], args, &[name]].concat())
            .ok();
    }

    /// The network `net`, with addresses of the same plugin.
    pub fn managed_network(&self) {
        self.docker(&[
            "network",
            "create",
            "-d",
            NAME,
            "--ipam-driver",
            NAME,
            "--subnet",
            "10.77.0.0/24",
            "net",
        ])
        .ok();
    }

    /// Has the engine read its configuration again, with these authorization plugins.
    pub fn authorize_by(&self, plugins: &[&str]) {
        self.engine_configure(plugins);
        self.engine.signal("HUP");
        let denied = || {
            self.docker(&["create", "--privileged", "busybox", "sh"])
                .text()
                .contains("authorization denied")
        };
        wait_for("the policy in force, or not", SOON, || {
            denied() != plugins.is_empty()
        });
    }
}

#[test]
fn the_engine_lists_the_privileges_of_a_plugin() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    for part in [
        "acme/ops:1.0 in ",
        "moondock ",
        "nft ",
        "mkfs.ext4 ",
        "docker plugin enable acme/ops:1.0",
    ] {
        assert!(
            plugin.printed.contains(part),
            "no `{part}` in {}",
            plugin.printed
        );
    }
    let seen = plugin.inspect();
    assert_eq!(seen["Enabled"], false);
    let config = &seen["Config"];
    assert_eq!(
        config["Description"],
        "A policy, volumes, networks and addresses for a shared Docker host"
    );
    assert_eq!(
        config["Linux"]["Capabilities"],
        serde_json::json!(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"])
    );
    assert_eq!(config["Network"]["Type"], "host");
    let about = field(&config["Env"], "VOLUME_ROOT", "Description")
        .as_str()
        .unwrap();
    assert!(
        about.contains("the directory of the volumes")
            && about.contains("\"/var/lib/moondock/volumes\""),
        "{about}"
    );
    for list in [&config["Env"], &config["Mounts"]] {
        for entry in list.as_array().unwrap() {
            assert!(
                !entry["Description"].as_str().unwrap().is_empty(),
                "{entry}"
            );
        }
    }
}

#[test]
fn an_invalid_setting_keeps_the_plugin_from_starting() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    plugin
        .run(
            "set",
            &[
                "VOLUME_ROOT=/var/lib/moondock/elsewhere",
                "POOLS=10.0.0.0/8",
            ],
        )
        .ok();
    plugin.run("enable", &[]).fails();
    plugin.wait_for_log("`POOLS` sets `pools`, and `10.0.0.0/8` is not a list in TOML");
    plugin.run("set", &["POOLS="]).ok();
    plugin.enable();
    bed.managed_volume("data", &[]);
    assert!(plugin.propagated("elsewhere/data").is_dir());
}

#[test]
fn volumes_and_networks_work_from_a_managed_plugin() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    plugin.enable();
    bed.managed_volume("plain", &[]);
    bed.managed_volume("sized", &["-o", "size=16m"]);
    let run = [
        "run", "--rm", "-v", "plain:/p", "-v", "sized:/s", "busybox", "sh", "-c",
    ];
    bed.docker(&[&run[..], &["echo one >/p/f; echo two >/s/f"]].concat())
        .ok();
    let seen = bed
        .docker(&[&run[..], &["cat /p/f /s/f; df -k /s | tail -n 1"]].concat())
        .ok();
    assert!(seen.starts_with("one\ntwo\n/dev/loop"), "{seen}");
    assert!(
        plugin
            .propagated(&format!("{}/plain/data/f", bed.name()))
            .is_file()
    );
    let network = ["network", "create", "-d", NAME, "--ipam-driver", NAME];
    let subnets = [
        "--ipv6",
        "--subnet",
        "10.77.0.0/24",
        "--subnet",
        "fd77::/64",
        "net",
    ];
    bed.docker(&[&network[..], &subnets].concat()).ok();
    bed.run_sleeper("one", &["--network", "net"]);
    bed.run_sleeper("two", &["--network", "net"]);
    assert!(bed.reaches("one", "two"), "one does not reach two");
    assert!(bed.reaches("one", "198.51.100.2"), "no way out");
    let six = bed.endpoint_field("two", "net", "GlobalIPv6Address");
    assert!(bed.reaches("one", &six), "no answer from {six}");
    bed.docker(&["rm", "-f", "one", "two"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    bed.docker(&["volume", "rm", "plain", "sized"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
    let begun = Instant::now();
    plugin.run("disable", &[]).ok();
    let took = begun.elapsed();
    assert!(
        took < PROMPT && plugin.processes().is_empty(),
        "{took:?}, {:?}",
        plugin.processes()
    );
}

#[test]
fn a_managed_policy_resolves_links_in_its_mounts() {
    needs!(engine);
    let bed = Bed::start();
    let data = bed.dir().join("srv/data");
    symlink("/etc", data.join("to-etc")).unwrap();
    fs::create_dir(data.join("alice")).unwrap();
    let plugin = ops(&bed);
    plugin.enable();
    bed.authorize_by(&[NAME]);
    let create =
        |source: &str| bed.docker(&["create", "-v", &format!("{source}:/x"), "busybox", "sh"]);
    create("/srv/data/alice").ok();
    for source in ["/etc", "/srv/data/to-etc", "/srv/data/to-etc/ssl"] {
        create(source).fails_with(&[
            "authorization denied by plugin acme/ops:1.0",
            "sees only what its grants name",
        ]);
    }
    bed.docker(&["create", "--device", "/dev/kmsg", "busybox", "sh"])
        .fails_with(&["mounts: host path /dev/kmsg"]);
    bed.authorize_by(&[]);
    create("/etc").ok();
}

#[test]
fn scripts_mounted_from_the_host_are_reloaded() {
    needs!(engine);
    let bed = Bed::start();
    bed.write_script("scripts/live/volume.lua", REFUSING);
    bed.write_script("other/live/volume.lua", &REFUSING.replace("first", "other"));
    let scripts = bed.dir().join("scripts/live");
    let plugin = bed
        .managed(&scripts, "live")
        .with(&["--scripts-mount", scripts.to_str().unwrap()])
        .create();
    let word = || bed.docker(&["volume", "create", "-d", "live", "x"]).fails();
    plugin.enable();
    assert!(word().contains("the word is first"), "{}", word());
    bed.write_script(
        "scripts/live/volume.lua",
        &REFUSING.replace("first", "second"),
    );
    wait_for("the saved script in force", SOON, || {
        word().contains("the word is second")
    });
    bed.write_script(
        "scripts/live/.next/driver.lua",
        &REFUSING.replace("first", "third"),
    );
    symlink(".next/driver.lua", scripts.join("link")).unwrap();
    fs::rename(scripts.join("link"), scripts.join("volume.lua")).unwrap();
    wait_for("the linked script in force", SOON, || {
        word().contains("the word is third")
    });
    plugin.run("disable", &[]).ok();
    let other = bed.dir().join("other/live").display().to_string();
    plugin
        .run("set", &[&format!("scripts.source={other}")])
        .ok();
    plugin.enable();
    assert!(word().contains("the word is other"), "{}", word());
}

#[test]
fn a_killed_plugin_is_started_again_and_its_volumes_are_usable() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    plugin.enable();
    bed.managed_volume("sized", &["-o", "size=16m"]);
    bed.run_sleeper("user", &["-v", "sized:/s"]);
    bed.sh("user", "echo kept >/s/f").ok();
    for victim in [0, 1] {
        plugin.kill(victim);
        assert_eq!(bed.sh("user", "cat /s/f").ok(), "kept");
        let shown = || bed.docker(&["volume", "ls", "-q"]).ok() == "sized";
        wait_for("the volume listed", SOON, shown);
    }
    bed.docker(&["rm", "-f", "user"]).ok();
    let read = bed.docker(&["run", "--rm", "-v", "sized:/s", "busybox", "cat", "/s/f"]);
    assert_eq!(read.ok(), "kept");
    bed.docker(&["volume", "rm", "sized"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn a_managed_plugin_keeps_its_state_over_engine_restarts() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    plugin.enable();
    bed.managed_volume("sized", &["-o", "size=16m"]);
    bed.managed_network();
    let run = |argv: &[&str]| {
        bed.docker(
            &[
                &[
                    "run",
                    "--rm",
                    "--network",
                    "net",
                    "-v",
                    "sized:/s",
                    "busybox",
                ],
                argv,
            ]
            .concat(),
        )
    };
    run(&["sh", "-c", "echo kept >/s/f"]).ok();
    bed.engine_restart();
    assert_eq!(plugin.inspect()["Enabled"], true);
    assert_eq!(run(&["cat", "/s/f"]).ok(), "kept");
    assert!(
        run(&["ping", "-c2", "-W2", "198.51.100.2"]).code == Some(0),
        "no way out"
    );
    bed.docker(&["network", "rm", "net"]).ok();
    bed.docker(&["volume", "rm", "sized"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}
