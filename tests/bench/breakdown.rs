//! Where a decision's time goes: the library's own stages, called in a loop, and what the server
//! adds to them.

use crate::load::Load;
use crate::process::{Cores, SERVER_CORE, Server, drain, pin};
use crate::workload::{self, POLICY, Workload};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moondock::authz::{Document, Request, Target, host_paths};
use moondock::plugin::{Plugin, PluginSpec, Reply};
use moondock::protocol::{Call, find};
use moondock::sys::files::paths::is_known_without_links;
use moondock::telemetry::{self, Format, Level, Stream};
use serde_json::Value;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// The argument that makes this binary measure the stages, in a process with a log of its own.
pub const ARGUMENT: &str = "breakdown";

/// The stages, in the order in which [`measure`] prints them.
const STAGES: [&str; 7] = [
    "decode the message",
    "find the route",
    "decode the body, Base64",
    "check the body, JSON",
    "list and check the mounts",
    "Lua and the reply",
    "the log line",
];

/// How long one stage is measured.
const SLICE: Duration = Duration::from_millis(100);

/// How often each stage is measured; the fastest counts.
const TURNS: usize = 5;

/// Prints a row for each stage, and the rest, which is HTTP and the kernel.
pub fn print(time: Duration) {
    let workloads = [workload::get(), workload::create("authz create", 0)];
    let stages = stages();
    let totals = workloads
        .each_ref()
        .map(|workload| server_nanos(workload, time));
    println!("\n{:<30}{:>12}{:>14}", "ns per decision", "get", "create");
    for (name, nanos) in STAGES.iter().zip(&stages) {
        println!("{name:<30}{:>12.0}{:>14.0}", nanos[0], nanos[1]);
    }
    let sum = |at: usize| stages.iter().map(|nanos| nanos[at]).sum::<f64>();
    let rest = [totals[0] - sum(0), totals[1] - sum(1)];
    println!(
        "{:<30}{:>12.0}{:>14.0}",
        "HTTP, sockets, threads", rest[0], rest[1]
    );
    println!(
        "{:<30}{:>12.0}{:>14.0}",
        "CPU of the server, in all", totals[0], totals[1]
    );
}

/// The nanoseconds of each stage, for each workload.
fn stages() -> Vec<[f64; 2]> {
    pin(&[SERVER_CORE]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(ARGUMENT)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    pin(&[crate::process::LOAD_CORE]);
    let log = child.stderr.take().unwrap();
    thread::spawn(move || drain(log));
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        [numbers.next().unwrap(), numbers.next().unwrap()]
    };
    text.lines().map(row).collect()
}

fn server_nanos(workload: &Workload, time: Duration) -> f64 {
    let server = Server::moondock(&[workload.plugin], &[], Cores::One);
    let load = Load {
        socket: server.socket(workload.plugin),
        request: workload.bytes(),
        connections: 64,
    };
    load.run(time, u64::MAX, &server).cpu_per_call() * 1000.0
}

/// Measures the stages in this process and prints a line for each.
pub fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tasks = LocalSet::new();
    let plugin = tasks.block_on(&runtime, open(dir.path()));
    let bodies = [workload::get().body, workload::create("", 0).body];
    let pure = bodies.each_ref().map(|body| pure_stages(body));
    let call = |body: &str| decide(&runtime, &tasks, &plugin, body);
    let quiet = bodies.each_ref().map(|body| call(body));
    let _log = telemetry::start(Level::Info, Format::Pretty, Stream::Stderr);
    let logged = bodies.each_ref().map(|body| call(body));
    for (get, create) in pure[0].iter().zip(&pure[1]) {
        println!("{get} {create}");
    }
    let lua = |at: usize| quiet[at] - pure[at].iter().sum::<f64>();
    println!("{} {}", lua(0), lua(1));
    println!("{} {}", logged[0] - quiet[0], logged[1] - quiet[1]);
}

/// Opens a plugin with the policy.
async fn open(dir: &Path) -> Rc<Plugin> {
    for name in ["scripts", "state"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    fs::write(dir.join("scripts/authz.lua"), POLICY).unwrap();
    let spec = PluginSpec::new("policy", dir.join("scripts"), dir.join("state"));
    Plugin::open(spec).await.unwrap_or_else(|e| panic!("{e}"))
}

/// A whole decision, without HTTP.
fn decide(runtime: &Runtime, tasks: &LocalSet, plugin: &Rc<Plugin>, body: &str) -> f64 {
    let body = bytes::Bytes::from(body.to_owned());
    let method = find("AuthZPlugin.AuthZReq").unwrap();
    nanos(|| {
        let call = plugin.call(Call::Method(method), body.clone());
        let reply = tasks.block_on(runtime, call);
        assert!(matches!(reply, Reply::Answer { status: 200, .. }));
    })
}

/// The stages before the script, in their order.
fn pure_stages(message: &str) -> [f64; 5] {
    let read = || Request::read(message.as_bytes()).unwrap();
    let request = read();
    let route = nanos(|| Target::parse(&request.method, &request.uri).action());
    let sent: Value = serde_json::from_str(message).unwrap();
    let Some(base64) = sent["RequestBody"].as_str() else {
        return [nanos(read) - route, route, 0.0, 0.0, 0.0];
    };
    let decode_body = nanos(|| STANDARD.decode(base64).unwrap());
    let body = STANDARD.decode(base64).unwrap();
    let copy = nanos(|| body.clone());
    let check_body = nanos(|| Document::parse(body.clone()).unwrap()) - copy;
    let document = Document::parse(body.clone()).unwrap();
    let action = request.action.unwrap();
    let mounts = nanos(|| {
        let mounts = host_paths(action, &document).unwrap();
        mounts
            .iter()
            .all(|mount| is_known_without_links(Path::new(&mount.source)))
    });
    let decode = nanos(read) - route - decode_body;
    [decode, route, decode_body, check_body, mounts]
}

/// The nanoseconds that `work` takes, at its fastest.
fn nanos<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut fastest = f64::MAX;
    for _ in 0..TURNS {
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < SLICE / TURNS as u32 {
            for _ in 0..16 {
                black_box(work());
            }
            count += 16;
        }
        fastest = fastest.min(begun.elapsed().as_nanos() as f64 / f64::from(count));
    }
    fastest
}
