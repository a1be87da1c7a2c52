//! Log streams without an engine: FIFOs that the test writes to, as dockerd does.

mod counted;
mod fair;
mod fifo;
mod killed;
mod reading;
mod slow;
mod spilled;
mod spilled_killed;

use crate::harness::recorded::calls;
use crate::harness::scripted::{Scripted, Scripts};
use fifo::{ContainerLog, entry, until};
use moondock::plugin::ReplyStream;
use moondock::protocol::{Cut, LogEntry, cut, frame};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Writes `seq source line` of each entry into the file `OUT`, and a line for each other call.
const RECORDER: &str = r#"
local fs = require("@moondock/fs")
local settings = require("@moondock/plugin").settings()
local log = {}
local function add(text) fs.write(settings.out, text .. "\n", { append = true }) end
function log.start(info)
  if info.Config and info.Config.colour then error('unknown option "colour"', 0) end
  add("start " .. info.ContainerID)
end
function log.write_batch(entries, info)
  local lines = {}
  for _, e in entries do
    local piece = if e.partial then ` {e.partial_id}/{e.ordinal}/{e.last}` else ""
    table.insert(lines, `{e.seq} {e.source} {e.time} {e.line}{piece}`)
  end
  add(table.concat(lines, "\n"))
end
function log.stop(info) add("stop " .. info.ContainerName) end
return log
"#;

/// A plugin with that script, writing to a file beside the FIFO of the container's log.
fn plugin(log: &ContainerLog, script: &str, manifest: &str) -> Scripts {
    let settings = format!(
        "{}settings = {{ out = {:?} }}\n{manifest}",
        log.grants(),
        log.out()
    );
    Scripts::new([("log.lua", script), ("plugin.toml", settings.as_str())])
}

async fn start(plugin: &Scripted, log: &ContainerLog) {
    assert_eq!(
        plugin.call("LogDriver.StartLogging", log.start()).await,
        (200, json!({})),
        "{}",
        plugin.log()
    );
}

async fn wait_for_text(log: &ContainerLog, text: &str) {
    until(&format!("`{text}` in {:?}", log.written()), || {
        log.written().contains(text)
    })
    .await;
}

#[test]
fn log_entries_and_the_end_of_the_stream_reach_the_script() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        writer.send(&[entry("one")]);
        wait_for_text(&log, "1 stdout 1732440000123456789 one\n").await;
        let mut piece = entry("half");
        piece.source = "stderr".into();
        piece.partial = true;
        piece.partial_log_metadata = Some(moondock::protocol::PartialMetadata { last: true, id: "p".into(), ordinal: 2 });
        writer.send(&[entry("two"), piece, entry("")]);
        let (status, _) = plugin.call("LogDriver.StopLogging", log.stop()).await;
        assert_eq!(status, 200);
        assert!(log.written().contains("4 stdout"), "an answer before the log is written: {}", log.written());
        drop(writer);
        wait_for_text(&log, "stop /web\n").await;
        let expected = "start c0ffee\n1 stdout 1732440000123456789 one\n2 stdout 1732440000123456789 two\n\
                        3 stderr 1732440000123456789 half p/2/true\n4 stdout 1732440000123456789 \nstop /web\n";
        assert_eq!(log.written(), expected);
        until("an empty journal", || plugin.plugin().log_counters().streams.load(Relaxed) == 0).await;
        assert_eq!(plugin.call("LogDriver.StopLogging", log.stop()).await.0, 200, "a second stop is fine");
    });
}

#[test]
fn many_lines_arrive_in_large_ordered_batches() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        let writing = std::thread::spawn(move || {
            (1..=100_000).for_each(|n| writer.send(&[entry(&n.to_string())]));
        });
        wait_for_text(&log, " 100000\n").await;
        writing.join().unwrap();
        let lines: Vec<_> = log.written().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines.len(), 100_000);
        for (line, number) in lines.iter().zip(1..) {
            assert_eq!(
                *line,
                format!("{number} stdout 1732440000123456789 {number}")
            );
        }
        let batches = plugin.plugin().log_counters().batches.load(Relaxed);
        assert!(batches < 5_000, "{batches} batches");
    });
}

