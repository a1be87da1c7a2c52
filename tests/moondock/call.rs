//! `moondock call`: one call, its reply, its exit code.

use crate::harness::command::{Ended, Workplace};
use crate::harness::recorded::{PERMISSIVE, calls};
use moondock::protocol::{methods, sample};
use serde_json::{Value, json};

const VOLUME: &str = r#"local store = require("@moondock/store")
local volume = {}

function volume.create(req) store.set(req.Name, req.Opts or {}) end
function volume.remove(req) store.delete(req.Name) end
function volume.mount(req) return { Mountpoint = "/m/" .. req.Name } end
function volume.unmount(req) end
function volume.get(req) error("the disk is on fire") end
function volume.list(req)
  local volumes = {}
  for _, entry in store.list() do
    print("found", entry.key)
    table.insert(volumes, { Name = entry.key })
  end
  return { Volumes = volumes }
end

return volume
"#;

fn place() -> Workplace {
    Workplace::new(&[("scripts/vol/volume.lua", VOLUME)])
}

fn reply(called: &Ended) -> Value {
    serde_json::from_str(&called.stdout).unwrap_or_else(|e| panic!("{e}: {called:?}"))
}

#[test]
fn a_method_is_called_by_either_name() {
    let place = place();
    for method in ["VolumeDriver.Mount", "volume.mount", "/VolumeDriver.Mount"] {
        let called = place.run(&["call", "scripts/vol", method, r#"{"Name":"a","ID":"1"}"#]);
        assert_eq!(
            called.stdout, "{\n  \"Mountpoint\": \"/m/a\"\n}\n",
            "{called:?}"
        );
        assert_eq!(called.code, Some(0));
    }
}

#[test]
fn the_request_is_read_from_stdin_without_an_argument() {
    let place = place();
    for args in [
        &["call", "scripts/vol", "volume.mount"][..],
        &["call", "scripts/vol", "volume.mount", "-"],
    ] {
        let called = place.run_with(args, r#"{"Name":"b","ID":"1"}"#);
        assert_eq!(reply(&called)["Mountpoint"], "/m/b");
    }
}

#[test]
fn state_is_temporary_unless_a_directory_is_given() {
    let place = place();
    let create = ["call", "scripts/vol", "volume.create", r#"{"Name":"a"}"#];
    let list = ["call", "scripts/vol", "volume.list", "{}"];
    let created = place.run(&create);
    assert_eq!(created.code, Some(0));
    let note = " INFO what was stored is gone: keep it with `--state DIR`\n";
    assert!(created.stderr.ends_with(note), "{created:?}");
    let listed = place.run(&list);
    assert_eq!(reply(&listed)["Volumes"], json!([]));
    assert!(!listed.stderr.contains("--state"), "nothing was stored");
    assert_eq!(
        place.temporary().read_dir().unwrap().count(),
        0,
        "nothing is left behind"
    );

    let kept = ["--state", "state"];
    let created = place.run(&[&create[..], &kept].concat());
    assert_eq!(created.code, Some(0));
    assert!(!created.stderr.contains("--state"), "{created:?}");
    let listed = place.run(&[&list[..], &kept].concat());
    assert_eq!(reply(&listed)["Volumes"][0]["Name"], "a");
    assert!(
        listed.stderr.contains("found"),
        "the log goes to stderr: {listed:?}"
    );
    assert!(
        place.path().join("state/vol/store.redb").exists(),
        "where `serve` keeps it"
    );
}

#[test]
fn failures_are_printed_with_an_exit_code() {
    let place = place();
    let refused = place.run(&["call", "scripts/vol", "volume.path", r#"{"Name":"a"}"#]);
    assert_eq!(
        reply(&refused)["Err"],
        "VolumeDriver.Path is not implemented"
    );
    assert_eq!(refused.code, Some(1));

    let unanswered = place.run(&["call", "scripts/vol", "volume.get", r#"{"Name":"a"}"#]);
    assert!(
        unanswered
            .stderr
            .contains("no reply: the connection is closed"),
        "{unanswered:?}"
    );
    let place = "WARN volume.lua:8: the disk is on fire plugin=vol\n  |\n8 | function volume.get";
    assert!(unanswered.stderr.contains(place), "{unanswered:?}");
    assert_eq!((unanswered.stdout.as_str(), unanswered.code), ("", Some(1)));
}

#[test]
fn a_denial_exits_with_success() {
    let place = Workplace::new(&[(
        "no/authz.lua",
        "return { request = function() return false, \"no\" end }",
    )]);
    let request = r#"{"RequestMethod":"GET","RequestUri":"/info"}"#;
    let called = place.run(&["call", "no", "authz.request", request]);
    assert_eq!(reply(&called), json!({ "Allow": false, "Msg": "no" }));
    assert_eq!(called.code, Some(0));
}

/// As a person writes it, and as the engine sends it.
#[test]
fn a_policy_gets_a_body_that_is_written_as_json() {
    let policy = "return { request = function(req)
  return false, `{req.body_state} {req.body.HostConfig.Privileged} {req.RequestHeaders[\"Content-Length\"]}`
end }";
    let place = Workplace::new(&[("p/authz.lua", policy)]);
    let body = json!({ "HostConfig": { "Privileged": true } });
    for body in [body.clone(), body.to_string().into()] {
        let request = json!({ "RequestMethod": "POST", "RequestUri": "/containers/create", "RequestBody": body });
        let called = place.run(&["call", "p", "authz.request", &request.to_string()]);
        assert_eq!(reply(&called)["Msg"], "json true 34", "{called:?}");
    }
    let hook = place.run(&["call", "p", "request", "{}"]);
    let near = "unknown method `request`; did you mean `authz.request`?";
    assert!(hook.stderr.contains(near), "{hook:?}");
}

#[test]
fn uncallable_methods_are_reported() {
    let place = place();
    place.write("scripts/other/volume.lua", VOLUME);
    place.write("broken/volume.lua", "return {");
    for (args, part) in [
        (
            ["scripts/vol", "volume.mont"],
            "unknown method `volume.mont`; did you mean `volume.mount`?",
        ),
        (
            ["scripts/vol", "VolumeDriver.Creat"],
            "did you mean `VolumeDriver.Create`?",
        ),
        (
            ["scripts/vol", "x"],
            "unknown method `x`: write `interface.hook`, such as `volume.create`",
        ),
        (
            ["scripts", "volume.list"],
            "`scripts` contains more than one plugin: pass the directory of one",
        ),
        (["broken", "volume.list"], "volume.lua:1: Expected"),
    ] {
        let called = place.run(&["call", args[0], args[1], "{}"]);
        assert!(
            called.stderr.contains(part),
            "`{part}` is not in {called:?}"
        );
        assert_eq!((called.stdout.as_str(), called.code), ("", Some(1)));
    }
}

#[test]
fn a_failing_host_function_is_reported_at_its_call() {
    let place = Workplace::new(&[
        ("p/plugin.toml", "grants = [\"fs.read:/nonexistent\"]\n"),
        (
            "p/authz.lua",
            r#"local fs = require("@moondock/fs")
local function read() return fs.read("/nonexistent/x") end
local handlers = {
  ["/raise"] = function() read() end,
  ["/pcall"] = function() return select(2, pcall(read)) end,
  ["/xpcall"] = function() return select(2, xpcall(read, function(e) return "seen: " .. e end)) end,
  ["/coroutine"] = function() return select(2, coroutine.resume(coroutine.create(read))) end,
}
return { request = function(req) return false, handlers[req.path]() end }
"#,
        ),
    ]);
    let message = "fs.read: `/nonexistent/x`: no such file or directory";
    for (path, expected) in [
        (
            "/raise",
            format!("the policy failed: authz.lua:2: {message}"),
        ),
        ("/pcall", format!("authz.lua:2: {message}")),
        ("/xpcall", format!("seen: authz.lua:2: {message}")),
        ("/coroutine", message.to_owned()),
    ] {
        let request = json!({ "RequestMethod": "GET", "RequestUri": path }).to_string();
        let called = place.run(&["call", "p", "authz.request", &request]);
        assert_eq!(reply(&called)["Msg"], expected, "{path}");
    }
}

/// What Moondock calls by itself can be tried out too, and what a log driver gives back is shown.
#[test]
fn hooks_of_a_log_driver_are_called() {
    let script = r#"local log = {}
function log.write_batch(entries, info)
  if entries[1].line == "bad" then error("the disk is full") end
  print(info.ContainerID, #entries, entries[1].line, entries[1].seq)
end
function log.read(info, config, emit, wait)
  emit({ time = "12", line = "hello " .. config.Tail, source = "stderr" })
  if config.Tail == 7 then error("the tape is torn") end
  emit({ time = "13", line = tostring(wait()) })
end
return log
"#;
    let place = Workplace::new(&[("scripts/log/log.lua", script)]);
    let call =
        |method: &str, body: Value| place.run(&["call", "scripts/log", method, &body.to_string()]);
    let info = json!({ "ContainerID": "c0ffee" });
    let batch = |line: &str| json!({ "Info": info, "Entries": [{ "time": "1", "line": line }] });
    let good = call("log.write_batch", batch("good"));
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (Some(0), "{}\n"),
        "{good:?}"
    );
    assert!(good.stderr.contains("c0ffee\t1\tgood\t1"), "{good:?}");
    let bad = call("log.write_batch", batch("bad"));
    assert_eq!(bad.code, Some(1));
    assert!(
        bad.stdout.contains("log.lua:3: the disk is full"),
        "{bad:?}"
    );
    assert!(
        call("log.write_batch", json!({ "Entries": 3 }))
            .stdout
            .contains("a list in `Entries`")
    );
    let other = call("log.write", json!({}));
    assert_eq!(other.code, Some(1), "the script has the other");
    assert_eq!(
        reply(&other)["Err"],
        "log.write is not implemented: the script has `write_batch` instead"
    );
    let read = call(
        "LogDriver.ReadLogs",
        json!({ "Info": info, "Config": { "Tail": 2 } }),
    );
    let expected = "{\"line\":\"hello 2\\n\",\"source\":\"stderr\",\"time\":\"12\"}\n\
                    {\"line\":\"false\\n\",\"source\":\"stdout\",\"time\":\"13\"}\n";
    assert_eq!(
        (read.code, read.stdout.as_str()),
        (Some(0), expected),
        "{read:?}"
    );
    let torn = call("log.read", json!({ "Info": info, "Config": { "Tail": 7 } }));
    assert_eq!(torn.code, Some(1));
    assert!(
        torn.stdout.contains("hello 7") && torn.stderr.contains("the tape is torn"),
        "{torn:?}"
    );
}

const POLICY: &str = r#"local authz = {}
function authz.request(req)
  if req.action == "container.create" then
    local host = req.body.HostConfig or {}
    if host.Privileged then return false, `no privileged containers, {req.User or "stranger"}` end
  end
  return true
end
return authz
"#;

/// Asks the policy about a command line of Docker.
fn docker(command: &str, args: &[&str]) -> Ended {
    let place = Workplace::new(&[("guard/authz.lua", POLICY)]);
    let call = ["call", "guard", "authz.request", "--docker", command];
    place.run(&[&call[..], args].concat())
}

#[test]
fn a_policy_is_asked_about_a_command_line_up_to_the_first_denial() {
    let called = docker("run -d busybox", &["--exit-code"]);
    assert_eq!(called.code, Some(0), "{called:?}");
    assert!(called.stderr.contains("/start"), "{called:?}");

    let called = docker("run --privileged busybox", &["--user", "ann"]);
    assert_eq!(reply(&called)["Msg"], "no privileged containers, ann");
    assert_eq!(called.code, Some(0), "{called:?}");
    assert!(called.stderr.contains("POST /v1.41/containers/create"));
    assert!(!called.stderr.contains("/start"), "{called:?}");

    let called = docker("run --privileged busybox", &["--exit-code"]);
    assert_eq!(called.code, Some(3), "{called:?}");
}

#[test]
fn a_command_line_that_docker_would_refuse_is_an_error() {
    let called = docker("run --privilged busybox", &[]);
    assert_eq!(called.code, Some(1));
    assert!(
        called.stderr.contains("did you mean `--privileged`?"),
        "{called:?}"
    );
}

/// A plugin with a hook for each method, which accepts everything.
fn permissive() -> Workplace {
    let place = Workplace::new(&[]);
    for (interface, text) in PERMISSIVE {
        place.write(&format!("p/{interface}.lua"), text);
    }
    place
}

/// An example is a request that the same method takes. Only a log stream needs what an engine
/// makes besides: its FIFO.
#[test]
fn an_example_of_every_method_can_be_passed_back() {
    let place = permissive();
    place.write(
        "p/log.lua",
        "return { write = function() end, read = function() end }",
    );
    for method in methods() {
        let key = method.key();
        let example = place.run(&["call", "p", &key, "--example"]);
        assert_eq!(
            (example.code, example.stderr.as_str()),
            (Some(0), ""),
            "{key}"
        );
        let called = place.run_with(&["call", "p", &key, "-"], &example.stdout);
        match key.as_str() {
            "log.start" => assert!(called.stdout.contains("No such file"), "{called:?}"),
            "log.write_batch" => assert!(called.stdout.contains("has `write` instead")),
            _ => assert_eq!(called.code, Some(0), "{key}: {called:?}"),
        }
    }
    let handshake = place.run(&["call", "p", "Plugin.Activate", "--example"]);
    assert_eq!(handshake.stdout, "{}\n");
}

#[test]
fn the_example_of_a_policy_has_a_body_that_it_can_read() {
    let policy =
        "return { request = function(req) return false, `{req.action} {req.body.Image}` end }";
    let place = Workplace::new(&[("p/authz.lua", policy)]);
    let example = place.run(&["call", "p", "authz.request", "--example"]);
    let called = place.run_with(&["call", "p", "authz.request"], &example.stdout);
    assert_eq!(
        reply(&called)["Msg"],
        "container.create nginx:1",
        "{called:?}"
    );
}

/// Where an engine was recorded, it has sent the same fields in one call.
#[test]
fn examples_have_the_fields_of_recorded_requests() {
    for method in methods() {
        let example = sample(method).unwrap();
        let recorded = || calls().filter(|call| call.path[1..] == *method.wire);
        let same = recorded().any(|call| {
            let body: Value = serde_json::from_str(&call.body).unwrap_or_else(|_| json!({}));
            fields(&body) == fields(&example)
        });
        assert!(same || recorded().count() == 0, "{}", method.key());
    }
}

/// The names of a request's fields and of the fields in them that are records everywhere.
fn fields(request: &Value) -> Vec<String> {
    let Value::Object(top) = request else {
        return Vec::new();
    };
    let inner = ["Info", "Interface", "DiscoveryData"];
    let inner = inner.iter().filter_map(|name| top.get(*name)?.as_object());
    let mut names: Vec<_> = inner
        .flat_map(|inner| inner.keys())
        .chain(top.keys())
        .cloned()
        .collect();
    names.sort();
    names
}
