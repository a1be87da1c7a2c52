//! `moondock test`: what cases can do, and what is said of those that fail.

use crate::harness::command::{Ended, Workplace};
use crate::harness::process::Setup;
use moondock::shipped::PLUGINS;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

const VOLUME: &str = r#"
local fs = require("@moondock/fs")
local http = require("@moondock/http")
local net = require("@moondock/net")
local process = require("@moondock/process")
local store = require("@moondock/store")
local time = require("@moondock/time")
local volume = {}
function volume.create(req)
  if req.Name == "slow" then time.sleep(3600) end
  fs.mkdir("/srv/" .. req.Name)
  store.set("made/" .. req.Name, time.now())
end
function volume.remove(req)
  process.check({ argv = { "wipe", "-f", "/srv/" .. req.Name } })
  store.delete("made/" .. req.Name)
end
function volume.get(req)
  local answer = http.request({ url = "http://nas:8080/" .. req.Name, timeout = 5 })
  return { Volume = { Name = req.Name, Status = { size = answer.body } } }
end
function volume.list() return { Volumes = {} } end
function volume.path() return { Mountpoint = "/srv/x" } end
function volume.mount() net.set_up("eth9") return { Mountpoint = "/srv/x" } end
function volume.unmount() end
return volume
"#;

const MANIFEST: &str = "grants = [\"fs.write:/srv\", \"exec:wipe\", \"http:nas:8080\", \"net\"]\n[settings]\nroom = 1\n";

/// Runs the tests in a text on the driver above.
fn run(tests: &str, args: &[&str]) -> Ended {
    let tests = format!("local test = require(\"@moondock/test\")\n{tests}");
    let place = Workplace::new(&[
        ("nas/volume.lua", VOLUME),
        ("nas/plugin.toml", MANIFEST),
        ("nas/volume_test.lua", &tests),
    ]);
    place.run(&[&["test", "nas"], args].concat())
}

