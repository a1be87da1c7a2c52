//! The shipped log driver on a real engine: `docker logs` returns what containers print, across crashes of either side.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/jsonlog");
const TIMEOUT: Duration = Duration::from_secs(60);

impl Bed {
    /// An engine, and moondock with the shipped `jsonlog`, whose `plugin.toml` is changed so.
    pub fn with_jsonlog(change: impl Fn(String) -> String) -> Bed {
        let bed = Bed::new();
        let manifest = fs::read_to_string(format!("{SHIPPED}/plugin.toml")).unwrap();
        let manifest = manifest.replace("/var/lib/moondock/logs", &bed.log_root());
        bed.write_script("scripts/jsonlog/plugin.toml", &change(manifest));
        bed.write_script(
            "scripts/jsonlog/log.lua",
            &fs::read_to_string(format!("{SHIPPED}/log.lua")).unwrap(),
        );
        bed.serve_logs();
        bed.engine_start(&[]);
        bed
    }

    pub fn log_root(&self) -> String {
        self.dir().join("logs").display().to_string()
    }

    pub fn serve_logs(&self) {
        let (scripts, state) = (self.dir().join("scripts"), self.dir().join("state"));
        let argv = [
            env!("CARGO_BIN_EXE_moondock"),
            "serve",
            scripts.to_str().unwrap(),
            "--state",
            state.to_str().unwrap(),
        ];
        self.plugin_start(&argv.map(str::to_owned), "/run/docker/plugins/jsonlog.sock");
    }

    pub fn run_logged(&self, name: &str, args: &[&str], script: &str) -> Output {
        let head = [
            "run",
            "--name",
            name,
            "--stop-signal",
            "KILL",
            "--log-driver",
            "jsonlog",
        ];
        self.docker(&[&head, args, &["busybox", "sh", "-c", script]].concat())
    }

    pub fn logs(&self, args: &[&str]) -> String {
        self.docker(&[&["logs"], args].concat()).ok()
    }
}

pub fn numbers(text: &str) -> Vec<usize> {
    text.lines()
        .map(|line| line.parse().unwrap_or_else(|_| panic!("`{line}`")))
        .collect()
}

#[test]
fn logs_can_be_read_while_a_container_runs_and_after() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    bed.run_logged("done", &[], "echo out; echo err >&2; printf half")
        .ok();
    let output = bed.docker(&["logs", "done"]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("out\nhalf", "err\n")
    );
    for _ in 0..3 {
        assert_eq!(bed.logs(&["--tail", "1", "done"]), "half");
    }
    bed.run_logged("other", &["-d"], "seq 1 5; sleep 600").ok();
    bed.run_logged("web", &["-d"], "seq 1 20; echo later; sleep 600")
        .ok();
    wait_for("the last line", TIMEOUT, || {
        bed.logs(&["web"]).ends_with("later")
    });
    assert_eq!(bed.logs(&["--tail", "2", "web"]), "20\nlater");
    wait_for("the other's lines", TIMEOUT, || {
        bed.logs(&["other"]) == "1\n2\n3\n4\n5"
    });
    let stamped = bed.logs(&["--timestamps", "web"]);
    let stamps: Vec<&str> = stamped
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(stamps.len(), 21);
    let since = bed.logs(&["--timestamps", "--since", stamps[10], "web"]);
    assert_eq!(
        since.lines().next(),
        stamped.lines().nth(10),
        "from the moment on"
    );
    assert!(bed.logs(&["--until", stamps[4], "web"]).lines().count() >= 5);
    assert_eq!(bed.logs(&["--since", "2100-01-01T00:00:00Z", "web"]), "");
    bed.docker(&["kill", "web"]).ok();
    bed.docker(&["restart", "-t", "0", "other"]).ok();
    wait_for("both runs", TIMEOUT, || {
        bed.logs(&["other"]).lines().count() == 10
    });
    assert_eq!(
        bed.logs(&["web"]).lines().count(),
        21,
        "also of one that was killed"
    );
    let journal = bed.dir().join("state/jsonlog/logs");
    wait_for("one open stream, with its two files", TIMEOUT, || {
        fs::read_dir(&journal).unwrap().count() == 2
    });
}

