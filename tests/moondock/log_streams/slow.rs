//! Scripts that fail, and scripts that are slower than the container, under both policies.

use super::fifo::{ContainerLog, entry, until};
use super::{RECORDER, plugin, start, wait_for_text};
use moondock::protocol::LogEntry;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[test]
fn log_keeps_lines_when_the_script_fails() {
    let log = ContainerLog::new("web");
    let failing = RECORDER.replace("local lines = {}", "local lines = nil + 1");
    plugin(&log, &failing, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        writer.send(&[entry("one"), entry("two")]);
        until("the fault in the log", || {
            plugin
                .log()
                .contains("log.lua:11: attempt to perform arithmetic")
        })
        .await;
        writer.send(&[entry("three")]);
        plugin.scripts().write("log.lua", RECORDER);
        plugin.reload().await;
        wait_for_text(&log, "3 stdout 1732440000123456789 three\n").await;
        assert_eq!(log.written().lines().count(), 4, "{}", log.written());
    });
}

#[test]
fn accepted_entries_are_not_repeated_when_a_later_one_fails() {
    let log = ContainerLog::new("web");
    let script = r#"
        local fs = require("@moondock/fs")
        local out = require("@moondock/plugin").settings().out
        local failed = false
        return { write = function(entry, info)
          if entry.line == "two" and not failed then failed = true; error("not yet") end
          fs.write(out, `{info.ContainerName} {entry.seq} {entry.line}\n`, { append = true })
        end }"#;
    plugin(&log, script, "").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        writer.send(&[entry("one"), entry("two"), entry("three")]);
        wait_for_text(&log, "three\n").await;
        assert_eq!(log.written(), "/web 1 one\n/web 2 two\n/web 3 three\n");
    });
}

#[test]
fn a_failing_script_in_drop_mode_drops_and_counts_entries() {
    let log = ContainerLog::new("web");
    let failing = RECORDER.replace("local lines = {}", "error('the disk is full')");
    plugin(&log, &failing, "[log]\non_slow = \"drop\"").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        writer.send(&[entry("one"), entry("two")]);
        let counters = plugin.plugin().log_counters();
        until("two drops", || counters.dropped_entries.load(Relaxed) == 2).await;
        for n in 1..=20 {
            writer.send(&[entry("more")]);
            until("another drop", || {
                counters.dropped_entries.load(Relaxed) == 2 + n
            })
            .await;
        }
        drop(writer);
        plugin.call("LogDriver.StopLogging", log.stop()).await;
        until("the end", || counters.streams.load(Relaxed) == 0).await;
        assert_eq!(
            plugin.log().matches("are dropped:").count(),
            1,
            "{}",
            plugin.log()
        );
        assert!(
            plugin.log().contains("the disk is full") && plugin.log().contains("total=22"),
            "{}",
            plugin.log()
        );
    });
}

/// A hook that does not come back while the file `OUT.hold` is there.
const SLOW: &str = r#"
    local fs = require("@moondock/fs")
    local time = require("@moondock/time")
    local out = require("@moondock/plugin").settings().out
    return { write_batch = function(entries)
      while fs.exists(out .. ".hold") do time.sleep(0.01) end
      local lines = {}
      for _, e in entries do table.insert(lines, e.seq .. " " .. string.sub(e.line, 1, 5)) end
      fs.write(out, table.concat(lines, "\n") .. "\n", { append = true })
    end }"#;

fn numbered(number: usize) -> LogEntry {
    entry(&format!("{number:05}{}", "z".repeat(995)))
}

#[test]
fn a_slow_script_in_block_mode_blocks_the_container_and_loses_nothing() {
    let log = ContainerLog::new("web");
    log.hold(true);
    plugin(&log, SLOW, "[log]\nbuffer_kib = 64").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        let writing =
            std::thread::spawn(move || (1..=500).for_each(|n| writer.send(&[numbered(n)])));
        until("a full FIFO", || log.waiting() > 40_000).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!writing.is_finished(), "500 KiB went into a FIFO of 64");
        log.hold(false);
        wait_for_text(&log, "500 00500\n").await;
        writing.join().unwrap();
        assert_eq!(log.written().lines().count(), 500);
        assert_eq!(
            plugin.plugin().log_counters().dropped_entries.load(Relaxed),
            0
        );
    });
}

#[test]
fn a_slow_script_in_drop_mode_drops_and_reports_the_oldest() {
    let log = ContainerLog::new("web");
    log.hold(true);
    plugin(&log, SLOW, "[log]\nbuffer_kib = 64\non_slow = \"drop\"").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        let writing = std::thread::spawn(move || {
            (1..=500).for_each(|n| writer.send(&[numbered(n)]));
            writer
        });
        until("the writer to be done", || writing.is_finished()).await;
        let counters = plugin.plugin().log_counters();
        let dropped = counters.dropped_entries.load(Relaxed);
        assert!(dropped > 300, "{dropped}");
        log.hold(false);
        wait_for_text(&log, "500 00500\n").await;
        let dropped = counters.dropped_entries.load(Relaxed) as usize;
        let written = log.written();
        assert_eq!(written.lines().count() + dropped, 500);
        for line in written.lines() {
            let (seq, number) = line.split_once(' ').unwrap();
            assert_eq!(
                seq.parse::<usize>(),
                number.parse::<usize>(),
                "a gap in `seq` is what was dropped"
            );
        }
        plugin.call("LogDriver.StopLogging", log.stop()).await;
        drop(writing.join().unwrap());
        until("the end", || counters.streams.load(Relaxed) == 0).await;
        assert!(
            plugin.log().contains("log entries were dropped"),
            "{}",
            plugin.log()
        );
    });
}
