//! Log scripts that take nothing, on a real engine: their containers stay in the user's hands, and no line is lost.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;
use crate::logs::numbers;

const TIMEOUT: Duration = Duration::from_secs(60);
/// For what depends on how fast a busy disk is.
const LONG: Duration = Duration::from_secs(300);
/// What a command may take longer than with `json-file`, on a busy machine. It was minutes, or for ever.
const EXTRA: Duration = Duration::from_secs(6);
const SPILLED: &str = "log stream is spilled to disk, because its script does not keep up";
/// Prints without end, on both outputs.
const FLOOD: &str = "while :; do echo line; done & while :; do echo line >&2; done";

/// The shipped driver, which does `$STUCK` unless the file `works` is there.
const SCRIPT: &str = r#"local fs = require("@moondock/fs")
local time = require("@moondock/time")
local root = require("@moondock/plugin").settings().root
local hooks = require("@moondock/logs").file_driver({ root = root })
local write = hooks.write_batch
function hooks.write_batch(entries, info)
  if not fs.exists(root .. "/works") then $STUCK end
  write(entries, info)
end
return hooks
"#;
const RAISES: &str = r#"error("the database is down")"#;
const HANGS: &str = "while not fs.exists(root .. '/works') do time.sleep(0.05) end";

impl Bed {
    fn with_stuck_logs(stuck: &str, settings: &str) -> Bed {
        let bed = Bed::with_jsonlog(|manifest| manifest + settings);
        bed.write_script("scripts/jsonlog/log.lua", &SCRIPT.replace("$STUCK", stuck));
        wait_for("the stuck script", TIMEOUT, || {
            bed.moondock_log().contains("generation=2")
        });
        bed
    }

    fn mend_logs(&self) {
        fs::create_dir_all(self.log_root()).unwrap();
        fs::write(Path::new(&self.log_root()).join("works"), "").unwrap();
    }

    /// A container that prints without end, through `driver`.
    fn run_flood(&self, name: &str, driver: &[&str]) {
        let head = ["run", "-d", "--name", name];
        let flood = ["busybox", "sh", "-c", FLOOD];
        self.docker(&[&head[..], driver, &flood].concat()).ok();
    }

    fn time(&self, args: &[&str]) -> Duration {
        let begun = Instant::now();
        self.docker(args).ok();
        begun.elapsed()
    }

    /// How long each command takes on a container of its own that prints without end, and `inspect` after the command
    /// was sent.
    fn time_commands(&self, driver: &[&str], flooded: impl Fn(&str)) -> Vec<(String, Duration)> {
        let commands: [&[&str]; 4] = [
            &["kill"],
            &["stop", "-t", "1"],
            &["restart", "-t", "1"],
            &["rm", "-f"],
        ];
        let mut times = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            let name = format!("flood{index}");
            self.run_flood(&name, driver);
            flooded(&name);
            let both = std::thread::scope(|scope| {
                let name = name.as_str();
                let commanded = scope.spawn(move || self.time(&[*command, &[name]].concat()));
                std::thread::sleep(Duration::from_millis(200));
                let begun = Instant::now();
                // Removed meanwhile is as good.
                self.docker(&["inspect", name]);
                (commanded.join().unwrap(), begun.elapsed())
            });
            times.push((command[0].to_owned(), both.0));
            times.push((format!("inspect during {}", command[0]), both.1));
            times.push((
                format!("rm -f after {}", command[0]),
                self.time(&["rm", "-f", &name]),
            ));
        }
        times.push(("ps".to_owned(), self.time(&["ps", "-a"])));
        times
    }

    /// Compares with the same containers on `json-file`.
    fn commands_are_prompt(&self, what: &str, driver: &[&str], flooded: impl Fn(&str)) {
        let usual = self.time_commands(&["--log-driver", "json-file"], |_| {
            std::thread::sleep(Duration::from_secs(1));
        });
        let times = self.time_commands(driver, flooded);
        for ((name, usual), (_, took)) in usual.iter().zip(&times) {
            println!("{what}: {name}: {took:.1?}, usually {usual:.1?}");
        }
        for ((name, usual), (_, took)) in usual.iter().zip(&times) {
            assert!(
                *took < *usual + EXTRA,
                "{what}: {name}: {took:.1?}, usually {usual:.1?}"
            );
        }
    }

    /// Waits until the container `name` has printed more than the script took.
    fn is_spilled(&self, name: &str) {
        wait_for("entries on disk", TIMEOUT, || {
            says_spilled(&self.moondock_log(), name)
        });
    }
}

fn says_spilled(log: &str, container: &str) -> bool {
    let container = format!("container={container}");
    let mut lines = log.lines();
    lines.any(|line| line.contains(SPILLED) && line.contains(&container))
}

const JSONLOG: &[&str] = &["--log-driver", "jsonlog"];

