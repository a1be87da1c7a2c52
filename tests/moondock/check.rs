//! `moondock check`: what it says, and that it touches nothing.

use crate::harness::command::Workplace;

const POLICY: &str =
    "local authz = {}\nfunction authz.request(req) return true end\nreturn authz\n";

#[test]
fn a_good_plugin_is_described() {
    let place = Workplace::new(&[
        ("scripts/guard/authz.lua", POLICY),
        (
            "scripts/guard/lib/id.lua",
            "return require(\"@moondock/process\")\n",
        ),
        (
            "scripts/guard/plugin.toml",
            "description = \"Lets all pass\"\ngrants = [\"exec:id\"]\n[settings]\nroots = []\n\
             [limits]\ncpu_ms = 100\n[limits.deadline_ms]\n\"authz.request\" = 500\n",
        ),
    ]);
    let before = place.listing();
    let checked = place.run(&["check"]);
    assert_eq!(
        checked.stdout,
        "guard: Lets all pass\n  \
         authz.lua     request\n                by default: response\n  \
         settings      roots\n  \
         limits        100 ms of CPU, 64 MiB of memory per script\n  \
         deadlines     authz.request 500 ms\n  \
         grants        may run id (/usr/bin/id)\n\n\
         1 plugin: no errors, no warnings\n"
    );
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    assert_eq!(place.listing(), before);
}

#[test]
fn check_describes_grants_in_words() {
    let grants = r#"grants = [
  "fs.read:/etc", "fs.write:{settings.root}",
  "exec:/usr/bin/id", "exec:no-such-program", "exec:/etc",
  "http:api.example.com", "http:[::1]:8080",
  "net", "mount", "docker", "env:TOKEN",
]
[settings]
root = "/nonexistent/x"
"#;
    let modules = ["docker", "env", "fs", "http", "net", "process"];
    let modules = modules.map(|name| format!("require(\"@moondock/{name}\")"));
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        ("p/plugin.toml", grants),
        (
            "p/lib/all.lua",
            &format!("return {{ {} }}\n", modules.join(", ")),
        ),
    ]);
    let checked = place.run(&["check", "p"]);
    for part in [
        "  grants        may read /etc and everything below it\n",
        "                may read and change /nonexistent/x and everything below it\n",
        "                may run /usr/bin/id\n",
        "                may run no-such-program\n",
        "                may send HTTP requests to api.example.com, ports 80 and 443\n",
        "                may send HTTP requests to [::1], port 8080\n",
        "                may change links, addresses, routes and firewall rules\n",
        "                may mount and unmount file systems where it may change files\n",
        "                may use the engine's API, which is equivalent to root\n",
        "                may read the environment variable TOKEN\n",
        "note: plugin.toml:2: `/nonexistent/x` does not exist\n",
        "warning: plugin.toml:3: there is no program `no-such-program` in /usr/local/sbin, ",
        "warning: plugin.toml:3: `/etc` is not a program\n",
        "1 plugin: no errors, 2 warnings\n",
    ] {
        assert!(
            checked.stdout.contains(part),
            "`{part}` is not in\n{}",
            checked.stdout
        );
    }
    assert_eq!(checked.code, Some(0));
}

#[test]
fn check_warns_of_plugins_that_may_write_themselves() {
    let place = Workplace::new(&[("p/authz.lua", POLICY)]);
    place.write(
        "p/plugin.toml",
        &format!(
            "grants = [{:?}]\n",
            format!("fs.write:{}", place.path().display())
        ),
    );
    let checked = place.run(&["check", "p"]);
    assert!(
        checked
            .stdout
            .contains("contains the plugin itself: its scripts can add any grant"),
        "{checked:?}"
    );
}

