//! The state directory, which is private and locked by one process at a time.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the lock on the state directory"
)]

use super::cure::cure;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The lock file, beside the plugins' directories. No plugin can have this name.
const LOCK_FILE: &str = ".lock";

/// How long to wait for the lock of a process that is gone.
const STALE_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two attempts to lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The lock on a state directory, which is released when the process ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// An error of a state directory.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum StateError {
    #[error("cannot use `{}` for state: {}", path.display(), cure(source, "--state"))]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "another moondock ({holder}) uses the state in `{}`: stop it, or choose another directory with `--state`",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
    #[error("no moondock is serving with the state in `{}`: set its directory with `--state`", path.display())]
    Unused { path: PathBuf },
    #[error(
        "{holder} uses the state in `{}`, but takes no requests there (yet): repeat this, or send it SIGHUP",
        path.display()
    )]
    Silent { path: PathBuf, holder: String },
}

impl StateLock {
    /// Creates `dir` if it is missing, and locks it.
    pub fn take(dir: &Path) -> Result<StateLock, StateError> {
        let failed = |source| StateError::Io {
            path: dir.to_owned(),
            source,
        };
        make_private(dir)?;
        let mut file = open(&dir.join(LOCK_FILE)).map_err(failed)?;
        match lock(&mut file) {
            Err(Errno::WOULDBLOCK) => {
                return Err(StateError::InUse {
                    path: dir.to_owned(),
                    holder: described(holder(&mut file)),
                });
            }
            other => other.map_err(|e| failed(e.into()))?,
        }
        leave_pid(&mut file).map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}

/// Returns why no process takes requests in the state directory `dir`.
pub fn why_silent(dir: &Path) -> StateError {
    let path = dir.to_owned();
    let mut file = match File::open(dir.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return StateError::Unused { path };
        }
        Err(source) => return StateError::Io { path, source },
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => StateError::Unused { path },
        Err(_) => StateError::Silent {
            path,
            holder: described(holder(&mut file)),
        },
    }
}

/// Locks the file. A child that a killed process was just starting inherits its lock for a moment,
/// so this retries.
fn lock(file: &mut File) -> Result<(), Errno> {
    let deadline = Instant::now() + STALE_LOCK_TIMEOUT;
    loop {
        match flock(&*file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline && is_gone(holder(file)) => {
                sleep(LOCK_RETRY_INTERVAL);
            }
            result => return result,
        }
    }
}

/// Creates a directory with mode 0700; an existing one keeps its mode.
pub fn make_private(dir: &Path) -> Result<(), StateError> {
    create_private(dir).map_err(|source| StateError::Io {
        path: dir.to_owned(),
        source,
    })
}

/// The same, with the system's error.
pub fn create_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn leave_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Returns the process whose ID is in the file, if any.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn is_gone(holder: Option<u32>) -> bool {
    holder.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn described(holder: Option<u32>) -> String {
    holder.map_or_else(
        || "an unknown process".into(),
        |pid| format!("process {pid}"),
    )
}
