//! `ReadLogs`: what `emit` and `wait` do, and what the kit makes of them.

use super::fifo::{ContainerLog, Writer, entry, until};
use super::{plugin, read_all, start};
use crate::harness::scripted::{Scripted, Scripts};
use moondock::plugin::ReplyStream;
use moondock::protocol::{Cut, LogEntry, PartialMetadata, cut};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;

const YEAR_1: &str = "0001-01-01T00:00:00Z";
/// The moment of the first numbered line; each is a second after the one before.
const FIRST: i64 = 1_732_440_000_000_000_000;

fn reading(tail: i64, follow: bool) -> Value {
    json!({ "Since": YEAR_1, "Until": YEAR_1, "Tail": tail, "Follow": follow })
}

fn request(log: &ContainerLog, config: Value) -> Value {
    json!({ "Info": log.info(), "Config": config })
}

/// A plugin of the kit, with small files.
fn kit(log: &ContainerLog, max_size: &str) -> Scripts {
    let script = format!(
        "return require('@moondock/logs').file_driver({{ root = {:?}, max_size = '{max_size}', max_file = 4 }})",
        log.out()
    );
    plugin(log, &script, "")
}

fn numbered(numbers: impl IntoIterator<Item = i64>) -> Vec<LogEntry> {
    let at = |n: i64| LogEntry {
        time_nano: FIRST + n * 1_000_000_000,
        ..entry(&format!("line {n}"))
    };
    numbers.into_iter().map(at).collect()
}

fn lines(entries: &[LogEntry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| String::from_utf8(entry.line.clone()).unwrap())
        .collect()
}

fn expected(numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("line {n}\n")).collect()
}

async fn written(plugin: &Scripted, count: u64) {
    let counters = plugin.plugin().log_counters();
    until("all to be written", || {
        counters.entries.load(Relaxed) >= count
    })
    .await;
}

async fn read(plugin: &Scripted, log: &ContainerLog, config: Value) -> Vec<String> {
    let (entries, whole) = read_all(
        plugin
            .stream("LogDriver.ReadLogs", request(log, config))
            .await,
    )
    .await;
    assert!(whole, "{}", plugin.log());
    lines(&entries)
}

/// The next part of a stream that goes on.
async fn next(parts: &mut ReplyStream) -> Option<Vec<String>> {
    let bytes = poll_fn(|context| parts.poll_part(context)).await?.unwrap();
    match cut(&bytes, usize::MAX, usize::MAX).unwrap() {
        Cut::Entries(entries, _) => Some(lines(&entries)),
        short => panic!("{short:?}"),
    }
}

/// As many lines as come until there are `count`.
async fn follow(parts: &mut ReplyStream, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(next(parts).await.expect("more lines"));
    }
    found
}

async fn begun(log: &ContainerLog, plugin: &Scripted) -> Writer {
    let writer = log.writer();
    start(plugin, log).await;
    writer
}

#[test]
fn reading_supports_all_tail_since_and_until() {
    let log = ContainerLog::new("web");
    kit(&log, "10m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..50));
        written(&plugin, 50).await;
        assert_eq!(read(&plugin, &log, reading(-1, false)).await, expected(0..50));
        assert_eq!(read(&plugin, &log, reading(3, false)).await, expected(47..50));
        assert_eq!(read(&plugin, &log, reading(0, false)).await, expected([]));
        assert_eq!(read(&plugin, &log, reading(1000, false)).await, expected(0..50));
        let between =
            |since: &str, till: &str| json!({ "Since": since, "Until": till, "Tail": -1, "Follow": false });
        // 09:20:40 and 09:20:45 of that day, in another time zone, as the engine's own may be.
        let some =
            read(&plugin, &log, between("2024-11-24T10:20:40+01:00", "2024-11-24T10:20:45.5+01:00")).await;
        assert_eq!(some, expected(40..=45));
        assert_eq!(read(&plugin, &log, between("2024-11-24T09:20:48.5Z", YEAR_1)).await, expected([49]));
        let tail = json!({ "Since": "2024-11-24T09:20:48Z", "Until": YEAR_1, "Tail": 1, "Follow": false });
        assert_eq!(read(&plugin, &log, tail).await, expected([49]));
    });
}