#[test]
fn check_warns_of_programs_that_the_plugin_may_replace() {
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("tools/run", "")]);
    let tools = place.path().join("tools");
    std::fs::set_permissions(
        tools.join("run"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let tools = tools.display();
    place.write(
        "p/plugin.toml",
        &format!("grants = [\"fs.write:{tools}\", \"exec:{tools}/run\"]\n"),
    );
    let checked = place.run(&["check", "p"]);
    assert!(
        checked
            .stdout
            .contains("tools/run` is where the plugin may write: its scripts can replace it"),
        "{checked:?}"
    );
}

#[test]
fn the_shipped_plugins_pass_check() {
    let place = Workplace::new(&[]);
    let checked = place.run(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/scripts")]);
    assert!(
        checked
            .stdout
            .ends_with("3 plugins: no errors, no warnings\n"),
        "{checked:?}"
    );
    assert_eq!(checked.code, Some(0));
}

#[test]
fn check_shows_every_error_of_every_file() {
    let place = Workplace::new(&[
        (
            "bad/authz.lua",
            "local _rules = require(\"./lib/rules\")\nreturn {}\n",
        ),
        ("bad/lib/rules.lua", "local x =\nreturn {}\n"),
        ("bad/lib/unused.lua", "local list = { 1 2 }\n"),
        (
            "bad/volume.lua",
            "local volume = {}\nfunction volume.mout(req) end\nvolume.get = 5\nreturn volume\n",
        ),
        ("bad/plugin.toml", "[limits]\ncpu_ms = 0\n"),
    ]);
    let checked = place.run(&["check", "bad"]);
    for part in [
        "error: plugin.toml:2: `cpu_ms` must be at least 1\n  |\n2 | cpu_ms = 0\n  | ^^^^^^\n",
        "error: lib/rules.lua:2: Expected identifier",
        "error: lib/unused.lua:1: Expected '}'",
        "error: volume.lua:2: volume has no hook `mout`\n",
        "  cure: did you mean `mount`?\n",
        "error: volume.lua:3: the hook `get` must be a function, not a number\n",
        "error: volume.lua: the hook `create` is missing: VolumeDriver.Create needs it\n",
        "error: volume.lua: the hook `list` is missing",
        "  volume.lua    cannot be loaded\n",
        "1 plugin: 9 errors, no warnings\n",
    ] {
        assert!(
            checked.stdout.contains(part),
            "`{part}` is not in\n{}",
            checked.stdout
        );
    }
    assert!(
        !checked.stdout.contains("the hook `mount` is missing"),
        "what was meant is told once\n{}",
        checked.stdout
    );
    assert_eq!(checked.code, Some(1));
}

#[test]
fn check_warns_of_names_near_those_of_interfaces() {
    let required = POLICY.replacen("local", "local _log = require(\"./logs\")\nlocal", 1);
    let place = Workplace::new(&[
        ("p/authz.lua", &required),
        ("p/Volume.lua", "return {}"),
        ("p/netwrok.lua", "return {}"),
        ("p/logs.lua", "return {}"),
        ("p/authz2.lua", "return {}"),
        ("p/network_test.lua", "return {}"),
        ("p/logs_test.lua", "return {}"),
        ("p/lib/ipam2.lua", "return {}"),
        ("q/auhtz.lua", POLICY),
        ("q/volume.luau", "return {}"),
        ("q/log.lua", "return { write = print }"),
    ]);
    let checked = place.run(&["check", "p"]);
    for part in [
        "warning: Volume.lua: this file is not served: an interface's script is named `volume.lua`\n",
        "warning: netwrok.lua: this file is not served: an interface's script is named `network.lua`\n  \
         cure: rename it to `network.lua`\n",
        "1 plugin: no errors, 2 warnings\n",
    ] {
        assert!(
            checked.stdout.contains(part),
            "`{part}` is not in\n{}",
            checked.stdout
        );
    }
    let checked = place.run(&["check", "q"]);
    for part in [
        "warning: auhtz.lua: this file is not served: an interface's script is named `authz.lua`\n",
        "warning: volume.luau: this file is not served: an interface's script is named `volume.lua`\n",
    ] {
        assert!(
            checked.stdout.contains(part),
            "`{part}` is not in\n{}",
            checked.stdout
        );
    }
}

#[test]
fn check_warns_of_a_misnamed_manifest() {
    for name in ["Plugin.toml", "plugin.tml", "plguin.toml", "plugin.yaml"] {
        let place = Workplace::new(&[("p/authz.lua", POLICY), (&format!("p/{name}"), "")]);
        let checked = place.run(&["check", "p"]);
        let warning = format!(
            "warning: {name}: this file is not read: settings and grants are in `plugin.toml`\n  cure: rename it to \
             `plugin.toml`\n"
        );
        assert!(checked.stdout.contains(&warning), "{}", checked.stdout);
        // Beside the manifest itself, it is a copy.
        place.write("p/plugin.toml", "");
        assert!(!place.run(&["check", "p"]).stdout.contains("warning: "));
    }
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("p/plugin.md", "")]);
    assert!(!place.run(&["check", "p"]).stdout.contains("warning: "));
}

