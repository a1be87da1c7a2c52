//! The servers' processes: started on a core of their own, looked at through `/proc`, ended by id.

use crate::bare;
use crate::workload::{DRIVER, POLICY};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Where servers run.
const SERVER_CORE: usize = 0;

/// Where the load is made.
pub const LOAD_CORE: usize = 1;

/// What `/proc/PID/stat` counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server, moondock or bare hyper.
pub struct Server {
    dir: TempDir,
    child: Child,
}

impl Server {
    /// `moondock serve` with these plugins, logging from `level` on; those whose name begins with `policy` are policies.
    pub fn moondock(plugins: &[&str], level: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        for name in plugins {
            let (file, text) = if name.starts_with("policy") {
                ("authz.lua", POLICY)
            } else {
                ("volume.lua", DRIVER)
            };
            let plugin = dir.path().join("scripts").join(name);
            fs::create_dir_all(&plugin).unwrap();
            fs::write(plugin.join(file), text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
        command
            .args([
                "serve",
                "scripts",
                "--sockets",
                ".",
                "--state",
                "state",
                "--log-level",
                level,
            ])
            .current_dir(dir.path());
        Server::start(command, dir)
    }

    /// The bare server, which answers `answer` whatever it is asked.
    pub fn bare(answer: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([bare::ARGUMENT, "bare.sock", answer])
            .current_dir(dir.path());
        Server::start(command, dir)
    }

    /// A child inherits the core, so that no thread of it ever runs elsewhere.
    fn start(mut command: Command, dir: TempDir) -> Server {
        pin(SERVER_CORE);
        let child = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        pin(LOAD_CORE);
        Server { dir, child }
    }

    /// The socket of a plugin; the bare server has only one.
    pub fn socket(&self, plugin: &str) -> PathBuf {
        let bare = self.dir.path().join("bare.sock");
        if self.dir.path().join("scripts").exists() {
            self.dir.path().join(format!("{plugin}.sock"))
        } else {
            bare
        }
    }

    /// The CPU time that the process has used, all threads together.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// Bytes of memory that the process holds now.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// Bytes of memory that the process ever held.
    pub fn peak_memory(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            * 1024.0
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds this thread, and what it starts from now on, to one core; where there is only one, to none.
pub fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // A machine with one core measures less well, but measures.
    let _ = sched_setaffinity(None, &cores);
}
