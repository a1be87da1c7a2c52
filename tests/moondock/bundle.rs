//! `moondock bundle`: what is in a bundle, and what is refused.

use crate::harness::command::{Ended, Workplace};
use moondock::bundle::type_of;
use moondock::protocol::Interface;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bundle");
const VOLUME: &str = include_str!("../golden/permissive/volume.lua");
const NETWORK: &str = include_str!("../golden/permissive/network.lua");
const IPAM: &str = include_str!("../golden/permissive/ipam.lua");
const AUTHZ: &str = include_str!("../golden/permissive/authz.lua");
const SECRET: &str = include_str!("../golden/permissive/secret.lua");

/// A directory with a plugin `p` that has a volume driver and this manifest.
fn plugin(manifest: &str) -> Workplace {
    Workplace::new(&[("p/volume.lua", VOLUME), ("p/plugin.toml", manifest)])
}

fn bundle(place: &Workplace, args: &[&str]) -> Ended {
    place.run(&[&["bundle", "p", "--out", "out"], args].concat())
}

#[track_caller]
fn bundled(place: &Workplace, args: &[&str]) -> String {
    let ended = bundle(place, args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[track_caller]
fn refused(place: &Workplace, args: &[&str]) -> String {
    let ended = bundle(place, args);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    ended.stderr
}

fn config(place: &Workplace) -> Value {
    serde_json::from_slice(&fs::read(place.path().join("out/config.json")).unwrap()).unwrap()
}

/// Every path of a tree with what there is to know of it but its owner.
fn listing(root: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let (mut open, mut found) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(path) = open.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        let content = match seen.file_type() {
            kind if kind.is_dir() => {
                open.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                Vec::new()
            }
            kind if kind.is_symlink() => fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes(),
            _ => fs::read(&path).unwrap(),
        };
        let below = path.strip_prefix(root).unwrap().to_owned();
        found.insert(below, (seen.mode(), seen.mtime(), content));
    }
    found
}

#[test]
fn config_json_follows_from_the_plugin() {
    let update = std::env::var_os("MOONDOCK_UPDATE_DOCS").is_some();
    let all = [
        ("authz", AUTHZ),
        ("volume", VOLUME),
        ("network", NETWORK),
        ("ipam", IPAM),
        ("secret", SECRET),
    ];
    for (case, scripts, manifest, args) in [
        ("bare", &all[1..2], "", &[][..]),
        ("grants", &all[1..2], GRANTS, &[]),
        (
            "everything",
            &all[..],
            EVERYTHING,
            &["--name", "acme/p:1.0"],
        ),
        (
            "mounted",
            &all[..1],
            SETTINGS,
            &["--scripts-mount", "/etc/moondock/p", "--host-network"],
        ),
    ] {
        let place = Workplace::new(&[("p/plugin.toml", manifest)]);
        scripts
            .iter()
            .for_each(|(name, text)| place.write(&format!("p/{name}.lua"), text));
        bundled(&place, args);
        let made = fs::read_to_string(place.path().join("out/config.json")).unwrap();
        let golden = Path::new(GOLDEN).join(format!("{case}.json"));
        if update {
            fs::write(&golden, &made).unwrap();
        }
        assert_eq!(made, fs::read_to_string(&golden).unwrap(), "{case}");
    }
}

const GRANTS: &str = r#"
description = "Volumes on the big disk"
grants = ["fs.read:/etc/acme.conf", "fs.write:/srv/big", "fs.read:/srv/big/below", "fs.write:/var/lib/moondock/volumes", "fs.read:/proc", "fs.write:/srv/a.b/c", "fs.read:/srv/a-b", "fs.read:/srv/a.b", "fs.read:/srv/a.b", "env:TOKEN", "http:nas.example.com"]
"#;
const EVERYTHING: &str = r#"grants = ["net", "mount", "docker", "exec:sh", "fs.write:/dev/fuse"]"#;
const SETTINGS: &str = "
[settings]
# Where the volumes are.
volume_root = '/var/lib/moondock/volumes'
retries = 3
hosts = ['a', 'b']
# Ranges
# to cut from.
pools = [{ range = '10.0.0.0/8', prefix = 24 }]
";

#[test]
fn bundles_declare_only_types_that_the_engine_knows() {
    assert_eq!(
        Interface::ALL.map(type_of),
        [
            "docker.authz/1.0",
            "docker.volumedriver/1.0",
            "docker.networkdriver/1.0",
            "docker.ipamdriver/1.0",
            "docker.logdriver/1.0",
            "docker.metricscollector/1.0",
            "docker.secretprovider/1.0"
        ]
    );
}

#[test]
fn bundles_are_reproducible_and_differ_by_name() {
    let place = plugin("grants = [\"exec:sh\"]");
    bundled(&place, &[]);
    let first = listing(&place.path().join("out"));
    place.write("p/volume.lua", VOLUME);
    bundled(&place, &["--force"]);
    assert!(
        first == listing(&place.path().join("out")),
        "the second differs"
    );
    bundled(&place, &["--force", "--name", "acme/p:2"]);
    let other = listing(&place.path().join("out"));
    let changed: Vec<_> = first
        .iter()
        .filter(|(path, seen)| other.get(*path) != Some(seen))
        .collect();
    assert_eq!(
        changed
            .iter()
            .map(|(path, _)| path.to_str().unwrap())
            .collect::<Vec<_>>(),
        ["rootfs/etc/moondock-bundle"]
    );
}

#[test]
fn a_bundle_contains_scripts_and_granted_programs_and_runs_alone() {
    let place = plugin("");
    let tool = plugin_tool(&place);
    let tool = tool.to_str().unwrap();
    let grants = ["mkfs.ext4", "nft", "busybox", tool].map(|program| format!("exec:{program}"));
    place.write("p/plugin.toml", &format!("grants = {grants:?}"));
    for (path, text) in [
        ("lib/a.luau", "return {}"),
        (".git/x.lua", "?"),
        ("volume_test.lua", "return {}"),
        ("lib/a_test.luau", "return {}"),
        ("volume.lua~", "?"),
        ("README", "no"),
    ] {
        place.write(&format!("p/{path}"), text);
    }
    let printed = bundled(&place, &[]);
    for part in [
        "p:latest in out",
        "scripts ",
        "3 files",
        "mkfs.ext4",
        "in all",
        "is a script for `/bin/sh`",
    ] {
        assert!(printed.contains(part), "no `{part}` in\n{printed}");
    }
    let own = fs::metadata(env!("CARGO_BIN_EXE_moondock")).unwrap().len() as f64 / 1e6;
    let told = printed
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("moondock "))
        .unwrap();
    let told: f64 = told.split_whitespace().next().unwrap().parse().unwrap();
    assert!(
        told > own && told < own + 20.0,
        "{told} MB with its libraries, {own} MB alone"
    );
    let root = place.path().join("out/rootfs");
    let scripts = listing(&root.join("scripts/p"));
    let names: Vec<_> = scripts.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(
        names,
        ["", "lib", "lib/a.luau", "plugin.toml", "volume.lua"]
    );
    if rustix::process::geteuid().is_root() {
        for argv in [
            &["/usr/bin/moondock", "check", "/scripts/p"][..],
            &["mkfs.ext4", "-V"],
            &["nft", "--version"],
            &["busybox", "true"],
            &[tool],
        ] {
            let run = std::process::Command::new("chroot")
                .arg(&root)
                .args(argv)
                .output()
                .unwrap();
            assert!(
                run.status.success(),
                "{argv:?}: {}",
                String::from_utf8_lossy(&run.stderr)
            );
        }
    }
}