#[test]
fn reading_covers_rotated_files() {
    let log = ContainerLog::new("web");
    kit(&log, "2k").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        for n in 0..100 {
            writer.send(&numbered([n]));
        }
        written(&plugin, 100).await;
        let files = log.files("c0ffee");
        assert_eq!(
            files,
            ["json.log", "json.log.1", "json.log.2", "json.log.3"]
        );
        let all = read(&plugin, &log, reading(-1, false)).await;
        assert!(
            all.len() > 40 && all.len() < 100,
            "{} lines in {files:?}",
            all.len()
        );
        assert_eq!(
            all,
            expected(100 - all.len() as i64..100),
            "the newest lines, in order"
        );
        for tail in [1, 10, 17, 18, 19, 20, 21, 30] {
            assert_eq!(
                read(&plugin, &log, reading(tail, false)).await,
                expected(100 - tail..100),
                "tail {tail}"
            );
        }
    });
}

#[test]
fn following_survives_rotation_and_ends_with_the_log() {
    let log = ContainerLog::new("web");
    kit(&log, "2k").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..5));
        written(&plugin, 5).await;
        let mut parts = plugin
            .stream("LogDriver.ReadLogs", request(&log, reading(2, true)))
            .await;
        assert_eq!(follow(&mut parts, 2).await, expected(3..5));
        for n in (5..60).step_by(5) {
            writer.send(&numbered(n..n + 5));
            assert_eq!(follow(&mut parts, 5).await, expected(n..n + 5));
        }
        writer.send(&numbered(60..70));
        assert_eq!(
            plugin.call("LogDriver.StopLogging", log.stop()).await.0,
            200
        );
        drop(writer);
        let (rest, whole) = read_all(parts).await;
        assert_eq!((lines(&rest), whole), (expected(60..70), true));
    });
}

#[test]
fn a_disconnected_follower_ends_the_read_hook() {
    let log = ContainerLog::new("web");
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..5));
        written(&plugin, 5).await;
        for _ in 0..20 {
            let mut parts = plugin
                .stream("LogDriver.ReadLogs", request(&log, reading(-1, true)))
                .await;
            assert_eq!(follow(&mut parts, 5).await, expected(0..5));
        }
        writer.send(&numbered(5..10));
        written(&plugin, 10).await;
        assert_eq!(read(&plugin, &log, reading(1, false)).await, expected([9]));
    });
}

#[test]
fn arbitrary_bytes_and_partial_lines_round_trip() {
    let log = ContainerLog::new("web");
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        let mut sent = numbered(0..4);
        sent[0].line = b"caf\xe9 \xed\xa0\x80 \0 \x1b[1m \" \\".to_vec();
        sent[1].line = "grün\tüber \u{2028}".into();
        sent[2].source = "stderr".into();
        for (index, last) in [(2, false), (3, true)] {
            sent[index].partial = true;
            let ordinal = index as i32;
            sent[index].partial_log_metadata = Some(PartialMetadata {
                last,
                id: "a\"b".into(),
                ordinal,
            });
        }
        writer.send(&sent);
        written(&plugin, 4).await;
        let stream = plugin
            .stream("LogDriver.ReadLogs", request(&log, reading(-1, false)))
            .await;
        let (read, _) = read_all(stream).await;
        for entry in [0, 1, 3] {
            sent[entry].line.push(b'\n');
        }
        assert_eq!(read, sent, "a piece that is not the last has no newline");
        let text = std::fs::read_to_string(log.out().join("c0ffee/json.log")).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(
                line["log"].is_string() && line["stream"].is_string() && line["time"].is_string(),
                "{line}"
            );
        }
    });
}

