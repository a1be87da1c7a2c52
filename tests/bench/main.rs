//! The speed of a real `moondock serve`, beside a bare hyper server in the same run.
//!
//! `cargo bench` runs all of it. `cargo bench -- --quick` runs each part for a shorter time, except
//! for the rows about objects, of which thousands are made first. A word among the arguments
//! selects the parts whose name contains it, and `objects ports` the objects whose title contains
//! `ports`. Networks need root. The servers run on the first core, the load on the second.

#![allow(
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test touches the machine itself, and fails by a panic"
)]

mod bare;
mod breakdown;
mod load;
mod objects;
mod process;
mod throughput;
mod trouble;
mod workload;

use load::Load;
use process::{Cores, LOAD_CORE, Server, pin};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;

/// How long each part takes.
struct Plan {
    time: Duration,
    calls: u64,
    starts: usize,
}

const QUICK: Plan = Plan {
    time: Duration::from_millis(400),
    calls: 60_000,
    starts: 3,
};

const WHOLE: Plan = Plan {
    time: Duration::from_secs(4),
    calls: 1_000_000,
    starts: 15,
};

type Part = (&'static str, fn(&Plan, &[&String]));

#[rustfmt::skip]
const PARTS: [Part; 7] = [
    ("throughput", |plan, _| throughput::print(plan.time)),
    ("breakdown",  |plan, _| breakdown::print(plan.time)),
    ("trouble",    |plan, _| trouble::print(plan.time)),
    ("growth",     |plan, _| growth(plan)),
    ("objects",    |_, words| objects::print(words)),
    ("start",      |plan, _| cold_start(plan)),
    ("endurance",  |plan, _| endurance(plan)),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [role, socket, body] if role == bare::ARGUMENT => {
            return bare::serve(&PathBuf::from(socket), body.clone());
        }
        [role, ..] if role == breakdown::ARGUMENT => return breakdown::measure(),
        _ => {}
    }
    let plan = if args.iter().any(|arg| arg == "--quick") {
        QUICK
    } else {
        WHOLE
    };
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    pin(&[LOAD_CORE]);
    for (name, print) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            print(&plan, &wanted);
        }
    }
}

/// Prints whether the cost of a body grows no faster than the body.
fn growth(plan: &Plan) {
    println!("\n{:<14}{:>12}{:>14}", "create of", "µs/req", "ns/byte");
    for kib in [64, 128, 256, 512, 1024, 2048, 4096] {
        let workload = workload::create("growth", kib * 1024);
        let moondock = Server::moondock(&[workload.plugin], &[], Cores::One);
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

/// Prints the time from the start of the process to the first answer of the last of five plugins.
fn cold_start(plan: &Plan) {
    let plugins = ["policy", "driver", "policy2", "driver2", "driver3"];
    let mut times: Vec<f64> = (0..plan.starts)
        .map(|_| {
            let begun = Instant::now();
            let server = Server::moondock(&plugins, &[], Cores::One);
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

/// Prints what the process holds after very many calls.
fn endurance(plan: &Plan) {
    let server = Server::moondock(&["policy", "driver"], &[], Cores::One);
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