#[test]
fn frames_may_be_split_anywhere() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        let mut bytes = Vec::new();
        ["one", "two", "three"]
            .iter()
            .for_each(|line| frame(&entry(line), &mut bytes));
        for byte in bytes {
            writer.bytes(&[byte]);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        wait_for_text(&log, "3 stdout 1732440000123456789 three\n").await;
        writer.send(&[entry(&"x".repeat(600_000))]);
        wait_for_text(&log, "xxx\n").await;
    });
}

#[test]
fn a_corrupt_stream_is_logged_and_does_not_block_the_container() {
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"\0\0\0\x04\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let log = ContainerLog::new("web");
        plugin(&log, RECORDER, "").open(async |plugin| {
            let mut writer = log.writer();
            start(&plugin, &log).await;
            writer.send(&[entry("good")]);
            writer.bytes(nonsense);
            let writing = std::thread::spawn(move || {
                (0..3000).for_each(|_| writer.send(&[entry(&"y".repeat(1000))]));
                writer
            });
            until("three MiB to be taken", || writing.is_finished()).await;
            wait_for_text(&log, "good\n").await;
            let told = "log stream is corrupt, discarding the rest";
            until("the fault to be told", || plugin.log().contains(told)).await;
            assert!(
                plugin.log().contains("container=\"web\""),
                "{}",
                plugin.log()
            );
            assert_eq!(
                plugin.call("LogDriver.StopLogging", log.stop()).await.0,
                200
            );
            drop(writing.join().unwrap());
            wait_for_text(&log, "stop /web\n").await;
        });
    }
}

#[test]
fn an_error_in_start_reaches_the_user() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let mut request = log.start();
        request["Info"]["Config"] = json!({ "colour": "red" });
        assert_eq!(
            plugin.error("LogDriver.StartLogging", request).await,
            "unknown option \"colour\""
        );
        let mut request = log.start();
        request["File"] = json!("/nonexistent/fifo");
        let error = plugin.error("LogDriver.StartLogging", request).await;
        assert!(error.starts_with("/nonexistent/fifo: "), "{error}");
        assert_eq!(plugin.plugin().log_counters().streams.load(Relaxed), 0);
        for (body, part) in [
            (json!({}), "`File` is missing"),
            (json!({ "File": null, "Info": {} }), "`File` is missing"),
            (json!({ "File": "/x" }), "`Info` is missing"),
            (
                json!({ "File": "/x", "Info": {} }),
                "`ContainerID` is missing",
            ),
        ] {
            let error = plugin.error("LogDriver.StartLogging", body).await;
            assert!(error.contains(part), "{error}");
        }
    });
}

#[test]
fn a_stream_survives_a_fifo_without_writers() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        start(&plugin, &log).await;
        for line in ["one", "two"] {
            let mut writer = log.writer();
            writer.send(&[entry(line)]);
            drop(writer);
            wait_for_text(&log, &format!("{line}\n")).await;
        }
        plugin.call("Plugin.Activate", json!({})).await;
        wait_for_text(&log, "stop /web\n").await;
    });
}

#[test]
fn incomplete_log_scripts_are_refused_with_a_reason() {
    for (script, part) in [
        (
            "return { start = function() end }",
            "the hook `write` or `write_batch` is missing",
        ),
        (
            "local log = {}\nfunction log.write() end\nfunction log.write_batch() end\nreturn log",
            "log.lua:2: `write` and `write_batch` cannot both be defined",
        ),
        (
            "return { write = function() end, capabilities = function() end }",
            "remove it: Moondock answers this method itself",
        ),
        (
            "return { write_bach = function() end }",
            "did you mean `write_batch`?",
        ),
        (
            "return { write = 1 }",
            "write `function log.write(entry, info) … end`",
        ),
    ] {
        let refusal = Scripts::new([("log.lua", script)]).refusal();
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn reading_logs_requires_the_read_hook() {
    for (script, reads) in [
        ("{ write = print }", false),
        ("{ write = print, read = print }", true),
    ] {
        let script = format!(
            "local function no() end\nreturn {}",
            script.replace("print", "no")
        );
        Scripts::new([("log.lua", script.as_str())]).open(async |plugin| {
            let expected = json!({ "Cap": { "ReadLogs": reads } });
            assert_eq!(
                plugin.raw("LogDriver.Capabilities", b"").await,
                (200, expected.to_string())
            );
            assert_eq!(
                plugin.call("Plugin.Activate", json!({})).await.1,
                json!({ "Implements": ["LogDriver"] })
            );
            let wire = plugin.call("log.write", json!({})).await;
            assert_eq!(
                wire.0, 404,
                "a request reached a hook of the host: {wire:?}"
            );
        });
    }
}

#[test]
fn a_repeated_start_opens_the_stream_once() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        start(&plugin, &log).await;
        writer.send(&[entry("one")]);
        wait_for_text(&log, "one\n").await;
        assert_eq!(log.written().lines().count(), 2, "{}", log.written());
    });
    assert!(
        Path::new(&log.file()).exists(),
        "the FIFO is the engine's to remove"
    );
}

