//! The state directory: made private, and held by one process at a time.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the lock on the state directory"
)]

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use thiserror::Error;

/// No plugin can have this name, so the lock stands beside the plugins' directories.
const LOCK_FILE: &str = ".lock";

/// How long a lock may outlive its process.
const INHERITED: Duration = Duration::from_secs(5);

/// How long is waited between two tries.
const BREATH: Duration = Duration::from_millis(20);

/// What a process writes below its id once signals do not kill it any more.
const SERVING: &str = "serving";

/// The hold on a state directory, which ends with the process.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Why a state directory cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum StateError {
    #[error("cannot use `{}` for state", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "another moondock ({holder}) uses the state in `{}`: end it, or give this one its own directory with `--state`",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
    #[error("no moondock serves with the state in `{}`: name its directory with `--state`", path.display())]
    Unused { path: PathBuf },
    #[error("{holder} uses the state in `{}` and does not serve, or not yet", path.display())]
    NotServing { path: PathBuf, holder: String },
    #[error(
        "{holder} serves with the state in `{}` and is not to be found from here: is it in another container?",
        path.display()
    )]
    OutOfSight { path: PathBuf, holder: String },
}

impl StateLock {
    /// Makes `dir` when it is missing, and takes the hold on it.
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
        Ok(StateLock { file })
    }

    /// Tells whoever looks for this process that it answers signals.
    pub fn announce(&mut self) -> Result<(), io::Error> {
        writeln!(self.file, "{SERVING}")
    }
}

/// The process that serves with the state in `dir`.
///
/// # Errors
/// When there is none, or none that answers signals and is in sight.
pub fn serving(dir: &Path) -> Result<u32, StateError> {
    let path = dir.to_owned();
    let mut file = match File::open(dir.join(LOCK_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StateError::Unused { path });
        }
        file => file.map_err(|source| StateError::Io {
            path: path.clone(),
            source,
        })?,
    };
    let text = io::read_to_string(&mut file).unwrap_or_default();
    let (holder, serves) = (parse(&text), text.lines().nth(1) == Some(SERVING));
    if let Some(pid) =
        holder.filter(|pid| serves && *pid != std::process::id() && has_open(*pid, &file))
    {
        return Ok(pid);
    }
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Err(StateError::Unused { path }),
        Err(_) if serves => Err(StateError::OutOfSight {
            path,
            holder: described(holder),
        }),
        Err(_) => Err(StateError::NotServing {
            path,
            holder: described(holder),
        }),
    }
}

/// Whether the process with that id, as we see it, is the one that locked the file: in another container the id may be
/// that of a stranger, whom the signal would kill.
fn has_open(pid: u32, lock: &File) -> bool {
    let Ok(lock) = lock.metadata() else {
        return false;
    };
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut open = open
        .flatten()
        .filter_map(|entry| std::fs::metadata(entry.path()).ok());
    open.any(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()))
}

/// A killed process's lock outlives it in a program that it was about to start, for as long as that takes.
fn lock(file: &mut File) -> Result<(), Errno> {
    let patience = Instant::now() + INHERITED;
    loop {
        match flock(&*file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < patience && is_gone(holder(file)) => {
                sleep(BREATH);
            }
            result => return result,
        }
    }
}

/// Makes a directory that only we may look into; one that exists keeps its mode.
pub fn make_private(dir: &Path) -> Result<(), StateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| StateError::Io {
        path: dir.to_owned(),
        source,
    })
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

/// The process that left its id, if one did.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .ok()?;
    parse(&text)
}

fn parse(text: &str) -> Option<u32> {
    text.lines().next()?.trim().parse().ok()
}

fn is_gone(holder: Option<u32>) -> bool {
    holder.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn described(holder: Option<u32>) -> String {
    holder.map_or_else(
        || "of unknown process id".into(),
        |pid| format!("process {pid}"),
    )
}
