//! Plugins that come, go and change their names below a served directory.

use crate::harness::http::Connection;
use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const GET: &str = "VolumeDriver.Get";
const NAMED: &str = r#"{"Name":"v"}"#;

/// A driver whose answers bear `mark`.
fn driver(mark: &str) -> String {
    VOLUME.replace("/m/", &format!("/{mark}/"))
}

/// What `moondock reload` printed, and its exit code.
struct Reloaded {
    code: Option<i32>,
    text: String,
}

impl Served {
    fn plugin_dir(&self, name: &str) -> PathBuf {
        self.setup().scripts().join(name)
    }

    /// A finished directory, moved into place at one stroke.
    fn put(&self, name: &str, text: &str) {
        let draft = self.setup().path().join("draft");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join("volume.lua"), text).unwrap();
        fs::rename(draft, self.plugin_dir(name)).unwrap();
    }

    fn has_mark(&self, plugin: &str, mark: &str) -> bool {
        let Ok(mut connection) = self.setup().connect(plugin) else {
            return false;
        };
        let answer = connection.call(GET, NAMED);
        answer.is_ok_and(|answer| answer.body.contains(&format!("/{mark}/v")))
    }

    fn wait_for_mark_of(&mut self, plugin: &str, mark: &str) {
        self.wait_for(&format!("{plugin} with {mark}"), |served| {
            served.has_mark(plugin, mark)
        });
    }

    fn wait_until_gone(&mut self, plugin: &str) {
        self.wait_for(&format!("the end of {plugin}"), |served| {
            !served.setup().socket(plugin).exists()
        });
        self.wait_for_log(&format!(
            "gone: its directory was removed, its state is kept plugin={plugin}"
        ));
    }

    fn reload(&self) -> Reloaded {
        let output = Command::new(env!("CARGO_BIN_EXE_moondock"))
            .args(["reload", "--state"])
            .arg(self.setup().state())
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        Reloaded {
            code: output.status.code(),
            text,
        }
    }
}