/// Asserts that the only case passes.
fn passes(body: &str) {
    let ended = run(&format!("test.case(\"it\", function()\n{body}\nend)"), &[]);
    assert!(
        ended.stdout.contains("\n1 passed, 0 failed\n"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    assert_eq!(ended.code, Some(0));
}

/// Asserts that the only case fails, and that each part is in what is said of it.
fn fails(body: &str, parts: &[&str]) {
    let ended = run(&format!("test.case(\"it\", function()\n{body}\nend)"), &[]);
    for part in parts {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains("\n0 passed, 1 failed\n"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
}

#[test]
fn shipped_plugins_pass_their_tests() {
    let ended = Workplace::new(&[]).run(&["test", SCRIPTS]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(", 0 failed\n"), "{}", ended.stdout);
}

/// The kits, in small plugins that do not ship.
#[test]
fn kits_pass_their_tests() {
    let kits = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kits");
    let place = Workplace::new(&[]);
    let checked = place.run(&["check", "--strict", kits]);
    assert_eq!(
        checked.code,
        Some(0),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
    let ended = place.run(&["test", kits]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(", 0 failed\n"), "{}", ended.stdout);
}

#[test]
fn copies_of_shipped_plugins_pass_their_tests() {
    let place = Workplace::new(&[]);
    for plugin in PLUGINS {
        let copy = format!("my-{}", plugin.name);
        place.run(&["new", &copy, "--from", plugin.name]);
        let original = place.run(&["test", &format!("{SCRIPTS}/{}", plugin.name)]);
        let ended = place.run(&["test", &copy]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        let result = |ended: &Ended| {
            let lines = ended.stdout.lines();
            lines
                .rev()
                .find(|line| line.contains(" passed, "))
                .map(str::to_owned)
        };
        assert_eq!(result(&ended), result(&original), "{copy}");
    }
}

#[test]
fn new_plugins_pass_their_tests() {
    let all = [
        "volume", "authz", "network", "ipam", "log", "metrics", "secret",
    ];
    for raw in [&[][..], &["--raw"]] {
        let place = Workplace::new(&[]);
        place.run(&[&["new", "all"], &all[..], raw].concat());
        let ended = place.run(&["test", "all"]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(", 0 failed\n"), "{}", ended.stdout);
    }
}

#[test]
fn a_case_calls_the_plugin_as_docker_does() {
    passes(
        r#"
        test.call("VolumeDriver.Create", { Name = "a", Opts = {} })
        test.equal(require == nil, false)
        test.equal(test.driver("volume").list(), { Volumes = {} })
        local said = test.fails("VolumeDriver.Create", { Name = 5 }, "Name")
        test.equal(test.refused(test.driver("volume").create, { Name = 5 }), said)
        test.match(test.log("VolumeDriver.Create")[1], "outcome=ok")
        "#,
    );
}

#[test]
fn a_failure_shows_the_place_the_values_and_what_led_to_it() {
    fails(
        r#"
        test.call("VolumeDriver.Create", { Name = "a" })
        test.equal({ a = { 1, 2 } }, { a = { 1, 3 } }, "reply")
        "#,
        &[
            "FAIL  nas/volume_test.lua: it\n",
            "volume_test.lua:5: reply.a[2] is 2, not 3\n",
            "5 |         test.equal({ a = { 1, 2 } }, { a = { 1, 3 } }, \"reply\")\n",
            "calls:\n        VolumeDriver.Create {\"Name\":\"a\"} -> {}\n",
            "log:\n        INFO plugin=nas method=VolumeDriver.Create object=a outcome=ok",
        ],
    );
    fails(
        "test.refused(test.driver(\"volume\").list)",
        &["was not refused"],
    );
    fails("test.refused(error, \"oops\")", &["oops"]);
    fails(
        "test.call(\"VolumeDriver.Creat\")",
        &["Docker has no method `VolumeDriver.Creat`"],
    );
}

#[test]
fn what_a_test_does_not_declare_fails_even_if_the_script_catches_it() {
    fails(
        "pcall(test.call, \"VolumeDriver.Remove\", { Name = \"a\" })",
        &[
            "process.run: the test expects no such call: write `test.process({ argv = { \"wipe\", \"-f\", \"/srv/a\" } })`",
        ],
    );
    fails(
        "test.call(\"VolumeDriver.Get\", { Name = \"a\" })",
        &["write `test.http({ method = \"GET\", url = \"http://nas:8080/a\" })`"],
    );
    fails(
        "test.call(\"VolumeDriver.Mount\", { Name = \"a\", ID = \"b\" })",
        &["there is no link `eth9`"],
    );
}

#[test]
fn programs_and_servers_answer_as_declared() {
    passes(
        r#"
        test.process({ argv = { "wipe", test.any }, stdout = "done", times = 1 })
        test.http({ url = "http://nas:8080/a", reply = "12", times = 1 })
        test.call("VolumeDriver.Remove", { Name = "a" })
        local reply = test.call("VolumeDriver.Get", { Name = "a" })
        test.equal(reply.Volume.Status.size, "12")
        test.equal(test.asked("process.run")[1].arguments[1].argv, { "wipe", "-f", "/srv/a" })
        "#,
    );
    fails(
        "test.process({ argv = \"wipe\", times = 2 })\ntest.process({ argv = \"wipe -f\", code = 3, stderr = \"busy\", times = 1 })\n\
         test.fails(\"VolumeDriver.Remove\", { Name = \"a\" }, \"code 3: busy\")",
        &["process.run: \"wipe\" was expected 2 times, and came 0 times"],
    );
}

#[test]
fn time_passes_only_where_something_waits() {
    passes(
        r#"
        local time = test.now()
        test.fails("VolumeDriver.Create", { Name = "slow" }, "did not answer within")
        test.is_true(test.now() - time > 20, "the time until the deadline")
        test.http({ url = "http://nas:8080/a", delay = 60 })
        test.fails("VolumeDriver.Get", { Name = "a" }, "closed without an answer")
        test.equal(#test.log("^WARN.*did not answer within 5 s"), 1)
        time = test.now()
        test.advance(86400)
        test.equal(test.now() - time, 86400)
        "#,
    );
}

#[test]
fn failures_and_delays_are_one_call_each() {
    passes(
        r#"
        test.full_disk()
        test.fails("VolumeDriver.Create", { Name = "a" }, "No space left on device")
        test.heal()
        test.fault("fs.mkdir", { message = "the disk is on fire", times = 1, after = 1 })
        test.call("VolumeDriver.Create", { Name = "a" })
        test.fails("VolumeDriver.Create", { Name = "b" }, "fs.mkdir: the disk is on fire")
        test.call("VolumeDriver.Create", { Name = "b" })
        test.fault("store.set", { delay = 3600 })
        test.fails("VolumeDriver.Create", { Name = "c" }, "did not answer within")
        "#,
    );
}

#[test]
fn the_plugin_is_killed_between_any_two_steps() {
    let ended = run(
        r#"
        local store = require("@moondock/store")
        local fs = require("@moondock/fs")
        local steps = {}
        test.case("it", function()
          test.killed_anywhere(function()
            test.call("VolumeDriver.Create", { Name = "a" })
          end, function()
            table.insert(steps, if store.get("made/a") then "stored" elseif fs.exists("/srv/a") then "made" else "none")
            store.delete("made/a")
            fs.remove_all("/srv/a")
          end)
          test.equal(steps, { "none", "made", "stored", "stored" })
        end)
        "#,
        &[],
    );
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn calls_at_the_same_time_go_on_where_another_waits() {
    passes(
        r#"
        local order = {}
        test.process({ argv = "wipe", delay = 10 })
        test.together(function()
          test.call("VolumeDriver.Remove", { Name = "a" })
          table.insert(order, "slow")
        end, function()
          test.advance(1)
          test.call("VolumeDriver.Create", { Name = "b" })
          table.insert(order, "quick")
        end)
        test.equal(order, { "quick", "slow" })
        "#,
    );
    fails(
        "test.together(function() error(\"oh no\") end, function() end)",
        &["volume_test.lua:3: oh no"],
    );
    fails(
        "test.together(5)",
        &["write `test.together(function() … end, function() … end)`"],
    );
}

#[test]
fn a_test_sees_what_is_stored_what_it_costs_and_where_links_lead() {
    passes(
        r#"
        local cost = test.cost(function()
          test.call("VolumeDriver.Create", { Name = "a" })
        end)
        test.equal(cost, 3, "fs.mkdir, store.set and the reply")
        test.equal(test.stored("made/"), { ["made/a"] = test.any })
        test.equal(test.stored("none/"), {})
        test.link("/srv/link", "/srv/a")
        test.fails("VolumeDriver.Create", { Name = "link" }, "link")
        "#,
    );
    fails(
        "test.link(\"srv\", \"/\")",
        &["`srv` is not an absolute path without `..`"],
    );
}

/// Runs the tests in a text on a log driver that keeps nothing.
fn run_log(body: &str) -> Ended {
    let tests = format!(
        "local test = require(\"@moondock/test\")\ntest.case(\"it\", function()\n{body}\nend)"
    );
    let place = Workplace::new(&[
        (
            "lines/log.lua",
            r#"
            local store = require("@moondock/store")
            local log = {}
            function log.start(info)
              if info.Config and info.Config.bad then error("bad option", 0) end
            end
            function log.write(entry, info)
              if entry.line == "poison" then error("cannot take it", 0) end
              store.set(entry.line, { source = entry.source, seq = entry.seq, of = info.ContainerName })
            end
            function log.stop(info) store.set("stopped", info.ContainerName) end
            return log
            "#,
        ),
        ("lines/log_test.lua", &tests),
    ]);
    place.run(&["test", "lines"])
}

#[test]
fn the_log_of_a_container_takes_the_way_that_it_has_with_an_engine() {
    let ended = run_log(
        r#"
        local log = test.container_log({ ContainerName = "/db" })
        test.equal(log.write("one"), true)
        test.equal(log.write({ "two", { line = "three", source = "stderr" } }), true)
        test.restart()
        test.equal(log.write("four"), true)
        log.stop()
        test.equal(test.stored(), {
          one = { source = "stdout", seq = 1, of = "/db" },
          two = { source = "stdout", seq = 2, of = "/db" },
          three = { source = "stderr", seq = 3, of = "/db" },
          four = { source = "stdout", seq = 4, of = "/db" },
          stopped = "/db",
        })
        test.fails(function()
          test.container_log({ Config = { bad = "1" } })
        end, "LogDriver.StartLogging failed: bad option")
        "#,
    );
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn what_is_wrong_with_a_log_is_said_where_the_test_did_it() {
    for (body, message) in [
        (
            "local log = test.container_log()\nlog.stop()\nlog.write(\"late\")",
            "log_test.lua:5: the log was stopped",
        ),
        (
            "test.container_log().write({ { lin = \"x\" } })",
            "log_test.lua:3: unknown field `lin`",
        ),
        (
            "test.container_log().write(5)",
            "log_test.lua:3: a container prints texts, or tables such as",
        ),
        (
            "test.equal(test.container_log().write(\"poison\"), true)",
            "the value is false, not true",
        ),
        ("test.container_log().read()", "LogDriver.ReadLogs"),
    ] {
        let ended = run_log(body);
        assert!(
            ended.stdout.contains(message),
            "{message}: {}",
            ended.stdout
        );
    }
}

#[test]
fn a_case_has_a_machine_of_its_own() {
    let ended = run(
        r#"
        local fs = require("@moondock/fs")
        for _, name in { "one", "two" } do
          test.case(name, function()
            test.equal(fs.list("/srv"), {})
            test.call("VolumeDriver.Create", { Name = "a" })
            test.equal(fs.list("/srv"), { "a" })
          end)
        end
        "#,
        &["--seed", "7"],
    );
    assert!(
        ended.stdout.contains("2 passed, 0 failed"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("--seed 7"), "{}", ended.stdout);
}

#[test]
fn results_are_written_for_machines() {
    let tests = "test.case(\"good <1>\", function() end)\ntest.case(\"bad\", function() error(\"a < b\") end)";
    let tap = run(tests, &["--format", "tap", "--jobs", "1"]);
    assert!(tap.stdout.starts_with("TAP version 14\n"), "{}", tap.stdout);
    assert!(tap.stdout.ends_with("\n1..2\n"), "{}", tap.stdout);
    assert!(
        tap.stdout.contains(" - nas/volume_test.lua: good <1>\n"),
        "{}",
        tap.stdout
    );
    assert!(
        tap.stdout
            .contains("  ---\n  message: |\n    volume_test.lua:3: a < b\n"),
        "{}",
        tap.stdout
    );
    let junit = run(tests, &["--format", "junit"]);
    for part in [
        "<testsuites tests=\"2\" failures=\"1\"",
        "<testcase name=\"good &lt;1&gt;\" classname=\"nas/volume_test.lua\"",
        "<failure message=\"volume_test.lua:3: a &lt; b\">",
    ] {
        assert!(junit.stdout.contains(part), "{part}: {}", junit.stdout);
    }
    assert_eq!((tap.code, junit.code), (Some(1), Some(1)));
}

#[test]
fn cases_are_chosen_by_name() {
    let rows = "test.cases(\"row\", { { name = \"first\" }, { name = \"second\" } }, function(row) test.match(row.name, \"s\") end)";
    let ended = run(rows, &["--filter", "sec"]);
    assert!(
        ended
            .stdout
            .starts_with("ok    nas/volume_test.lua: row: second"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("1 passed, 0 failed"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_snapshot_is_kept_until_it_is_updated() {
    let test = |value: &str| {
        format!(
            "local test = require(\"@moondock/test\")\ntest.case(\"it\", function() test.snapshot(\"v\", {value}) end)"
        )
    };
    let place = Workplace::new(&[
        ("nas/volume.lua", VOLUME),
        ("nas/plugin.toml", MANIFEST),
        ("nas/volume_test.lua", &test("{ a = 1 }")),
    ]);
    assert_eq!(place.run(&["test", "nas"]).code, Some(0));
    assert_eq!(place.run(&["test", "nas"]).code, Some(0));
    place.write("nas/volume_test.lua", &test("{ a = 2 }"));
    let differs = place.run(&["test", "nas"]);
    let message = r#"differs from the snapshot `v`: "{ a = 2 }", not "{ a = 1 }""#;
    assert!(differs.stdout.contains(message), "{}", differs.stdout);
    assert_eq!(place.run(&["test", "nas", "--update"]).code, Some(0));
    assert_eq!(place.run(&["test", "nas"]).code, Some(0));
}

#[test]
fn a_file_that_cannot_be_loaded_fails_and_the_others_run() {
    let good = "local test = require(\"@moondock/test\")\ntest.case(\"it\", function() end)";
    let place = Workplace::new(&[
        ("nas/volume.lua", VOLUME),
        ("nas/plugin.toml", MANIFEST),
        (
            "nas/a_test.lua",
            "local test = require(\"@moondock/test\")\ntest.cas()",
        ),
        ("nas/b_test.lua", good),
        ("nas/c_test.lua", "local x = = 1"),
    ]);
    let ended = place.run(&["test", "nas"]);
    assert!(ended.stdout.contains("a_test.lua:2: "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("did you mean `case`?"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("c_test.lua:1: "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("\n1 passed, 2 failed\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_broken_script_fails_its_cases_with_its_diagnostic() {
    let place = Workplace::new(&[
        ("nas/volume.lua", "local volume = {}\nreturn volumes"),
        (
            "nas/volume_test.lua",
            "local test = require(\"@moondock/test\")\ntest.case(\"it\", function() test.call(\"VolumeDriver.List\") end)",
        ),
    ]);
    let ended = place.run(&["test", "nas"]);
    assert!(
        ended.stdout.contains("no variable `volumes`"),
        "{}",
        ended.stdout
    );
}

#[test]
fn tests_are_for_files_of_tests() {
    let place = Workplace::new(&[("nas/volume.lua", "require(\"@moondock/test\")")]);
    let checked = place.run(&["check", "nas"]);
    let message =
        "`@moondock/test` is for files such as `volume_test.lua`, which `moondock test` runs";
    assert!(checked.stdout.contains(message), "{}", checked.stdout);
    let ended = place.run(&["test", "nas"]);
    assert!(
        ended
            .stderr
            .contains("no tests: put them into files such as"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn coverage_names_lines_and_hooks_that_were_not_reached() {
    let tests =
        "test.case(\"it\", function() test.call(\"VolumeDriver.Create\", { Name = \"a\" }) end)";
    let ended = run(tests, &["--cover"]);
    assert_eq!(ended.code, Some(0));
    for part in [
        "nas/volume.lua; never ran: 15-16, 19-20",
        "nas: never called: volume.get, volume.list",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    let ended = run(tests, &["--cover-min", "99"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("fewer lines ran than --cover-min asks for")
    );
}

#[test]
fn a_version_whose_tests_fail_does_not_go_live() {
    let volume = |name: &str| {
        VOLUME.replace(
            "Volumes = {}",
            &format!("Volumes = {{ {{ Name = \"{name}\" }} }}"),
        )
    };
    let setup = Setup::new()
        .plugin("nas", "volume.lua", &volume("good"))
        .plugin("nas", "plugin.toml", MANIFEST)
        .arg("--test-on-reload");
    let file = setup.scripts().join("nas/volume.lua");
    let tests = setup.scripts().join("nas/volume_test.lua");
    let expecting = |name: &str| {
        format!(
            "local test = require(\"@moondock/test\")\ntest.case(\"lists\", function()\n\
             test.equal(test.driver(\"volume\").list().Volumes[1].Name, \"{name}\")\nend)"
        )
    };
    std::fs::write(&tests, expecting("good")).unwrap();
    let served = setup.start();
    let listed = || served.call("nas", "VolumeDriver.List", "{}").body;
    assert!(listed().contains("good"));
    std::fs::write(&file, volume("bad")).unwrap();
    served.wait_for_log("its tests fail:");
    served.wait_for_log("volume_test.lua:3: the value is \"bad\", not \"good\"");
    assert!(listed().contains("good"));
    std::fs::write(&tests, expecting("bad")).unwrap();
    served.wait_for_log("generation=2");
    assert!(listed().contains("bad"));
}

#[test]
fn tests_reach_nothing_real_unless_a_person_asks() {
    let place =
        |path: &str| format!("test.case(\"it\", function() test.file(\"{path}\", \"x\") end)");
    for path in ["/../../tmp/x", "relative"] {
        let ended = run(&place(path), &[]);
        let message = format!("`{path}` is not an absolute path without `..`");
        assert!(ended.stdout.contains(&message), "{}", ended.stdout);
    }
    let real = "test.real(\"process\")\ntest.call(\"VolumeDriver.Remove\", { Name = \"a\" })";
    fails(real, &["process.check: cannot start `wipe`"]);
    let test = format!(
        "local test = require(\"@moondock/test\")\ntest.case(\"it\", function()\n{real}\nend)"
    );
    let setup = Setup::new()
        .plugin("nas", "volume.lua", VOLUME)
        .arg("--test-on-reload");
    let scripts = setup.scripts().join("nas");
    let served = setup.start();
    std::fs::write(scripts.join("plugin.toml"), MANIFEST).unwrap();
    std::fs::write(scripts.join("volume_test.lua"), test).unwrap();
    served.wait_for_log("a saved version is tested without the real machine");
}

#[test]
fn tests_run_again_when_a_file_is_saved() {
    let case = |name: &str| {
        format!("local test = require(\"@moondock/test\")\ntest.case(\"{name}\", function() end)")
    };
    let place = Workplace::new(&[
        ("nas/volume.lua", VOLUME),
        ("nas/volume_test.lua", &case("first")),
    ]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_moondock"));
    command
        .args(["test", "--watch", "nas"])
        .current_dir(place.path());
    let mut watching = command.stdout(Stdio::piped()).spawn().map(Ends).unwrap();
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut next = |text: &str| {
        lines
            .find(|line| line.as_ref().unwrap().contains(text))
            .is_some()
    };
    assert!(next("first"));
    assert!(next("1 passed, 0 failed"));
    place.write("nas/volume_test.lua", &case("second"));
    assert!(next("second"));
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
