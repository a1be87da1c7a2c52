//! Log streams of the real process: killed at any time, ended in good order, read by clients that go away.

use super::fifo::{ContainerLog, entry};
use crate::harness::http::request;
use crate::harness::process::{Served, Setup};
use rustix::process::Signal;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

fn kit(log: &ContainerLog) -> String {
    format!(
        "return require('@moondock/logs').file_driver({{ root = {:?}, max_size = '3m', max_file = 99 }})",
        log.out()
    )
}

fn setup(log: &ContainerLog) -> Setup {
    Setup::new().plugin("logs", "plugin.toml", &log.grants())
}

fn serve(log: &ContainerLog) -> Served {
    let served = setup(log).plugin("logs", "log.lua", &kit(log)).start();
    assert_eq!(
        served
            .call("logs", "LogDriver.StartLogging", &log.start().to_string())
            .status,
        200
    );
    served
}

/// The numbers of all lines in the files, in the order in which `docker logs` gives them.
fn numbers(log: &ContainerLog) -> Vec<usize> {
    let mut files = log.files("c0ffee");
    files.sort_by_key(|name| {
        std::cmp::Reverse(
            name.strip_prefix("json.log.")
                .map_or(0, |n| n.parse().unwrap()),
        )
    });
    let read =
        |name: &String| std::fs::read_to_string(log.out().join("c0ffee").join(name)).unwrap();
    let text: String = files.iter().map(read).collect();
    let whole = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    whole
        .map(|line| line["log"].as_str().unwrap().trim_end().parse().unwrap())
        .collect()
}

/// The number in the last whole line of the newest file.
fn last_line(log: &ContainerLog) -> usize {
    let text = std::fs::read_to_string(log.out().join("c0ffee/json.log")).unwrap_or_default();
    let lines = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let number =
        |line: serde_json::Value| line["log"].as_str().unwrap().trim_end().parse().unwrap();
    lines.map(number).next().unwrap_or_default()
}

/// Waits for as long as another line comes, however slow the disk is.
fn wait_for_line(served: &mut Served, log: &ContainerLog, line: usize) {
    loop {
        let last = last_line(log);
        if last >= line {
            return;
        }
        served.wait_for(&format!("line {line}, after {last}"), |_| {
            last_line(log) > last
        });
    }
}

/// Writes lines until the process that reads them has been killed again and again, at moments that nobody chose.
#[test]
fn kill_9_neither_loses_nor_repeats_log_lines() {
    let log = ContainerLog::new("web");
    let mut writer = log.writer();
    let mut served = serve(&log);
    let writing = thread::spawn(move || {
        (1..=100_000).for_each(|n| writer.send(&[entry(&n.to_string())]));
        writer
    });
    let mut kills = 0;
    while !writing.is_finished() {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(150) && !writing.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        served.crash("logs");
        kills += 1;
    }
    wait_for_line(&mut served, &log, 100_000);
    assert!(kills >= 3, "only {kills} kills");
    let numbers = numbers(&log);
    assert!(
        numbers.iter().copied().eq(1..=100_000),
        "{} lines, {kills} kills",
        numbers.len()
    );
    drop(writing.join().unwrap());
    assert_eq!(
        served
            .call("logs", "LogDriver.StopLogging", &log.stop().to_string())
            .status,
        200
    );
}

#[test]
fn a_partial_frame_survives_kill_9() {
    let log = ContainerLog::new("web");
    let mut writer = log.writer();
    let mut served = serve(&log);
    let mut frames = Vec::new();
    (1..=3).for_each(|n| moondock::protocol::frame(&entry(&n.to_string()), &mut frames));
    for (index, byte) in frames.iter().enumerate() {
        writer.bytes(&[*byte]);
        if index % 10 == 0 {
            served.crash("logs");
        }
    }
    wait_for_line(&mut served, &log, 3);
    assert_eq!(numbers(&log), [1, 2, 3]);
}

#[test]
fn a_clean_shutdown_leaves_unread_lines_to_the_next_process() {
    let log = ContainerLog::new("web");
    let mut writer = log.writer();
    let mut served = serve(&log);
    writer.send(&[entry("1")]);
    wait_for_line(&mut served, &log, 1);
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    writer.send(&[entry("2")]);
    assert_eq!(last_line(&log), 1);
    served.start_again("logs");
    wait_for_line(&mut served, &log, 2);
    served.wait_for_log("log stream resumed");
}

