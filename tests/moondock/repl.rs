//! `moondock repl`: a prompt in a plugin's world.

use crate::harness::command::{Ended, Workplace};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const VOLUME: &str = r#"local store = require("@moondock/store")
local size = require("./lib/size")
local volume = {}
function volume.create(req) store.set(req.Name, size.default) end
function volume.remove(req) end
function volume.mount(req) return { Mountpoint = "/m" } end
function volume.unmount(req) end
function volume.get(req) return { Volume = { Name = req.Name } } end
function volume.list() return { Volumes = {} } end
return volume
"#;

/// A plugin that may write to the directory `data`.
fn place() -> Workplace {
    let place = Workplace::new(&[
        ("p/volume.lua", VOLUME),
        ("p/lib/size.lua", "return { default = \"1G\" }"),
        ("data/motd", "hello"),
    ]);
    let data = place.path().join("data");
    place.write(
        "p/plugin.toml",
        &format!("grants = [\"fs.write:{}\"]\n", data.display()),
    );
    place
}

fn run(place: &Workplace, lines: &str) -> Ended {
    place.run_with(&["repl", "p"], lines)
}

/// Runs lines that all succeed, and returns what they printed.
fn printed(place: &Workplace, lines: &str) -> String {
    let ended = run(place, lines);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn values_are_printed_as_a_script_would_write_them() {
    let lines = "[[a\nb]]\n1 + 1\n\"a\\n\"\n{ 1, x = { y = true } }\nnil\n\n-- nothing\nlocal a = 1\na, a + 1\nprint(a)\n\
                 local t = {}; t.t = t\nt\n";
    assert_eq!(
        printed(&place(), lines),
        "\"a\\\nb\"\n2\n\"a\\\n\"\n{ 1, x = { y = true } }\nnil\n1\t2\n{ t = { … } }\n"
    );
}

#[test]
fn later_lines_have_the_locals_of_earlier_ones() {
    let lines = "local function twice(n: number)\n  return 2 * n\nend\nlocal t: { n: number } = { n = 1 }\n\
                 local function read() return t.n end\nread()\nt = { n = 2 }\nread(), twice(4)\n\
                 do\n  local inner = 1\nend\n";
    assert_eq!(printed(&place(), lines), "1\n2\t8\n");
    let inner = run(&place(), "do local inner = 1 end\ninner\n");
    assert!(inner.stderr.contains("no variable `inner`"), "{inner:?}");
}

#[test]
fn modules_are_ready_and_have_the_grants_of_the_plugin() {
    let place = place();
    let data = place.path().join("data");
    let lines = format!(
        "fs.read(\"{0}/motd\")\njson.encode({{ a = 1 }})\nrequire(\"./lib/size\").default\n\
         type(volume.driver)\nenv\n",
        data.display()
    );
    let shown = printed(&place, &lines);
    let rest = shown.strip_prefix("\"hello\"\n\"{\\\"a\\\":1}\"\n\"1G\"\n\"function\"\n");
    assert!(rest.unwrap().starts_with("{ get = function: "), "{shown}");
    let refused = run(&place, "fs.read(\"/etc/passwd\")\n.grants\n");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("input:1: fs.read: `/etc/passwd`"),
        "{refused:?}"
    );
    assert!(
        refused.stdout.contains("may read and change"),
        "{refused:?}"
    );
}

#[test]
fn a_failing_line_is_shown_with_its_place_and_ends_nothing() {
    let lines =
        "local function fail()\n  error(\"no\")\nend\nfail()\nx = = 1\nvolum\n.cal x\n1\nif\n";
    let ended = run(&place(), lines);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "1\n"));
    for part in [
        "input:2: no\n",
        "2 |   error(\"no\")",
        "input:5: Expected",
        "input:6: no variable `volum`",
        "unknown command `.cal`; did you mean `.call`?",
        "input:9: Expected",
    ] {
        assert!(ended.stderr.contains(part), "`{part}` is not in {ended:?}");
    }
}

