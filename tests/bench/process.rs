//! The servers' processes: started on a core of their own, observed through `/proc`, ended by id.

use crate::bare;
use crate::workload::{DRIVER, LOG_DRIVER, POLICY, VOLUMES};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The core on which servers run.
pub const SERVER_CORE: usize = 0;

/// The core on which the load is made.
pub const LOAD_CORE: usize = 1;

/// A running server, Moondock or bare hyper.
pub struct Server {
    dir: TempDir,
    child: Child,
}

/// What the scripts of a plugin are, by the first word of the plugin's name.
#[rustfmt::skip]
const SCRIPTS: [(&str, &[(&str, &str)]); 6] = [
    ("policy", &[("authz.lua", POLICY)]),
    ("driver", &[("volume.lua", DRIVER)]),
    ("volumes", &[("volume.lua", VOLUMES), ("plugin.toml", "[limits]\ncpu_ms = 60000\n")]),
    ("ops", &[
        ("network.lua", include_str!("../../scripts/ops/network.lua")),
        ("ipam.lua", include_str!("../../scripts/ops/ipam.lua")),
        ("plugin.toml", "grants = [\"net\"]\n[settings]\npools = []\nremove_leftovers = false\n"),
    ]),
    ("log", &[("log.lua", LOG_DRIVER)]),
    ("whole",  &[("authz.lua", POLICY), ("volume.lua", DRIVER), ("log.lua", LOG_DRIVER)]),
];

/// How a server runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// On [`SERVER_CORE`] alone, beside the load.
    One,
    /// On all cores.
    All,
}

impl Server {
    /// Starts `moondock serve` with these plugins and arguments. Its log is read, as a service's
    /// is.
    pub fn moondock(plugins: &[&str], args: &[&str], cores: Cores) -> Server {
        Server::wrapped(&[], plugins, args, cores)
    }

    /// The same in a network of its own, which needs root.
    pub fn isolated(plugins: &[&str], args: &[&str], cores: Cores) -> Server {
        Server::wrapped(&["unshare", "--net"], plugins, args, cores)
    }

    fn wrapped(wrapper: &[&str], plugins: &[&str], args: &[&str], cores: Cores) -> Server {
        let dir = tempfile::tempdir().unwrap();
        for name in plugins {
            let plugin = dir.path().join("scripts").join(name);
            fs::create_dir_all(&plugin).unwrap();
            let (_, scripts) = SCRIPTS
                .iter()
                .find(|(kind, _)| name.starts_with(kind))
                .unwrap();
            for (file, text) in *scripts {
                fs::write(plugin.join(file), text).unwrap();
            }
        }
        let mut words = [wrapper, &[env!("CARGO_BIN_EXE_moondock")]]
            .concat()
            .into_iter();
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["serve", "scripts", "--sockets", ".", "--state", "state"])
            .args(args)
            .current_dir(dir.path());
        Server::start(command, dir, cores)
    }

    /// Starts the bare server, which answers `answer` to every request.
    pub fn bare(answer: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([bare::ARGUMENT, "bare.sock", answer])
            .current_dir(dir.path());
        Server::start(command, dir, Cores::One)
    }

    /// Starts a child, which inherits this thread's core for all of its threads.
    fn start(mut command: Command, dir: TempDir, cores: Cores) -> Server {
        match cores {
            Cores::One => pin(&[SERVER_CORE]),
            Cores::All => pin(&[SERVER_CORE, LOAD_CORE]),
        }
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        pin(&[LOAD_CORE]);
        let log = child.stderr.take().unwrap();
        thread::spawn(move || drain(log));
        Server { dir, child }
    }

    /// The directory of a plugin's scripts.
    pub fn scripts(&self, plugin: &str) -> PathBuf {
        self.dir.path().join("scripts").join(plugin)
    }

    /// The socket of a plugin; the bare server has only one.
    pub fn socket(&self, plugin: &str) -> PathBuf {
        if self.dir.path().join("scripts").exists() {
            self.dir.path().join(format!("{plugin}.sock"))
        } else {
            self.dir.path().join("bare.sock")
        }
    }

    /// A path beside the sockets.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The CPU time that the process has used, all threads that still run together.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = tasks.filter_map(|task| {
            // A thread that has just ended has no file.
            let stat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// The memory that the process holds now, in bytes.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most memory that the process ever held, in bytes.
    pub fn peak_memory(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<f64>().unwrap() * 1024.0
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

/// Reads a log and forgets it, until its writer ends.
pub fn drain(mut log: ChildStderr) {
    let mut part = vec![0; 1 << 16];
    while log.read(&mut part).is_ok_and(|read| read > 0) {}
}

/// Binds this thread, and what it starts from now on, to these cores, as far as they exist.
pub fn pin(on: &[usize]) {
    let mut cores = CpuSet::new();
    on.iter().for_each(|core| cores.set(*core));
    // A machine with one core measures less well, but measures.
    let _ = sched_setaffinity(None, &cores);
}
