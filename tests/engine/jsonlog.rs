//! The options of the shipped log driver on a real engine: they mean what they mean for Docker's `json-file`, line by line.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/jsonlog");
const TIMEOUT: Duration = Duration::from_secs(60);
/// What `json-file` and `jsonlog` write differently on purpose.
const OWN_FIELDS: [&str; 3] = ["seq", "partial", "bytes"];

/// An engine, and moondock with the shipped `jsonlog`.
fn bed() -> Bed {
    let bed = Bed::new();
    let root = bed.dir().join("logs").display().to_string();
    for name in ["plugin.toml", "log.lua"] {
        let text = fs::read_to_string(format!("{SHIPPED}/{name}")).unwrap();
        let text = text.replace("/var/lib/moondock/logs", &root);
        bed.write_script(&format!("scripts/jsonlog/{name}"), &text);
    }
    serve(&bed);
    bed.engine_start(&[]);
    bed
}

fn serve(bed: &Bed) {
    let path = |name: &str| bed.dir().join(name).display().to_string();
    let argv = [
        env!("CARGO_BIN_EXE_moondock").to_owned(),
        "serve".to_owned(),
        path("scripts"),
        "--state".to_owned(),
        path("state"),
    ];
    bed.plugin_start(&argv, "/run/docker/plugins/jsonlog.sock");
}