#[test]
fn a_stream_whose_fifo_is_gone_is_ended() {
    let log = ContainerLog::new("web");
    let mut writer = log.writer();
    let mut served = serve(&log);
    writer.send(&[entry("1")]);
    wait_for_line(&mut served, &log, 1);
    drop(writer);
    std::fs::remove_file(log.file()).unwrap();
    served.crash("logs");
    served.wait_for_log("log stream ended meanwhile");
    let journal = served.setup().state().join("logs/logs");
    served.wait_for("an empty journal", |_| {
        std::fs::read_dir(&journal).unwrap().next().is_none()
    });
}

#[test]
fn following_sends_new_lines_until_the_client_disconnects() {
    let log = ContainerLog::new("web");
    let script = format!(
        "local kit = (function() {} end)()\nlocal fs = require('@moondock/fs')\nlocal read = kit.read\n\
         function kit.read(info, config, emit, wait)\n\
           read(info, config, emit, function() print('waiting'); local more = wait(); print('woken'); return more end)\n\
           print('the hook is over')\nend\nreturn kit",
        kit(&log)
    );
    let served = setup(&log)
        .plugin("logs", "log.lua", &script)
        .arg("--log-level")
        .arg("debug")
        .start();
    assert_eq!(
        served
            .call("logs", "LogDriver.StartLogging", &log.start().to_string())
            .status,
        200
    );
    let mut writer = log.writer();
    let config = json!({ "Tail": -1, "Follow": true });
    let body = json!({ "Info": log.info(), "Config": config }).to_string();
    let mut connection = served.connect("logs");
    connection
        .send(request("LogDriver.ReadLogs", &body))
        .unwrap();
    served.wait_for_log("waiting");
    writer.send(&[entry("hello")]);
    let text = connection.read_until(b"hello\n");
    assert!(
        text.starts_with(b"HTTP/1.1 200 OK\r\n"),
        "{}",
        String::from_utf8_lossy(&text)
    );
    served.wait_for_log("woken");
    drop(connection);
    served.wait_for_log("the reader of a log disconnected");
    assert!(
        !served.log().contains("the hook is over"),
        "{}",
        served.log()
    );
    // The end of the process does not wait for followers.
    let mut connection = served.connect("logs");
    connection
        .send(request("LogDriver.ReadLogs", &body))
        .unwrap();
    connection.read_until(b"hello\n");
    let begun = Instant::now();
    served.signal(Signal::TERM);
    let mut served = served;
    assert!(served.wait().success());
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// What the hook had when the process was killed comes again as it was; what it returned from does not.
#[test]
fn a_retried_batch_keeps_its_sequence_numbers() {
    let log = ContainerLog::new("web");
    let script = format!(
        "local fs = require('@moondock/fs')\nlocal time = require('@moondock/time')\nlocal out = {:?}\n\
         return {{ write_batch = function(entries)\n\
           local lines = {{}}\n\
           for _, e in entries do table.insert(lines, `{{e.seq}} {{e.line}}\\n`) end\n\
           fs.write(out .. '.begun', lines[1])\n\
           while fs.exists(out .. '.hold') do time.sleep(0.01) end\n\
           fs.write(out, table.concat(lines), {{ append = true }})\nend }}",
        log.out()
    );
    let mut served = setup(&log).plugin("logs", "log.lua", &script).start();
    assert_eq!(
        served
            .call("logs", "LogDriver.StartLogging", &log.start().to_string())
            .status,
        200
    );
    let mut writer = log.writer();
    let begun = log.out().with_extension("begun");
    let first_of_batch =
        |line: &str| std::fs::read_to_string(&begun).is_ok_and(|text| text == format!("{line}\n"));
    log.hold(true);
    writer.send(&[entry("one"), entry("two")]);
    served.wait_for("the first batch", |_| first_of_batch("1 one"));
    served.crash("logs");
    log.hold(false);
    served.wait_for("both lines to be taken", |_| {
        log.written() == "1 one\n2 two\n" && log.waiting() == 0
    });
    served.crash("logs");
    log.hold(true);
    writer.send(&[entry("three")]);
    served.wait_for("the second batch", |_| first_of_batch("3 three"));
    for _ in 0..3 {
        std::fs::remove_file(&begun).unwrap();
        served.crash("logs");
        writer.send(&[entry("more")]);
        served.wait_for("the same batch", |_| first_of_batch("3 three"));
    }
    log.hold(false);
    served.wait_for("the rest", |_| log.written().ends_with("6 more\n"));
    assert_eq!(
        log.written(),
        "1 one\n2 two\n3 three\n4 more\n5 more\n6 more\n"
    );
}
