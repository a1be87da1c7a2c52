//! A container's log as dockerd has it: a FIFO, and somebody who writes frames into it.

use moondock::protocol::{LogEntry, frame};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a slow machine, so that only a fault makes a test wait for it.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The FIFO, and a file for the script to write to.
pub struct ContainerLog {
    dir: TempDir,
    name: String,
}

/// Who writes to it.
pub struct Writer(File);

impl ContainerLog {
    pub fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        mkfifoat(CWD, dir.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        Self {
            dir,
            name: name.to_owned(),
        }
    }

    pub fn file(&self) -> String {
        self.dir.path().join("fifo").display().to_string()
    }

    /// Opened for reading too, as dockerd does: so it is never closed while the writer is there.
    pub fn writer(&self) -> Writer {
        Writer(
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(self.file())
                .unwrap(),
        )
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The line of `plugin.toml` that lets a script write there.
    pub fn grants(&self) -> String {
        format!("grants = [\"fs.write:{}\"]\n", self.dir.path().display())
    }

    pub fn written(&self) -> String {
        fs::read_to_string(self.out()).unwrap_or_default()
    }

    /// The names of the files that a driver made for a container below `out`.
    pub fn files(&self, container: &str) -> Vec<String> {
        let entries = fs::read_dir(self.out().join(container)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Has a script wait that looks for this.
    pub fn hold(&self, hold: bool) {
        let path = self.dir.path().join("out.hold");
        if hold {
            fs::write(path, "").unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    /// How many bytes are in the FIFO.
    pub fn waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(File::open(self.file()).unwrap()).unwrap()
    }

    pub fn info(&self) -> Value {
        json!({ "Config": null, "ContainerID": "c0ffee", "ContainerName": format!("/{}", self.name) })
    }

    /// The same as hooks get it.
    pub fn start_info(&self) -> Value {
        let mut info = self.info();
        info["File"] = self.file().into();
        info
    }

    /// The request of `StartLogging`.
    pub fn start(&self) -> Value {
        json!({ "File": self.file(), "Info": self.info() })
    }

    /// The request of `StopLogging`.
    pub fn stop(&self) -> Value {
        json!({ "File": self.file() })
    }
}

impl Writer {
    pub fn send(&mut self, entries: &[LogEntry]) {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| frame(entry, &mut bytes));
        self.bytes(&bytes);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
}

pub fn entry(line: &str) -> LogEntry {
    let time_nano = 1_732_440_000_123_456_789;
    LogEntry {
        source: "stdout".into(),
        time_nano,
        line: line.into(),
        ..LogEntry::default()
    }
}

/// Polls for what causes no event, while the plugin keeps running.
pub async fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < TIMEOUT, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
