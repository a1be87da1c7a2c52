//! Calls per second and latencies, as ratios to bare hyper.

use crate::MIB;
use crate::load::{Load, Measured};
use crate::process::{Cores, Server};
use crate::workload::{self, Workload};
use std::time::Duration;

/// How often the servers are measured by turns.
const TURNS: u32 = 5;

const HYPER: &str = "hyper";
const DEFAULT: &str = "moondock";
const QUIET: &str = "  without log";

/// The goals, as ratios to bare hyper: of the rate, at 64 connections.
#[rustfmt::skip]
const RATES: [(&str, &str, f64); 5] = [
    ("authz get",    DEFAULT, 0.5),
    ("authz create", DEFAULT, 0.25),
    ("volume get",   DEFAULT, 0.45),
    ("authz get",    QUIET,   0.65),
    ("authz create", QUIET,   0.28),
];

/// The goals at one connection: how much longer the median may be than bare hyper's.
#[rustfmt::skip]
const MEDIANS: [(&str, &str, f64); 2] = [
    ("authz get",    DEFAULT, 1.15),
    ("authz create", DEFAULT, 1.5),
];

/// Prints a row for each workload, number of connections and server.
pub fn print(time: Duration) {
    println!(
        "bare hyper reads the body and answers a constant; moondock runs with its defaults, its log read from a pipe\n"
    );
    println!(
        "{:<14}{:>6} {:<15}{:>9}{:>9}{:>9}{:>12}{:>9}{:>7}{:>8}{:>8}",
        "call",
        "conns",
        "server",
        "req/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/req",
        "peak MB",
        "rate",
        "by CPU",
        "p50"
    );
    for workload in workload::all() {
        for connections in [1, 64] {
            compare(&workload, connections, time);
        }
    }
}

/// Measures the servers side by side and in turns, so that what else the machine does affects all
/// of them.
fn compare(workload: &Workload, connections: usize, time: Duration) {
    let load_on = |server: &Server| Load {
        socket: server.socket(workload.plugin),
        request: workload.bytes(),
        connections,
    };
    let default = Server::moondock(&[workload.plugin], &[], Cores::One);
    let quiet = Server::moondock(&[workload.plugin], &["--log-level", "warn"], Cores::One);
    let bare = Server::bare(&load_on(&default).answer());
    let servers = [(HYPER, bare), (DEFAULT, default), (QUIET, quiet)];
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
            HYPER => String::new(),
            name => verdict((workload.name, name), connections, ours, &measured[0]),
        };
        row(workload.name, connections, name, ours, server, &verdict);
    }
}

fn verdict(key: (&str, &str), connections: usize, ours: &Measured, theirs: &Measured) -> String {
    let rate = ours.rate() / theirs.rate();
    let by_cpu = theirs.cpu_per_call() / ours.cpu_per_call();
    let median = ours.percentile(0.5) / theirs.percentile(0.5);
    let goal_in = |goals: &[(&str, &str, f64)]| {
        goals
            .iter()
            .find(|(workload, server, _)| (*workload, *server) == key)
            .map(|(_, _, goal)| *goal)
    };
    let goal = match connections {
        1 => goal_in(&MEDIANS).map(|goal| (median <= goal, format!("p50 ≤ {goal}"))),
        _ => goal_in(&RATES).map(|goal| (rate >= goal, format!("rate ≥ {goal}"))),
    };
    let goal = match goal {
        Some((true, goal)) => format!("   goal: {goal}"),
        Some((false, goal)) => format!("   MISSED: {goal}"),
        None => String::new(),
    };
    format!("{rate:>7.2}{by_cpu:>8.2}{median:>8.2}{goal}")
}

fn row(
    name: &str,
    connections: usize,
    server: &str,
    measured: &Measured,
    of: &Server,
    verdict: &str,
) {
    println!(
        "{name:<14}{connections:>6} {server:<15}{:>9.0}{:>9.1}{:>9.1}{:>12.2}{:>9.1}{verdict}",
        measured.rate(),
        measured.percentile(0.5),
        measured.percentile(0.99),
        measured.cpu_per_call(),
        of.peak_memory() / MIB,
    );
}
