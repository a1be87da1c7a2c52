//! Moondock's own metrics, as a scraper sees them.

use crate::harness::process::{Served, Setup};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const POLICY: &str = r#"return { request = function(req)
  if req.action == "system.ping" then return true end
  if req.action == "system.info" then error("oh") end
  return false, "no"
end }
"#;

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// All that comes back until the connection is closed.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn bed_with(setup: Setup) -> (Served, std::path::PathBuf) {
    let socket = setup.path().join("run/metrics.sock");
    let served = setup
        .env("MOONDOCK_METRICS", &format!("unix://{}", socket.display()))
        .start();
    (served, socket)
}

/// The page, once it has that line.
fn page_with(socket: &std::path::Path, line: &str) -> String {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let page = exchange(UnixStream::connect(socket).unwrap(), GET);
        if page.lines().any(|found| found == line) {
            return page;
        }
        assert!(Instant::now() < patience, "`{line}` is not in\n{page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every sample of the page as a number; the page is well formed as far as that goes.
fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("`{series}` is not in\n{page}"))
        .parse()
        .unwrap()
}

#[test]
fn calls_are_counted_by_outcome() {
    let (served, socket) = bed_with(Setup::with_volume().plugin("pol", "authz.lua", POLICY));
    let mut volume = served.connect("vol");
    assert_eq!(
        volume
            .call("VolumeDriver.Get", r#"{"Name":"a"}"#)
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        volume
            .call("VolumeDriver.Get", r#"{"Name":"b"}"#)
            .unwrap()
            .status,
        200
    );
    assert_eq!(volume.call("VolumeDriver.Mount", "{").unwrap().status, 400);
    let mut policy = served.connect("pol");
    for uri in ["/_ping", "/info", "/containers/json"] {
        let body = format!(r#"{{"RequestMethod":"GET","RequestUri":"{uri}"}}"#);
        assert_eq!(
            policy.call("AuthZPlugin.AuthZReq", &body).unwrap().status,
            200
        );
    }
    let page = page_with(&socket, r#"moondock_open_connections{plugin="pol"} 1"#);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{page}"
    );
    for (series, expected) in [
        (
            r#"moondock_calls_total{plugin="vol",method="VolumeDriver.Get",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"moondock_calls_total{plugin="vol",method="VolumeDriver.Get",outcome="failed"}"#,
            0.0,
        ),
        (
            r#"moondock_calls_total{plugin="vol",method="VolumeDriver.Mount",outcome="failed"}"#,
            1.0,
        ),
        (
            r#"moondock_calls_total{plugin="pol",method="AuthZPlugin.AuthZReq",outcome="ok"}"#,
            1.0,
        ),
        (
            r#"moondock_calls_total{plugin="pol",method="AuthZPlugin.AuthZReq",outcome="denied"}"#,
            1.0,
        ),
        (
            r#"moondock_calls_total{plugin="pol",method="AuthZPlugin.AuthZReq",outcome="failed"}"#,
            1.0,
        ),
        (
            r#"moondock_call_duration_seconds_count{plugin="vol",method="VolumeDriver.Get"}"#,
            2.0,
        ),
        (
            r#"moondock_call_duration_seconds_bucket{plugin="vol",method="VolumeDriver.Get",le="+Inf"}"#,
            2.0,
        ),
        (
            r#"moondock_script_generation{plugin="vol",script="volume.lua"}"#,
            1.0,
        ),
    ] {
        assert_eq!(value(&page, series), expected, "{series} in\n{page}");
    }
    assert!(
        value(
            &page,
            r#"moondock_script_memory_bytes{plugin="vol",script="volume.lua"}"#
        ) > 10_000.0
    );
    let started = value(&page, "process_start_time_seconds");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!(started <= now && started > now - 600.0, "{started}");
    assert!(!page.contains("NetworkDriver"), "{page}");
}

#[test]
fn the_page_is_valid_prometheus_text() {
    let (_served, socket) = bed_with(Setup::with_volume());
    let page = page_with(
        &socket,
        r#"moondock_script_generation{plugin="vol",script="volume.lua"} 1"#,
    );
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    let mut family = "";
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split_once(' ').unwrap().0;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split_once(' ').unwrap().0, family);
        } else {
            let (series, number) = line.rsplit_once(' ').unwrap();
            number
                .parse::<f64>()
                .unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(series.starts_with(family), "{line} stands under {family}");
        }
    }
    assert!(body.ends_with('\n'));
}

