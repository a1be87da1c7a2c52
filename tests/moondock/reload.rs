//! That a save is live at once, however it is made, and that a bad one changes nothing.

use crate::harness::http::Connection;
use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const GET: &str = "VolumeDriver.Get";
const NAMED: &str = r#"{"Name":"v"}"#;

/// A driver whose answers bear `mark`.
fn driver(mark: &str) -> String {
    VOLUME.replace("/m/", &format!("/{mark}/"))
}

/// A driver whose answers bear what `expression` is.
fn driver_of(expression: &str) -> String {
    let body = VOLUME.replace("\"/m/\"", "\"/\" .. mark .. \"/\"");
    format!("local mark = {expression}\n{body}")
}

fn started(mark: &str) -> Served {
    Setup::new()
        .plugin("vol", "volume.lua", &driver(mark))
        .start()
}

/// A driver made of several files, by their paths in the plugin's directory.
fn started_with(files: &[(&str, &str)]) -> Served {
    let setup = Setup::new();
    for (file, text) in files {
        write(&setup.scripts().join("vol").join(file), text);
    }
    setup.start()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Puts a link in the place of another at one stroke.
fn point(link: &Path, target: &str) {
    let new = link.with_file_name("..new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

fn mark_of(body: &str) -> String {
    let reply: Value = serde_json::from_str(body).unwrap();
    let mountpoint = reply["Volume"]["Mountpoint"]
        .as_str()
        .unwrap_or_else(|| panic!("{body}"));
    mountpoint.split('/').nth(1).unwrap().to_owned()
}

impl Served {
    fn path(&self, file: &str) -> PathBuf {
        self.setup().scripts().join("vol").join(file)
    }

    fn mark(&self) -> String {
        mark_of(&self.call("vol", GET, NAMED).body)
    }

    fn wait_for_mark(&mut self, mark: &str) {
        self.wait_for(mark, |served| {
            // A directory that is replaced slowly is a plugin that goes and comes.
            let Ok(mut connection) = served.setup().connect("vol") else {
                return false;
            };
            let answer = connection.call(GET, NAMED);
            answer.is_ok_and(|answer| mark_of(&answer.body) == mark)
        });
    }

    /// How many generations took over so far, as the log has it.
    fn takeovers(&self) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains("INFO live "))
            .count()
    }

    fn wait_for_takeovers(&mut self, count: usize) {
        self.wait_for("all to take over", |served| served.takeovers() >= count);
        assert_eq!(self.takeovers(), count, "{}", self.log());
    }
}

type Save = fn(path: &Path, old: &str, new: &str);

const WAYS: [(&str, Save); 7] = [
    ("in_place", |path, _, new| {
        fs::write(path, driver(new)).unwrap()
    }),
    ("rename", |path, _, new| {
        let other = path.with_file_name(".volume.lua.tmp");
        fs::write(&other, driver(new)).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("anew", |path, _, new| {
        fs::remove_file(path).unwrap();
        fs::write(path, driver(new)).unwrap();
    }),
    ("backup", |path, _, new| {
        fs::rename(path, path.with_file_name("volume.lua~")).unwrap();
        fs::write(path, driver(new)).unwrap();
    }),
    ("sed", |path, old, new| {
        let edit = format!("s,/{old}/,/{new}/,");
        assert!(
            Command::new("sed")
                .args(["-i", &edit])
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    }),
    ("hard_link", |path, _, new| {
        let other = path.with_file_name("other.txt");
        fs::write(&other, driver(new)).unwrap();
        fs::remove_file(path).unwrap();
        fs::hard_link(other, path).unwrap();
    }),
    ("directory", |path, _, new| {
        let directory = path.parent().unwrap();
        fs::remove_dir_all(directory).unwrap();
        write(path, &driver(new));
    }),
];

#[test]
fn every_way_of_saving_triggers_a_reload() {
    let mut served = started("first");
    let mut old = "first";
    for _ in 0..2 {
        for (new, save) in WAYS {
            save(&served.path("volume.lua"), old, new);
            served.wait_for_mark(new);
            old = new;
        }
    }
}

#[test]
fn a_kubernetes_volume_is_followed() {
    let setup = Setup::new();
    let plugin = setup.scripts().join("vol");
    write(&plugin.join("..2026_1/volume.lua"), &driver("1"));
    symlink("..2026_1", plugin.join("..data")).unwrap();
    symlink("..data/volume.lua", plugin.join("volume.lua")).unwrap();
    let mut served = setup.start();
    assert_eq!(served.mark(), "1");
    for mark in ["2", "3", "4"] {
        let old = fs::read_link(plugin.join("..data")).unwrap();
        write(
            &plugin.join(format!("..2026_{mark}/volume.lua")),
            &driver(mark),
        );
        point(&plugin.join("..data"), &format!("..2026_{mark}"));
        fs::remove_dir_all(plugin.join(old)).unwrap();
        served.wait_for_mark(mark);
    }
}

#[test]
fn a_plugin_whose_directory_is_a_link_is_followed() {
    let setup = Setup::new();
    let release = |mark: &str| setup.path().join(format!("releases/{mark}"));
    for mark in ["1", "2"] {
        write(
            &release(mark).join("volume.lua"),
            &driver_of("require(\"./lib/mark\")"),
        );
        write(
            &release(mark).join("lib/mark.lua"),
            &format!("return \"{mark}\""),
        );
    }
    let plugin = setup.scripts().join("vol");
    point(&plugin, "../releases/1");
    let late = release("2").join("lib/mark.lua");
    let mut served = setup.start();
    assert_eq!(served.mark(), "1");
    point(&plugin, "../releases/2");
    served.wait_for_mark("2");
    write(&late, "return \"late\"");
    served.wait_for_mark("late");
    point(&plugin, "../releases/1");
    served.wait_for_mark("1");
}

#[test]
fn changes_of_required_files_reload_the_script() {
    let mut served = started_with(&[
        ("volume.lua", &driver_of("require(\"./lib/x\")")),
        ("lib/x.lua", "return require(\"./deep/y\")"),
        ("lib/deep/y.lua", "return \"first\""),
    ]);
    assert_eq!(served.mark(), "first");
    write(&served.path("lib/deep/y.lua"), "return \"deep\"");
    served.wait_for_mark("deep");
    write(&served.path("lib/x.lua"), "return \"flat\"");
    served.wait_for_mark("flat");
    fs::remove_dir_all(served.path("lib")).unwrap();
    served.wait_for_log("there is no `lib/x.lua`");
    assert_eq!(served.mark(), "flat");
    write(&served.path("lib/x.lua"), "return \"again\"");
    served.wait_for_mark("again");
}

#[test]
fn unrelated_files_reload_nothing() {
    let mut served = started("first");
    write(&served.path("unused.lua"), "return 1");
    write(&served.path("volume_test.lua"), "an error");
    write(&served.path("volume.lua"), &driver("second"));
    served.wait_for_mark("second");
    served.wait_for_takeovers(1);
}

#[test]
fn saved_settings_apply() {
    let setting = |mark: &str| format!("[settings]\nmark = \"{mark}\"\n");
    let mut served = started_with(&[
        (
            "volume.lua",
            &driver_of("require(\"@moondock/plugin\").settings().mark"),
        ),
        ("plugin.toml", &setting("first")),
    ]);
    assert_eq!(served.mark(), "first");
    write(&served.path("plugin.toml"), &setting("second"));
    served.wait_for_mark("second");
    write(&served.path("plugin.toml"), "[settings]\n\nmark = = 1\n");
    served.wait_for_log("plugin.toml:3");
    assert_eq!(served.mark(), "second");
    write(&served.path("plugin.toml"), &setting("mended"));
    served.wait_for_mark("mended");
}

/// Without its settings, a script would do what they forbid.
#[test]
fn settings_that_are_gone_or_unreadable_keep_the_last_version() {
    let mark = r#"rawget(require("@moondock/plugin").settings(), "mark") or "open""#;
    let closed = "[settings]\nmark = \"closed\"\n";
    let mut served = started_with(&[("volume.lua", &driver_of(mark)), ("plugin.toml", closed)]);
    let settings = served.path("plugin.toml");
    fs::remove_file(&settings).unwrap();
    served.wait_for_log("plugin.toml: the file was deleted");
    assert_eq!(served.mark(), "closed");
    write(
        &served.path("volume.lua"),
        &format!("{} -- again", driver_of(mark)),
    );
    served.wait_for("the second report", |served| {
        let log = served.log();
        log.matches("plugin.toml: the file was deleted").count() >= 2
    });
    assert_eq!(served.mark(), "closed");
    std::os::unix::fs::symlink("/etc/passwd", &settings).unwrap();
    served.wait_for_log("plugin.toml: the link leads out of the plugin's directory");
    assert_eq!(served.mark(), "closed");
    fs::remove_file(&settings).unwrap();
    write(&settings, "");
    served.wait_for_mark("open");
}

#[test]
fn half_written_scripts_are_never_loaded() {
    let mut served = started("old!");
    let mut file = File::create(served.path("volume.lua")).unwrap();
    file.write_all(driver("half").as_bytes()).unwrap();
    file.sync_all().unwrap();
    // Longer than many reloads take, and shorter than the timeout for a file that stays open.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        assert_eq!(served.mark(), "old!");
    }
    file.rewind().unwrap();
    file.write_all(driver("full").as_bytes()).unwrap();
    drop(file);
    served.wait_for("full", |served| {
        let mark = served.mark();
        assert_ne!(mark, "half");
        mark == "full"
    });
    served.wait_for_takeovers(1);
    assert!(!served.log().contains("reload failed"), "{}", served.log());
}

#[test]
fn a_broken_script_keeps_the_last_good_one() {
    let mut served = started("good");
    let text = driver("mended");
    let lines: Vec<_> = text.lines().collect();
    write(&served.path("volume.lua"), &lines[..5].join("\n"));
    served.wait_for_log("reload failed, the previous version stays live");
    served.wait_for_log("volume.lua:5");
    assert_eq!(served.mark(), "good");
    write(&served.path("volume.lua"), &text);
    served.wait_for_mark("mended");
}

#[test]
fn the_last_of_many_saves_is_loaded() {
    let mut served = started("first");
    for round in 0..200 {
        let (_, save) = WAYS[round % 2];
        save(&served.path("volume.lua"), "", &format!("save-{round}"));
    }
    served.wait_for_mark("save-199");
    assert!(!served.log().contains("reload failed"), "{}", served.log());
}

/// They go on for longer than changes are waited for, and end before scripts are taken as they are.
#[test]
fn slow_saves_are_loaded_whole_or_not_at_all() {
    let mut served = started("first");
    let pause = || thread::sleep(Duration::from_millis(4));
    let (begun, mut round) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(2) {
        round += 1;
        let text = driver(&format!("save-{round}"));
        let (half, rest) = text.split_at(text.len() / 2);
        let mut file = File::create(served.path("volume.lua")).unwrap();
        file.write_all(half.as_bytes()).unwrap();
        pause();
        file.write_all(rest.as_bytes()).unwrap();
        drop(file);
        pause();
    }
    served.wait_for_mark(&format!("save-{round}"));
    assert!(!served.log().contains("reload failed"), "{}", served.log());
}

/// As vim does, from the first keystroke to the last.
#[test]
fn an_open_swap_file_does_not_delay_reloads() {
    let mut served = started("first");
    let mut swap = File::create(served.path(".volume.lua.swp")).unwrap();
    let times = (0..5).map(|round| {
        let begun = Instant::now();
        swap.write_all(b"typed").unwrap();
        let mark = format!("save-{round}");
        fs::write(served.path("volume.lua"), driver(&mark)).unwrap();
        served.wait_for_mark(&mark);
        begun.elapsed()
    });
    let least = times.min().unwrap();
    assert!(least < Duration::from_millis(500), "{least:?}");
}

/// Reads one value, waits, and reads another: both of one generation.
fn pair(mark: usize) -> String {
    let waits = format!(
        "  local first = \"{mark}\"\n  time.sleep(0.005)\n  local mountpoint = \"/\" .. first .. \"/\" .. mark.second\n  \
         return {{ Volume = {{ Name = req.Name, Mountpoint = mountpoint }} }}\n"
    );
    let text = VOLUME.replace(
        "  return { Volume = { Name = req.Name, Mountpoint = \"/m/\" .. req.Name } }\n",
        &waits,
    );
    format!("local mark = require(\"./lib/mark\")\n{text}")
}

/// Calls on one connection until `done`: how many there were, and the generations that answered.
fn call_until(done: &AtomicBool, mut connection: Connection) -> (usize, BTreeSet<String>) {
    let (mut calls, mut seen) = (0, BTreeSet::new());
    while !done.load(Ordering::Relaxed) {
        let response = connection
            .call(GET, NAMED)
            .expect("an answer on the same connection");
        assert_eq!(response.status, 200, "{response:?}");
        let reply: Value = serde_json::from_str(&response.body).unwrap();
        let pair = reply["Volume"]["Mountpoint"].as_str().unwrap();
        let (first, second) = pair[1..].split_once('/').unwrap();
        assert_eq!(first, second, "one call, two generations");
        seen.insert(first.to_owned());
        calls += 1;
    }
    (calls, seen)
}

#[test]
fn no_call_fails_or_sees_two_generations_while_scripts_are_saved() {
    const SAVES: usize = 15;
    let setup = Setup::new();
    let release = |round: usize| setup.path().join(format!("releases/{round}"));
    for round in 0..=SAVES {
        write(&release(round).join("volume.lua"), &pair(round));
        write(
            &release(round).join("lib/mark.lua"),
            &format!("return {{ second = \"{round}\" }}"),
        );
    }
    let plugin = setup.scripts().join("vol");
    point(&plugin, "../releases/0");
    let mut served = setup.start();
    let done = AtomicBool::new(false);
    let connections: Vec<_> = (0..12).map(|_| served.connect("vol")).collect();
    thread::scope(|scope| {
        let done = &done;
        let callers: Vec<_> = connections
            .into_iter()
            .map(|c| scope.spawn(move || call_until(done, c)))
            .collect();
        let begun = Instant::now();
        for round in 1..=SAVES {
            point(&plugin, &format!("../releases/{round}"));
            served.wait_for_mark(&round.to_string());
        }
        let saving = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        let (calls, seen) = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .fold((0, BTreeSet::new()), |(calls, mut seen), (more, others)| {
                seen.extend(others);
                (calls + more, seen)
            });
        println!(
            "{calls} calls in {saving:?}: {:.0} a second",
            calls as f64 / saving.as_secs_f64()
        );
        assert!(calls > SAVES * 10, "{calls} calls are no load");
        assert!(seen.len() >= SAVES, "{seen:?}");
    });
    served.wait_for_takeovers(SAVES);
}

#[test]
fn a_new_interface_works_and_asks_for_a_restart_of_docker() {
    let mut served = started("first");
    write(
        &served.path("secret.lua"),
        "return { get_secret = function(req) return { Value = \"s\" } end }",
    );
    served.wait_for_log("secret.lua is new: restart Docker, which asks for interfaces only once");
    let response = served.call("vol", "SecretProvider.GetSecret", r#"{"SecretName":"s"}"#);
    assert_eq!(response.status, 200, "{response:?}");
    let activated = served.call("vol", "Plugin.Activate", "").body;
    assert!(
        activated.contains("secretprovider") && activated.contains("VolumeDriver"),
        "{activated}"
    );
    served.wait_for_mark("first");
}

#[test]
fn a_removed_script_keeps_serving_and_is_logged() {
    let mut served = started_with(&[("volume.lua", &driver("first")), ("plugin.toml", "")]);
    fs::remove_file(served.path("volume.lua")).unwrap();
    let said = "volume.lua: the file was deleted\n  cure: put it back, or restart moondock";
    served.wait_for_log(said);
    assert_eq!(served.mark(), "first");
    // Later saves in the plugin say it no more.
    write(&served.path("netwrok.lua"), "return {}");
    served.wait_for_log("netwrok.lua");
    assert_eq!(served.log().matches(said).count(), 1, "{}", served.log());
    write(&served.path("volume.lua"), &driver("back"));
    served.wait_for_mark("back");
}

/// The manifest of a plugin that never ran breaks it; it keeps nothing alive.
#[test]
fn a_broken_manifest_without_a_live_script_is_broken() {
    let setup = Setup::new()
        .plugin("vol", "volume.lua", &driver("first"))
        .plugin("vol", "plugin.toml", "grants = 5\n");
    let mut served = setup.start();
    let report = |served: &Served| {
        let output = Command::new(env!("CARGO_BIN_EXE_moondock"))
            .args(["reload", "--state"])
            .arg(served.setup().state())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(report(&served).starts_with("vol/plugin.toml: broken: plugin.toml:1: "));
    served.wait_for_log("cannot be loaded, all calls fail until this is fixed: plugin=vol");
    write(&served.path("plugin.toml"), "");
    served.wait_for("the first generation", |served| {
        served.call("vol", "VolumeDriver.Create", NAMED).status == 200
    });
    write(&served.path("plugin.toml"), "grants = 5\n");
    served.wait_for_log("reload failed, the previous version stays live: plugin=vol");
    assert!(report(&served).starts_with("vol/plugin.toml: kept: plugin.toml:1: "));
}

#[test]
fn sighup_reloads_unchanged_scripts() {
    let setup = Setup::with_volume().plugin("other", "volume.lua", VOLUME);
    let mut served = setup
        .plugin(
            "vol",
            "authz.lua",
            "return { request = function() return true end }",
        )
        .start();
    assert_eq!(served.takeovers(), 0);
    for times in 1..=2 {
        served.signal(Signal::HUP);
        served.wait_for_takeovers(3 * times);
    }
}

/// Run it with `cargo test --release --test moondock from_save_to_live -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn from_save_to_live_takes_less_than_100_ms() {
    let served = started("first");
    let mut connection = served.connect("vol");
    let mut times: Vec<_> = (0..50)
        .map(|round| {
            let mark = format!("save-{round}");
            let begun = Instant::now();
            fs::write(served.path("volume.lua"), driver(&mark)).unwrap();
            while mark_of(&connection.call(GET, NAMED).unwrap().body) != mark {}
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("save to live: median {:?}, most {:?}", times[25], times[49]);
    assert!(times[25] < Duration::from_millis(100), "{times:?}");
}
