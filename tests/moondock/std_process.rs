//! `@moondock/process`.

use crate::harness::lua::{Script, block_on};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn a_program_gets_its_arguments_unread() {
    block_on(async {
        let script = Script::new("p").await;
        let out: mlua::LuaString = script
            .run(r#"return process.check({ argv = { "printf", "%s|", "a b", "", "$HOME", "`id`; x", "'\"", "-n", "*", "ä\xff\n" } })"#)
            .await;
        assert_eq!(
            &*out.as_bytes(),
            b"a b||$HOME|`id`; x|'\"|-n|*|\xc3\xa4\xff\n|"
        );
    });
}

#[test]
fn a_code_is_no_error_of_run_but_one_of_check() {
    block_on(async {
        let script = Script::new("p").await;
        let (code, signal, out, err): (i32, Option<i32>, String, String) = script
            .run(
                r#"local o = process.run({ argv = { "sh", "-c", "echo out; echo err >&2; exit 3" } })
                    return o.code, o.signal, o.stdout, o.stderr"#,
            )
            .await;
        assert_eq!(
            (code, signal, out.as_str(), err.as_str()),
            (3, None, "out\n", "err\n")
        );
        let (code, signal): (i32, i32) = script
            .run(r#"local o = process.run({ argv = { "sh", "-c", "kill -TERM $$" } }) return o.code, o.signal"#)
            .await;
        assert_eq!((code, signal), (143, 15));
        let error = script
            .fail(
                r#"process.check({ argv = { "sh", "-c", "echo one >&2; echo two >&2; exit 3" } })"#,
            )
            .await;
        assert!(
            error.contains("process.check: `sh` exited with code 3: two"),
            "{error}"
        );
    });
}

#[test]
fn a_mebibyte_goes_in_and_comes_out() {
    block_on(async {
        let script = Script::new("p").await;
        let same: bool = script
            .run(
                r#"local text = string.rep("0123456789abcde\n", 65536)
                    return process.check({ argv = { "cat" }, stdin = text }) == text"#,
            )
            .await;
        assert!(same);
        let code: i32 = script
            .run(r#"return process.run({ argv = { "true" }, stdin = string.rep("x", 1048576) }).code"#)
            .await;
        assert_eq!(code, 0, "a program need not read what it is given");
        assert_eq!(
            script
                .run::<String>(r#"return process.check({ argv = { "cat" } })"#)
                .await,
            ""
        );
    });
}

#[test]
fn environment_and_directory_are_as_asked() {
    block_on(async {
        let script = Script::new("p").await;
        let directory = TempDir::new().unwrap();
        let at = directory.path().canonicalize().unwrap();
        let out: String = script
            .run(&format!(
                r#"return process.check({{ argv = {{ "sh", "-c", "echo $X; pwd; [ -n \"$PATH\" ] && echo path" }}, env = {{ X = "a b" }}, cwd = "{}" }})"#,
                at.display()
            ))
            .await;
        assert_eq!(out, format!("a b\n{}\npath\n", at.display()));
        let error = script
            .fail(r#"process.run({ argv = { "true" }, cwd = "/nonexistent" })"#)
            .await;
        assert!(
            error.contains("cannot use `/nonexistent` as the working directory"),
            "{error}"
        );
    });
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let cases = [
        (r#"{}"#, "field `argv` is missing"),
        (r#"{ argv = {} }"#, "argv is empty"),
        (r#"{ argv = { "" } }"#, "argv is empty"),
        (
            r#"{ argv = { "echo", 1 } }"#,
            "`argv` must be a list of strings, not a table",
        ),
        (
            r#"{ argv = { "echo", x = "y" } }"#,
            "`argv` must be a list of strings",
        ),
        (
            r#"{ argv = "echo hi" }"#,
            "`argv` must be a list of strings, not a string",
        ),
        (
            r#"{ argv = { "echo", "a\0b" } }"#,
            "item 2 of argv contains a NUL byte",
        ),
        (
            r#"{ argv = { "echo" }, env = { ["A=B"] = "x" } }"#,
            "`A=B` cannot be the name of an environment variable",
        ),
        (
            r#"{ argv = { "echo" }, env = { A = "x\0" } }"#,
            "the variable `A` contains a NUL byte",
        ),
        (
            r#"{ argv = { "echo" }, env = { A = 1 } }"#,
            "must be a string, not a number",
        ),
        (
            r#"{ argv = { "echo" }, timeout = 0 }"#,
            "`timeout` must be above 0",
        ),
        (
            r#"{ argv = { "echo" }, timeout = 0/0 }"#,
            "`timeout` must be above 0",
        ),
        (
            r#"{ argv = { "echo" }, max_output = 0 }"#,
            "`max_output` must be from 1",
        ),
        (
            r#"{ argv = { "echo" }, time_out = 3 }"#,
            "unknown field `time_out`",
        ),
        (
            r#"{ argv = { "no-such-program" } }"#,
            "cannot start `no-such-program`: no such program",
        ),
        (
            r#"{ argv = { "/etc/hostname" } }"#,
            "cannot start `/etc/hostname`",
        ),
    ];
    block_on(async {
        let script = Script::new("p").await;
        for (command, wanted) in cases {
            let error = script.fail(&format!("process.run({command})")).await;
            assert!(error.contains(wanted), "{command}: {error}");
        }
    });
}

#[test]
fn too_much_output_ends_it() {
    block_on(async {
        let script = Script::new("p").await;
        let error = script
            .fail(r#"process.run({ argv = { "yes" }, max_output = 1000 })"#)
            .await;
        assert!(
            error.contains("`yes` wrote more than 1000 bytes and was killed"),
            "{error}"
        );
        let length: usize = script
            .run(r#"return #process.check({ argv = { "head", "-c", "1000", "/dev/zero" }, max_output = 1000 })"#)
            .await;
        assert_eq!(length, 1000);
        let error = script
            .fail(r#"process.run({ argv = { "head", "-c", "1001", "/dev/zero" }, max_output = 1000 })"#)
            .await;
        assert!(error.contains("wrote more than"), "{error}");
    });
}

#[test]
fn a_timeout_ends_the_whole_group() {
    block_on(async {
        let (script, family) = (Script::new("p").await, Family::new());
        let started = Instant::now();
        let error = script.fail(&family.command("timeout = 0.3")).await;
        assert!(
            error.contains("`sh` did not exit within 0.3 s and was killed"),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(5));
        family.is_gone().await;
    });
}

#[test]
fn a_call_that_is_given_up_ends_the_whole_group() {
    block_on(async {
        let (script, family) = (Script::new("p").await, Family::new());
        let command = family.command("timeout = 60");
        {
            let call = script.eval::<mlua::Value>(&command);
            tokio::select! {
                result = call => panic!("ended by itself: {result:?}"),
                () = family.is_up() => {}
            }
        }
        family.is_gone().await;
    });
}

#[test]
fn a_daemon_left_behind_is_not_waited_for() {
    block_on(async {
        let script = Script::new("p").await;
        let started = Instant::now();
        let pid: String = script
            .run(r#"return process.check({ argv = { "sh", "-c", "setsid sleep 60 & echo $!" } })"#)
            .await;
        assert!(started.elapsed() < Duration::from_secs(10));
        let alive = alive(pid.trim());
        std::process::Command::new("kill")
            .arg(pid.trim())
            .status()
            .unwrap();
        assert!(alive);
    });
}

#[test]
fn other_calls_go_on_meanwhile() {
    block_on(async {
        let script = Script::new("p").await;
        let started = Instant::now();
        let one = script.run::<String>(r#"return process.check({ argv = { "sleep", "0.5" } })"#);
        let other = script.run::<String>(r#"return process.check({ argv = { "sleep", "0.5" } })"#);
        tokio::join!(one, other);
        assert!(
            started.elapsed() < Duration::from_millis(900),
            "{:?}",
            started.elapsed()
        );
    });
}

/// A shell, its child and its grandchild, which write their numbers into a directory.
struct Family(TempDir);

impl Family {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn command(&self, options: &str) -> String {
        let shell = "echo $$ > 1; sh -c 'echo $$ > 2; sh -c \"echo \\\\$\\\\$ > 3; mv 3 4; sleep 61; :\"; :'; :";
        let at = self.0.path().display();
        format!(
            r#"return process.run({{ argv = {{ "sh", "-c", [[{}]] }}, cwd = "{at}", {options} }})"#,
            shell.replace("\\\\", "\\")
        )
    }

    fn members(&self) -> Vec<String> {
        let read = |name| std::fs::read_to_string(self.0.path().join(name)).ok();
        ["1", "2", "4"]
            .into_iter()
            .filter_map(read)
            .map(|pid| pid.trim().to_owned())
            .collect()
    }

    async fn is_up(&self) {
        until(|| self.members().len() == 3).await;
    }

    async fn is_gone(&self) {
        assert_eq!(self.members().len(), 3, "the family was complete");
        until(|| self.members().iter().all(|pid| !alive(pid))).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 10 s in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the process runs; a zombie does not.
fn alive(pid: &str) -> bool {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}
