//! The bed by itself: what every other test here stands on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::harness::cli::Output;

#[test]
fn an_engine_starts_soon_and_runs_containers() {
    needs!(engine);
    let start = Instant::now();
    let bed = Bed::start();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "took {:?}",
        start.elapsed()
    );
    assert_eq!(
        bed.docker(&["run", "--rm", "--network", "none", "busybox", "echo", "hi"])
            .ok(),
        "hi"
    );
    let world = bed
        .docker(&[
            "run",
            "--rm",
            "busybox",
            "ping",
            "-c1",
            "-W2",
            "198.51.100.2",
        ])
        .ok();
    assert!(world.contains("1 packets received"), "{world}");
    assert!(
        bed.docker(&["run", "--rm", "busybox", "false"])
            .fails()
            .is_empty()
    );
}

#[test]
fn an_engine_comes_back_after_a_restart_and_after_a_crash() {
    needs!(engine);
    let bed = Bed::start();
    bed.docker(&["volume", "create", "kept"]).ok();
    let container = bed.run_sleeper("web", &["-v", "kept:/data"]);
    bed.engine_restart();
    assert_eq!(bed.docker(&["volume", "ls", "-q"]).ok(), "kept");
    bed.docker(&["start", "web"]).ok();
    bed.engine_kill9();
    bed.engine_boot();
    assert_eq!(bed.docker(&["ps", "-aq", "--no-trunc"]).ok(), container);
}

#[test]
fn the_test_api_sends_requests_unchanged() {
    needs!(engine);
    let bed = Bed::start();
    for target in [
        "/version",
        "/v1.41/%76ersion",
        "http://elsewhere/v1.41/version",
    ] {
        let reply = bed.api("GET", target, &[], b"");
        assert!(
            reply.status == 200 && reply.body.contains("\"ApiVersion\":\"1."),
            "{target}: {reply:?}"
        );
    }
    let json = [("Content-Type", "application/json")];
    let reply = bed.api(
        "POST",
        "/volumes/create",
        &json,
        br#"{"Name":"one","Name":"two"}"#,
    );
    assert!(
        reply.status == 201 && reply.body.contains("\"Name\":\"two\""),
        "{reply:?}"
    );
    assert!(
        bed.api("GET", "/volumes/nope", &[], b"")
            .message()
            .contains("no such volume")
    );
}

#[test]
fn a_bed_leaves_nothing_behind() {
    needs!(engine);
    let bed = Bed::start();
    let dir = bed.dir().to_path_buf();
    let image = dir.join("image");
    bed.run_sleeper("left", &[]);
    bed.exec_in_ns(&["truncate", "-s", "1M", image.to_str().unwrap()])
        .ok();
    bed.exec_in_ns(&["losetup", "--find", image.to_str().unwrap()])
        .ok();
    assert!(!leftovers(&dir).is_empty(), "a running bed should be seen");
    drop(bed);
    assert_eq!(leftovers(&dir), Vec::<String>::new());
}

/// Processes, mounts, loop devices, control groups and files that name this bed.
fn leftovers(dir: &Path) -> Vec<String> {
    let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
    let pattern = format!("*{name}*");
    let groups =
        Output::of(Command::new("find").args(["/sys/fs/cgroup", "-path", &pattern])).stdout;
    let loops =
        Output::of(Command::new("losetup").args(["--list", "--noheadings", "-O", "BACK-FILE"]))
            .stdout;
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut found: Vec<String> = [groups, loops, mounts, command_lines()]
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.contains(&name))
        .map(str::to_owned)
        .collect();
    found.extend(dir.exists().then(|| dir.display().to_string()));
    found
}

fn command_lines() -> String {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ") + "\n").collect()
}
