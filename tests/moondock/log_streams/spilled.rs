//! Scripts that take nothing while the container goes on printing: what is kept on disk meanwhile.

use super::fifo::{ContainerLog, Writer, entry, until};
use super::{plugin, start};
use crate::harness::scripted::Scripted;
use moondock::protocol::LogEntry;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Fails, or hangs, while the file `OUT.hold` is there.
const FAILS: &str = r#"
    local fs = require("@moondock/fs")
    local out = require("@moondock/plugin").settings().out
    local function add(text) fs.write(out, text .. "\n", { append = true }) end
    return {
      write_batch = function(entries, info)
        if fs.exists(out .. ".hold") then error("the database is down") end
        local lines = {}
        for _, e in entries do table.insert(lines, e.seq .. " " .. string.sub(e.line, 1, 5)) end
        add(table.concat(lines, "\n"))
      end,
      stop = function(info) add("stop " .. info.ContainerName) end,
    }"#;

/// The same, but it hangs.
fn hangs() -> String {
    FAILS.replace(
        "if fs.exists(out .. \".hold\") then error(\"the database is down\") end",
        "while fs.exists(out .. \".hold\") do require('@moondock/time').sleep(0.01) end",
    )
}

fn numbered(number: usize) -> LogEntry {
    entry(&format!("{number:05}{}", "z".repeat(995)))
}

fn print(mut writer: Writer, numbers: std::ops::RangeInclusive<usize>) -> JoinHandle<Writer> {
    std::thread::spawn(move || {
        numbers.for_each(|n| writer.send(&[numbered(n)]));
        writer
    })
}

/// What the script has of these numbers, each with its `seq`.
fn expected(numbers: std::ops::RangeInclusive<usize>) -> String {
    numbers.map(|n| format!("{n} {n:05}\n")).collect()
}

fn spill_dirs(plugin: &Scripted) -> Vec<PathBuf> {
    let journal = plugin.scripts().path().parent().unwrap().join("state/logs");
    let entries = std::fs::read_dir(journal).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

fn spilled(plugin: &Scripted) -> u64 {
    plugin.plugin().log_counters().spilled_bytes.load(Relaxed)
}

#[test]
fn a_script_that_takes_nothing_blocks_the_container_for_a_moment_only_and_loses_nothing() {
    for script in [FAILS.to_owned(), hangs()] {
        let log = ContainerLog::new("web");
        log.hold(true);
        plugin(&log, &script, "[log]\nbuffer_kib = 64").open(async |plugin| {
            let printing = print(log.writer(), 1..=3000);
            start(&plugin, &log).await;
            until("3 MB to be printed", || printing.is_finished()).await;
            until("most of it on disk", || spilled(&plugin) > 2_900_000).await;
            assert_eq!(spill_dirs(&plugin).len(), 1);
            let mut writer = printing.join().unwrap();
            log.hold(false);
            (3001..=3010).for_each(|n| writer.send(&[numbered(n)]));
            until("the last line", || log.written().ends_with("3010 03010\n")).await;
            assert_eq!(log.written(), expected(1..=3010));
            until("an empty disk", || spilled(&plugin) == 0).await;
            until("no files", || spill_dirs(&plugin).is_empty()).await;
            assert_eq!(
                plugin.plugin().log_counters().dropped_entries.load(Relaxed),
                0
            );
            for line in [
                "log stream is spilled to disk, because its script does not keep up",
                "log script has caught up with what was spilled",
            ] {
                assert_eq!(plugin.log().matches(line).count(), 1, "{}", plugin.log());
            }
        });
    }
}

#[test]
fn a_full_spill_drops_and_counts_what_comes_next() {
    for limit in [0_usize, 1] {
        let log = ContainerLog::new("web");
        log.hold(true);
        let manifest = format!("[log]\nbuffer_kib = 64\nspill_mib = {limit}");
        plugin(&log, FAILS, &manifest).open(async |plugin| {
            let printing = print(log.writer(), 1..=3000);
            start(&plugin, &log).await;
            until("3 MB to be printed", || printing.is_finished()).await;
            let most = if limit == 0 { 0 } else { (limit << 20) + 1100 };
            assert!(spilled(&plugin) <= most as u64, "{}", spilled(&plugin));
            drop(printing.join().unwrap());
            plugin.call("LogDriver.StopLogging", log.stop()).await;
            log.hold(false);
            until("the end", || log.written().ends_with("stop /web\n")).await;
            let counters = plugin.plugin().log_counters();
            let dropped = counters.dropped_entries.load(Relaxed) as usize;
            let written = log.written();
            let kept: Vec<_> = written
                .lines()
                .filter(|line| !line.starts_with("stop"))
                .collect();
            assert_eq!(kept.len() + dropped, 3000, "{dropped} dropped");
            assert!(dropped > 1000, "{dropped}");
            let numbers = kept.iter().map(|line| {
                let (seq, number) = line.split_once(' ').unwrap();
                let number: usize = number.parse().unwrap();
                assert_eq!(
                    seq.parse(),
                    Ok(number),
                    "a gap in `seq` is what was dropped"
                );
                number
            });
            assert!(numbers.is_sorted(), "{written}");
            assert!(
                plugin.log().contains("log entries were dropped"),
                "{}",
                plugin.log()
            );
            let why = format!("{limit} MiB of the log (`log.spill_mib`) are on disk");
            assert!(plugin.log().contains(&why), "{}", plugin.log());
        });
    }
}

#[test]
fn stopping_does_not_wait_for_a_stuck_script_and_the_rest_is_delivered_later() {
    for script in [FAILS.to_owned(), hangs()] {
        let log = ContainerLog::new("web");
        log.hold(true);
        plugin(&log, &script, "").open(async |plugin| {
            let mut writer = log.writer();
            start(&plugin, &log).await;
            (1..=20).for_each(|n| writer.send(&[numbered(n)]));
            until("the script to have the lines", || {
                plugin.plugin().log_counters().failures.load(Relaxed) > 0 || script != FAILS
            })
            .await;
            let begun = Instant::now();
            assert_eq!(
                plugin.call("LogDriver.StopLogging", log.stop()).await.0,
                200
            );
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{:?}",
                begun.elapsed()
            );
            // As the engine does.
            drop(writer);
            std::fs::remove_file(log.file()).unwrap();
            assert!(spilled(&plugin) > 20_000, "{}", plugin.log());
            log.hold(false);
            until("the end", || log.written().ends_with("stop /web\n")).await;
            assert_eq!(log.written(), expected(1..=20) + "stop /web\n");
        });
    }
}

