//! The metrics collector, on the real binary and an engine that is played by a thread.

use crate::harness::command::Workplace;
use crate::harness::process::{Served, Setup};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// What dockerd 20.10.24 showed after one container had run.
const RECORDED: &[u8] = include_bytes!("../golden/engine-metrics.txt");

/// Says what comes to it.
const SCRIPT: &str = r#"local log = require("@moondock/log")
local metrics = {}
function metrics.start() log.info("begun") end
function metrics.stop() log.info("ended") end
function metrics.collect(samples) log.info(`first got {#samples} samples`) end
return metrics
"#;

/// What the played engine does with a request.
#[derive(Clone)]
enum Answer {
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays.
    Nothing,
}

/// Shows a page on a socket, for as long as it lives.
struct Engine {
    socket: PathBuf,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    fn new(socket: PathBuf, answer: Answer) -> Engine {
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let (asked, over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (shared, count, end) = (answer.clone(), asked.clone(), over.clone());
        let thread = spawn(move || {
            let mut kept = Vec::new();
            while !end.load(SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let answer = shared.lock().unwrap().clone();
                kept.extend(serve(stream, answer));
                count.fetch_add(1, SeqCst);
            }
        });
        Engine {
            socket,
            answer,
            asked,
            over,
            thread: Some(thread),
        }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn wait_until_asked(&self, times: usize) {
        wait_for(&format!("asked {times} times"), || self.asked() >= times);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Answers one request; the connection, if it is to be kept.
fn serve(mut stream: UnixStream, answer: Answer) -> Option<UnixStream> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(count) => head.extend_from_slice(&part[..count]),
        }
    }
    assert!(
        head.starts_with(b"GET /metrics HTTP/1.1\r\n"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    let Answer::Raw(bytes) = answer else {
        return Some(stream);
    };
    // Whoever has read enough hangs up.
    let _ = stream.write_all(&bytes);
    None
}

/// As Go's server sends what it has no length of.
fn page(text: &[u8]) -> Answer {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                      Transfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in text.chunks(2048) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    Answer::Raw(bytes)
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < patience, "not yet {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A served collector and the engine that it reads, before `StartMetrics`.
fn served(script: &str, more: &str, answer: Answer) -> (Engine, Served) {
    let setup = Setup::new().plugin("m", "metrics.lua", script);
    let socket = setup.path().join("engine.sock");
    write_manifest(&setup.scripts(), &socket, more);
    let own = format!("unix://{}", setup.path().join("own.sock").display());
    let engine = Engine::new(socket, answer);
    (engine, setup.arg("--metrics").arg(&own).start())
}

fn write_manifest(scripts: &Path, socket: &Path, more: &str) {
    let text = format!("[metrics]\nsocket = \"{}\"\n{more}\n", socket.display());
    fs::write(scripts.join("m/plugin.toml"), text).unwrap();
}

fn start(served: &Served) {
    let answer = served.call("m", "MetricsCollector.StartMetrics", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
}

/// A number of Moondock's own.
fn own(served: &Served, series: &str) -> f64 {
    let mut stream = UnixStream::connect(served.setup().path().join("own.sock")).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("`{series}` is not in\n{page}"))
        .parse()
        .unwrap()
}

const COLLECTED: &str = r#"moondock_calls_total{plugin="m",method="metrics.collect",outcome="ok"}"#;
const SKIPPED: &str = r#"moondock_collect_skipped_total{plugin="m"}"#;
const UNREAD: &str = r#"moondock_collect_unread_total{plugin="m"}"#;

#[test]
fn collect_receives_the_metrics_of_the_engine() {
    let script = r#"local json = require("@moondock/json")
local log = require("@moondock/log")
local wanted = {
  engine_daemon_engine_cpus_cpus = true,
  engine_daemon_container_actions_seconds_count = true,
  go_gc_duration_seconds = true,
  odd = true,
}
return { collect = function(samples)
  log.info(`got {#samples} samples`)
  for _, sample in samples do
    if wanted[sample.name] and (sample.labels.action or "start") == "start" then
      local value = if sample.value ~= sample.value then "NaN" else tostring(sample.value)
      log.info(json.encode({ sample.name, sample.labels, value, sample.type, sample.help or "?", sample.timestamp }))
    end
  end
end }
"#;
    let text = [RECORDED, b"odd{l=\"a\\\"b\\\\c\\nd\"} NaN 17\nodd +Inf\n"].concat();
    let (_engine, served) = served(script, "", page(&text));
    start(&served);
    let count = text
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty() && l[0] != b'#')
        .count();
    served.wait_for_log(&format!("got {count} samples"));
    for line in [
        r#"["engine_daemon_engine_cpus_cpus",{},"2","gauge","The number of cpus that the host system of the engine has"]"#,
        r#"["engine_daemon_container_actions_seconds_count",{"action":"start"},"2","histogram","The number of seconds it takes to process each container action"]"#,
        r#"["go_gc_duration_seconds",{"quantile":"0"},"0.000034121","summary","A summary of the pause duration of garbage collection cycles."]"#,
        r#"["odd",{"l":"a\"b\\c\nd"},"NaN","untyped","?",17]"#,
        r#"["odd",{},"inf","untyped","?"]"#,
    ] {
        served.wait_for_log(line);
    }
    // It is counted once it has ended.
    wait_for("counted", || own(&served, COLLECTED) >= 1.0);
}

#[test]
fn legacy_plugins_do_not_announce_the_collector() {
    let setup = Setup::with_volume().plugin("vol", "metrics.lua", SCRIPT);
    let served = setup.start();
    let answer = served.call("vol", "Plugin.Activate", "");
    assert_eq!(answer.body, r#"{"Implements":["VolumeDriver"]}"#);
    served.wait_for_log(
        "metrics.lua: not served on a socket: a metrics collector there makes dockerd hang",
    );
    served.wait_for_log("package it with `moondock bundle`");
}

#[test]
fn collecting_runs_from_start_to_stop_and_again() {
    let (engine, mut served) = served(SCRIPT, "interval_s = 1", page(b"a 1\n"));
    assert_eq!(engine.asked(), 0, "before StartMetrics");
    start(&served);
    served.wait_for_log("begun");
    engine.wait_until_asked(2);
    let answer = served.call("m", "MetricsCollector.StopMetrics", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    served.wait_for_log("ended");
    let before = engine.asked();
    sleep(Duration::from_millis(1500));
    assert_eq!(engine.asked(), before, "after StopMetrics");
    start(&served);
    start(&served);
    engine.wait_until_asked(before + 2);
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn a_collector_needs_only_collect() {
    let script = "return { collect = function() print('collected') end }";
    let (_engine, served) = served(script, "", page(b"a 1\n"));
    start(&served);
    served.wait_for_log("collected");
    assert_eq!(
        served.call("m", "MetricsCollector.StopMetrics", "").body,
        "{}"
    );
    let (code, stdout) = checked("return { start = function() end }");
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("the hook `collect` is missing: moondock needs it"),
        "{stdout}"
    );
    assert!(
        stdout.contains("add `function metrics.collect(samples) … end`"),
        "{stdout}"
    );
}

fn checked(script: &str) -> (Option<i32>, String) {
    let ended = Workplace::new(&[("p/metrics.lua", script)]).run(&["check", "p"]);
    (ended.code, ended.stdout)
}

#[test]
fn an_error_in_start_prevents_collecting() {
    let script = "return { start = function() error('no', 0) end, collect = function() print('collected') end }";
    let (engine, served) = served(script, "interval_s = 1", page(b"a 1\n"));
    let answer = served.call("m", "MetricsCollector.StartMetrics", "");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (500, r#"{"Err":"no","Error":"no"}"#)
    );
    sleep(Duration::from_millis(300));
    assert_eq!(engine.asked(), 0);
}

#[test]
fn collecting_continues_with_a_reloaded_script() {
    let (engine, served) = served(SCRIPT, "interval_s = 1", page(b"a 1\n"));
    start(&served);
    served.wait_for_log("first got 1 samples");
    fs::write(
        served.setup().scripts().join("m/metrics.lua"),
        SCRIPT.replace("first got", "second got"),
    )
    .unwrap();
    served.wait_for_log("second got 1 samples");
    assert_eq!(served.log().matches("begun").count(), 1);
    drop(engine);
}

#[test]
fn a_changed_interval_applies_at_once() {
    let (engine, served) = served(SCRIPT, "interval_s = 3600", page(b"a 1\n"));
    start(&served);
    engine.wait_until_asked(1);
    served.wait_for_log("first got 1 samples");
    write_manifest(&served.setup().scripts(), &engine.socket, "interval_s = 1");
    engine.wait_until_asked(3);
    assert_eq!(own(&served, SKIPPED), 0.0);
}

#[test]
fn a_slow_collect_skips_intervals_and_never_overlaps() {
    let script = r#"local time = require("@moondock/time")
local busy = false
return { collect = function()
  if busy then print("twice at work") end
  busy = true
  time.sleep(2.2)
  busy = false
  print("done")
end }
"#;
    let (engine, served) = served(script, "interval_s = 1", page(b"a 1\n"));
    start(&served);
    engine.wait_until_asked(2);
    assert!(own(&served, SKIPPED) >= 2.0);
    assert_eq!(
        served.call("m", "MetricsCollector.StopMetrics", "").status,
        200
    );
    start(&served);
    wait_for("three are done", || {
        served.log().matches("done").count() >= 3
    });
    assert!(!served.log().contains("twice at work"), "{}", served.log());
}

#[test]
fn an_error_in_collect_is_logged_and_collecting_continues() {
    let script = "local n = 0\nlocal metrics = {}\nfunction metrics.collect(samples)\n  n += 1\n  if n == 1 then local x = nil + 1 end\n  if n == 2 then error('deliberate', 0) end\n  if n == 3 then return { a = 1 } end\n  if n == 4 then while true do end end\n  print(`fine {n}`)\nend\nreturn metrics\n";
    let (_engine, served) = served(
        script,
        "interval_s = 1\n[limits]\ncpu_ms = 50",
        page(b"a 1\n"),
    );
    start(&served);
    served.wait_for_log("metrics.lua:5: attempt to perform arithmetic (add) on nil and number");
    served.wait_for_log("if n == 1 then local x = nil + 1 end");
    served.wait_for_log("metrics.lua: deliberate");
    served.wait_for_log("metrics.lua:3: `collect`: ");
    served.wait_for_log("metrics.lua:8: used more than 50 ms of CPU time");
    served.wait_for_log("fine 5");
    let failed = own(
        &served,
        r#"moondock_calls_total{plugin="m",method="metrics.collect",outcome="failed"}"#,
    );
    assert_eq!(failed, 4.0);
}

#[test]
fn bad_metrics_pages_are_logged_once_and_recovered_from() {
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let (engine, served) = served(
        SCRIPT,
        "interval_s = 1",
        raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
    );
    start(&served);
    served.wait_for_log("engine.sock` answered with status 500");
    engine.wait_until_asked(engine.asked() + 2);
    assert_eq!(served.log().matches("with status 500").count(), 1);
    let amiss = [
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n"),
            "engine.sock` failed: ",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n"),
            "engine.sock` failed: ",
        ),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), "engine.sock` failed: "),
        (raw(""), "engine.sock` failed: "),
        (
            page(&vec![b'#'; (16 << 20) + 1]),
            "engine.sock` exceeds 16777216 bytes",
        ),
    ];
    for (overcome, (answer, told)) in amiss.into_iter().enumerate() {
        engine.answers(page(b"a 1\n"));
        wait_for("overcome", || {
            served.log().matches("can be read again").count() > overcome
        });
        let before = served.log().matches(told).count();
        engine.answers(answer);
        wait_for(told, || served.log().matches(told).count() > before);
    }
    assert!(own(&served, UNREAD) >= 7.0);
    engine.answers(page(b"a 1\nwrong\nb 2\n"));
    served.wait_for_log("cannot parse 1 lines of the engine's metrics");
    served.wait_for_log("first got 2 samples");
}

#[test]
fn an_unresponsive_engine_blocks_neither_reload_nor_shutdown() {
    let (engine, served) = served(SCRIPT, "interval_s = 1", Answer::Nothing);
    start(&served);
    engine.wait_until_asked(1);
    let begun = Instant::now();
    assert_eq!(
        served.call("m", "MetricsCollector.StartMetrics", "").status,
        200
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    served.wait_for_log("did not answer within 10 s");
    drop(engine);
    let socket = served.setup().path().join("engine.sock");
    wait_for("another is counted", || own(&served, UNREAD) >= 2.0);
    fs::remove_file(&socket).unwrap();
    let engine = Engine::new(socket, page(b"a 1\n"));
    served.wait_for_log("can be read again");
    engine.answers(Answer::Nothing);
    engine.wait_until_asked(engine.asked() + 1);
    let begun = Instant::now();
    assert_eq!(
        served.call("m", "MetricsCollector.StopMetrics", "").status,
        200
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_page_over_the_memory_limit_is_reported_with_a_cure() {
    let text = b"name{label=\"value\",other=\"thing\"} 12345\n".repeat(60_000);
    let (engine, served) = served(
        SCRIPT,
        "interval_s = 1\n[limits]\nmemory_mib = 8",
        page(&text),
    );
    start(&served);
    served.wait_for_log("metrics.lua: the engine's 60000 samples take more than 8 MiB of memory");
    served.wait_for_log("raise `memory_mib` in plugin.toml");
    engine.answers(page(b"a 1\n"));
    served.wait_for_log("first got 1 samples");
}

#[test]
fn collect_can_be_called_without_an_engine() {
    let script = "return { collect = function(samples) print(samples[1].name, samples[1].labels.a, samples[1].value) end }";
    let place = Workplace::new(&[("p/metrics.lua", script)]);
    let request = r#"{"samples":[{"name":"x","labels":{"a":"b"},"value":1.5,"type":"gauge"}]}"#;
    let ended = place.run(&["call", "p", "metrics.collect", request]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "{}\n"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("x\tb\t1.5"), "{}", ended.stderr);
    let ended = place.run(&["call", "p", "metrics.collect", "{}"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("`samples` is missing"),
        "{}",
        ended.stdout
    );
}