/// Restarts the engine with another log driver in `daemon.json`, and the same options.
fn switch(bed: &Bed, driver: &str, options: &Value) {
    let text = fs::read_to_string(bed.dir().join("daemon.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["log-driver"] = driver.into();
    config["log-opts"] = options.clone();
    bed.write_script("daemon.json", &config.to_string());
    bed.engine_restart();
}

/// The log of a container that has ended, in three forms.
struct Log {
    /// The lines of the file, without what differs from container to container.
    lines: Vec<Value>,
    /// The text of the file as `docker logs --timestamps` shows it.
    stamped: String,
    details: String,
}

fn log_of(bed: &Bed, name: &str, file: impl Fn(&str) -> PathBuf) -> Log {
    let id = bed.docker(&["inspect", "-f", "{{.Id}}", name]).ok();
    let file = file(&id);
    let read = || fs::read_to_string(&file).unwrap_or_default();
    wait_for("the last line", TIMEOUT, || read().contains("\"half\""));
    let text = read();
    let mut stamped = String::new();
    let neutral = text
        .replace(&"x".repeat(1 << 12), "X")
        .replace(&id, "ID")
        .replace(&id[..12], "SHORT")
        .replace(name, "NAME");
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["stream"] == "stdout" {
            stamped += &format!(
                "{} {}",
                nanoseconds(&line["time"]),
                line["log"].as_str().unwrap()
            );
        }
    }
    let shown = bed.docker(&["logs", "--timestamps", name]).stdout;
    assert_eq!(
        shown.replace('\u{fffd}', ""),
        stamped.replace('\u{fffd}', ""),
        "{name}"
    );
    Log {
        lines: compared(&neutral),
        stamped,
        details: bed.docker(&["logs", "--details", name]).stdout,
    }
}

/// A time of `json-file`, which lacks zeros at the end, with nine digits of a second.
fn nanoseconds(time: &Value) -> String {
    let time = time.as_str().unwrap().strip_suffix('Z').unwrap();
    let (second, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{second}.{fraction:0<9}Z")
}

/// Lines in the order of their streams: between two streams, the engine guarantees none.
fn compared(text: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &mut lines {
        let fields = line.as_object_mut().unwrap();
        fields.remove("time").unwrap();
        OWN_FIELDS
            .iter()
            .for_each(|name| drop(fields.remove(*name)));
    }
    lines.sort_by_key(|line| line["stream"].to_string());
    lines
}

const OUTPUT: &str = r#"echo out; echo err >&2; printf 'é\377<&>\t"\\\n\n'; head -c 40000 /dev/zero | tr '\0' x; echo; printf half"#;

#[test]
fn a_host_that_switches_its_log_driver_gets_the_same_lines() {
    needs!(engine);
    let bed = bed();
    let options = json!({
        "max-size": "10m", "max-file": "3", "compress": "false",
        "mode": "non-blocking", "max-buffer-size": "4m",
        "labels": "team,missing", "labels-regex": r"^com\.example\.[a-z]+$",
        "env": "COLOR,NONE", "env-regex": "(?i)^site_",
        "tag": "{{.ImageName}}|{{.Name}}|{{.ID}}|{{.FullID}}|{{.ImageFullID}}|{{.DaemonName}}|{{.Command}}",
    });
    let run = |name: &str| {
        let container = [
            "run",
            "--name",
            name,
            "--label",
            "team=<a&b>",
            "--label",
            "com.example.role=x,y",
            "--label",
            "com.example.2=no",
            "--env",
            "COLOR=été",
            "--env",
            "SITE_A=1=2",
            "--env",
            "HIDDEN=1",
            "busybox",
            "sh",
            "-c",
            OUTPUT,
        ];
        bed.docker(&container).ok();
    };
    switch(&bed, "json-file", &options);
    run("before");
    let before = log_of(&bed, "before", |_| {
        bed.docker(&["inspect", "-f", "{{.LogPath}}", "before"])
            .ok()
            .into()
    });
    switch(&bed, "jsonlog", &options);
    run("after");
    let after = log_of(&bed, "after", |id| {
        bed.dir().join("logs").join(id).join("json.log")
    });
    assert!(before.lines.len() >= 8, "{:?}", before.lines);
    assert_eq!(before.lines, after.lines);
    assert_eq!(
        before.stamped.lines().count(),
        after.stamped.lines().count()
    );
    assert_eq!(after.lines[0]["attrs"]["com.example.role"], "x,y");
    assert!(
        before
            .details
            .starts_with("COLOR=%C3%A9t%C3%A9,SITE_A=1%3D2,com.example.role=x%2Cy,tag=")
    );
    assert!(
        after.details.starts_with(" out\n"),
        "no plugin can give details"
    );
}

#[test]
fn attributes_stay_when_moondock_is_killed() {
    needs!(engine);
    let bed = bed();
    let script = "echo first; while [ ! -e /go ]; do sleep 0.01; done; echo second; sleep 600";
    let id = bed.docker(&[
        "run",
        "-d",
        "--name",
        "web",
        "--stop-signal",
        "KILL",
        "--log-driver",
        "jsonlog",
        "--log-opt",
        "labels=team",
        "--label",
        "team=a",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    let file = bed.dir().join("logs").join(id.ok()).join("json.log");
    let lines = || fs::read_to_string(&file).unwrap_or_default();
    wait_for("the first line", TIMEOUT, || lines().contains("first"));
    bed.moondock_kill9();
    bed.sh("web", "touch /go").ok();
    serve(&bed);
    wait_for("the second line", TIMEOUT, || lines().contains("second"));
    assert!(
        compared(&lines())
            .iter()
            .all(|line| line["attrs"] == json!({ "team": "a" })),
        "{}",
        lines()
    );
}

#[test]
fn options_that_jsonlog_cannot_carry_out_are_refused() {
    needs!(engine);
    let bed = bed();
    for (option, part) in [
        (
            "lables=a",
            "unknown option \"lables\": did you mean \"labels\"?",
        ),
        (
            "compress=true",
            "option \"compress\" is \"true\": this driver does not compress files; remove it, or write compress=false",
        ),
        (
            "tag={{.Nmae}}",
            "option \"tag\": there is no `{{.Nmae}}`; did you mean `{{.Name}}`?",
        ),
        ("env-regex=(a", "option \"env-regex\" is \"(a\": "),
    ] {
        let container = [
            "run",
            "--name",
            "web",
            "--log-driver",
            "jsonlog",
            "--log-opt",
            option,
            "busybox",
            "true",
        ];
        bed.docker(&container).fails_with(&[part]);
        bed.docker(&["rm", "-f", "web"]).ok();
    }
}
