//! The real process with entries on disk: killed, ended in good order, without space.

use super::fifo::{ContainerLog, Writer, entry};
use crate::harness::process::{Served, Setup};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Writes each number once, at the place of its `seq`, and fails while the file `OUT.hold` is there.
fn script(log: &ContainerLog) -> String {
    format!(
        "local fs = require('@moondock/fs')\nlocal out = {:?}\n\
         return {{ write_batch = function(entries)\n\
           if fs.exists(out .. '.hold') then error('the database is down') end\n\
           local lines = {{}}\n\
           for _, e in entries do table.insert(lines, `{{e.seq}} {{e.line}}\\n`) end\n\
           fs.write(out, table.concat(lines), {{ append = true }})\n\
         end, stop = function() fs.write(out, 'stop\\n', {{ append = true }}) end }}",
        log.out()
    )
}

fn setup(log: &ContainerLog) -> Setup {
    let manifest = log.grants() + "[log]\nbuffer_kib = 64\n";
    Setup::new()
        .plugin("logs", "plugin.toml", &manifest)
        .plugin("logs", "log.lua", &script(log))
}

fn begin(setup: Setup, log: &ContainerLog) -> Served {
    let served = setup.start();
    let started = served.call("logs", "LogDriver.StartLogging", &log.start().to_string());
    assert_eq!(started.status, 200, "{}", served.log());
    served
}

fn print(mut writer: Writer, count: usize) -> thread::JoinHandle<Writer> {
    thread::spawn(move || {
        (1..=count).for_each(|n| writer.send(&[entry(&n.to_string())]));
        writer
    })
}

/// The lines without what was repeated, which has the same `seq`.
fn numbers(log: &ContainerLog) -> Vec<usize> {
    let mut found = Vec::new();
    for line in log.written().lines().filter(|line| *line != "stop") {
        let (seq, number) = line.split_once(' ').unwrap();
        let (seq, number): (usize, usize) = (seq.parse().unwrap(), number.parse().unwrap());
        match seq.checked_sub(found.len() + 1) {
            Some(0) => found.push(number),
            None => assert_eq!(found[seq - 1], number, "seq {seq} is another line"),
            Some(_) => panic!("seq {seq} comes after {}", found.len()),
        }
    }
    found
}

fn journal(served: &Served) -> PathBuf {
    served.setup().state().join("logs/logs")
}

fn pieces(served: &Served) -> usize {
    let directories = fs::read_dir(journal(served))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pieces = directories.filter_map(|path| fs::read_dir(path).ok());
    pieces.map(Iterator::count).sum()
}

fn stop(served: &Served, log: &ContainerLog) {
    let stopped = served.call("logs", "LogDriver.StopLogging", &log.stop().to_string());
    assert_eq!(stopped.status, 200);
}

/// At moments that nobody chose, while entries are moved to disk and while they are delivered from
/// there.
#[test]
fn kill_9_while_entries_are_on_disk_loses_nothing_and_keeps_their_numbers() {
    let log = ContainerLog::new("web");
    log.hold(true);
    let mut served = begin(setup(&log), &log);
    let printing = print(log.writer(), 100_000);
    let (mut kills, mut is_held) = (0, true);
    while !printing.is_finished() || kills < 6 {
        thread::sleep(Duration::from_millis(700));
        served.crash("logs");
        kills += 1;
        is_held = !is_held;
        log.hold(is_held);
    }
    if is_held {
        log.hold(false);
    }
    // For as long as another comes, however slow the disk is.
    while !log.written().ends_with(" 100000\n") {
        let written = log.written().len();
        served.wait_for("another line", |_| log.written().len() > written);
    }
    assert!(
        served.log().contains("log stream is spilled to disk"),
        "nothing was on disk"
    );
    let found = numbers(&log);
    assert!(
        found.iter().copied().eq(1..=100_000),
        "{} lines, {kills} kills",
        found.len()
    );
    let writer = printing.join().unwrap();
    stop(&served, &log);
    drop(writer);
    served.wait_for("the end", |_| log.written().ends_with("stop\n"));
}

/// The container has ended and is removed, and Moondock was killed before the script worked again.
#[test]
fn what_is_on_disk_is_delivered_although_the_fifo_is_gone() {
    let log = ContainerLog::new("web");
    log.hold(true);
    let mut served = begin(setup(&log), &log);
    let writer = print(log.writer(), 5000).join().unwrap();
    stop(&served, &log);
    drop(writer);
    fs::remove_file(log.file()).unwrap();
    served.crash("logs");
    served.wait_for_log("log stream resumed");
    assert!(pieces(&served) > 0, "{}", served.log());
    log.hold(false);
    served.wait_for("the end", |_| log.written().ends_with("stop\n"));
    assert!(numbers(&log).into_iter().eq(1..=5000));
    let journal = journal(&served);
    served.wait_for("an empty journal", |_| {
        fs::read_dir(&journal).unwrap().next().is_none()
    });
}

#[test]
fn a_clean_shutdown_leaves_what_is_on_disk_to_the_next_process() {
    let log = ContainerLog::new("web");
    log.hold(true);
    let mut served = begin(setup(&log), &log);
    let _writer = print(log.writer(), 5000).join().unwrap();
    served.wait_for("entries on disk", |served| pieces(served) > 0);
    let begun = Instant::now();
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    log.hold(false);
    served.start_again("logs");
    served.wait_for("the last line", |_| log.written().ends_with(" 5000\n"));
    assert!(numbers(&log).into_iter().eq(1..=5000));
    assert_eq!(log.written().lines().count(), 5000, "nothing came twice");
}

#[test]
fn a_full_disk_drops_and_counts_entries_but_does_not_block_the_container() {
    needs!(root);
    let log = ContainerLog::new("web");
    log.hold(true);
    let setup = setup(&log);
    fs::create_dir(setup.state()).unwrap();
    let state = Mount::new(setup.state(), "size=512k");
    let mut served = begin(setup, &log);
    let printing = print(log.writer(), 100_000);
    served.wait_for("all to be printed", |_| printing.is_finished());
    served.wait_for_log("nothing can be spilled: No space left on device");
    let writer = printing.join().unwrap();
    log.hold(false);
    stop(&served, &log);
    drop(writer);
    served.wait_for("the end", |_| log.written().ends_with("stop\n"));
    let written = log.written();
    let lines: Vec<_> = written.lines().filter(|line| *line != "stop").collect();
    let pairs = lines.iter().map(|line| line.split_once(' ').unwrap());
    assert!(
        pairs.clone().all(|(seq, number)| seq == number),
        "a gap in `seq` is what was dropped"
    );
    assert!(
        pairs
            .map(|(seq, _)| seq.parse::<usize>().unwrap())
            .is_sorted()
    );
    let total = format!("total={}", 100_000 - lines.len());
    assert!(served.log().contains(&total), "{total}: {}", served.log());
    drop(served);
    drop(state);
}

/// A small file system, unmounted when it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, options: &str) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(&at);
        assert!(mount.status().unwrap().success());
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