#[test]
fn a_follower_sees_lines_as_they_come_and_ends_with_the_container() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest.replace("100m", "8k"));
    bed.run_logged(
        "web",
        &["-d"],
        "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo end",
    )
    .ok();
    let mut following = bed
        .docker_command(&["logs", "-f", "--tail", "3", "web"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let seen: Vec<usize> = lines
        .by_ref()
        .take(400)
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        seen.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{seen:?}"
    );
    bed.sh("web", "touch /stop").ok();
    assert_eq!(lines.last().as_deref(), Some("end"));
    assert!(following.wait().unwrap().success());
}

#[test]
fn log_options_are_checked_when_a_container_is_started() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    let refused = |option: &str, part: &str| {
        bed.run_logged("opt", &["--log-opt", option], "true")
            .fails_with(&[part]);
        bed.docker(&["rm", "-f", "opt"]).ok();
    };
    refused(
        "max-sice=10m",
        "unknown option \"max-sice\": did you mean \"max-size\"?",
    );
    refused("max-size=big", "it must be a size such as `512m` or `10g`");
    let own = [
        "--log-opt",
        "max-size=4k",
        "--log-opt",
        "max-file=2",
        "--log-opt",
        "mode=non-blocking",
    ];
    bed.run_logged("opt", &own, "seq 1 1000").ok();
    let kept = numbers(&bed.logs(&["opt"]));
    assert!(kept.len() < 200 && kept.last() == Some(&1000), "{kept:?}");
}

#[test]
fn killing_moondock_neither_loses_nor_repeats_log_lines() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    bed.run_logged(
        "web",
        &["-d"],
        "while [ ! -e /go ]; do sleep 0.01; done; seq 1 100000; touch /done; sleep 600",
    )
    .ok();
    bed.sh("web", "touch /go").ok();
    let file = || {
        let dirs = fs::read_dir(bed.dir().join("logs")).ok()?;
        let path = dirs
            .map(|dir| dir.unwrap().path().join("json.log"))
            .next()?;
        fs::metadata(path).ok().map(|file| file.len())
    };
    for size in [1, 2_000_000, 6_000_000] {
        wait_for("the next part of the lines", TIMEOUT, || {
            file().is_some_and(|length| length > size)
        });
        bed.moondock_kill9();
        bed.serve_logs();
    }
    wait_for("the last line", TIMEOUT, || {
        bed.logs(&["--tail", "1", "web"]) == "100000"
    });
    let found = numbers(&bed.logs(&["web"]));
    assert!(
        found.iter().copied().eq(1..=100_000),
        "{} lines",
        found.len()
    );
}

#[test]
fn a_slow_log_script_in_drop_mode_does_not_block_the_container() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| {
        manifest.replace("on_slow = \"block\"", "on_slow = \"drop\"\nbuffer_kib = 64")
    });
    let slow = "local logs = require('@moondock/logs')\nlocal time = require('@moondock/time')\n\
                local root = require('@moondock/plugin').settings().root\n\
                local hooks = logs.file_driver({ root = root })\nlocal write = hooks.write_batch\n\
                function hooks.write_batch(entries, info) time.sleep(3); write(entries, info) end\nreturn hooks\n";
    bed.write_script("scripts/jsonlog/log.lua", slow);
    wait_for("the slow script", TIMEOUT, || {
        bed.moondock_log().contains("generation=2")
    });
    bed.run_logged("web", &["-d"], "seq 1 100000; touch /done; sleep 600")
        .ok();
    let begun = Instant::now();
    wait_for("all to be printed", TIMEOUT, || {
        bed.sh("web", "ls /done").code == Some(0)
    });
    println!("100,000 lines were printed within {:?}", begun.elapsed());
    wait_for("the count of what was dropped", TIMEOUT, || {
        bed.moondock_log().contains("log entries were dropped")
    });
    bed.docker(&["kill", "web"]).ok();
    wait_for("the last line", TIMEOUT, || {
        bed.logs(&["--tail", "1", "web"]) == "100000"
    });
    let kept = numbers(&bed.logs(&["web"]));
    assert!(
        kept.len() < 100_000 && kept.is_sorted(),
        "{} lines",
        kept.len()
    );
}

