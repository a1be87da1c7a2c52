//! The control socket, and the commands that ask the running process.

use crate::harness::command::{Ended, Workplace};
use crate::harness::process::{Served, Setup};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const POLICY: &str = r#"return { request = function(req)
  if req.action == "system.info" then error("oh") end
  return req.action == "system.ping", "no"
end }
"#;

const SLOW: &str = r#"local time = require("@moondock/time")
local volume = require("@moondock/volume")
return volume.driver({
  create = function(v)
    if v.name == "slow" then time.sleep(3600) end
  end,
  mount = function() return "/m" end,
})
"#;

/// A volume driver without options, and a policy.
fn setup() -> Setup {
    let setup = Setup::new().plugin("pol", "authz.lua", POLICY);
    setup.plugin("vol", "volume.lua", SLOW)
}

fn command(served: &Served, verb: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
    let state = served.setup().state();
    command.arg(verb).args(args).arg("--state").arg(state);
    command
}

fn run(served: &Served, verb: &str, args: &[&str]) -> Ended {
    command(served, verb, args).output().unwrap().into()
}

fn status(served: &Served) -> Value {
    let ended = run(served, "status", &["--json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

fn plugin<'a>(status: &'a Value, name: &str) -> &'a Value {
    let mut plugins = status["plugins"].as_array().unwrap().iter();
    plugins.find(|plugin| plugin["name"] == name).unwrap()
}

fn decide(served: &Served, method: &str, uri: &str) {
    let request = json!({ "RequestMethod": method, "RequestUri": uri });
    served.call("pol", "AuthZPlugin.AuthZReq", &request.to_string());
}

/// Sends a request, and returns all that comes back until the connection is closed.
fn exchange(served: &Served, request: &str) -> String {
    let socket = served.setup().state().join("control.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn status_shows_each_plugin_with_its_calls() {
    let served = setup().start();
    for uri in ["/_ping", "/info", "/containers/json"] {
        decide(&served, "GET", uri);
    }
    let shown = status(&served);
    assert_eq!(shown["pid"], served.pid());
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    let policy = plugin(&shown, "pol");
    assert_eq!(policy["phase"], "serving");
    assert_eq!(policy["activations"], 1);
    let socket = served.setup().socket("pol");
    assert_eq!(policy["address"], format!("unix://{}", socket.display()));
    let script = &policy["scripts"][0];
    assert_eq!(
        (&script["file"], &script["generation"], &script["calls"]),
        (
            &json!("authz.lua"),
            &json!(1),
            &json!({ "ok": 1, "denied": 1, "failed": 1 })
        )
    );
    assert!(script["memory_bytes"].as_u64() > Some(0), "{script}");
    let failure = &script["last_failure"];
    assert_eq!(failure["object"], "GET /info (system.info)");
    assert!(
        failure["error"]
            .as_str()
            .unwrap()
            .contains("authz.lua:2: oh"),
        "{failure}"
    );

    let ended = run(&served, "status", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "pol\n",
        "engine: activated it once",
        "authz.lua: generation 1, loaded",
        "calls: 1 ok, 1 denied, 1 failed",
        "GET /info (system.info): denied: the policy failed: authz.lua:2: oh",
    ] {
        assert!(ended.stdout.contains(part), "`{part}` in {}", ended.stdout);
    }
}

#[test]
fn status_answers_while_a_script_hangs_and_shows_its_call() {
    let mut served = setup().start();
    let mut stream = UnixStream::connect(served.setup().socket("vol")).unwrap();
    let body = r#"{"Name":"slow"}"#;
    let head = "POST /VolumeDriver.Create HTTP/1.1\r\nHost: x\r\nContent-Length:";
    write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
    served.wait_for("the call in flight", |served| {
        let shown = status(served);
        plugin(&shown, "vol")["calls_in_flight"][0]["method"] == "VolumeDriver.Create"
    });
    let page = run(&served, "status", &[]).stdout;
    assert!(
        page.contains("in flight: VolumeDriver.Create for "),
        "{page}"
    );
}

#[test]
fn status_shows_what_does_not_run_until_it_is_mended() {
    let mut served = setup().start();
    let file = served.setup().scripts().join("vol/volume.lua");
    fs::write(&file, "return {").unwrap();
    served.wait_for_log("reload failed");
    let ended = run(&served, "status", &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("problem in volume.lua: volume.lua:1: "),
        "{ended:?}"
    );
    let manifest = file.with_file_name("plugin.toml");
    fs::write(&file, SLOW).unwrap();
    fs::write(&manifest, "grants = [\"net\"]\n").unwrap();
    served.wait_for("the grant that waits", |served| {
        let shown = status(served);
        let volume = plugin(&shown, "vol");
        volume["grants"] == json!({ "accepted": [], "waiting": ["net"] })
            && volume["problems"]["plugin.toml"].is_string()
    });
    let ended = run(&served, "reload", &["--accept-grants"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = status(&served);
    let volume = plugin(&shown, "vol");
    assert_eq!(
        volume["grants"],
        json!({ "accepted": ["net"], "waiting": [] })
    );
    assert_eq!(volume["problems"], json!({}));
}

#[test]
fn status_shows_no_problem_once_an_edit_is_undone() {
    let mut served = setup().start();
    let file = served.setup().scripts().join("vol/volume.lua");
    let problems = |served: &mut Served| plugin(&status(served), "vol")["problems"].clone();
    let mend: [fn(&Path); 2] = [
        |file| fs::write(file, "return {").unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for spoil in mend {
        spoil(&file);
        served.wait_for("the problem", |served| problems(served) != json!({}));
        fs::write(&file, SLOW).unwrap();
        served.wait_for("its end", |served| problems(served) == json!({}));
    }
}

#[test]
fn those_who_watch_are_limited_and_keep_nobody_else_out() {
    let served = setup().start();
    let socket = served.setup().state().join("control.sock");
    let watching: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = BufReader::new(UnixStream::connect(&socket).unwrap());
            let request = get("/v1/trace");
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            let mut head = String::new();
            stream.read_line(&mut head).unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK\r\n");
            stream
        })
        .collect();
    let refused = exchange(&served, &get("/v1/trace"));
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("8 clients watch already"), "{refused}");
    assert_eq!(run(&served, "status", &[]).code, Some(0));
    drop(watching);
}

#[test]
fn trace_of_a_plugin_that_is_not_served_says_which_are() {
    let ended = run(&setup().start(), "trace", &["nope"]);
    assert_eq!(ended.code, Some(1));
    let there = "no plugin `nope` is served; there are: pol, vol";
    assert!(ended.stderr.contains(there), "{ended:?}");
}

#[test]
fn requests_that_the_control_socket_does_not_have_say_what_it_has() {
    let served = setup().start();
    let post = |body: &str| {
        format!(
            "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (request, code, part) in [
        (get("/"), 404, "use /v1/status, /v1/reload, /v1/trace"),
        (get("/v1/reload"), 405, "use `POST /v1/reload`"),
        (
            get("/v1/trace?pluggin=a"),
            400,
            "there is no parameter `pluggin`: use plugin, method",
        ),
        (
            get("/v1/trace?verdict=deny"),
            400,
            "`verdict` is `deny`: use ok, denied, failed",
        ),
        (
            get("/v1/trace?method=volume.mout"),
            400,
            "unknown method `volume.mout`",
        ),
        (
            get("/v1/trace?slow_ms=x"),
            400,
            "`slow_ms` is `x`, and must be a number",
        ),
        (post("{\"accept\": true}"), 400, "unknown field `accept`"),
        (post(&"x".repeat(5000)), 400, "the body cannot be read"),
    ] {
        let answer = exchange(&served, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        assert!(answer.contains(part), "`{part}` in {answer}");
    }
    exchange(&served, "nonsense\r\n\r\n");
    drop(UnixStream::connect(served.setup().state().join("control.sock")).unwrap());
    assert!(exchange(&served, &get("/v1/status")).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn the_control_socket_is_private_and_can_be_bound_elsewhere() {
    let served = setup().start();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(served.setup().state().join("control.sock")), 0o600);

    let setup = setup();
    let socket = setup.path().join("elsewhere/my.sock");
    let path = socket.to_str().unwrap().to_owned();
    let served = setup.arg("--control").arg(&path).start();
    assert_eq!(mode(socket), 0o600);
    assert!(!served.setup().state().join("control.sock").exists());
    let ask = |path: &str| -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
        command
            .args(["status", "--control", path])
            .output()
            .unwrap()
            .into()
    };
    assert_eq!(ask(&path).code, Some(0));
    let kept = served.setup().path().join("mine.new");
    fs::write(&kept, "precious").unwrap();
    let setup = self::setup().arg("--control");
    let served = setup
        .arg(kept.with_extension("sock").to_str().unwrap())
        .start();
    served.wait_for_log("is in the way: it is not a socket");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "precious");
    let absent = ask("/nonexistent/my.sock").stderr;
    assert!(
        absent.contains("no moondock takes requests at `/nonexistent/my.sock`"),
        "{absent}"
    );
}

#[test]
fn the_state_may_have_a_path_that_is_too_long_for_a_socket() {
    let served = setup().start();
    let long = served.setup().path().join("x".repeat(120));
    fs::create_dir(&long).unwrap();
    std::os::unix::fs::symlink(served.setup().state(), long.join("state")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
    let asked = command.args(["status", "--state"]).arg(long.join("state"));
    let ended = Ended::from(asked.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn no_plugin_has_the_name_of_the_control_socket() {
    let place = Workplace::new(&[("control.sock/authz.lua", POLICY)]);
    let ended = place.run(&["check", "control.sock"]);
    assert!(ended.stderr.contains("moondock's own socket"), "{ended:?}");
}

/// `moondock trace`, which has begun to watch.
struct Traced {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Traced {
    fn begin(served: &Served, args: &[&str]) -> Self {
        let mut command = command(served, "trace", args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut traced = Self { child, lines };
        traced.wait_until_watching(served);
        traced
    }

    /// Makes a call that each filter of these tests selects, until it is seen.
    fn wait_until_watching(&mut self, served: &Served) {
        let mut stream = served.connect("pol");
        let (seen, first) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut line = String::new();
                self.lines.read_line(&mut line).unwrap();
                seen.send(line).unwrap();
            });
            while first.try_recv().is_err() {
                let request = json!({ "RequestMethod": "GET", "RequestUri": "/first" });
                stream
                    .call("AuthZPlugin.AuthZReq", &request.to_string())
                    .unwrap();
            }
        });
    }

    /// The next call that is not the one that was repeated at the beginning.
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let call: Value = serde_json::from_str(&line).unwrap();
            if call["request"]["RequestUri"] != "/first" && call["missed"].is_null() {
                return call;
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn trace_shows_calls_without_their_secrets() {
    let served = setup().start();
    let mut traced = Traced::begin(&served, &["--json"]);
    let login = r#"{"username":"u","password":"hunter2"}"#;
    let request = json!({
        "User": "alice",
        "RequestMethod": "POST",
        "RequestUri": "/v1.41/auth?token=hunter2",
        "RequestHeaders": { "Content-Type": "application/json", "X-Registry-Auth": "hunter2" },
        "RequestBody": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, login),
    });
    served.call("pol", "AuthZPlugin.AuthZReq", &request.to_string());
    let call = traced.next();
    assert_eq!(call["plugin"], "pol");
    assert_eq!(call["method"], "AuthZPlugin.AuthZReq");
    assert_eq!(
        (&call["verdict"], &call["outcome"]),
        (&json!("denied"), &json!("denied: no"))
    );
    assert_eq!(
        call["request"],
        json!({
            "User": "alice",
            "RequestMethod": "POST",
            "RequestUri": "/v1.41/auth?token=***",
            "RequestHeaders": { "Content-Type": "application/json", "X-Registry-Auth": "***" },
            "RequestBody": { "username": "u", "password": "***" },
        })
    );
    assert_eq!(call["reply"], json!({ "Allow": false, "Msg": "no" }));
    assert!(!call.to_string().contains("hunter2"), "{call}");

    let volume = r#"{"Name":"aa","Opts":{"password":"hunter2","size":"1G"}}"#;
    served.call("vol", "VolumeDriver.Create", volume);
    let call = traced.next();
    assert_eq!(call["object"], "aa");
    assert_eq!(
        call["request"],
        json!({ "Name": "aa", "Opts": { "password": "***", "size": "1G" } })
    );

    let large = json!({ "Name": "bb", "Opts": { "note": "x".repeat(100_000) } }).to_string();
    served.call("vol", "VolumeDriver.Create", &large);
    let shown = traced.next()["request"].clone();
    let expected = format!("({} bytes, too many to be shown)", large.len());
    assert_eq!(shown, json!(expected));
}

#[test]
fn trace_shows_the_calls_that_are_asked_for() {
    let served = setup().start();
    let mut traced = Traced::begin(&served, &["pol", "--denied", "--json"]);
    decide(&served, "GET", "/_ping");
    decide(&served, "GET", "/info");
    served.call("vol", "VolumeDriver.Create", r#"{"Name":"aa"}"#);
    decide(&served, "GET", "/version");
    assert_eq!(traced.next()["object"], "GET /version (system.version)");
}

#[test]
fn trace_is_readable_and_ends_after_a_count() {
    let served = setup().start();
    let mut traced = Traced::begin(&served, &["--count", "2"]);
    decide(&served, "GET", "/second");
    let mut rest = String::new();
    traced.lines.read_to_string(&mut rest).unwrap();
    assert!(traced.child.wait().unwrap().success());
    assert!(
        rest.contains(r#"  request {"RequestMethod":"GET","RequestUri":"/"#),
        "{rest}"
    );
}

#[test]
fn a_watcher_that_does_not_read_holds_nothing_up() {
    let served = setup().start();
    let mut traced = Traced::begin(&served, &["--json"]);
    let mut volume = served.connect("vol");
    let body = json!({ "Name": "aa", "Opts": { "note": "x".repeat(50_000) } }).to_string();
    for _ in 0..1000 {
        volume.call("VolumeDriver.Create", &body).unwrap();
    }
    let mut lines = (&mut traced.lines).lines();
    let missed = lines.find(|line| line.as_ref().unwrap().starts_with("{\"missed\":"));
    assert!(missed.is_some());
}

#[test]
fn the_log_of_debug_shows_calls_without_their_secrets() {
    let served = setup().env("MOONDOCK_LOG_LEVEL", "debug").start();
    served.call(
        "vol",
        "VolumeDriver.Create",
        r#"{"Name":"aa","Opts":{"password":"hunter2"}}"#,
    );
    served.wait_for_log(r#"request={"Name":"aa","Opts":{"password":"***"}}"#);
    assert!(!served.log().contains("hunter2"));
}
