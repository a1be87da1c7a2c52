//! Mounts and unmounts file systems, and lists mounts.
//!
//! `mount(8)` handles loop devices: it finds a free one without races, and ties it to the mount.
//! Doing so here would need ioctls, and with them `unsafe` or libclang.

pub mod holders;
mod list;

pub use self::list::{Mount, at_or_below, first_at_or_below, is_mounted, list};

use crate::sys::files::At;
use crate::sys::files::paths::{PathError, reason};
use crate::sys::files::places::{Handle, Place};
use crate::sys::processes::programs;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::{CString, OsStr};
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// The number of retries of a busy unmount.
const BUSY_RETRIES: u32 = 10;
/// The pause before each retry of a busy unmount.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(20);

type Result<T> = std::result::Result<T, PathError>;

/// A mount to make.
#[derive(Debug)]
pub struct MountSpec {
    /// The source.
    pub source: Source,
    /// An existing directory or, for a bind mount of a file, a file.
    pub target: Place,
    /// The file system's type, which a bind mount does not need.
    pub kind: String,
    /// The options, one for each of `mount -o`.
    pub options: Vec<String>,
}

/// The source of a mount.
#[derive(Debug)]
pub enum Source {
    /// A device, a directory or file for a bind mount, or an image file for a loop mount.
    Place(Place),
    /// A name, for a file system without a source.
    Name(PathBuf),
}

/// Options that are flags of the mount. Other options belong to the file system.
const FLAGS: [(&str, MountFlags); 13] = [
    ("ro", MountFlags::RDONLY),
    ("rw", MountFlags::empty()),
    ("defaults", MountFlags::empty()),
    ("nosuid", MountFlags::NOSUID),
    ("nodev", MountFlags::NODEV),
    ("noexec", MountFlags::NOEXEC),
    ("sync", MountFlags::SYNCHRONOUS),
    ("dirsync", MountFlags::DIRSYNC),
    ("noatime", MountFlags::NOATIME),
    ("nodiratime", MountFlags::NODIRATIME),
    ("relatime", MountFlags::RELATIME),
    ("strictatime", MountFlags::STRICTATIME),
    ("silent", MountFlags::SILENT),
];

/// Flags that a bind mount inherits.
const INHERITED: [(StatVfsMountFlags, MountFlags); 4] = [
    (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
    (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
    (StatVfsMountFlags::NODEV, MountFlags::NODEV),
    (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
];

/// Mounts a file system or, with the option `bind` or `rbind`, a directory or file.
///
/// Device files in the file system cannot be opened, because an image may contain any device.
pub fn mount(spec: &MountSpec) -> Result<()> {
    check(spec)?;
    let (flags, data) = split(&spec.options);
    let bind = match spec
        .options
        .iter()
        .find(|option| *option == "bind" || *option == "rbind")
    {
        Some(option) if option == "rbind" => MountFlags::BIND | MountFlags::REC,
        Some(_) => MountFlags::BIND,
        None => return mount_once(spec, &spec.kind, flags | MountFlags::NODEV, &data),
    };
    mount_once(spec, "", bind, "")?;
    if flags.is_empty() {
        return Ok(());
    }
    // The place that was opened before the mount is now beneath it.
    let mounted = spec.target.hold()?;
    restrict(&mounted.path(), flags).map_err(|error| {
        let _ = rustix::mount::unmount(mounted.path(), UnmountFlags::DETACH);
        refused(spec, &error.into())
    })
}

fn mount_once(spec: &MountSpec, kind: &str, flags: MountFlags, data: &str) -> Result<()> {
    let data = CString::new(data).at(&spec.target.asked)?;
    let (source, target) = spec.hold()?;
    rustix::mount::mount(source.path(), target.path(), kind, flags, Some(&*data))
        .map_err(|error| refused(spec, &error.into()))
}

/// Sets the flags of a bind mount, which needs a second step. Keeps the flags that it inherits.
fn restrict(target: &Path, flags: MountFlags) -> rustix::io::Result<()> {
    let inherited = rustix::fs::statvfs(target)?.f_flag;
    let kept = INHERITED
        .iter()
        .filter(|(seen, _)| inherited.contains(*seen))
        .map(|(_, flag)| *flag);
    rustix::mount::mount_remount(target, MountFlags::BIND | flags | kept.collect(), c"")
}

/// An open source, which cannot be replaced before it is mounted.
enum Held<'a> {
    Place(Handle),
    Name(&'a Path),
}

impl Held<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Held::Place(held) => held.path(),
            Held::Name(name) => name.to_path_buf(),
        }
    }

    fn path_for_children(&self) -> PathBuf {
        match self {
            Held::Place(held) => held.path_for_children(),
            Held::Name(name) => name.to_path_buf(),
        }
    }
}

