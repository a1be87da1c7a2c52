//! Mounting, unmounting, and what is mounted.
//!
//! Loop devices are left to `mount(8)`: it takes a free one, ties it to the mount so that it goes when the mount goes,
//! and gets the races of doing so right. Doing it here would take ioctls, and so `unsafe` or libclang.

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

/// How often a busy mount is tried again, and after how long each time.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

type Result<T> = std::result::Result<T, PathError>;

/// What to mount, and where.
#[derive(Debug)]
pub struct Request {
    /// What is to be mounted.
    pub source: Source,
    /// An existing directory, or for a bind mount of a file, a file.
    pub target: Place,
    /// The file system's type; not needed for a bind mount.
    pub kind: String,
    /// As after `mount -o`, one each.
    pub options: Vec<String>,
}

/// What is to be mounted.
#[derive(Debug)]
pub enum Source {
    /// A device, a directory or file (for a bind mount), an image file (for a loop mount).
    Place(Place),
    /// Any name, for a file system that has no source.
    Name(PathBuf),
}

/// Options that are flags of the mount; the others are the file system's.
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

/// What a bind mount of a restricted mount is, too.
const INHERITED: [(StatVfsMountFlags, MountFlags); 4] = [
    (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
    (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
    (StatVfsMountFlags::NODEV, MountFlags::NODEV),
    (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
];

/// Mounts a file system, or with the option `bind` or `rbind` a directory or file once more. Devices in a file system are never
/// opened: whoever may write an image may put any device into it, and mount that next.
pub fn mount(request: &Request) -> Result<()> {
    check(request)?;
    let (flags, data) = split(&request.options);
    let bind = match request
        .options
        .iter()
        .find(|option| *option == "bind" || *option == "rbind")
    {
        Some(option) if option == "rbind" => MountFlags::BIND | MountFlags::REC,
        Some(_) => MountFlags::BIND,
        None => return mount_once(request, &request.kind, flags | MountFlags::NODEV, &data),
    };
    mount_once(request, "", bind, "")?;
    if flags.is_empty() {
        return Ok(());
    }
    // The place held before the mount is what lies beneath it now.
    let mounted = request.target.hold()?;
    restrict(&mounted.path(), flags).map_err(|error| {
        let _ = rustix::mount::unmount(mounted.path(), UnmountFlags::DETACH);
        refused(request, &error.into())
    })
}

fn mount_once(request: &Request, kind: &str, flags: MountFlags, data: &str) -> Result<()> {
    let data = CString::new(data).at(&request.target.asked)?;
    let (source, target) = request.hold()?;
    rustix::mount::mount(source.path(), target.path(), kind, flags, Some(&*data))
        .map_err(|error| refused(request, &error.into()))
}

/// A bind mount takes its flags only in a second step, which would take away those that it has from its source.
fn restrict(target: &Path, flags: MountFlags) -> rustix::io::Result<()> {
    let inherited = rustix::fs::statvfs(target)?.f_flag;
    let kept = INHERITED
        .iter()
        .filter(|(seen, _)| inherited.contains(*seen))
        .map(|(_, flag)| *flag);
    rustix::mount::mount_remount(target, MountFlags::BIND | flags | kept.collect(), c"")
}

/// A source that cannot be another one by the time that it is mounted.
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

impl Request {
    fn hold(&self) -> Result<(Held<'_>, Handle)> {
        let failed = |error: PathError| refused(self, &error.source);
        let source = match &self.source {
            Source::Place(place) => Held::Place(place.hold().map_err(failed)?),
            Source::Name(name) => Held::Name(name),
        };
        Ok((source, self.target.hold().map_err(failed)?))
    }
}

/// Mounts the file system in an image file; its loop device goes with the mount.
pub async fn mount_image(request: &Request) -> Result<()> {
    check(request)?;
    let options = request.options.iter().map(String::as_str);
    // Of options that contradict each other the last counts.
    let options: Vec<_> = iter::once("loop").chain(options).chain(["nodev"]).collect();
    let options = options.join(",");
    let (source, held) = request.hold()?;
    let target = held.path_for_children();
    let output = image_command(
        &request.kind,
        &options,
        &source.path_for_children(),
        &target,
    )
    .output()
    .await;
    let cannot_run = |error| io::Error::other(format!("cannot run `mount`: {}", reason(&error)));
    let output = output.map_err(|error| refused(request, &cannot_run(error)))?;
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
    Err(refused(request, &io::Error::other(why.to_owned())))
}

/// Without `--no-canonicalize`, `mount` would look for the paths anew by what they read as.
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

/// A comma would make two options of one, which whoever gave it may not have been asked about.
fn check(request: &Request) -> Result<()> {
    match request
        .options
        .iter()
        .find(|option| option.contains([',', '\0']))
    {
        Some(option) => Err(refused(
            request,
            &io::Error::other(format!("`{option}` is not one option")),
        )),
        None => Ok(()),
    }
}

fn refused(request: &Request, error: &io::Error) -> PathError {
    let kind = if request.kind.is_empty() {
        String::new()
    } else {
        format!(" as {}", request.kind)
    };
    let source = match &request.source {
        Source::Place(place) => &place.asked,
        Source::Name(name) => name,
    };
    let why = format!(
        "cannot mount `{}`{kind} here: {}",
        source.display(),
        reason(error)
    );
    PathError {
        path: request.target.asked.clone(),
        source: io::Error::new(error.kind(), why),
    }
}

fn split(options: &[String]) -> (MountFlags, String) {
    let (mut flags, mut data) = (MountFlags::empty(), Vec::new());
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

/// Unmounts what was mounted last at `target`; says whether anything was. A `lazy` one is gone from the tree at once,
/// and for good when nothing uses it any more.
pub fn unmount(target: &Place, lazy: bool) -> Result<bool> {
    let Ok(path) = target.by_directory() else {
        return Ok(false);
    };
    let lazy = if lazy {
        UnmountFlags::DETACH
    } else {
        UnmountFlags::empty()
    };
    match patiently(|| rustix::mount::unmount(&path, lazy | UnmountFlags::NOFOLLOW)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(Errno::INVAL) if !is_mounted(target)? => Ok(false),
        Err(Errno::BUSY) => Err(busy(&target.real)).at(&target.asked),
        Err(error) => Err(error).at(&target.asked),
    }
}

/// A process that is just being started holds what its parent has open until it runs its own program, so a mount can be
/// busy for a moment that nobody can wait for.
fn patiently(unmount: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    for _ in 0..BUSY_TRIES {
        match unmount() {
            Err(Errno::BUSY) => thread::sleep(BUSY_PAUSE),
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