#[test]
fn a_new_directory_is_served_at_once_and_a_removed_one_no_more() {
    let mut served = Setup::with_volume().start();
    served.put("new", &driver("new"));
    served.wait_for_mark_of("new", "new");
    let socket = served.setup().socket("new");
    served.wait_for_log(&format!(
        "ready plugin=new interfaces=volume socket={}",
        socket.display()
    ));
    served.put("other", &driver("other"));
    served.wait_for_mark_of("other", "other");
    fs::remove_dir_all(served.plugin_dir("new")).unwrap();
    served.wait_until_gone("new");
    assert!(served.setup().state().join("new").is_dir());
    assert!(served.has_mark("other", "other"));
    served.assert_answers();
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

#[test]
fn a_renamed_directory_is_one_that_goes_and_one_that_comes() {
    let mut served = Setup::with_volume().start();
    fs::rename(served.plugin_dir("vol"), served.plugin_dir("renamed")).unwrap();
    served.wait_for_mark_of("renamed", "m");
    served.wait_until_gone("vol");
}

#[test]
fn a_plugin_that_went_comes_back_with_its_state() {
    let counting = "local store = require('@moondock/store')\n\
         local function next() store.set('n', (store.get('n') or 0) + 1) return store.get('n') end\n"
        .to_owned()
        + &VOLUME.replace(
            "Mountpoint = \"/m/\" .. req.Name } }",
            "Mountpoint = '/' .. next() .. '/' .. req.Name } }",
        );
    let mut served = Setup::with_volume().start();
    for round in 1..=3 {
        served.put("back", &counting);
        served.wait_for_mark_of("back", &round.to_string());
        fs::remove_dir_all(served.plugin_dir("back")).unwrap();
        served.wait_for("its end", |served| !served.setup().socket("back").exists());
    }
}

/// As `cp -r` and `scp -r` make them, however slow they are.
#[test]
fn a_half_copied_directory_waits_for_its_first_interface() {
    let mut served = Setup::with_volume().start();
    let dir = served.plugin_dir("slow");
    fs::create_dir(&dir).unwrap();
    fs::create_dir(dir.join("lib")).unwrap();
    fs::write(dir.join("lib/mark.lua"), "return 1").unwrap();
    fs::write(dir.join("README"), "text").unwrap();
    let report = served.reload();
    assert!(
        !report.text.contains("slow") && report.code == Some(0),
        "{}",
        report.text
    );
    assert!(!served.setup().socket("slow").exists());
    fs::write(dir.join("volume.lua"), driver("whole")).unwrap();
    served.wait_for_mark_of("slow", "whole");
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

/// Whoever names a file wrongly is told, whenever the directory arrives.
#[test]
fn a_misnamed_script_beside_plugins_is_logged_once() {
    let mut served = Setup::with_volume().start();
    let typo = served.plugin_dir("typo");
    fs::create_dir(&typo).unwrap();
    fs::write(typo.join("volum.lua"), VOLUME).unwrap();
    let said = "WARN typo: not served: rename `";
    served.wait_for_log(said);
    let report = served.reload();
    assert!(
        report.code == Some(0) && report.text.contains("typo: not served: rename `"),
        "{}",
        report.text
    );
    assert_eq!(served.log().matches(said).count(), 1, "{}", served.log());
    fs::rename(typo.join("volum.lua"), typo.join("volume.lua")).unwrap();
    served.wait_for_mark_of("typo", "m");
}

#[test]
fn an_empty_directory_waits_for_its_first_plugin() {
    let setup = Setup::new();
    let command = setup.command();
    let mut served = setup.launch(command);
    served.wait_for_log("WARN no plugin in `");
    let report = served.reload();
    assert!(
        report.code == Some(0) && report.text.contains("create one with `moondock new "),
        "{}",
        report.text
    );
    served.put("first", &driver("first"));
    served.wait_for_mark_of("first", "first");
    assert!(!served.reload().text.contains("no plugin"));
    served.signal(Signal::TERM);
    assert!(served.wait().success());
}

#[test]
fn a_directory_whose_files_are_replaced_stays() {
    let mut served = Setup::with_volume().start();
    let file = served.plugin_dir("vol").join("volume.lua");
    fs::remove_file(&file).unwrap();
    served.wait_for_log("volume.lua: the file was deleted");
    assert!(served.has_mark("vol", "m"));
    fs::write(file, driver("again")).unwrap();
    served.wait_for_mark_of("vol", "again");
    assert!(!served.log().contains("gone"), "{}", served.log());
}

#[test]
fn a_link_to_another_directory_is_followed() {
    let setup = Setup::with_volume();
    for mark in ["1", "2"] {
        fs::create_dir_all(setup.path().join("releases").join(mark)).unwrap();
        fs::write(
            setup.path().join("releases").join(mark).join("volume.lua"),
            driver(mark),
        )
        .unwrap();
    }
    let link = setup.scripts().join("linked");
    let mut served = setup.start();
    symlink("../releases/1", &link).unwrap();
    served.wait_for_mark_of("linked", "1");
    symlink("../releases/2", link.with_file_name(".new")).unwrap();
    fs::rename(link.with_file_name(".new"), &link).unwrap();
    served.wait_for_mark_of("linked", "2");
    fs::remove_file(&link).unwrap();
    served.wait_until_gone("linked");
}

/// The whole directory of plugins is a link that is replaced.
#[test]
fn another_directory_of_plugins_replaces_the_first_at_one_stroke() {
    let setup = Setup::new().arg("current");
    let release = |name: &str, plugin: &str| {
        let dir = setup.path().join(name).join(plugin);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("volume.lua"), driver(name)).unwrap();
    };
    release("one", "both");
    release("one", "first");
    release("two", "both");
    release("two", "second");
    let current = setup.path().join("current");
    symlink("one", &current).unwrap();
    let mut served = setup.start();
    served.wait_for_mark_of("first", "one");
    symlink("two", current.with_file_name("new")).unwrap();
    fs::rename(current.with_file_name("new"), &current).unwrap();
    served.wait_for_mark_of("second", "two");
    served.wait_for_mark_of("both", "two");
    served.wait_until_gone("first");
}

#[test]
fn a_plugin_that_goes_finishes_its_calls() {
    let mut served = Setup::with_volume().start();
    served.put("busy", &driver("busy"));
    served.wait_for_mark_of("busy", "busy");
    let mut call = served.connect("busy");
    let body = r#"{"Name":"slow","Opts":{"sleep":"1"}}"#;
    call.send(crate::harness::http::request("VolumeDriver.Create", body))
        .unwrap();
    assert!(served.has_mark("busy", "busy"));
    fs::rename(
        served.plugin_dir("busy"),
        served.setup().path().join("away"),
    )
    .unwrap();
    served.wait_until_gone("busy");
    assert!(Connection::open(&served.setup().socket("busy")).is_err());
    // Its successor waits until it has ended.
    served.put("busy", &driver("next"));
    assert_eq!(call.receive().unwrap().status, 200);
    assert!(call.is_closed());
    served.wait_for_mark_of("busy", "next");
}

#[test]
fn a_call_that_does_not_end_does_not_keep_a_plugin_from_going() {
    let mut served = Setup::with_volume().arg("--drain=1").start();
    served.put("busy", &driver("busy"));
    served.wait_for_mark_of("busy", "busy");
    let mut call = served.connect("busy");
    let body = r#"{"Name":"slow","Opts":{"sleep":"60"}}"#;
    call.send(crate::harness::http::request("VolumeDriver.Create", body))
        .unwrap();
    assert!(served.has_mark("busy", "busy"));
    fs::remove_dir_all(served.plugin_dir("busy")).unwrap();
    served.wait_for_log("abandoning calls in flight after 1 s plugin=busy");
    served.put("busy", &driver("next"));
    served.wait_for_mark_of("busy", "next");
}

#[test]
fn a_directory_that_the_command_line_names_is_kept() {
    let setup = Setup::new()
        .arg("scripts/vol")
        .plugin("vol", "volume.lua", VOLUME);
    let mut served = setup.start();
    fs::rename(served.plugin_dir("vol"), served.setup().path().join("away")).unwrap();
    served.wait_for_log("reload failed, the previous version stays live: plugin=vol");
    served.assert_answers();
    let report = served.reload();
    assert!(
        report.code == Some(1) && report.text.contains("vol: kept: cannot read the scripts"),
        "{}",
        report.text
    );
    served.put("vol", &driver("back"));
    served.wait_for_mark_of("vol", "back");
}

#[test]
fn badly_named_directories_are_logged_once_and_served_when_renamed() {
    let mut served = Setup::with_volume().start();
    served.put("Backup copy", &driver("backup"));
    let said = "ERROR not served: `Backup copy` cannot be the name of a plugin";
    served.wait_for_log(said);
    let report = served.reload();
    assert!(report.code == Some(1), "{}", report.text);
    assert!(
        report
            .text
            .contains("Backup copy: not served: `Backup copy` cannot be the name of a plugin"),
        "{}",
        report.text
    );
    fs::rename(
        served.plugin_dir("Backup copy"),
        served.plugin_dir("backup"),
    )
    .unwrap();
    served.wait_for_mark_of("backup", "backup");
    assert_eq!(served.log().matches(said).count(), 1, "{}", served.log());
    assert_eq!(served.reload().code, Some(0));
}

#[test]
fn a_socket_that_was_in_use_is_bound_by_a_reload() {
    let setup = Setup::with_volume().plugin("taken", "volume.lua", VOLUME);
    let owner = std::os::unix::net::UnixListener::bind(setup.socket("taken")).unwrap();
    let command = setup.command();
    let mut served = setup.launch(command);
    served.wait_for_log("taken.sock` is in use by process");
    served.wait_for_log("ready plugin=vol");
    let report = served.reload();
    assert!(
        report.code == Some(1) && report.text.contains("is in use by process"),
        "{}",
        report.text
    );
    drop(owner);
    let report = served.reload();
    assert!(
        report.code == Some(0) && report.text.starts_with("taken: new\n"),
        "{}",
        report.text
    );
    served.wait_for_mark_of("taken", "m");
}

#[test]
fn reload_reports_what_became_of_each_plugin_and_script() {
    let setup = Setup::with_volume()
        .plugin("edited", "volume.lua", VOLUME)
        .plugin("failing", "volume.lua", VOLUME)
        .plugin("broken", "network.lua", "return 7");
    let served = setup.start();
    let save =
        |file: &str, text: &str| fs::write(served.setup().scripts().join(file), text).unwrap();
    save("failing/volume.lua", "return {{{\n");
    served.wait_for_log("reload failed, the previous version stays live: plugin=failing");
    let report = served.reload();
    assert_eq!(report.code, Some(1), "{}", report.text);
    for line in [
        "broken/network.lua: broken: network.lua: ",
        "edited/volume.lua: loaded again, same files (generation 2)\n",
        "failing/volume.lua: kept: volume.lua:2: ",
        "vol/volume.lua: loaded again, same files (generation 2)\n",
    ] {
        assert!(
            report.text.contains(line),
            "`{line}` is not in {}",
            report.text
        );
    }
    save("failing/volume.lua", VOLUME);
    save("broken/network.lua", crate::directories::NETWORK);
    served.put("new", &driver("new"));
    let report = served.reload();
    assert_eq!(report.code, Some(0), "{}", report.text);
    assert!(report.text.contains("new/volume.lua: "), "{}", report.text);
}

/// What a script prints and raises may hold line ends and codes of terminals.
#[test]
fn a_script_cannot_forge_a_line_of_the_log_or_of_a_reload() {
    const FORGED: &str = "one\\n2001-01-01T00:00:00.000000Z  INFO forged\\rtwo\\27[2Jthree";
    let served = Setup::with_volume().start();
    let raised = format!("print(\"{FORGED}\")\nerror(\"{FORGED}\")\n");
    let in_one_line = FORGED.replacen("\\n", " ", 1);
    for (text, shown) in [
        (raised.clone(), "volume.lua:2: one"),
        (
            raised.replace(FORGED, &in_one_line),
            "INFO forged\\rtwo\\u{1b}[2Jthree",
        ),
    ] {
        fs::write(served.plugin_dir("vol").join("volume.lua"), text).unwrap();
        served.wait_for_log(shown);
        let report = served.reload();
        assert_eq!(report.code, Some(1), "{}", report.text);
        for written in [&report.text, &served.log()] {
            assert!(written.contains(shown), "{written}");
            assert!(!written.contains(['\r', '\u{1b}']), "{written}");
            assert!(
                !written.lines().any(|line| line.starts_with("2001-01-01")),
                "{written}"
            );
        }
    }
}

/// A network driver with the hooks that are needed.
const NETWORK: &str = "local function nothing() end
return {
  create_network = nothing, delete_network = nothing, create_endpoint = nothing, delete_endpoint = nothing,
  join = function() return { InterfaceName = { SrcName = 'a', DstPrefix = 'eth' } } end, leave = nothing,
}";

/// Without a watcher, whatever came and went is taken over by the reload.
#[test]
fn reload_serves_new_directories_and_reports_them() {
    let served = Setup::with_volume().start();
    served.signal(Signal::STOP);
    served.put("new", &driver("new"));
    fs::rename(served.plugin_dir("vol"), served.setup().path().join("away")).unwrap();
    let (report, served) = thread::scope(|scope| {
        let asking = scope.spawn(|| served.reload());
        thread::sleep(Duration::from_millis(100));
        served.signal(Signal::CONT);
        (asking.join().unwrap(), &served)
    });
    assert_eq!(report.code, Some(0), "{}\n{}", report.text, served.log());
    assert!(!served.setup().socket("vol").exists());
    assert!(served.has_mark("new", "new"));
}

#[test]
fn many_reloads_at_once_are_all_answered() {
    let slow = "local n = 0 for i = 1, 2e6 do n = n + 1 end\n".to_owned() + VOLUME;
    let served = Setup::with_volume()
        .plugin("slow", "volume.lua", &slow)
        .start();
    let reports: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| served.reload())).collect();
        asking
            .into_iter()
            .map(|asking| asking.join().unwrap())
            .collect()
    });
    for Reloaded { code, text } in reports {
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains("slow/volume.lua: loaded again, same files (generation "),
            "{text}"
        );
        assert!(
            text.contains("vol/volume.lua: loaded again, same files (generation "),
            "{text}"
        );
    }
}

