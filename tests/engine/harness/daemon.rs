//! A long-lived process inside a bed's namespaces, such as dockerd or moondock.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::bed::Namespaces;
use crate::harness::wait::holds_within;

const TIMEOUT: Duration = Duration::from_secs(30);

/// One running process: its log and its PID inside the namespaces.
pub struct Daemon {
    entry: Child,
    pid_file: PathBuf,
    log: PathBuf,
    namespaces: Namespaces,
}

impl Daemon {
    /// Starts `argv` with its output appended to `NAME.log` in the bed's directory.
    pub fn start(namespaces: &Namespaces, name: &str, argv: &[String]) -> Daemon {
        let pid_file = namespaces.dir.join(format!("{name}.pid"));
        let log = namespaces.dir.join(format!("{name}.log"));
        let _ = std::fs::remove_file(&pid_file);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let entry = namespaces
            .command(&[
                "sh",
                "-c",
                r#"echo $$ >"$1.new"; mv "$1.new" "$1"; shift; exec "$@""#,
                "start",
            ])
            .arg(&pid_file)
            .args(argv)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("nsenter: {e}"));
        Daemon {
            entry,
            pid_file,
            log,
            namespaces: namespaces.clone(),
        }
    }

    /// Its exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.entry.try_wait().unwrap()
    }

    /// All that it has printed, in earlier lives too.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal, by the name that `kill -s` takes.
    pub fn signal(&self, name: &str) {
        assert!(
            holds_within(TIMEOUT, || self.pid_file.exists()),
            "never started: {}",
            self.log()
        );
        let pid = std::fs::read_to_string(&self.pid_file).unwrap();
        self.namespaces
            .run(&["sh", "-c", r#"kill -s "$1" "$2""#, "kill", name, pid.trim()])
            .ok();
    }

    /// Sends a signal and waits for the end.
    pub fn end_with(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait(signal)
    }

    fn wait(&mut self, signal: &str) -> ExitStatus {
        let mut status = None;
        holds_within(TIMEOUT, || {
            status = self.ended();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("still runs after {signal}: {}", self.log()))
    }
}

/// Where a bed keeps one of its daemons while it runs.
#[derive(Default)]
pub struct Slot(Mutex<Option<Daemon>>);

impl Slot {
    /// Keeps a daemon that has just started.
    pub fn put(&self, daemon: Daemon) {
        *self.locked() = Some(daemon);
    }

    /// Gives the daemon away, to be ended.
    pub fn take(&self) -> Daemon {
        self.locked().take().expect("it runs")
    }

    /// Sends the daemon a signal, by the name that `kill -s` takes.
    pub fn signal(&self, name: &str) {
        self.locked().as_ref().expect("it runs").signal(name);
    }

    /// All that the daemon has printed.
    pub fn log(&self) -> String {
        self.locked().as_ref().expect("it runs").log()
    }

    fn locked(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