/// A file that was put into the wrong directory turns all plugins there into one.
#[test]
fn check_warns_of_a_script_beside_plugins() {
    let place = Workplace::new(&[
        ("all/authz.lua", POLICY),
        ("all/guard/authz.lua", POLICY),
        ("all/disks/volume.lua", "return {}"),
        ("all/lib/rules.lua", "return {}"),
    ]);
    let checked = place.run(&["check", "all"]);
    let warning = "warning: authz.lua: this file makes its directory a plugin, so those in it are not served: disks, \
                   guard\n  cure: move `authz.lua` into a directory of its own\n";
    assert!(checked.stdout.contains(warning), "{}", checked.stdout);
    let required = POLICY.replacen("local", "require(\"./lib/log\")\nlocal", 1);
    let place = Workplace::new(&[
        ("one/authz.lua", &required),
        ("one/lib/log.lua", "return {}"),
    ]);
    let checked = place.run(&["check", "one"]);
    assert!(!checked.stdout.contains("warning: "), "{}", checked.stdout);
}

#[test]
fn check_warns_of_what_is_not_served_beside_plugins() {
    let place = Workplace::new(&[
        ("all/guard/authz.lua", POLICY),
        ("all/typo/volum.lua", "return {}"),
        ("all/types/volume.luau", "return {}"),
    ]);
    let checked = place.run(&["check", "all"]);
    for part in [
        "warning: typo: not served: rename `",
        "/typo/volum.lua` to `volume.lua`\n",
        "1 plugin: no errors, 1 warning\n",
    ] {
        assert!(checked.stdout.contains(part), "{}", checked.stdout);
    }
    assert_eq!(checked.code, Some(0));
}

#[test]
fn check_notes_that_a_collector_is_not_served_on_a_socket() {
    let collector = "return { collect = function() end }";
    let place = Workplace::new(&[("p/metrics.lua", collector)]);
    let checked = place.run(&["check", "p"]);
    let note = "note: metrics.lua: not served on a socket: a metrics collector there makes dockerd hang at its start\n";
    assert!(checked.stdout.contains(note), "{}", checked.stdout);
    assert_eq!(checked.code, Some(0));
}

#[test]
fn check_finds_comparisons_that_are_never_true() {
    let policy = "local authz, rules = {}, {}\nrules[\"container.creat\"] = print\n\
                  function authz.request(req)\n  if req.action == \"container.creat\" then return false end\n  \
                  return rules[req.action] == nil\nend\nreturn authz\n";
    let place = Workplace::new(&[("p/authz.lua", policy)]);
    let checked = place.run(&["check", "p"]);
    let error = "error: authz.lua:4: `req.action` is never `container.creat`; did you mean `container.create`?\n";
    assert!(checked.stdout.contains(error), "{}", checked.stdout);
    assert_eq!(checked.code, Some(1));
    place.write(
        "p/authz.lua",
        &policy.replace("== \"container.creat\"", "== \"container.create\""),
    );
    let checked = place.run(&["check", "p"]);
    let warning = "warning: authz.lua:2: `req.action` is never `container.creat`, a key of `rules`; did you mean";
    assert!(checked.stdout.contains(warning), "{}", checked.stdout);
    assert_eq!(checked.code, Some(0));
    let helper =
        "local M = {}\nfunction M.deny(req) return req.effect == \"wirte\" end\nreturn M\n";
    place.write("p/rules.lua", helper);
    place.write(
        "p/authz.lua",
        &POLICY.replacen("local", "local rules = require('./rules')\nlocal", 1),
    );
    let checked = place.run(&["check", "p"]);
    let error = "error: rules.lua:2: `req.effect` is never `wirte`; did you mean `write`?\n";
    assert!(checked.stdout.contains(error), "{}", checked.stdout);
}