/// The policy's save is live although the driver beside it takes long to load.
#[test]
fn a_script_that_loads_slowly_does_not_delay_the_others() {
    let slow = "local n = 0 while n < 4e9 do n = n + 1 end\n".to_owned() + VOLUME;
    let policy =
        |word: &str| format!("return {{ request = function() return false, '{word}' end }}");
    let setup = Setup::with_volume()
        .plugin("both", "authz.lua", &policy("first"))
        .plugin("both", "volume.lua", VOLUME)
        .plugin("both", "plugin.toml", "[limits]\ncpu_ms = 10000\n");
    let mut served = setup.start();
    let save = |served: &Served, file: &str, text: &str| {
        fs::write(served.plugin_dir("both").join(file), text).unwrap();
    };
    save(&served, "volume.lua", &slow);
    // While the driver is loaded.
    served.wait_for_log("");
    let begun = Instant::now();
    let request = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
    for word in ["second", "third"] {
        save(&served, "authz.lua", &policy(word));
        served.wait_for(word, |served| {
            served
                .call("both", "AuthZPlugin.AuthZReq", request)
                .body
                .contains(word)
        });
    }
    let took = begun.elapsed();
    assert!(
        !served.log().contains("reload failed"),
        "the driver was done first\n{}",
        served.log()
    );
    println!("{took:?}");
}

