//! A reload never widens what scripts may touch, unless somebody accepts it.

use super::{driver, manifest};
use crate::harness::process::{Served, Setup};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

/// Answers `Create` with `mark` and which of the two grants are in force.
fn probe(mark: &str) -> String {
    let body = format!(
        "local function may(f, ...) return if string.find(tostring(select(2, pcall(f, ...))), 'granted') then '-' else '+' end\n\
         error('{mark} net' .. may(net.link, 'nic') .. ' id' .. may(process.run, {{ argv = {{ 'id' }} }}), 0)"
    );
    driver("", &body)
}

fn started(grants: &[&str]) -> Served {
    let setup = Setup::new().plugin("vol", "volume.lua", &probe("first"));
    setup
        .plugin("vol", "plugin.toml", &manifest(grants))
        .start()
}

impl Served {
    fn answer(&self) -> String {
        let body = self
            .call("vol", "VolumeDriver.Create", r#"{"Name":"v"}"#)
            .body;
        let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
        reply["Err"]
            .as_str()
            .unwrap_or_else(|| panic!("{body}"))
            .to_owned()
    }

    fn wait_for_answer(&mut self, answer: &str) {
        self.wait_for(answer, |served| served.answer() == answer);
    }

    fn save(&self, file: &str, text: &str) {
        fs::write(self.setup().scripts().join("vol").join(file), text).unwrap();
    }

    fn reload_verb(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
        command
            .arg("reload")
            .args(args)
            .arg("--state")
            .arg(self.setup().state());
        command.output().unwrap()
    }
}

fn reload(state: &std::path::Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_moondock"))
        .args(["reload", "--state"])
        .arg(state)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_manifest_with_more_grants_waits_for_acceptance() {
    let mut served = started(&["exec:id"]);
    assert_eq!(served.answer(), "first net- id+");
    served.save("plugin.toml", "grants = [\n  \"exec:id\",\n  \"net\",\n]\n");
    served.wait_for_log("new grants wait, the previous version stays live: plugin=vol\nplugin.toml:3: `net` must be accepted first");
    served.wait_for_log("run `moondock reload --accept-grants`, or start moondock again");
    assert_eq!(served.answer(), "first net- id+");
    served.save("volume.lua", &probe("second"));
    served.wait_for("the second refusal", |served| {
        served.log().matches("must be accepted first").count() == 2
    });
    served.signal(Signal::HUP);
    served.wait_for("the third refusal", |served| {
        served.log().matches("must be accepted first").count() == 3
    });
    assert_eq!(
        served.answer(),
        "first net- id+",
        "nothing of the snapshot counts before"
    );
    let output = served.reload_verb(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let refused =
        "vol/plugin.toml: grants not accepted: plugin.toml:3: `net` must be accepted first";
    assert!(told.starts_with(refused), "{told}");
    let output = served.reload_verb(&["--accept-grants"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "vol/volume.lua: live (generation 2)\n"
    );
    assert_eq!(served.answer(), "second net+ id+");
}

/// The author would otherwise be told to add what is there already.
#[test]
fn a_grant_that_is_saved_and_not_accepted_is_named_as_such() {
    let body = "local function why(f, ...) return string.match(select(2, pcall(f, ...)), '[^:]+ is not granted.*') end\n\
                error(why(net.link, 'nic') .. '; ' .. why(fs.read, '/etc/hostname') .. '; ' .. why(process.run, { argv = { 'id' } }), 0)";
    let setup = Setup::new().plugin("vol", "volume.lua", &driver("", body));
    let mut served = setup.plugin("vol", "plugin.toml", &manifest(&[])).start();
    served.save("plugin.toml", &manifest(&["net", "fs.read:/etc"]));
    served.wait_for_log("must be accepted first");
    let waits = "is not granted yet: its grant is in plugin.toml but not accepted: run `moondock reload --accept-grants`";
    assert_eq!(
        served.answer(),
        format!(
            " `net` {waits};  `/etc/hostname` {waits};  `id` is not granted: add \"exec:id\" to `grants` in plugin.toml"
        )
    );
    served.save("plugin.toml", &manifest(&[]));
    served.wait_for_answer(
        " `net` is not granted: add \"net\" to `grants` in plugin.toml;  `/etc/hostname` is not granted: add \
         \"fs.read:/etc/hostname\" (or a directory above it) to `grants` in plugin.toml;  `id` is not granted: add \"exec:id\" to `grants` in plugin.toml",
    );
}

#[test]
fn undoing_new_grants_resumes_reloading() {
    let mut served = started(&["exec:id"]);
    served.save("plugin.toml", &manifest(&["exec:id", "net"]));
    served.wait_for_log("must be accepted first");
    served.save("volume.lua", &probe("second"));
    served.save("plugin.toml", &manifest(&["exec:id"]));
    served.wait_for_answer("second net- id+");
}

#[test]
fn a_manifest_with_fewer_grants_applies_at_once_to_all_scripts() {
    let mut served = started(&["exec:id", "net"]);
    assert_eq!(served.answer(), "first net+ id+");
    served.save("plugin.toml", &manifest(&["net"]));
    served.wait_for_answer("first net+ id-");
    served.save("volume.lua", "this is no script");
    served.wait_for_log("volume.lua:1");
    served.save("plugin.toml", "");
    served.wait_for_answer("first net- id-");
    served.save("volume.lua", &probe("second"));
    served.save("plugin.toml", &manifest(&["exec:id"]));
    served.wait_for_answer("second net- id+");
    assert!(
        !served.log().contains("must be accepted"),
        "it was granted at the start\n{}",
        served.log()
    );
}

#[test]
fn a_setting_that_changes_a_grant_waits_for_acceptance() {
    let text = |value: &str| {
        format!("grants = [\"exec:{{settings.program}}\"]\n[settings]\nprogram = \"{value}\"\n")
    };
    let setup = Setup::new().plugin("vol", "volume.lua", &probe("first"));
    let mut served = setup.plugin("vol", "plugin.toml", &text("sh")).start();
    assert_eq!(served.answer(), "first net- id-");
    served.save("plugin.toml", &text("id"));
    served.wait_for_log("plugin.toml:1: `exec:id` must be accepted first");
    assert_eq!(served.answer(), "first net- id-");
    served.signal(Signal::USR1);
    served.wait_for_answer("first net- id+");
}

/// A narrower path may lead elsewhere than the one that was accepted: by a link below it.
#[test]
fn a_narrower_path_cannot_lead_out_of_the_accepted_one() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().canonicalize().unwrap();
    for name in ["root/within", "outside"] {
        fs::create_dir_all(at.join(name)).unwrap();
        fs::write(at.join(name).join("mark"), name).unwrap();
    }
    symlink(at.join("outside"), at.join("root/link")).unwrap();
    let read = |file: &str| format!("pcall(fs.read, '{}')", at.join(file).display());
    let body = format!(
        "local ok, text = {} local far, why = {} error('far ' .. tostring(far) .. (ok and ', near ' .. text or ', not near'), 0)",
        read("root/within/mark"),
        read("root/link/mark")
    );
    let of = |kind: &str, name: &str| manifest(&[&format!("{kind}:{}", at.join(name).display())]);
    let setup = Setup::new().plugin("vol", "volume.lua", &driver("", &body));
    let mut served = setup
        .plugin("vol", "plugin.toml", &of("fs.write", "root"))
        .start();
    assert_eq!(served.answer(), "far false, near root/within");
    for kind in ["fs.read", "fs.write"] {
        served.save("plugin.toml", &of(kind, "root/link"));
        served.wait_for_answer("far false, not near");
        served.save("plugin.toml", &of(kind, "root/within"));
        served.wait_for_answer("far false, near root/within");
    }
    served.save("plugin.toml", &of("fs.read", "root/link"));
    served.signal(Signal::USR1);
    served.wait_for_answer("far true, not near");
}

#[test]
fn a_policy_whose_manifest_is_broken_at_the_start_has_no_grants_until_they_are_accepted() {
    let policy = "local net = require('@moondock/net')\n\
                  return { request = function() return false, tostring(select(2, pcall(net.link, 'nic'))) end }";
    let setup = Setup::new().plugin("vol", "authz.lua", policy).plugin(
        "vol",
        "plugin.toml",
        "grants = [\"nett\"]\n",
    );
    let mut served = setup.start();
    let denial = |served: &Served| {
        let request = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
        served.call("vol", "AuthZPlugin.AuthZReq", request).body
    };
    assert!(
        denial(&served).contains("unknown grant `nett`"),
        "{}",
        denial(&served)
    );
    served.save("plugin.toml", &manifest(&["net"]));
    served.wait_for_log("`net` must be accepted first");
    served.wait_for("what is in its way now", |served| {
        denial(served).contains("`net` must be accepted first")
    });
    served.signal(Signal::USR1);
    served.wait_for("the grant", |served| {
        denial(served).contains(r#""Msg":"nil""#)
    });
}

#[test]
fn reload_loads_every_script_again() {
    let served = started(&[]);
    let output = served.reload_verb(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "vol/volume.lua: loaded again, same files (generation 2)\n"
    );
    served.wait_for_log("INFO live ");
}

#[test]
fn reload_reports_that_nothing_serves() {
    let place = tempfile::tempdir().unwrap();
    let none = "no moondock is serving with the state in";
    assert!(reload(&place.path().join("nothing")).contains(none));
    let mut served = Setup::with_volume().start();
    served.signal(Signal::TERM);
    served.wait();
    assert!(reload(&served.setup().state()).contains(none));
}

#[test]
fn reload_reports_a_process_that_does_not_serve_yet() {
    let place = tempfile::tempdir().unwrap();
    let lock = fs::File::create(place.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    fs::write(place.path().join(".lock"), "4711\n").unwrap();
    let told = reload(place.path());
    assert!(
        told.contains("process 4711 uses the state in")
            && told.contains("takes no requests there (yet)"),
        "{told}"
    );
}

/// The process is killed, or stops answering, while it is asked.
#[test]
fn reload_fails_if_the_process_ends_before_it_reports() {
    let place = tempfile::tempdir().unwrap();
    let socket = UnixListener::bind(place.path().join("control.sock")).unwrap();
    let ending = std::thread::spawn(move || drop(socket.accept().unwrap()));
    let told = reload(place.path());
    ending.join().unwrap();
    assert!(
        told.contains("ended, or failed, before it reported"),
        "{told}"
    );
}

#[test]
fn reload_is_possible_only_for_the_owner_of_the_state() {
    needs!(root);
    let served = Setup::with_volume().start();
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_moondock"),
            "reload",
            "--state",
        ])
        .arg(served.setup().state())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("run this as the user that moondock runs as"),
        "{told}"
    );
}
