//! A private place to run an engine in: namespaces, a directory, and their end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::harness::cli::Output;
use crate::harness::daemon::Slot;

const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/harness/bed.sh");
/// Where Debian keeps what a bed runs.
pub const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
/// After so many seconds a command is ended, and has failed.
pub const COMMAND_SECONDS: &str = "90";

/// A bed: everything in it is gone when it is dropped, or when the test process ends in any way.
pub struct Bed {
    namespaces: Namespaces,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    outside: String,
    /// The bed's dockerd, while it runs.
    pub engine: Slot,
    /// The bed's moondock, while it runs.
    pub moondock: Slot,
}

/// How to enter a bed from the test process.
#[derive(Clone)]
pub struct Namespaces {
    /// The bed's directory, the same path inside and outside.
    pub dir: PathBuf,
    init: u32,
}

impl Namespaces {
    /// A command that will run inside: `argv`, to which the caller may add.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.init.to_string(), "-m", "-n", "-p", "--"])
            .args(argv);
        command
            .env_clear()
            .envs([("PATH", PATH.into()), ("HOME", self.dir.clone())]);
        command
    }

    /// Runs `argv` inside, to its end.
    pub fn run(&self, argv: &[&str]) -> Output {
        Output::of(
            self.command(&["timeout", COMMAND_SECONDS])
                .args(argv)
                .stdin(Stdio::null()),
        )
    }

    /// A path inside as the test process sees it, private mounts included.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }
}

impl Bed {
    /// Namespaces and a directory, with nothing running yet.
    pub fn new() -> Bed {
        let dir = tempfile::Builder::new()
            .prefix("moondock-bed-")
            .tempdir()
            .unwrap()
            .keep();
        let mut supervisor = Command::new("sh")
            .args([SUPERVISOR, "supervise"])
            .arg(&dir)
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(supervisor.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let words: Vec<&str> = ready.split_whitespace().collect();
        let ["ready", init, outside] = words[..] else {
            panic!("no namespaces (is this root?): `{ready}`")
        };
        Bed {
            namespaces: Namespaces {
                dir,
                init: init.parse().unwrap(),
            },
            lifeline: supervisor.stdin.take(),
            supervisor,
            outside: outside.to_owned(),
            engine: Slot::default(),
            moondock: Slot::default(),
        }
    }

    /// A bed with a running engine and no plugin.
    pub fn start() -> Bed {
        let bed = Bed::new();
        bed.engine_start(&[]);
        bed
    }

    /// The bed's directory.
    pub fn dir(&self) -> &Path {
        &self.namespaces.dir
    }

    /// The last part of the directory's path, which no other bed has.
    pub fn name(&self) -> &str {
        self.dir().file_name().unwrap().to_str().unwrap()
    }

    /// How to enter this bed.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Runs `argv` beside the engine: its mounts, its network, its processes.
    pub fn exec_in_ns(&self, argv: &[&str]) -> Output {
        self.namespaces.run(argv)
    }

    /// Runs `argv` on the neighbour of the engine's machine, `198.51.100.2` and `fd00:198::2`.
    pub fn exec_outside(&self, argv: &[&str]) -> Output {
        self.namespaces
            .run(&[&["nsenter", "-t", &self.outside, "-n", "--"], argv].concat())
    }

    /// Writes a file under the bed's directory, by renaming it into place as editors do.
    pub fn write_script(&self, path: &str, text: &str) {
        let target = self.dir().join(path);
        let draft = target.with_extension("draft");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&draft, text).unwrap();
        fs::rename(draft, target).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        drop(self.lifeline.take());
        let _ = self.supervisor.wait();
    }
}

impl Bed {
    fn show_logs(&self) {
        for name in ["dockerd", "moondock"] {
            let log = fs::read(self.dir().join(format!("{name}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.contains("level=info"))
                .collect();
            eprintln!("── the end of {name}'s log");
            lines[lines.len().saturating_sub(40)..]
                .iter()
                .for_each(|line| eprintln!("{line}"));
        }
    }
}