/// A container that is started again, and `docker logs` of one that has stopped.
#[test]
fn a_later_stream_does_not_overtake_what_is_left_of_an_earlier_one() {
    let (log, next, reader) = (
        ContainerLog::new("web"),
        ContainerLog::new("again"),
        ContainerLog::new("reader"),
    );
    log.hold(true);
    plugin(&log, FAILS, "[log]\nbuffer_kib = 64").open(async |plugin| {
        let counters = plugin.plugin().log_counters();
        for (stream, numbers) in [(&log, 1..=200), (&next, 201..=400)] {
            let printing = print(stream.writer(), numbers);
            start(&plugin, stream).await;
            until("all to be printed", || printing.is_finished()).await;
            plugin.call("LogDriver.StopLogging", stream.stop()).await;
            drop(printing.join().unwrap());
        }
        let writer = reader.writer();
        start(&plugin, &reader).await;
        plugin.call("LogDriver.StopLogging", reader.stop()).await;
        drop(writer);
        until("the end of the stream without entries", || {
            counters.streams.load(Relaxed) == 2
        })
        .await;
        log.hold(false);
        until("the end", || log.written().ends_with("stop /again\n")).await;
        let lines: Vec<String> = log.written().lines().map(str::to_owned).collect();
        let numbers = |part: &[String]| {
            part.iter()
                .map(|line| line[line.len() - 5..].to_owned())
                .collect::<Vec<_>>()
        };
        let until =
            |n: std::ops::RangeInclusive<usize>| n.map(|n| format!("{n:05}")).collect::<Vec<_>>();
        assert_eq!(lines[0], "stop /reader");
        assert_eq!(numbers(&lines[1..201]), until(1..=200));
        assert_eq!(lines[201], "stop /web");
        assert_eq!(numbers(&lines[202..402]), until(201..=400));
        assert_eq!(lines.len(), 403);
    });
}

/// Without a version of the script that works, too.
#[test]
fn a_script_that_was_never_loaded_does_not_block_the_container() {
    let log = ContainerLog::new("web");
    plugin(&log, FAILS, "[log]\nbuffer_kib = 64").open(async |plugin| {
        plugin.scripts().write("log.lua", "return {");
        plugin.reload().await;
        log.hold(true);
        let printing = print(log.writer(), 1..=500);
        start(&plugin, &log).await;
        until("all to be printed", || printing.is_finished()).await;
        log.hold(false);
        until("the last line", || log.written().ends_with("500 00500\n")).await;
        assert_eq!(log.written(), expected(1..=500));
    });
}