/// An engine whose connection was cut asks again, while the first call goes on.
#[test]
fn a_repeated_start_during_the_hook_opens_the_stream_once() {
    let log = ContainerLog::new("web");
    let slow = RECORDER
        .replace(
            "local log = {}",
            "local time, log = require('@moondock/time'), {}",
        )
        .replace("add(\"start \"", "time.sleep(0.1)\n  add(\"start \"");
    plugin(&log, &slow, "").open(async |plugin| {
        let mut writer = log.writer();
        tokio::join!(start(&plugin, &log), start(&plugin, &log));
        assert_eq!(plugin.plugin().log_counters().streams.load(Relaxed), 1);
        for n in 1..=50 {
            writer.send(&[entry(&n.to_string())]);
            wait_for_text(&log, &format!(" {n}\n")).await;
        }
        let expected = (1..=50).map(|n| format!("{n} stdout 1732440000123456789 {n}"));
        assert!(
            log.written().lines().skip(1).eq(expected),
            "{}",
            log.written()
        );
    });
}

/// A FIFO that cannot be opened for the moment has not ended, and a corrupt journal entry does not affect the others.
#[test]
fn a_stream_that_cannot_be_resumed_yet_is_retried() {
    let log = ContainerLog::new("web");
    plugin(&log, RECORDER, "").open(async |plugin| {
        let journal = plugin.scripts().path().parent().unwrap().join("state/logs");
        std::fs::create_dir_all(journal.join("spoilt.json")).unwrap();
        std::fs::write(journal.join("half.json"), "{").unwrap();
        std::fs::write(journal.join("id.json"), log.start_info().to_string()).unwrap();
        std::fs::create_dir(journal.join("id.mark")).unwrap();
        let mut writer = log.writer();
        writer.send(&[entry("one")]);
        plugin.plugin().resume_logs().await;
        until("the hindrance to be told", || {
            plugin.log().contains("cannot resume the log stream yet")
        })
        .await;
        assert!(plugin.log().contains("half.json"), "{}", plugin.log());
        assert!(plugin.log().contains("spoilt.json"), "{}", plugin.log());
        std::fs::remove_dir(journal.join("id.mark")).unwrap();
        wait_for_text(&log, "one\n").await;
        assert_eq!(plugin.plugin().log_counters().streams.load(Relaxed), 1);
        drop(writer);
        plugin.call("LogDriver.StopLogging", log.stop()).await;
        wait_for_text(&log, "stop /web\n").await;
    });
}

/// What engines really sent, with the FIFO of a test.
#[test]
fn recorded_calls_are_answered() {
    let log = ContainerLog::new("web");
    let script = RECORDER.replace("return log", "function log.read() end\nreturn log");
    plugin(&log, &script, "").open(async |plugin| {
        let writer = log.writer();
        let calls: Vec<_> = calls()
            .filter(|call| call.path.starts_with("/LogDriver."))
            .collect();
        assert!(calls.len() >= 4);
        for call in calls {
            let mut body: Value = serde_json::from_str(&call.body).unwrap_or(json!({}));
            if body["File"].is_string() {
                body["File"] = log.file().into();
            }
            match call.path.as_str() {
                "/LogDriver.ReadLogs" => {
                    assert_eq!(
                        read_all(plugin.stream(&call.path[1..], body).await).await,
                        (vec![], true)
                    )
                }
                path => assert_eq!(
                    plugin.call(&path[1..], body).await.0,
                    200,
                    "{}",
                    call.name()
                ),
            }
        }
        drop(writer);
        for method in [
            "LogDriver.StartLogging",
            "LogDriver.StopLogging",
            "LogDriver.ReadLogs",
        ] {
            assert_eq!(plugin.raw(method, b"").await.0, 400, "{method}");
        }
    });
}