#[test]
fn log_options_are_checked_and_applied() {
    let log = ContainerLog::new("web");
    kit(&log, "1m").open(async |plugin| {
        for (name, value, part) in [
            ("max-sise", "1m", "unknown option \"max-sise\": did you mean \"max-size\"?"),
            ("max-size", "big", "option \"max-size\" is \"big\": it must be a size"),
            ("max-size", "0", "option \"max-size\" must be greater than 0"),
            ("max-file", "0", "option \"max-file\" must be at least 1"),
        ] {
            let mut request = log.start();
            request["Info"]["Config"] = json!({ name: value });
            let error = plugin.error("LogDriver.StartLogging", request).await;
            assert!(error.contains(part), "{error}");
        }
        let mut request = log.start();
        let own =
            json!({ "max-size": "1k", "max-file": "2", "mode": "non-blocking", "max-buffer-size": "4m" });
        request["Info"]["Config"] = own;
        let mut writer = log.writer();
        assert_eq!(plugin.call("LogDriver.StartLogging", request).await.0, 200);
        for n in 0..100 {
            writer.send(&numbered([n]));
        }
        written(&plugin, 100).await;
        assert_eq!(log.files("c0ffee"), ["json.log", "json.log.1"]);
    });
}

/// `docker logs` of a stopped container: a logger is begun, read and ended, and nothing comes through it.
#[test]
fn loggers_that_only_read_keep_the_log() {
    let log = ContainerLog::new("web");
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..5));
        plugin.call("LogDriver.StopLogging", log.stop()).await;
        drop(writer);
        let counters = plugin.plugin().log_counters();
        for _ in 0..3 {
            let other = ContainerLog::new("web");
            let writer = begun(&other, &plugin).await;
            assert_eq!(
                read(&plugin, &other, reading(-1, false)).await,
                expected(0..5)
            );
            assert_eq!(
                read(&plugin, &other, reading(2, false)).await,
                expected(3..5)
            );
            plugin.call("LogDriver.StopLogging", other.stop()).await;
            drop(writer);
        }
        until("the ends", || counters.streams.load(Relaxed) == 0).await;
        assert_eq!(
            read(&plugin, &log, reading(-1, true)).await,
            expected(0..5),
            "nothing to follow ends at once"
        );
    });
}

#[test]
fn a_read_error_fails_the_reply_or_truncates_the_body() {
    let log = ContainerLog::new("web");
    let script = "local function no() end\nreturn { write = no, read = function(info, config, emit)\n\
                  if config.Tail == 1 then emit({ time = '1', line = 'x' }) end\nerror('the tape is torn')\nend }";
    plugin(&log, script, "").open(async |plugin| {
        let error = plugin
            .error("LogDriver.ReadLogs", request(&log, reading(-1, false)))
            .await;
        assert!(error.contains("log.lua:4: the tape is torn"), "{error}");
        let stream = plugin
            .stream("LogDriver.ReadLogs", request(&log, reading(1, false)))
            .await;
        let (entries, whole) = read_all(stream).await;
        assert_eq!((lines(&entries), whole), (vec!["x\n".to_owned()], false));
        assert!(
            plugin.log().contains("the tape is torn"),
            "{}",
            plugin.log()
        );
    });
}

#[test]
fn a_slow_client_blocks_emit_and_emit_after_the_end_raises() {
    let log = ContainerLog::new("web");
    let script = "local kept\nlocal count = 0\nreturn { write = function() end, read = function(info, config, emit)\n\
                  if kept then return kept({ time = '1', line = 'late' }) end\nkept = emit\n\
                  for n = 1, 1000 do count = n; emit({ time = '1', line = tostring(count) }) end\nend }";
    plugin(&log, script, "").open(async |plugin| {
        let mut parts = plugin
            .stream("LogDriver.ReadLogs", request(&log, reading(-1, false)))
            .await;
        for n in 1..=1000 {
            assert_eq!(next(&mut parts).await, Some(vec![format!("{n}\n")]));
        }
        assert_eq!(next(&mut parts).await, None);
        let error = plugin
            .error("LogDriver.ReadLogs", request(&log, reading(-1, false)))
            .await;
        assert!(error.contains("emit: the hook has ended"), "{error}");
    });
}

/// A table can hold one text many times, so a list may stand for far more than the script's memory.
#[test]
fn emitting_a_list_sends_it_in_chunks() {
    let log = ContainerLog::new("web");
    let script = "return { write = function() end, read = function(info, config, emit)\n\
                  local entry = { time = '1', line = string.rep('x', 500000) }\nlocal list = {}\n\
                  for n = 1, 60 do list[n] = entry end\nemit(list)\nend }";
    plugin(&log, script, "").open(async |plugin| {
        let mut parts = plugin
            .stream("LogDriver.ReadLogs", request(&log, reading(-1, false)))
            .await;
        let mut lines = 0;
        while let Some(part) = next(&mut parts).await {
            assert_eq!(part.len(), 1);
            lines += 1;
        }
        assert_eq!(lines, 60);
    });
}

