//! The cost of a call to the kits with few objects and with many, side by side.

use crate::load::Load;
use crate::process::{Cores, Server};
use crate::workload::request;
use moondock::protocol::{LogEntry, frame};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::ioctl_fionread;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

/// Objects of which there are few or many, and the calls whose cost must not depend on it.
struct Subject {
    title: &'static str,
    plugin: &'static str,
    counts: &'static [usize],
    /// Makes so many objects.
    fill: fn(&Bench, usize),
    calls: &'static [Call],
}

/// The name of a call, how often it is made, and how; the number is that of an object of its own.
type Call = (&'static str, usize, fn(&Bench, usize));

/// A server, and what the calls need besides.
struct Bench {
    server: Server,
    plugin: &'static str,
    streams: RefCell<Vec<File>>,
    pool: RefCell<String>,
    /// The network of the endpoints that are not made beforehand.
    home: Cell<usize>,
}

/// How often most calls are made.
const OFTEN: usize = 100;

/// The number of the first object that is not made beforehand.
const OWN: usize = 1 << 20;

/// How many containers a bridge gets: the kernel's limit is 1023.
const ENDPOINTS_PER_NETWORK: usize = 1000;

#[rustfmt::skip]
const SUBJECTS: [Subject; 7] = [
    Subject {
        title: "volumes", plugin: "volumes", counts: &[10, 1000, 20_000],
        fill: |bench, count| {
            bench.call("VolumeDriver.Create", json!({ "Name": "fill", "Opts": { "count": count.to_string() } }));
        },
        calls: &[
            ("VolumeDriver.Create",  OFTEN, |bench, n| bench.volume("Create", n)),
            ("VolumeDriver.Mount",   OFTEN, |bench, n| bench.volume("Mount", n)),
            ("VolumeDriver.Get",     OFTEN, |bench, n| bench.volume("Get", n)),
            ("VolumeDriver.Unmount", OFTEN, |bench, n| bench.volume("Unmount", n)),
            ("VolumeDriver.Remove",  OFTEN, |bench, n| bench.volume("Remove", n)),
            ("VolumeDriver.List",    5,     |bench, _| bench.call("VolumeDriver.List", json!({}))),
        ],
    },
    Subject {
        title: "uses of one volume", plugin: "volumes", counts: &[10, 1000],
        fill: |bench, count| {
            bench.call("VolumeDriver.Create", json!({ "Name": "one" }));
            (0..count).for_each(|n| bench.volume_use("Mount", n));
        },
        calls: &[
            ("VolumeDriver.Mount",   OFTEN, |bench, n| bench.volume_use("Mount", n)),
            ("VolumeDriver.Unmount", OFTEN, |bench, n| bench.volume_use("Unmount", n)),
        ],
    },
    Subject {
        title: "networks", plugin: "ops", counts: &[10, 1000, 2000],
        fill: |bench, count| (0..count).for_each(|n| bench.create_network(n, 24)),
        calls: &[
            ("NetworkDriver.CreateNetwork", OFTEN, |bench, n| bench.create_network(n, 24)),
            ("NetworkDriver.DeleteNetwork", OFTEN, |bench, n| {
                bench.call("NetworkDriver.DeleteNetwork", json!({ "NetworkID": network(n) }));
            }),
        ],
    },
    Subject {
        title: "endpoints", plugin: "ops", counts: &[10, 1000, 5000],
        fill: |bench, count| {
            let networks = count / ENDPOINTS_PER_NETWORK;
            (0..=networks).for_each(|n| bench.create_network(256 * n, 16));
            bench.home.set(networks);
            for n in 0..count {
                bench.create_endpoint(n);
                bench.endpoint("Join", n, json!({}));
            }
        },
        calls: &[
            ("NetworkDriver.CreateEndpoint", OFTEN, Bench::create_endpoint),
            ("NetworkDriver.Join",           OFTEN, |bench, n| bench.endpoint("Join", n, json!({}))),
            ("NetworkDriver.Leave",          OFTEN, |bench, n| bench.endpoint("Leave", n, json!({}))),
            ("NetworkDriver.DeleteEndpoint", OFTEN, |bench, n| bench.endpoint("DeleteEndpoint", n, json!({}))),
        ],
    },
    Subject {
        title: "ports of one network", plugin: "ops", counts: &[10, 1000],
        fill: |bench, count| {
            bench.create_network(0, 16);
            for n in 0..count {
                bench.create_endpoint(n);
                bench.publish(n);
            }
            (OWN..OWN + OFTEN).for_each(|n| bench.create_endpoint(n));
        },
        calls: &[
            ("…ProgramExternalConnectivity", OFTEN, Bench::publish),
            ("…RevokeExternalConnectivity",  OFTEN, |bench, n| {
                bench.endpoint("RevokeExternalConnectivity", n, json!({}));
            }),
        ],
    },
    Subject {
        title: "addresses of a /16", plugin: "ops", counts: &[10, 1000, 20_000],
        fill: |bench, count| {
            let pool = json!({ "AddressSpace": "ops-local", "Pool": "10.128.0.0/16", "SubPool": "", "Options": {}, "V6": false });
            let reply = bench.reply("IpamDriver.RequestPool", pool);
            *bench.pool.borrow_mut() = reply["PoolID"].as_str().unwrap().to_owned();
            (0..count).for_each(|_| bench.address("RequestAddress", ""));
        },
        calls: &[
            ("IpamDriver.RequestAddress", OFTEN, |bench, _| bench.address("RequestAddress", "")),
            ("IpamDriver.ReleaseAddress", OFTEN, |bench, n| {
                bench.address("ReleaseAddress", &format!("10.128.0.{}", n - OWN + 2));
            }),
        ],
    },
    Subject {
        title: "open log streams", plugin: "log", counts: &[10, 500],
        fill: |bench, count| (0..count).for_each(|n| bench.start_logging(n)),
        calls: &[
            ("LogDriver.StartLogging", OFTEN, Bench::start_logging),
            ("handing over a line",    OFTEN, |bench, _| bench.log_line()),
            ("LogDriver.StopLogging",  OFTEN, |bench, n| {
                bench.call("LogDriver.StopLogging", json!({ "File": bench.fifo(n) }));
            }),
        ],
    },
];

/// Prints a row for each call, with a column for each number of objects, and how the cost grows from
/// the first to the last. A word in the title of a subject selects it.
pub fn print(words: &[&String]) {
    let is_named = |subject: &&Subject| words.iter().any(|word| subject.title.contains(*word));
    let named: Vec<&Subject> = SUBJECTS.iter().filter(is_named).collect();
    let all = SUBJECTS.iter().collect();
    let subjects = if named.is_empty() { all } else { named };
    subjects.into_iter().for_each(print_subject);
}

fn print_subject(subject: &Subject) {
    let columns: Vec<Vec<Duration>> = subject
        .counts
        .iter()
        .map(|count| column(subject, *count))
        .collect();
    let counts = subject.counts.iter().map(|count| format!("{count:>10}"));
    println!(
        "\n{:<32}{}{:>8}",
        format!("ms per call, {}:", subject.title),
        counts.collect::<String>(),
        "growth"
    );
    for (row, (name, ..)) in subject.calls.iter().enumerate() {
        let ms: Vec<f64> = columns
            .iter()
            .map(|column| column[row].as_secs_f64() * 1000.0)
            .collect();
        let growth = ms[ms.len() - 1] / ms[0];
        let cells: String = ms.iter().map(|ms| format!("{ms:>10.2}")).collect();
        println!("{name:<32}{cells}{growth:>8.1}");
    }
}

/// The median time of each call among `count` objects.
fn column(subject: &Subject, count: usize) -> Vec<Duration> {
    let bench = Bench::new(subject.plugin);
    (subject.fill)(&bench, count);
    let calls = subject.calls.iter();
    let median_of = |(_, times, call): &Call| {
        let timed = |n| {
            let begun = Instant::now();
            call(&bench, OWN + n);
            begun.elapsed()
        };
        median((0..*times).map(timed).collect())
    };
    calls.map(median_of).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

impl Bench {
    /// Networks are made in a network namespace of the server's own, which needs root.
    fn new(plugin: &'static str) -> Self {
        let start = if plugin == "ops" {
            Server::isolated
        } else {
            Server::moondock
        };
        let server = start(&[plugin], &[], Cores::All);
        Self {
            server,
            plugin,
            streams: RefCell::default(),
            pool: RefCell::default(),
            home: Cell::default(),
        }
    }

    fn reply(&self, method: &str, body: Value) -> Value {
        let load = Load {
            socket: self.server.socket(self.plugin),
            request: request(method, &body.to_string()),
            connections: 1,
        };
        serde_json::from_str(&load.answer()).unwrap()
    }

    fn call(&self, method: &str, body: Value) {
        self.reply(method, body);
    }

    fn volume(&self, method: &str, n: usize) {
        let body = json!({ "Name": format!("own{n}"), "ID": "c0ffee" });
        self.call(&format!("VolumeDriver.{method}"), body);
    }

    fn volume_use(&self, method: &str, n: usize) {
        let body = json!({ "Name": "one", "ID": format!("{n:064x}") });
        self.call(&format!("VolumeDriver.{method}"), body);
    }

    fn create_network(&self, n: usize, prefix: usize) {
        let (high, low) = (own_or(n, 0x8000) >> 8, n & 255);
        let pool = json!({
            "AddressSpace": "LocalDefault",
            "Pool": format!("10.{high}.{low}.0/{prefix}"),
            "Gateway": format!("10.{high}.{low}.1/{prefix}"),
        });
        let options = json!({ "com.docker.network.generic": {} });
        let body = json!({ "NetworkID": network(n), "Options": options, "IPv4Data": [pool], "IPv6Data": [] });
        self.call("NetworkDriver.CreateNetwork", body);
    }

    fn create_endpoint(&self, n: usize) {
        let (network, host) = (self.network_of(n), n % OWN % ENDPOINTS_PER_NETWORK + 2);
        let host = if n < OWN {
            host
        } else {
            host + ENDPOINTS_PER_NETWORK
        };
        let address = format!("10.{network}.{}.{}/16", host >> 8, host & 255);
        let interface = json!({ "Address": address, "AddressIPv6": "", "MacAddress": "" });
        self.endpoint("CreateEndpoint", n, json!({ "Interface": interface }));
    }

    fn publish(&self, n: usize) {
        let port = 10_000 + own_or(n, 20_000);
        let map = json!({ "Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": port, "HostPortEnd": port });
        let options = json!({ "com.docker.network.portmap": [map] });
        self.endpoint(
            "ProgramExternalConnectivity",
            n,
            json!({ "Options": options }),
        );
    }

    /// Makes a call about an endpoint, with `more` fields.
    fn endpoint(&self, method: &str, n: usize, more: Value) {
        let mut body = json!({
            "NetworkID": network(256 * self.network_of(n)),
            "EndpointID": format!("e{n:011x}{:052}", 0),
            "SandboxKey": "/var/run/docker/netns/c0ffee",
            "Options": {},
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.call(&format!("NetworkDriver.{method}"), body);
    }

    fn network_of(&self, n: usize) -> usize {
        if n < OWN {
            n / ENDPOINTS_PER_NETWORK
        } else {
            self.home.get()
        }
    }

    fn address(&self, method: &str, address: &str) {
        let body = json!({ "PoolID": *self.pool.borrow(), "Address": address, "Options": {} });
        self.call(&format!("IpamDriver.{method}"), body);
    }

    fn fifo(&self, n: usize) -> std::path::PathBuf {
        self.server.path(&format!("fifo{n}"))
    }

    /// Starts a log stream and opens its FIFO, for reading too, as the engine does.
    fn start_logging(&self, n: usize) {
        let path = self.fifo(n);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        self.streams.borrow_mut().push(fifo);
        let info = json!({ "Config": null, "ContainerID": format!("{n:064x}"), "ContainerName": format!("/c{n}") });
        self.call(
            "LogDriver.StartLogging",
            json!({ "File": path, "Info": info }),
        );
    }

    /// Writes a line to the last stream, and waits until the script has it.
    fn log_line(&self) {
        let streams = self.streams.borrow();
        let mut fifo = streams.last().unwrap();
        let entry = LogEntry {
            source: "stdout".into(),
            line: b"GET /index.html".to_vec(),
            ..LogEntry::default()
        };
        let mut bytes = Vec::new();
        frame(&entry, &mut bytes);
        fifo.write_all(&bytes).unwrap();
        while ioctl_fionread(fifo).unwrap() > 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The number of an object that is made beforehand, or `from` and on for the others.
fn own_or(n: usize, from: usize) -> usize {
    if n < OWN { n } else { n - OWN + from }
}

fn network(n: usize) -> String {
    format!("a{n:011x}{:052}", 0)
}