#[test]
fn grants_that_were_accepted_once_are_kept_while_a_plugin_is_away() {
    let mut served = Setup::with_volume().start();
    let put = |served: &Served, grants: &str| {
        let draft = served.setup().path().join("draft");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join("volume.lua"), VOLUME).unwrap();
        fs::write(draft.join("plugin.toml"), format!("grants = [{grants}]\n")).unwrap();
        fs::rename(draft, served.plugin_dir("nas")).unwrap();
    };
    let create = |served: &Served| served.call("nas", "VolumeDriver.Create", NAMED);
    put(&served, "\"net\"");
    served.wait_for_mark_of("nas", "m");
    assert_eq!(create(&served).status, 200);
    for (grants, is_served) in [("\"net\"", true), ("\"net\", \"docker\"", false)] {
        fs::remove_dir_all(served.plugin_dir("nas")).unwrap();
        served.wait_for("its end", |served| !served.setup().socket("nas").exists());
        put(&served, grants);
        served.wait_for("its return", |served| served.setup().connect("nas").is_ok());
        let answer = create(&served);
        assert_eq!(answer.status == 200, is_served, "{answer:?}");
    }
    assert!(
        create(&served)
            .body
            .contains("`docker` must be accepted first")
    );
    served.signal(Signal::USR1);
    served.wait_for("its acceptance", |served| create(served).status == 200);
}
