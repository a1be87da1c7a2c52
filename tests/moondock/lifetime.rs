//! How the process begins, reloads and ends.

use crate::harness::http::Connection;
use crate::harness::process::{Served, Setup, VOLUME};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

fn slow(seconds: f64) -> String {
    format!(r#"{{"Name":"slow","Opts":{{"sleep":"{seconds}"}}}}"#)
}

/// Sends a slow call and waits until it runs, which shows only in the reply to a later call.
fn begin_slow_call(served: &Served, seconds: f64) -> Connection {
    let mut connection = served.connect("vol");
    connection
        .send(crate::harness::http::request(
            "VolumeDriver.Create",
            &slow(seconds),
        ))
        .unwrap();
    served.assert_answers();
    connection
}

#[test]
fn sigterm_finishes_calls_and_accepts_no_more() {
    let mut served = Setup::with_volume().start();
    let mut idle = served.connect("vol");
    assert_eq!(
        idle.call("VolumeDriver.Get", r#"{"Name":"a"}"#)
            .unwrap()
            .status,
        200
    );
    let mut busy = begin_slow_call(&served, 1.0);
    served.signal(Signal::TERM);
    assert!(idle.is_closed());
    assert!(Connection::open(&served.setup().socket("vol")).is_err());
    assert_eq!(busy.receive().unwrap().status, 200);
    assert!(busy.is_closed());
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn shutdown_abandons_calls_after_five_seconds() {
    let mut served = Setup::with_volume().start();
    let mut busy = begin_slow_call(&served, 30.0);
    let begun = Instant::now();
    served.signal(Signal::INT);
    assert_eq!(served.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(8),
        "{took:?}"
    );
    assert!(busy.receive().is_err());
    served.wait_for_log("abandoning calls in flight after 5 s");
}

#[test]
fn a_second_signal_exits_at_once() {
    let mut served = Setup::with_volume().start();
    let _busy = begin_slow_call(&served, 30.0);
    served.signal(Signal::TERM);
    served.wait_for_log("shutting down signal=SIGTERM");
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(143));
    assert!(!served.setup().socket("vol").exists());
}

#[test]
fn an_incomplete_request_does_not_delay_shutdown() {
    let mut served = Setup::with_volume().start();
    let mut half = served.connect("vol");
    half.send("POST /VolumeDriver.Get HT").unwrap();
    served.assert_answers();
    let begun = Instant::now();
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn sighup_loads_the_scripts_again() {
    let mut served = Setup::with_volume().start();
    let script = served.setup().scripts().join("vol/volume.lua");
    fs::write(script, VOLUME.replace("/m/", "/changed/")).unwrap();
    served.signal(Signal::HUP);
    served.wait_for("the new script", |served| {
        served
            .call("vol", "VolumeDriver.Get", r#"{"Name":"a"}"#)
            .body
            .contains("/changed/a")
    });
}

#[test]
fn a_broken_driver_answers_with_its_diagnostic_beside_the_others() {
    let setup = Setup::with_volume()
        .plugin("bad", "volume.lua", "return {{{\n")
        .plugin("bad", "network.lua", "return 7")
        .plugin("toml", "volume.lua", VOLUME)
        .plugin("toml", "plugin.toml", "grants = = 1\n")
        .plugin("policy", "authz.lua", "return {{{\n");
    let mut served = setup.start();
    served.assert_answers();
    served.wait_for_log(
        "volume.lua cannot be loaded, its calls fail until this is fixed: plugin=bad\nvolume.lua:2",
    );
    let activated = served.call("bad", "Plugin.Activate", "").body;
    assert!(
        activated.contains("VolumeDriver") && activated.contains("NetworkDriver"),
        "{activated}"
    );
    for (plugin, method, body, part) in [
        (
            "bad",
            "VolumeDriver.Create",
            r#"{"Name":"v"}"#,
            "the script is broken: volume.lua:2",
        ),
        (
            "bad",
            "NetworkDriver.GetCapabilities",
            "",
            "the script is broken: network.lua",
        ),
        (
            "toml",
            "VolumeDriver.Create",
            r#"{"Name":"v"}"#,
            "the script is broken: plugin.toml:1",
        ),
    ] {
        let answer = served.call(plugin, method, body);
        assert!(
            answer.status == 500 && answer.body.contains(part),
            "{answer:?}"
        );
    }
    let request = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
    let denied = served.call("policy", "AuthZPlugin.AuthZReq", request);
    assert!(denied.body.contains("\"Allow\":false"), "{denied:?}");
    // An error of `get` would make the engine forget the volume.
    assert!(
        served
            .connect("bad")
            .call("VolumeDriver.Get", r#"{"Name":"v"}"#)
            .is_err()
    );
    for (file, text) in [("bad/volume.lua", VOLUME), ("toml/plugin.toml", "")] {
        fs::write(served.setup().scripts().join(file), text).unwrap();
    }
    for plugin in ["bad", "toml"] {
        served.wait_for("the mended script", |served| {
            served
                .call(plugin, "VolumeDriver.Create", r#"{"Name":"v"}"#)
                .status
                == 200
        });
    }
}

/// Each in its own way keeps its plugin from being served, and no other.
#[test]
fn what_cannot_be_served_is_logged_and_the_rest_is_served() {
    let long = "a".repeat(21);
    let setup = ["UPPER", "Backup copy", &long, "taken", "file"]
        .iter()
        .fold(Setup::with_volume(), |setup, name| {
            setup.plugin(name, "volume.lua", VOLUME)
        });
    let _owner = std::os::unix::net::UnixListener::bind(setup.socket("taken")).unwrap();
    fs::write(setup.socket("file"), "precious").unwrap();
    let command = setup.command();
    let served = setup.launch(command);
    for part in [
        "ERROR not served: `UPPER` cannot be the name of a plugin",
        "ERROR not served: `Backup copy` cannot be the name of a plugin",
        "it has 21 bytes, which exceeds the limit of 20",
        "taken.sock` is in use by process",
        "file.sock` is in the way: it is not a socket",
    ] {
        served.wait_for_log(part);
    }
    served.wait_for_log("ready plugin=vol");
    served.assert_answers();
}

/// A file system that is detached at the end.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_state_without_free_space_is_a_warning_at_the_start() {
    needs!(root);
    let setup = Setup::with_volume();
    let state = setup.state();
    fs::create_dir(&state).unwrap();
    mount("tmpfs", &state, "tmpfs", MountFlags::empty(), c"size=64k").unwrap();
    let command = setup.command();
    let served = setup.launch(command);
    let _disk = SmallDisk(state);
    served.wait_for_log("KiB are free in `");
    served.wait_for_log("ready plugin=vol");
}

#[test]
fn a_plugin_without_its_state_answers_with_the_reason_until_it_is_mended() {
    let policy = "return { request = function() return true end }";
    let setup = Setup::with_volume()
        .plugin("guard", "authz.lua", policy)
        .plugin("guard", "volume.lua", VOLUME);
    fs::create_dir(setup.state()).unwrap();
    fs::write(setup.state().join("guard"), "not a directory").unwrap();
    let mut served = setup.start();
    served.assert_answers();
    served.wait_for_log("ERROR cannot be opened, its calls fail until this is mended");
    let activated = served.call("guard", "Plugin.Activate", "").body;
    assert!(
        activated.contains("authz") && activated.contains("VolumeDriver"),
        "{activated}"
    );
    let request = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
    let denied = served.call("guard", "AuthZPlugin.AuthZReq", request).body;
    assert!(
        denied.contains("\"Allow\":false") && denied.contains("cannot use the state in"),
        "{denied}"
    );
    let failed = served.call("guard", "VolumeDriver.Create", r#"{"Name":"v"}"#);
    assert!(
        failed.status == 500 && failed.body.contains("the plugin cannot be opened"),
        "{failed:?}"
    );
    fs::remove_file(served.setup().state().join("guard")).unwrap();
    served.signal(Signal::HUP);
    served.wait_for("the policy", |served| {
        served
            .call("guard", "AuthZPlugin.AuthZReq", request)
            .body
            .contains("\"Allow\":true")
    });
    // The engine, which asks once, was answered before there was a place to count that.
    let counted = fs::read_to_string(served.setup().state().join("guard/activation"));
    assert_eq!(counted.unwrap(), "1\n");
}

#[test]
fn strictly_nothing_is_served_unless_everything_is() {
    let bad = |file: &str, text: &str| {
        Setup::with_volume()
            .arg("--strict")
            .plugin("bad", file, text)
    };
    let badly_named = Setup::with_volume()
        .arg("--strict")
        .plugin("UPPER", "volume.lua", VOLUME);
    let taken = Setup::with_volume()
        .arg("--strict")
        .plugin("taken", "volume.lua", VOLUME);
    fs::write(taken.socket("taken"), "precious").unwrap();
    for (setup, part) in [
        (
            bad("volume.lua", "return {{{\n"),
            "the plugin `bad` failed: volume.lua:2",
        ),
        (
            bad("network.lua", "return 7"),
            "the plugin `bad` failed: network.lua",
        ),
        (badly_named, "`UPPER` cannot be the name of a plugin"),
        (taken, "taken.sock` is in the way"),
    ] {
        let error = setup.refused();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("ready"), "{error}");
        assert!(!setup.socket("bad").exists() && !setup.socket("vol").exists());
    }
    let served = bad("authz.lua", "return {{{\n").start();
    served.assert_answers();
}

#[test]
fn the_reason_of_an_exit_is_a_json_event_in_a_json_log() {
    let setup = Setup::with_volume()
        .plugin("bad", "volume.lua", "return {{{\n")
        .arg("--strict")
        .arg("--log-format=json");
    for line in setup.refused().lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(event["level"].is_string());
    }
}

#[test]
fn plugins_answer_independently() {
    let setup = ["a", "b", "c", "d"]
        .iter()
        .fold(Setup::with_volume(), |setup, name| {
            setup.plugin(
                name,
                "volume.lua",
                &VOLUME.replace("/m/", &format!("/{name}/")),
            )
        });
    let served = setup.start();
    for name in ["a", "b", "c", "d"] {
        let response = served.call(name, "VolumeDriver.Get", r#"{"Name":"v"}"#);
        assert!(
            response.body.contains(&format!("/{name}/v")),
            "{response:?}"
        );
    }
}

/// PID 1 has no default actions for signals, and inherits every orphan.
#[test]
fn pid_1_reaps_orphans_and_exits_on_sigterm() {
    needs!(root);
    let mut served = as_pid_1(Setup::with_volume());
    served.wait_for_log("ready");
    let init = children(served.pid())[0];
    let target = init.to_string();
    let orphan = "sleep 600 >/dev/null 2>&1 &";
    let made = Command::new("nsenter")
        .args(["--target", &target, "--pid", "sh", "-c", orphan])
        .status();
    assert!(made.unwrap().success());
    let mut orphan = None;
    served.wait_for("the orphan to become a child of PID 1", |_| {
        orphan = children(init)
            .into_iter()
            .find(|child| command_of(*child) == "sleep\n");
        orphan.is_some()
    });
    kill_process(Pid::from_raw(orphan.unwrap() as i32).unwrap(), Signal::KILL).unwrap();
    served.wait_for("the orphan to be buried", |_| children(init).len() == 1);
    served.assert_answers();
    kill_process(Pid::from_raw(init as i32).unwrap(), Signal::TERM).unwrap();
    let status = served.wait();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

#[test]
fn pid_1_exits_with_its_child() {
    needs!(root);
    let mut served = as_pid_1(Setup::with_volume());
    served.wait_for_log("ready");
    let init = children(served.pid())[0];
    let serving = children(init)[0];
    kill_process(Pid::from_raw(serving as i32).unwrap(), Signal::KILL).unwrap();
    assert_eq!(served.wait().code(), Some(137));
}

/// An engine that starts a plugin again while it waits for it can never enable it once more.
#[test]
fn pid_1_delays_its_exit_after_a_failed_start() {
    needs!(root);
    let unloadable = Setup::new()
        .plugin("vol", "volume.lua", "return nothing")
        .arg("--managed");
    let misled = Setup::with_volume().env("MOONDOCK_LOG_LEVEL", "loud");
    for (setup, code) in [(unloadable, 1), (misled, 2)] {
        let mut served = as_pid_1(setup);
        served.wait_for_log("start failed, exiting in 15 s");
        let init = children(served.pid())[0];
        kill_process(Pid::from_raw(init as i32).unwrap(), Signal::HUP).unwrap();
        assert_eq!(children(served.pid()), [init], "it has ended");
        kill_process(Pid::from_raw(init as i32).unwrap(), Signal::TERM).unwrap();
        assert_eq!(served.wait().code(), Some(code));
    }
}

#[test]
fn the_drain_option_limits_shutdown() {
    let mut served = Setup::with_volume().arg("--drain").arg("0").start();
    let _busy = begin_slow_call(&served, 30.0);
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    served.wait_for_log("abandoning calls in flight after 0 s");
}

/// The process started is `unshare`, whose only child is moondock.
fn as_pid_1(setup: Setup) -> Served {
    let moondock = setup.command();
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(moondock.get_program())
        .args(moondock.get_args());
    command.envs(
        moondock
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.current_dir(setup.path());
    setup.launch(command)
}

fn command_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}
