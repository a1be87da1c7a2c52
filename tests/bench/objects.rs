//! The cost of a call to the volume kit with few volumes and with many, side by side.

use crate::load::Load;
use crate::process::{Cores, Server};
use crate::workload::request;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The plugin, whose create of `fill` makes as many volumes as its option says.
const PLUGIN: &str = "volumes";

/// How many volumes there are.
const COUNTS: [usize; 3] = [10, 1000, 20_000];

/// How often each call is made.
const CALLS: usize = 100;

/// The calls in their order; each is about a volume of its own.
const METHODS: [&str; 5] = [
    "VolumeDriver.Create",
    "VolumeDriver.Mount",
    "VolumeDriver.Get",
    "VolumeDriver.Unmount",
    "VolumeDriver.Remove",
];

/// Prints a row for each method, with a column for each number of volumes.
pub fn print() {
    let columns = COUNTS.map(column);
    println!(
        "\n{:<26}{:>10}{:>10}{:>10}{:>8}",
        "ms per call, volumes:", COUNTS[0], COUNTS[1], COUNTS[2], "growth"
    );
    let names = METHODS.iter().chain(&["VolumeDriver.List"]);
    for (row, name) in names.enumerate() {
        let ms = columns
            .each_ref()
            .map(|column| column[row].as_secs_f64() * 1000.0);
        let growth = ms[2] / ms[0];
        println!(
            "{name:<26}{:>10.2}{:>10.2}{:>10.2}{growth:>8.1}",
            ms[0], ms[1], ms[2]
        );
    }
}

/// The median time of each method, and of a list, among `count` volumes.
fn column(count: usize) -> Vec<Duration> {
    let server = Server::moondock(&[PLUGIN], &[], Cores::All);
    let call = |method: &str, body: Value| {
        let load = Load {
            socket: server.socket(PLUGIN),
            request: request(method, &body.to_string()),
            connections: 1,
        };
        let begun = Instant::now();
        load.answer();
        begun.elapsed()
    };
    let fill = json!({ "Name": "fill", "Opts": { "count": count.to_string() } });
    call("VolumeDriver.Create", fill);
    let median_of = |method: &str| {
        let name = |n| json!({ "Name": format!("own{n}"), "ID": "c0ffee" });
        median((0..CALLS).map(|n| call(method, name(n))).collect())
    };
    let mut times: Vec<Duration> = METHODS.iter().map(|method| median_of(method)).collect();
    let lists = (0..5).map(|_| call("VolumeDriver.List", json!({})));
    times.push(median(lists.collect()));
    times
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