/// What a reader gets, and whether the body came to its end.
async fn read_all(mut parts: ReplyStream) -> (Vec<LogEntry>, bool) {
    let mut found = Vec::new();
    while let Some(part) = poll_fn(|context| parts.poll_part(context)).await {
        let Ok(bytes) = part else {
            return (found, false);
        };
        match cut(&bytes, usize::MAX, usize::MAX).unwrap() {
            Cut::Entries(entries, length) if length == bytes.len() => found.extend(entries),
            other => panic!("{other:?}"),
        }
    }
    (found, true)
}

/// After live-restore the engine begins a new stream for a container that runs; the old one is deserted.
#[test]
fn a_new_stream_of_a_container_ends_the_abandoned_one() {
    let (old, new) = (ContainerLog::new("web"), ContainerLog::new("web"));
    plugin(&new, RECORDER, "").open(async |plugin| {
        let mut writer = old.writer();
        start(&plugin, &old).await;
        writer.send(&[entry("before")]);
        wait_for_text(&new, "1 stdout 1732440000123456789 before\n").await;
        drop(writer);
        let mut writer = new.writer();
        start(&plugin, &new).await;
        wait_for_text(&new, "stop /web\n").await;
        writer.send(&[entry("after")]);
        wait_for_text(&new, "1 stdout 1732440000123456789 after\n").await;
        // The script learns of the end before the journal does.
        let counters = plugin.plugin().log_counters();
        until("the old one to be forgotten", || {
            counters.streams.load(Relaxed) == 1
        })
        .await;
    });
}

#[test]
fn streams_run_concurrently() {
    let logs: Vec<_> = (0..5).map(|n| ContainerLog::new(&n.to_string())).collect();
    plugin(&logs[0], RECORDER, "").open(async |plugin| {
        let mut writers = Vec::new();
        for log in &logs {
            writers.push(log.writer());
            start(&plugin, log).await;
        }
        let writing = std::thread::spawn(move || {
            for n in 0..200 {
                writers
                    .iter_mut()
                    .enumerate()
                    .for_each(|(who, writer)| writer.send(&[entry(&format!("{who}:{n}"))]));
            }
            writers
        });
        let counters = plugin.plugin().log_counters();
        until("all to be written", || {
            counters.entries.load(Relaxed) == 1000
        })
        .await;
        for who in 0..5 {
            let own = format!(" {who}:");
            let lines: Vec<_> = logs[0]
                .written()
                .lines()
                .filter(|line| line.contains(&own))
                .map(str::to_owned)
                .collect();
            let expected =
                (0..200).map(|n| format!("{} stdout 1732440000123456789 {who}:{n}", n + 1));
            assert!(lines.iter().cloned().eq(expected), "{lines:?}");
        }
        drop(writing.join().unwrap());
    });
}

#[test]
fn any_request_is_answered() {
    let bodies = [
        "[]",
        "3",
        "null",
        "\"x\"",
        "{",
        "{\"File\":3,\"Info\":[]}",
        "{\"File\":\"/x\",\"Info\":{\"ContainerID\":7}}",
        "{\"File\":\"/dev/null\",\"Info\":{\"ContainerID\":\"a\"}}",
        "{\"Info\":{\"ContainerID\":\"a\"},\"Config\":7}",
        "{\"File\":\"/tmp\",\"Info\":{\"ContainerID\":\"a\",\"Config\":{\"a\":[]}}}",
    ];
    let log = ContainerLog::new("web");
    let script = RECORDER.replace("return log", "function log.read() end\nreturn log");
    plugin(&log, &script, "").open(async |plugin| {
        for body in bodies {
            let reads_well = body.contains("\"/");
            for method in ["LogDriver.StartLogging", "LogDriver.ReadLogs"]
                .iter()
                .take(2 - usize::from(reads_well))
            {
                let (status, reply) = plugin.raw(method, body.as_bytes()).await;
                assert!(
                    status >= 400 && reply.contains("\"Err\":"),
                    "{method} {body}: {status} {reply}"
                );
            }
        }
    });
}