#[test]
fn a_log_script_that_always_raises_keeps_no_container_from_its_user() {
    needs!(engine);
    let bed = Bed::with_stuck_logs(RAISES, "");
    bed.commands_are_prompt("raises", JSONLOG, |name| bed.is_spilled(name));
    let driver = [JSONLOG, &["--log-opt", "mode=non-blocking"]].concat();
    bed.run_flood("ring", &driver);
    bed.is_spilled("ring");
    let took = bed.time(&["rm", "-f", "ring"]);
    println!("non-blocking: rm -f: {took:.1?}");
    assert!(took < EXTRA, "{took:?}");
}

#[test]
fn a_log_script_that_hangs_keeps_no_container_from_its_user() {
    needs!(engine);
    let bed = Bed::with_stuck_logs(HANGS, "");
    bed.commands_are_prompt("hangs", JSONLOG, |name| bed.is_spilled(name));
}

/// A broken save on top, and then a new process, which knows nothing but what is on disk.
#[test]
fn a_broken_save_and_a_killed_moondock_keep_no_container_from_its_user() {
    needs!(engine);
    let bed = Bed::with_stuck_logs(RAISES, "");
    bed.run_flood("broken", JSONLOG);
    bed.is_spilled("broken");
    bed.write_script("scripts/jsonlog/log.lua", "return {");
    wait_for("the refusal", TIMEOUT, || {
        bed.moondock_log().contains("reload failed")
    });
    let took = bed.time(&["rm", "-f", "broken"]);
    println!("broken save: rm -f: {took:.1?}");
    assert!(took < EXTRA, "{took:?}");
    bed.write_script("scripts/jsonlog/log.lua", &SCRIPT.replace("$STUCK", RAISES));
    bed.run_flood("killed", JSONLOG);
    bed.is_spilled("killed");
    bed.moondock_kill9();
    bed.serve_logs();
    wait_for("the stream", TIMEOUT, || {
        bed.moondock_log().contains("log stream resumed")
    });
    let took = bed.time(&["rm", "-f", "killed"]);
    println!("killed moondock: rm -f: {took:.1?}");
    assert!(took < EXTRA, "{took:?}");
}

#[test]
fn every_line_is_there_in_order_once_the_log_script_works_again() {
    needs!(engine);
    let bed = Bed::with_stuck_logs(RAISES, "");
    // 3 MB each as the engine frames them, three times what a FIFO holds.
    bed.run_logged("web", &[], "seq 1 100000").ok();
    bed.docker(&["start", "-a", "web"]).ok();
    bed.moondock_kill9();
    bed.serve_logs();
    bed.mend_logs();
    wait_for("both runs", LONG, || {
        bed.moondock_log()
            .matches("log script has caught up")
            .count()
            == 2
    });
    let found = numbers(&bed.logs(&["web"]));
    assert_eq!(found.len(), 200_000);
    assert!(found.into_iter().eq((1..=100_000).chain(1..=100_000)));
    let journal = bed.dir().join("state/jsonlog/logs");
    wait_for("an empty journal", TIMEOUT, || {
        fs::read_dir(&journal).unwrap().count() == 0
    });
}

#[test]
fn lines_are_dropped_and_counted_when_too_much_of_the_log_is_on_disk() {
    needs!(engine);
    let bed = Bed::with_stuck_logs(RAISES, "\nspill_mib = 1\n");
    bed.run_logged("web", &[], "seq 1 200000").ok();
    bed.mend_logs();
    let total = || {
        let log = bed.moondock_log();
        let last = log.rsplit("total=").next().unwrap_or_default();
        let digits: String = last.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap_or(0)
    };
    let kept = || numbers(&bed.logs(&["web"]));
    wait_for("all to be written or counted", LONG, || {
        kept().len() + total() == 200_000
    });
    assert!(total() > 0 && kept().is_sorted(), "{} dropped", total());
    assert!(
        bed.moondock_log()
            .contains("1 MiB of the log (`log.spill_mib`) are on disk")
    );
}

#[test]
fn a_stuck_log_script_in_a_managed_plugin_keeps_no_container_from_its_user() {
    needs!(engine);
    let bed = Bed::start();
    let log = "local fs = require('@moondock/fs')\nlocal out = '/var/lib/moondock/lines'\n\
               return { write_batch = function(entries)\n\
                 if not fs.exists(out) then error('the database is down') end\n\
                 local lines = {}\n\
                 for _, e in entries do table.insert(lines, e.line .. '\\n') end\n\
                 fs.write(out, table.concat(lines), { append = true })\nend }";
    bed.write_script("stuck/log.lua", log);
    bed.write_script(
        "stuck/plugin.toml",
        "grants = [\"fs.write:/var/lib/moondock\"]\n",
    );
    let plugin = bed
        .managed(&bed.dir().join("stuck"), "acme/stuck:1.0")
        .create();
    plugin.enable();
    let driver = ["--log-driver", "acme/stuck:1.0"];
    bed.commands_are_prompt("managed", &driver, |name| {
        wait_for("entries on disk", TIMEOUT, || {
            says_spilled(&plugin.log(), name)
        });
    });
}