/// What a kill may leave: lines that were written but not acknowledged, and half a line.
#[test]
fn a_repeated_batch_continues_after_the_last_complete_line() {
    let log = ContainerLog::new("web");
    let file = log.out().join("c0ffee/json.log");
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..10));
        written(&plugin, 10).await;
        let whole = std::fs::read_to_string(&file).unwrap();
        // As if the process had died within the fifth line. A script that was saved knows nothing of what was before.
        let fifth = whole.match_indices('\n').nth(4).unwrap().0;
        std::fs::write(&file, &whole[..fifth - 10]).unwrap();
        let again: Vec<_> = (4..12).collect();
        plugin.reload().await;
        for (name, entries) in [
            ("first", &again[..3]),
            ("second", &again[..]),
            ("third", &again[2..]),
        ] {
            let entries: Vec<_> = entries.iter().map(|n| entry_table(*n)).collect();
            let body = json!({ "Entries": entries, "Info": log.start_info() });
            assert_eq!(
                plugin.host("log.write_batch", body).await.0,
                200,
                "{name}: {}",
                plugin.log()
            );
        }
        assert_eq!(
            read(&plugin, &log, reading(-1, false)).await,
            expected(0..12)
        );
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with(&whole[..fifth - 10]),
            "what was there is left as it was"
        );
        assert_eq!(text.lines().count(), 13, "with the half of a line");
    });
}

/// What a disk may do to a line.
#[test]
fn a_corrupt_line_is_skipped_alone() {
    let log = ContainerLog::new("web");
    let file = log.out().join("c0ffee/json.log");
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..3));
        written(&plugin, 3).await;
        let whole = std::fs::read_to_string(&file).unwrap();
        let spoilt = [
            "null",
            "{}",
            "{\"log\":1,\"stream\":\"stdout\",\"time\":\"x\"}",
            "{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"x\"}",
        ];
        std::fs::write(&file, format!("{}\n{whole}", spoilt.join("\n"))).unwrap();
        assert_eq!(
            read(&plugin, &log, reading(-1, false)).await,
            expected(0..3)
        );
    });
}

fn entry_table(number: i64) -> Value {
    let time = (FIRST + number * 1_000_000_000).to_string();
    json!({ "time": time, "line": format!("line {number}"), "source": "stdout", "seq": number + 1 })
}

#[test]
fn a_write_error_loses_no_line() {
    let log = ContainerLog::new("web");
    std::fs::write(log.out(), "in the way").unwrap();
    kit(&log, "1m").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        writer.send(&numbered(0..5));
        let told = || {
            plugin
                .log()
                .contains("log stream waits for its script, next attempt in")
        };
        until("the fault to be told", told).await;
        assert!(plugin.log().contains("file exists"), "{}", plugin.log());
        writer.send(&numbered(5..10));
        std::fs::remove_file(log.out()).unwrap();
        written(&plugin, 10).await;
        assert_eq!(
            read(&plugin, &log, reading(-1, false)).await,
            expected(0..10)
        );
    });
}

/// A kill in the middle of a rotation leaves a gap among the numbers, which costs no file.
#[test]
fn missing_rotated_files_are_tolerated() {
    let log = ContainerLog::new("web");
    kit(&log, "2k").open(async |plugin| {
        let mut writer = begun(&log, &plugin).await;
        for n in 0..50 {
            writer.send(&numbered([n]));
        }
        written(&plugin, 50).await;
        let dir = log.out().join("c0ffee");
        let before = read(&plugin, &log, reading(-1, false)).await;
        assert_eq!(log.files("c0ffee").len(), 3);
        std::fs::rename(dir.join("json.log.2"), dir.join("json.log.3")).unwrap();
        assert_eq!(read(&plugin, &log, reading(-1, false)).await, before);
        for n in 50..65 {
            writer.send(&numbered([n]));
        }
        written(&plugin, 65).await;
        assert_eq!(log.files("c0ffee").len(), 4);
        assert_eq!(
            read(&plugin, &log, reading(-1, false)).await,
            expected(0..65)
        );
    });
}