#[test]
fn the_log_is_complete_after_an_engine_crash() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    bed.run_logged("web", &["-d"], "seq 1 1000; sleep 600").ok();
    wait_for("the lines", TIMEOUT, || {
        bed.logs(&["--tail", "1", "web"]) == "1000"
    });
    bed.engine_kill9();
    bed.engine_boot();
    assert_eq!(numbers(&bed.logs(&["web"])), (1..=1000).collect::<Vec<_>>());
    bed.docker(&["start", "web"]).ok();
    wait_for("the lines of both runs", TIMEOUT, || {
        bed.logs(&["web"]).lines().count() == 2000
    });
    let journal = bed.dir().join("state/jsonlog/logs");
    wait_for("the end of the old stream", TIMEOUT, || {
        fs::read_dir(&journal).unwrap().count() == 2
    });
}

/// With live-restore a container outlives its engine, and the next one begins another stream for it.
#[test]
fn live_restored_containers_keep_logging() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    let config = fs::read_to_string(bed.dir().join("daemon.json")).unwrap();
    bed.write_script(
        "daemon.json",
        &config.replacen('{', "{\"live-restore\": true,", 1),
    );
    bed.engine_restart();
    bed.run_logged(
        "web",
        &["-d"],
        "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done",
    )
    .ok();
    let last = || {
        numbers(&bed.logs(&["--tail", "1", "web"]))
            .last()
            .copied()
            .unwrap_or_default()
    };
    wait_for("some lines", TIMEOUT, || last() > 10);
    bed.engine_kill9();
    bed.engine_boot();
    let before = last();
    wait_for("more lines", TIMEOUT, || last() > before + 10);
    let all = numbers(&bed.logs(&["web"]));
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
    let journal = bed.dir().join("state/jsonlog/logs");
    wait_for("the end of the old stream", TIMEOUT, || {
        fs::read_dir(&journal).unwrap().count() == 2
    });
}

#[test]
fn failed_log_reads_are_reported_to_the_user() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    let script = "return { write = function() end, read = function(info, config, emit)\n\
                  if config.Tail == 1 then emit({ time = '1', line = 'one' }) end\nerror('the tape is torn', 0)\nend }";
    bed.write_script("scripts/jsonlog/log.lua", script);
    wait_for("the script", TIMEOUT, || {
        bed.moondock_log().contains("generation=2")
    });
    bed.run_logged("web", &[], "true").ok();
    bed.docker(&["logs", "web"])
        .fails_with(&["the tape is torn"]);
    let half = bed.docker(&["logs", "--tail", "1", "web"]);
    assert_eq!(half.stdout, "one\n");
    half.fails_with(&["unexpected EOF"]);
}

/// Prints how fast lines come through; run it with `--nocapture`.
#[test]
fn logs_speed() {
    needs!(engine);
    let bed = Bed::with_jsonlog(|manifest| manifest);
    let begun = Instant::now();
    bed.run_logged("web", &["-d"], "seq 1 100000").ok();
    wait_for("the last line", TIMEOUT, || {
        bed.logs(&["--tail", "1", "web"]) == "100000"
    });
    println!(
        "written: {:.0} lines/s",
        1e5 / begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    assert_eq!(numbers(&bed.logs(&["web"])).len(), 100_000);
    println!("read: {:.0} lines/s", 1e5 / begun.elapsed().as_secs_f64());
}