/// A shell script outside the path, behind a link.
fn plugin_tool(place: &Workplace) -> PathBuf {
    let place = place.path().canonicalize().unwrap();
    fs::write(place.join("tool.sh"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(place.join("tool.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("tool.sh", place.join("tool")).unwrap();
    place.join("tool")
}

#[test]
fn certificates_come_with_http_only() {
    let place = plugin("grants = [\"http:api.example.com\"]");
    bundled(&place, &[]);
    let certificates = place
        .path()
        .join("out/rootfs/etc/ssl/certs/ca-certificates.crt");
    assert!(fs::metadata(&certificates).unwrap().len() > 0);
    assert_eq!(config(&place)["network"]["type"], "host");
    place.write("p/plugin.toml", "");
    bundled(&place, &["--force"]);
    assert!(!certificates.exists());
    assert_eq!(config(&place)["network"]["type"], "none");
}

#[test]
fn mounted_scripts_are_not_in_the_bundle() {
    let place = plugin("");
    bundled(&place, &["--scripts-mount", "/etc/moondock/p"]);
    let root = place.path().join("out/rootfs");
    assert!(
        fs::read_dir(root.join("etc/moondock/p"))
            .unwrap()
            .next()
            .is_none()
    );
    assert!(!root.join("scripts").exists());
    assert_eq!(config(&place)["mounts"][0]["settable"][0], "source");
    assert_eq!(config(&place)["entrypoint"][2], "/etc/moondock/p");
}

#[test]
fn unbundlable_plugins_are_refused_with_a_reason() {
    for (manifest, args, part) in [
        (
            "\ngrants = [\n  \"exec:nonsuch\",\n]",
            &[][..],
            "plugin.toml:3: the grant `exec:nonsuch`: the program `nonsuch` was not found on the path",
        ),
        (
            "grants = [\"exec:/etc/passwd\"]",
            &[],
            "the program `/etc/passwd` is missing, or not executable",
        ),
        (
            "grants = [\"fs.write:/\"]",
            &[],
            "`fs.write:/` is not possible in a managed plugin: it would hide `/dev`",
        ),
        (
            "grants = [\"fs.read:/etc\"]",
            &[],
            "it would hide `/etc/group`",
        ),
        (
            "grants = [\"fs.write:/var/lib\"]",
            &[],
            "it would hide `/var/lib/moondock`",
        ),
        (
            "grants = [\"fs.write:/var/lib/moondock2\"]",
            &[],
            "each path that begins with the text `/var/lib/moondock`",
        ),
        (
            "grants = [\"fs.read:/dev/fuse\"]",
            &[],
            "devices need the grant `mount`",
        ),
        (
            "[settings]\npath = 1",
            &[],
            "the setting `path` cannot be set from the environment: its variable would be `PATH`",
        ),
        (
            "[settings]\nmoondock_state = 1",
            &[],
            "would be `MOONDOCK_STATE`",
        ),
        (
            "[settings]\na-b = 1\na_b = 2",
            &[],
            "two settings or grants use the variable `A_B`",
        ),
        (
            "grants = [\"env:ROOT\"]\n[settings]\nroot = 1",
            &[],
            "use the variable `ROOT`",
        ),
        ("nonsense", &[], "fix the scripts before bundling them"),
        (
            "",
            &["--scripts-mount", "/etc/moondock/other"],
            "be named `p` like the plugin",
        ),
        (
            "",
            &["--scripts-mount", "etc/p"],
            "the directory must be an absolute path",
        ),
        (
            "",
            &["--scripts-mount", "/etc/../p"],
            "without `.` and `..`",
        ),
    ] {
        let place = plugin(manifest);
        let error = refused(&place, args);
        assert!(error.contains(part), "{error}");
        let left: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            left.iter().all(|name| name == "p" || name == ".tmp"),
            "{part}: {left:?}"
        );
    }
}

#[test]
fn bundle_names_follow_the_rules_of_the_engine() {
    let place = plugin("");
    let ended = bundle(&place, &["--name", "Acme/p"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .contains("`Acme/p` cannot be the name of a managed plugin"),
        "{}",
        ended.stderr
    );
    let place = Workplace::new(&[
        ("p.-x/volume.lua", VOLUME),
        ("a-rather-long-name/volume.lua", VOLUME),
    ]);
    let error = place.run(&["bundle", "p.-x", "--out", "out"]).stderr;
    assert!(
        error.contains("choose another name with `--name`"),
        "{error}"
    );
    let error = place
        .run(&["bundle", "a-rather-long-name", "--out", "out"])
        .stderr;
    assert!(
        error.contains("`a-rather-long-name` is too long"),
        "{error}"
    );
}

#[test]
fn a_directory_that_is_not_empty_is_kept() {
    let place = plugin("");
    fs::create_dir(place.path().join("out")).unwrap();
    bundled(&place, &[]);
    let error = refused(&place, &[]);
    assert!(
        error.contains(
            "is not empty: choose another directory, or replace the bundle in it with `--force`"
        ),
        "{error}"
    );
    bundled(&place, &["--force"]);
    place.write("out/notes", "mine");
    let error = refused(&place, &["--force"]);
    assert!(
        error.contains("contains something other than a bundle"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(place.path().join("out/notes")).unwrap(),
        "mine"
    );
}

#[test]
fn an_unreachable_engine_is_reported_and_the_bundle_kept() {
    let place = plugin("");
    let error = refused(&place, &["--create", "--host", "unix:///no/such.sock"]);
    assert!(
        error.contains("the engine did not create the plugin: `docker`"),
        "{error}"
    );
    assert_eq!(error.matches("`docker`").count(), 1, "{error}");
    assert!(place.path().join("out/config.json").exists());
}

#[test]
fn bundling_a_policy_warns_of_paths_that_it_will_not_see() {
    let place = Workplace::new(&[("p/authz.lua", AUTHZ)]);
    let told = bundled(&place, &[]);
    assert!(told.contains("note: authz.lua sees no path of the host, so requests that mount a host path are rejected: grant `fs.read:` for each directory that containers may mount"), "{told}");
    place.write(
        "p/plugin.toml",
        "grants = [\"fs.read:/srv/data\", \"fs.read:/opt\"]",
    );
    let told = bundled(&place, &["--force"]);
    assert!(told.contains("note: authz.lua sees /opt, /srv/data of the host, so requests that mount any other path are rejected"), "{told}");
    let place = plugin("");
    assert!(!bundled(&place, &[]).contains("authz.lua"));
}

#[test]
fn bundling_a_driver_warns_of_volumes_that_containers_will_not_see() {
    let place = Workplace::new(&[(
        "p/volume.lua",
        "return require(\"@moondock/volume\").driver({ mount = function(v) return \"/srv\" end })\n",
    )]);
    place.write(
        "p/plugin.toml",
        "grants = [\"fs.write:/srv\", \"fs.read:/no/such/path\"]",
    );
    let told = bundled(&place, &[]);
    for part in [
        "warning: volume.lua may write `/srv`, which containers do not see: keep volumes below `/var/lib/moondock`, with \
         the grant `fs.write:/var/lib/moondock/…`\n",
        "note: must exist on the host when the plugin is enabled: `/no/such/path` (missing on this machine), `/srv`\n",
    ] {
        assert!(told.contains(part), "{told}");
    }
    place.write(
        "p/plugin.toml",
        "grants = [\"fs.write:/var/lib/moondock/x\"]",
    );
    let told = bundled(&place, &["--force"]);
    assert!(
        !told.contains("warning:") && !told.contains("must exist"),
        "{told}"
    );
}

#[test]
fn foreign_bundles_are_not_overwritten() {
    let place = plugin("");
    place.write("out/config.json", "{}");
    place.write("out/rootfs/etc/hostname", "theirs");
    let error = refused(&place, &["--force"]);
    assert!(
        error.contains("contains something other than a bundle"),
        "{error}"
    );
    assert!(place.path().join("out/rootfs/etc/hostname").exists());
}
