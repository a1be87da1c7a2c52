//! How the process begins, reloads and ends.

use crate::harness::http::Connection;
use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

fn slow(seconds: f64) -> String {
    format!(r#"{{"Name":"slow","Opts":{{"sleep":"{seconds}"}}}}"#)
}

/// Sends a slow call and waits until it runs, for which there is no other sign than a later answer.
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
fn sigterm_lets_a_call_finish_and_takes_no_more() {
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
fn a_call_that_does_not_end_is_given_up_after_five_seconds() {
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
fn a_second_signal_ends_at_once() {
    let mut served = Setup::with_volume().start();
    let _busy = begin_slow_call(&served, 30.0);
    served.signal(Signal::TERM);
    served.wait_for_log("shutting down signal=SIGTERM");
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(143));
    assert!(!served.setup().socket("vol").exists());
}

#[test]
fn a_half_sent_request_does_not_hold_up_the_end() {
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
fn a_driver_that_does_not_load_ends_the_process_with_the_reason() {
    let setup = Setup::with_volume().plugin("bad", "volume.lua", "return {{{\n");
    let command = setup.command();
    let mut served = setup.launch(command);
    assert_eq!(served.wait().code(), Some(1));
    served.wait_for_log("the plugin `bad` failed");
    served.wait_for_log("volume.lua:2");
    assert!(!served.setup().socket("bad").exists());
    assert!(!served.setup().socket("vol").exists());
}

#[test]
fn the_reason_of_an_end_is_an_event_where_events_are_json() {
    let setup = Setup::with_volume()
        .plugin("bad", "volume.lua", "return {{{\n")
        .arg("--log-format=json");
    for line in setup.refused().lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(event["level"].is_string());
    }
}

#[test]
fn many_plugins_are_answered_each_on_its_own() {
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
fn as_pid_1_it_buries_orphans_and_ends_on_sigterm() {
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
fn as_pid_1_it_dies_with_what_it_looks_after() {
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
fn as_pid_1_it_does_not_end_at_once_when_it_cannot_begin() {
    needs!(root);
    let unloadable = Setup::new().plugin("vol", "volume.lua", "return nothing");
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
fn calls_in_flight_have_as_long_as_was_said() {
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
