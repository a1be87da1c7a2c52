//! The throughput of a real `moondock serve`, against a bare hyper server in the same run.
//!
//! `cargo bench` runs all of it in about two minutes; `cargo bench -- --quick` in some twenty seconds.
//! The servers run on the first core, the load on the second.

#![allow(
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test touches the machine itself, and fails by a panic"
)]

mod bare;
mod load;
mod process;
mod workload;

use load::{Load, Measured};
use process::{LOAD_CORE, Server, pin};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use workload::Workload;

/// The ratios to bare hyper that the project wants to reach.
const WANTED: [(&str, f64); 2] = [("authz get", 0.6), ("authz create", 0.25)];

/// How often the two servers are measured by turns.
const TURNS: u32 = 5;

const MIB: f64 = 1024.0 * 1024.0;

struct Plan {
    time: Duration,
    calls: u64,
    starts: usize,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, bare, socket, body] = &args[..]
        && bare == bare::ARGUMENT
    {
        return bare::serve(&PathBuf::from(socket), body.clone());
    }
    let plan = match args.iter().any(|arg| arg == "--quick") {
        true => Plan {
            time: Duration::from_millis(500),
            calls: 100_000,
            starts: 3,
        },
        false => Plan {
            time: Duration::from_secs(4),
            calls: 1_000_000,
            starts: 15,
        },
    };
    pin(LOAD_CORE);
    throughput(&plan);
    growth(&plan);
    cold_start(&plan);
    endurance(&plan);
}

fn throughput(plan: &Plan) {
    println!(
        "bare hyper reads the body and answers a constant; moondock+log writes a line per call to /dev/null\n"
    );
    println!(
        "{:<14}{:>6} {:<13}{:>9}{:>9}{:>9}{:>12}{:>9}{:>7}{:>8}",
        "call",
        "conns",
        "server",
        "req/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/req",
        "peak MB",
        "ratio",
        "by CPU"
    );
    for workload in workload::all() {
        for connections in [1, 64] {
            compare(&workload, connections, plan.time);
        }
    }
}

/// The servers are up side by side and measured in turns, so that what else the machine does hits all of them.
fn compare(workload: &Workload, connections: usize, time: Duration) {
    let load_on = |server: &Server| Load {
        socket: server.socket(workload.plugin),
        request: workload.bytes(),
        connections,
    };
    let quiet = Server::moondock(&[workload.plugin], "warn");
    let logging = Server::moondock(&[workload.plugin], "info");
    let bare = Server::bare(&load_on(&quiet).answer());
    let servers = [
        ("hyper", bare),
        ("moondock", quiet),
        ("moondock+log", logging),
    ];
    let mut measured = [const { None::<Measured> }; 3];
    for _ in 0..TURNS {
        for ((_, server), measured) in servers.iter().zip(&mut measured) {
            *measured.get_or_insert_default() +=
                load_on(server).run(time / TURNS, u64::MAX, server);
        }
    }
    let measured = measured.map(Option::unwrap);
    for ((name, server), ours) in servers.iter().zip(&measured) {
        let verdict = match *name {
            "hyper" => String::new(),
            name => verdict(workload.name, name, ours, &measured[0]),
        };
        row(workload.name, connections, name, ours, server, verdict);
    }
}

fn verdict(name: &str, server: &str, ours: &Measured, theirs: &Measured) -> String {
    let ratio = ours.rate() / theirs.rate();
    let by_cpu = theirs.cpu_per_call() / ours.cpu_per_call();
    let wanted = match WANTED.iter().find(|(wanted, _)| *wanted == name) {
        Some(_) if server != "moondock" => String::new(),
        Some((_, wanted)) if ratio < *wanted => format!("   MISSED: {wanted} wanted"),
        Some((_, wanted)) => format!("   {wanted} wanted"),
        None => String::new(),
    };
    format!("{ratio:>7.2}{by_cpu:>8.2}{wanted}")
}

fn row(
    name: &str,
    connections: usize,
    server: &str,
    measured: &Measured,
    of: &Server,
    verdict: String,
) {
    println!(
        "{name:<14}{connections:>6} {server:<13}{:>9.0}{:>9.1}{:>9.1}{:>12.2}{:>9.1}{verdict}",
        measured.rate(),
        measured.percentile(0.5),
        measured.percentile(0.99),
        measured.cpu_per_call(),
        of.peak_memory() / MIB,
    );
}

/// Whether the cost of a body grows no faster than the body.
fn growth(plan: &Plan) {
    println!("\n{:<14}{:>12}{:>14}", "create of", "µs/req", "ns/byte");
    for kib in [64, 128, 256, 512, 1024, 2048, 4096] {
        let workload = workload::create("growth", kib * 1024);
        let moondock = Server::moondock(&[workload.plugin], "info");
        let load = Load {
            socket: moondock.socket(workload.plugin),
            request: workload.bytes(),
            connections: 1,
        };
        let measured = load.run(plan.time / 2, u64::MAX, &moondock);
        let micros = measured.cpu_per_call();
        println!(
            "{:<14}{micros:>12.0}{:>14.2}",
            format!("{kib} KiB"),
            micros * 1000.0 / (kib * 1024) as f64
        );
    }
}

/// From the start of the process to the first answer of the last of five plugins.
fn cold_start(plan: &Plan) {
    let plugins = ["policy", "driver", "policy2", "driver2", "driver3"];
    let mut times: Vec<f64> = (0..plan.starts)
        .map(|_| {
            let begun = Instant::now();
            let server = Server::moondock(&plugins, "info");
            plugins.iter().for_each(|plugin| {
                Load::activation(server.socket(plugin)).answer();
            });
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "\ncold start to the first answers of five plugins: median {median:.1} ms, worst {worst:.1} ms"
    );
}

/// What the process holds after very many calls.
fn endurance(plan: &Plan) {
    let server = Server::moondock(&["policy", "driver"], "info");
    let mut done = 0;
    for workload in workload::all()
        .iter()
        .filter(|workload| workload.bytes().len() < 10_000)
    {
        let load = Load {
            socket: server.socket(workload.plugin),
            request: workload.bytes(),
            connections: 64,
        };
        done += load
            .run(Duration::from_secs(120), plan.calls / 3, &server)
            .calls();
    }
    println!(
        "memory after {done} calls over 64 connections: {:.1} MB, at its peak {:.1} MB",
        server.memory() / MIB,
        server.peak_memory() / MIB
    );
}