impl MountSpec {
    fn hold(&self) -> Result<(Held<'_>, Handle)> {
        let failed = |error: PathError| refused(self, &error.source);
        let source = match &self.source {
            Source::Place(place) => Held::Place(place.hold().map_err(failed)?),
            Source::Name(name) => Held::Name(name),
        };
        Ok((source, self.target.hold().map_err(failed)?))
    }
}

/// Mounts the file system in an image file. Its loop device is freed with the mount.
pub async fn mount_image(spec: &MountSpec) -> Result<()> {
    check(spec)?;
    let options = spec.options.iter().map(String::as_str);
    // Of contradicting options, the last one counts.
    let options: Vec<_> = iter::once("loop").chain(options).chain(["nodev"]).collect();
    let options = options.join(",");
    let (source, held) = spec.hold()?;
    let target = held.path_for_children();
    let output = image_command(&spec.kind, &options, &source.path_for_children(), &target)
        .output()
        .await;
    let cannot_run = |error| io::Error::other(format!("cannot run `mount`: {}", reason(&error)));
    let output = output.map_err(|error| refused(spec, &cannot_run(error)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("`mount` failed");
    let why = said
        .rsplit_once(&format!("{}: ", target.display()))
        .map_or(said, |(_, why)| why);
    Err(refused(spec, &io::Error::other(why.to_owned())))
}

/// Returns the command. `--no-canonicalize` keeps `mount` from resolving the paths again.
fn image_command(
    kind: &str,
    options: &str,
    source: &Path,
    target: &Path,
) -> tokio::process::Command {
    let program = programs::find(OsStr::new("mount")).unwrap_or_else(|| "mount".into());
    let mut command = tokio::process::Command::new(program);
    command
        .args(["--no-canonicalize", "-t", kind, "-o", options, "--"])
        .args([source, target]);
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Rejects options with a comma, which would smuggle in a second, unchecked option.
fn check(spec: &MountSpec) -> Result<()> {
    match spec
        .options
        .iter()
        .find(|option| option.contains([',', '\0']))
    {
        Some(option) => Err(refused(
            spec,
            &io::Error::other(format!("`{option}` is not a single option")),
        )),
        None => Ok(()),
    }
}

fn refused(spec: &MountSpec, error: &io::Error) -> PathError {
    let kind = if spec.kind.is_empty() {
        String::new()
    } else {
        format!(" as {}", spec.kind)
    };
    let source = match &spec.source {
        Source::Place(place) => &place.asked,
        Source::Name(name) => name,
    };
    let why = format!(
        "cannot mount `{}`{kind} here: {}",
        source.display(),
        reason(error)
    );
    PathError {
        path: spec.target.asked.clone(),
        source: io::Error::new(error.kind(), why),
    }
}

fn split(options: &[String]) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options
        .iter()
        .filter(|option| *option != "bind" && *option != "rbind")
    {
        match FLAGS.iter().find(|(name, _)| name == option) {
            Some((_, flag)) => flags |= *flag,
            None => data.push(option.as_str()),
        }
    }
    (flags, data.join(","))
}

/// Unmounts the last mount at `target`. Returns whether there was one. A `lazy` unmount takes
/// effect at once, and the file system is released when nothing uses it any more.
pub fn unmount(target: &Place, lazy: bool) -> Result<bool> {
    let Ok(path) = target.by_directory() else {
        return Ok(false);
    };
    let lazy = if lazy {
        UnmountFlags::DETACH
    } else {
        UnmountFlags::empty()
    };
    match retry_busy(|| rustix::mount::unmount(&path, lazy | UnmountFlags::NOFOLLOW)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(Errno::INVAL) if !is_mounted(target)? => Ok(false),
        Err(Errno::BUSY) => Err(busy(&target.real)).at(&target.asked),
        Err(error) => Err(error).at(&target.asked),
    }
}

/// Retries a busy unmount. A new process keeps its parent's files open until it executes its
/// program, so a mount can be busy for a moment.
fn retry_busy(unmount: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    for _ in 0..BUSY_RETRIES {
        match unmount() {
            Err(Errno::BUSY) => thread::sleep(BUSY_RETRY_INTERVAL),
            outcome => return outcome,
        }
    }
    unmount()
}

fn busy(target: &Path) -> io::Error {
    let below = at_or_below(target)
        .unwrap_or_default()
        .into_iter()
        .find(|mount| mount.target != target);
    let user = below.map(|mount| format!("`{}` is mounted below it", mount.target.display()));
    let user =
        user.unwrap_or_else(|| "a process, or a mount in another namespace, uses it".to_owned());
    io::Error::new(io::ErrorKind::ResourceBusy, format!("is busy: {user}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_flags_are_separated_from_options_of_the_file_system() {
        let options = ["ro", "size=1m", "nosuid", "mode=0700", "bind"].map(String::from);
        let (flags, data) = split(&options);
        assert_eq!(flags, MountFlags::RDONLY | MountFlags::NOSUID);
        assert_eq!(data, "size=1m,mode=0700");
    }
}