#[test]
fn check_warns_of_files_and_hooks_that_are_not_served() {
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("p/volume.luau", "return {}")]);
    let checked = place.run(&["check", "p"]);
    for part in [
        "warning: volume.luau: this file is not served: an interface's script is named `volume.lua`\n",
        "1 plugin: no errors, 1 warning\n",
    ] {
        assert!(
            checked.stdout.contains(part),
            "`{part}` is not in\n{}",
            checked.stdout
        );
    }
    assert_eq!(checked.code, Some(0));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("elsewhere.lua", "return {}")]);
    std::os::unix::fs::symlink("../elsewhere.lua", place.path().join("p/out.lua")).unwrap();
    let checked = place.run(&["check", "p"]);
    assert!(
        checked
            .stdout
            .contains("error: out.lua: the link leads out of the plugin's directory"),
        "{checked:?}"
    );
    assert_eq!(checked.code, Some(1));
}

#[test]
fn top_level_code_has_no_grants() {
    let script = "local fs = require(\"@moondock/fs\")\nfs.write(\"made\", \"\")\nreturn {}\n";
    let place = Workplace::new(&[("p/authz.lua", script)]);
    let before = place.listing();
    let checked = place.run(&["check", "p"]);
    assert!(
        checked
            .stdout
            .contains("error: authz.lua:2: `fs.write` cannot be used"),
        "{checked:?}"
    );
    assert_eq!(place.listing(), before);
}

#[test]
fn check_fails_without_a_plugin() {
    let checked = Workplace::new(&[]).run(&["check", "."]);
    assert!(checked.stderr.contains("no plugin in `.`"), "{checked:?}");
    assert_eq!(checked.code, Some(1));
    let checked = Workplace::new(&[]).run(&["check", "mydisk"]);
    for part in ["there is no directory `", "`moondock new NAME INTERFACE`"] {
        assert!(checked.stderr.contains(part), "{checked:?}");
    }
}

/// An administrator decides by what stands there, so a plugin cannot write over it.
#[test]
fn control_characters_are_escaped_for_the_terminal() {
    let manifest = "description = \"fine\\u001b[1A\\u001b[2K\\rgone\"\ngrants = [\"net\"]\n[settings]\n\"a\\u001b[8m\" = 1\n";
    let place = Workplace::new(&[("p/volume.lua", "x \u{1b}[2J"), ("p/plugin.toml", manifest)]);
    let ended = place.run(&["check", "p"]);
    assert!(!ended.stdout.contains(['\u{1b}', '\r']), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("p: fine\u{fffd}[1A\u{fffd}[2K\u{fffd}gone\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("may change links"),
        "{}",
        ended.stdout
    );
}

#[test]
fn check_goes_on_after_a_directory_that_cannot_be_served() {
    let place = Workplace::new(&[
        ("scripts/UPPER/authz.lua", POLICY),
        ("scripts/Backup copy/authz.lua", POLICY),
        ("scripts/good/authz.lua", POLICY),
        ("scripts/half/README", ""),
    ]);
    let checked = place.run(&["check"]);
    for part in [
        "good\n  authz.lua     request\n",
        "error: `UPPER` cannot be the name of a plugin",
        "error: `Backup copy` cannot be the name of a plugin",
        "1 plugin: 2 errors, no warnings\n",
    ] {
        assert!(checked.stdout.contains(part), "{}", checked.stdout);
    }
    assert_eq!(checked.code, Some(1));
}