#[test]
fn reloads_are_counted() {
    let (served, socket) = bed_with(Setup::with_volume());
    let script = served.setup().scripts().join("vol/volume.lua");
    let good = fs::read_to_string(&script).unwrap();
    page_with(
        &socket,
        r#"moondock_script_generation{plugin="vol",script="volume.lua"} 1"#,
    );
    fs::write(&script, format!("{good}-- changed\n")).unwrap();
    let page = page_with(
        &socket,
        r#"moondock_reloads_total{plugin="vol",result="taken_over"} 1"#,
    );
    assert_eq!(
        value(
            &page,
            r#"moondock_reloads_total{plugin="vol",result="refused"}"#
        ),
        0.0
    );
    assert_eq!(
        value(
            &page,
            r#"moondock_script_generation{plugin="vol",script="volume.lua"}"#
        ),
        2.0
    );
    fs::write(&script, "return {").unwrap();
    let page = page_with(
        &socket,
        r#"moondock_reloads_total{plugin="vol",result="refused"} 1"#,
    );
    assert_eq!(
        value(
            &page,
            r#"moondock_script_generation{plugin="vol",script="volume.lua"}"#
        ),
        2.0
    );
}

#[test]
fn a_policy_that_does_not_load_is_visible_in_metrics() {
    let (served, socket) = bed_with(Setup::new().plugin("pol", "authz.lua", "return nil"));
    page_with(
        &socket,
        r#"moondock_script_generation{plugin="pol",script="authz.lua"} 0"#,
    );
    let body = r#"{"RequestMethod":"GET","RequestUri":"/info"}"#;
    served
        .connect("pol")
        .call("AuthZPlugin.AuthZReq", body)
        .unwrap();
    page_with(
        &socket,
        r#"moondock_calls_total{plugin="pol",method="AuthZPlugin.AuthZReq",outcome="failed"} 1"#,
    );
}

#[test]
fn a_script_that_ran_out_of_memory_is_counted() {
    let hungry = r#"local volume = {}
function volume.get(req) local t = {} while true do t[#t + 1] = string.rep("x", 1000) .. #t end end
for _, name in {"create", "remove", "mount", "unmount", "list"} do volume[name] = function() end end
return volume
"#;
    let setup = Setup::new().plugin("vol", "volume.lua", hungry);
    fs::write(
        setup.scripts().join("vol/plugin.toml"),
        "[limits]\nmemory_mib = 4\ncpu_ms = 20000\n",
    )
    .unwrap();
    let (served, socket) = bed_with(setup);
    let _ = served
        .connect("vol")
        .call("VolumeDriver.Get", r#"{"Name":"a"}"#);
    let page = page_with(&socket, r#"moondock_script_restarts_total{plugin="vol"} 1"#);
    assert_eq!(
        value(
            &page,
            r#"moondock_script_generation{plugin="vol",script="volume.lua"}"#
        ),
        2.0
    );
}

#[test]
fn the_metrics_socket_is_private_and_removed_at_exit() {
    let (mut served, socket) = bed_with(Setup::with_volume());
    page_with(&socket, r#"moondock_open_connections{plugin="vol"} 0"#);
    assert_eq!(
        fs::symlink_metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn metrics_are_served_on_loopback_and_other_requests_refused() {
    let served = Setup::with_volume()
        .arg("--metrics")
        .arg("127.0.0.1:0")
        .start();
    served.wait_for_log("serving metrics url=http://127.0.0.1:");
    let port = served
        .log()
        .split("http://127.0.0.1:")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let ask = |request: &str| {
        exchange(
            TcpStream::connect(format!("127.0.0.1:{port}")).unwrap(),
            request,
        )
    };
    assert!(ask(GET).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("\r\n\r\n"));
    assert!(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404 "));
    let refused = ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD\r\n"),
        "{refused}"
    );
}

#[test]
fn hanging_clients_do_not_block_metrics() {
    let (_served, socket) = bed_with(Setup::with_volume());
    let hanging: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    page_with(&socket, r#"moondock_open_connections{plugin="vol"} 0"#);
    drop(hanging);
}

#[test]
fn metrics_addresses_beyond_loopback_are_refused() {
    let refuse = |address: &str| {
        let output = Setup::with_volume()
            .arg("--metrics")
            .arg(address)
            .command()
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refuse("0.0.0.0:9323").contains("is reachable from other machines"));
    assert!(
        refuse("localhost")
            .contains("is not a local address: write `unix:///run/moondock/metrics.sock`")
    );
}

#[test]
fn an_address_in_use_is_refused_strictly() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Setup::with_volume()
        .arg("--strict")
        .arg("--metrics")
        .arg(&address)
        .refused();
    assert!(
        error.contains(&format!("cannot serve metrics at `{address}`")) && error.contains("in use"),
        "{error}"
    );
    let setup = Setup::with_volume();
    let socket = setup.path().join("m.sock");
    let _owner = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = setup
        .arg("--strict")
        .arg("--metrics")
        .arg(&format!("unix://{}", socket.display()))
        .refused();
    assert!(error.contains("is in use by process"), "{error}");
}

#[test]
fn plugins_are_served_without_metrics_if_their_address_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let served = Setup::with_volume().arg("--metrics").arg(&address).start();
    served.wait_for_log(&format!("ERROR cannot serve metrics at `{address}`"));
    served.assert_answers();
}