#[test]
fn an_endless_line_ends_by_its_budget() {
    let ended = run(&place(), "while true do end\n1\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "1\n"));
    assert!(ended.stderr.contains("ms of CPU"), "{ended:?}");
}

#[test]
fn methods_are_called_on_the_store_that_lines_see() {
    let place = place();
    let lines = ".call volume.create {\"Name\":\"a\"}\nstore.get(\"a\")\n.example volume.get\n";
    let ended = run(&place, lines);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "{}\n\"1G\"\n{\n  \"Name\": \"data\"\n}\n")
    );
    assert!(
        ended.stderr.contains("what was stored is gone"),
        "{ended:?}"
    );
    let kept = ["repl", "p", "--state", "state"];
    place.run_with(&kept, lines);
    let again = place.run_with(&kept, "store.get(\"a\")\n");
    assert_eq!(again.stdout, "\"1G\"\n", "{again:?}");
    let failed = run(
        &place,
        ".call volume.path {\"Name\":\"a\"}\n.call volume.mont\n",
    );
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("did you mean `volume.mount`?"));
}

#[test]
fn reload_begins_anew_with_the_files_as_they_are() {
    let place = place();
    place.write(
        "p/plugin.toml",
        &format!("grants = [\"fs.write:{}\"]\n", place.path().display()),
    );
    let file = place.path().join("p/lib/size.lua");
    let lines = format!(
        "local x = 1\nfs.write(\"{}\", \"return {{ default = '2G' }}\")\n\
         require(\"./lib/size\").default\n.reload\nrequire(\"./lib/size\").default\n\
         .call volume.create {{\"Name\":\"a\"}}\nstore.get(\"a\")\n.quit\nerror(\"never\")\n",
        file.display()
    );
    assert_eq!(printed(&place, &lines), "\"1G\"\n\"2G\"\n{}\n\"2G\"\n");
    let gone = run(&place, "local x = 1\n.reload\nx\n");
    assert!(gone.stderr.contains("no variable `x`"), "{gone:?}");
}

/// A session on a terminal that `script` makes.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(place: &Workplace) -> Self {
        let command = format!("exec '{}' repl p", env!("CARGO_BIN_EXE_moondock"));
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(place.path())
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", place.path().join("xdg"))
            .env("TMPDIR", place.temporary())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, screen) = channel();
        let mut output = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                let _ = sender.send(part[..length].to_vec());
            }
        });
        Self {
            keys: child.stdin.take().unwrap(),
            child,
            screen,
            seen: String::new(),
        }
    }

    /// Waits until the screen shows `text`, after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let part = self.screen.recv_timeout(Duration::from_mins(1));
            let part = part.unwrap_or_else(|_| panic!("no `{text}` in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&part);
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_terminal_has_completion_interrupts_and_a_history() {
    needs!(program, "script");
    let place = place();
    let mut terminal = Terminal::open(&place);
    terminal.wait_for("p> ");
    terminal.press("local answer = 41\r");
    terminal.wait_for("p> ");
    terminal.press("answ\t + 1\r");
    terminal.wait_for("\n42");
    terminal.wait_for("p> ");
    terminal.press("json.enc\t({})\r");
    terminal.wait_for("\n\"{}\"");
    terminal.wait_for("p> ");
    terminal.press("for i = 1, 1 do\r  store.set(\"k\", 9)\rend\r");
    terminal.wait_for("p> ");
    terminal.press("store.get(\"k\")\r");
    terminal.wait_for("\n9");
    terminal.wait_for("p> ");
    terminal.press("while true do end\r");
    terminal.wait_for("ms of CPU");
    terminal.wait_for("p> ");
    terminal.press("fs.read(\"/etc/shadow\")\r");
    terminal.wait_for("is not granted");
    terminal.wait_for("p> ");
    terminal.press("print(\"asleep\"); time.sleep(3600)\r");
    terminal.wait_for("asleep plugin=p");
    terminal.press("\x03");
    terminal.wait_for("interrupted");
    terminal.wait_for("p> ");
    terminal.press("\x04");
    assert_eq!(terminal.code(), Some(0));

    let history = place.path().join("xdg/moondock/history");
    let mode = fs::metadata(&history).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(fs::read_to_string(&history).unwrap().contains("answer + 1"));

    let mut terminal = Terminal::open(&place);
    terminal.wait_for("p> ");
    terminal.press("\x1b[A\x1b[A");
    terminal.wait_for("fs.read(\"/etc/shadow\")");
    terminal.press("\r");
    terminal.wait_for("is not granted");
    terminal.wait_for("p> ");
    terminal.press(".q\t\r");
    assert_eq!(terminal.code(), Some(0));
}
