//! The latency of a policy while other scripts of its plugin are in trouble, beside its latency
//! without.

use crate::load::{Load, Measured};
use crate::process::{Cores, LOAD_CORE, Server, pin};
use crate::workload::{self, request};
use moondock::protocol::{LogEntry, frame};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The plugin with all scripts.
const PLUGIN: &str = "whole";

/// How often the policy is measured alone and in trouble by turns.
const TURNS: u32 = 4;

/// The time from one decision to the next: the engine's calls come one by one.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the server gets to recover from trouble.
const RECOVERY: Duration = Duration::from_millis(300);

/// How much longer the 99th percentile may be in trouble.
const GOAL: f64 = 2.0;

const STREAMS: usize = 8;

/// The time from one save of the policy to the next.
const SAVE_INTERVAL: Duration = Duration::from_millis(100);

/// Starts trouble, in threads that make it until the flag is set.
type Start = fn(&Server, &Arc<AtomicBool>) -> Vec<JoinHandle<()>>;

#[rustfmt::skip]
const TROUBLES: [(&str, Start); 3] = [
    ("a driver's hook that computes for 200 ms", compute),
    ("eight log streams, as fast as possible",   flood),
    ("a reload each 100 ms",                     save),
];

/// Prints a row for each trouble.
pub fn print(time: Duration) {
    println!(
        "\n{:<42}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}",
        "policy beside", "p50 µs", "alone", "p99 µs", "alone", "p50", "p99"
    );
    for (name, start) in TROUBLES {
        let (alone, beside) = compare(start, time);
        let ratio = |part| beside.percentile(part) / alone.percentile(part);
        let missed = if ratio(0.99) > GOAL {
            format!("   MISSED: p99 ≤ {GOAL}")
        } else {
            String::new()
        };
        println!(
            "{name:<42}{:>10.0}{:>10.0}{:>10.0}{:>10.0}{:>8.2}{:>8.2}{missed}",
            beside.percentile(0.5),
            alone.percentile(0.5),
            beside.percentile(0.99),
            alone.percentile(0.99),
            ratio(0.5),
            ratio(0.99)
        );
    }
}

fn compare(start: Start, time: Duration) -> (Measured, Measured) {
    let server = Server::moondock(&[PLUGIN], &[], Cores::All);
    let load = Load {
        socket: server.socket(PLUGIN),
        request: workload::get().bytes(),
        connections: 1,
    };
    load.answer();
    let (mut alone, mut beside) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        alone += load.run_paced(time / TURNS, PAUSE);
        let over = Arc::new(AtomicBool::new(false));
        pin(&[0, LOAD_CORE]);
        let threads = start(&server, &over);
        pin(&[LOAD_CORE]);
        beside += load.run_paced(time / TURNS, PAUSE);
        over.store(true, Relaxed);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        thread::sleep(RECOVERY);
    }
    (alone, beside)
}

/// Runs `make` in a thread until `over`.
fn repeat(over: &Arc<AtomicBool>, mut make: impl FnMut() + Send + 'static) -> JoinHandle<()> {
    let over = over.clone();
    thread::spawn(move || {
        while !over.load(Relaxed) {
            make();
        }
    })
}

fn compute(server: &Server, over: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let load = Load {
        socket: server.socket(PLUGIN),
        request: request("VolumeDriver.List", "{}"),
        connections: 1,
    };
    vec![repeat(over, move || drop(load.answer()))]
}

fn flood(server: &Server, over: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    (0..STREAMS)
        .map(|stream| {
            let mut fifo = open_stream(server, stream);
            let lines = lines();
            repeat(over, move || fifo.write_all(&lines).unwrap())
        })
        .collect()
}

/// Starts a log stream and opens its FIFO, for reading too, as the engine does.
fn open_stream(server: &Server, stream: usize) -> File {
    let path = (0..)
        .map(|turn| server.path(&format!("fifo-{stream}-{turn}")))
        .find(|path| !path.exists())
        .unwrap();
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    let fifo = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let info = json!({
        "Config": null,
        "ContainerID": format!("c0ffee{stream}"),
        "ContainerName": format!("/flood-{stream}"),
    });
    let call = json!({ "File": path, "Info": info }).to_string();
    let start = Load {
        socket: server.socket(PLUGIN),
        request: request("LogDriver.StartLogging", &call),
        connections: 1,
    };
    start.answer();
    fifo
}

/// As many frames as a write of the engine's may hold.
fn lines() -> Vec<u8> {
    let entry = LogEntry {
        source: "stdout".into(),
        time_nano: 1_732_440_000_123_456_789,
        line: b"127.0.0.1 - - \"GET /index.html HTTP/1.1\" 200 4523 \"-\" \"curl/8.5.0\"".to_vec(),
        ..LogEntry::default()
    };
    let mut bytes = Vec::new();
    (0..32).for_each(|_| frame(&entry, &mut bytes));
    bytes
}

fn save(server: &Server, over: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let policy = server.scripts(PLUGIN).join("authz.lua");
    let mut count = 0;
    vec![repeat(over, move || {
        count += 1;
        replace(&policy, &format!("{}-- save {count}\n", workload::POLICY));
        thread::sleep(SAVE_INTERVAL);
    })]
}

/// Replaces a file as editors do, so that it is never seen half written.
fn replace(file: &Path, text: &str) {
    let draft: PathBuf = file.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, file).unwrap();
}
