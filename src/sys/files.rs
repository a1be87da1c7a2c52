//! Files and directories by absolute path: each change is on the disk when its function returns.
//!
//! All of these may wait for a disk or a server: call them from the blocking pool.

use super::paths::PathError;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// The largest file that [`read`] returns, in bytes.
pub const MAX_READ: u64 = 16 << 20;

type Result<T> = std::result::Result<T, PathError>;

/// What a path is, without following a symbolic link at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Block,
    /// A pipe, a socket, a character device.
    Other,
}

/// A path's metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// Its permission bits, at most `0o7777`.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When its content changed last, in seconds since 1970.
    pub modified: f64,
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// All of it.
    pub total: u64,
    /// What an ordinary user may still fill.
    pub free: u64,
    /// What is taken.
    pub used: u64,
}

/// The whole of a regular file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = open_regular(path, OFlags::RDONLY, Mode::empty()).at(path)?;
    let mut text = Vec::new();
    file.take(MAX_READ + 1).read_to_end(&mut text).at(path)?;
    if text.len() as u64 > MAX_READ {
        return Err(io::Error::other(format!("is larger than {} MiB", MAX_READ >> 20))).at(path);
    }
    Ok(text)
}

/// The part of a regular file that begins after `offset` bytes, at most `length` or [`MAX_READ`] bytes of it.
pub fn read_part(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
    let mut file = open_regular(path, OFlags::RDONLY, Mode::empty()).at(path)?;
    file.seek(SeekFrom::Start(offset)).at(path)?;
    let mut text = Vec::new();
    file.take(length.min(MAX_READ)).read_to_end(&mut text).at(path)?;
    Ok(text)
}

/// Replaces a file's content: a reader, and a power cut, sees the old or the new one.
/// A new file gets `mode`, or 0644; an existing one keeps its owner, and its mode unless one is given.
pub fn write(path: &Path, text: &[u8], mode: Option<u32>) -> Result<()> {
    let before = stat(path)?.filter(|stat| stat.kind == Kind::File);
    let mode = mode.or(before.map(|stat| stat.mode)).unwrap_or(0o644);
    replace(path, |file| {
        if let Some(before) = before {
            std::os::unix::fs::fchown(&*file, Some(before.uid), Some(before.gid))?;
        }
        file.write_all(text)?;
        Ok(rustix::fs::fchmod(&*file, Mode::from_raw_mode(mode))?)
    })
}

/// Adds to the end of a file; a new one gets `mode`, or 0644.
pub fn append(path: &Path, text: &[u8], mode: Option<u32>) -> Result<()> {
    let new = stat(path)?.is_none();
    let create = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut file = open_regular(path, create, Mode::from_raw_mode(0o600)).at(path)?;
    if new || mode.is_some() {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode.unwrap_or(0o644))).at(path)?;
    }
    file.write_all(text).and_then(|()| file.sync_all()).at(path)?;
    if new { sync_parent(path) } else { Ok(()) }
}

/// Makes a file of `size` bytes that takes no room yet; what exists already is an error.
pub fn allocate(path: &Path, size: u64) -> Result<()> {
    if stat(path)?.is_some() {
        return Err(Errno::EXIST).at(path);
    }
    replace(path, |file| file.set_len(size))
}

/// A path's metadata, or `None` where there is nothing.
pub fn stat(path: &Path) -> Result<Option<Stat>> {
    match rustix::fs::lstat(path) {
        Ok(stat) => Ok(Some(Stat::from(stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// The names in a directory, sorted.
pub fn list(path: &Path) -> Result<Vec<OsString>> {
    let entries = fs::read_dir(path).at(path)?;
    let mut names: Vec<OsString> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>().at(path)?;
    names.sort();
    Ok(names)
}

/// Makes a directory with exactly `mode`, and with `parents` the missing ones above it with 0755.
/// A directory that exists is left as it is.
pub fn make_directory(path: &Path, mode: u32, parents: bool) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if parents && let Some(parent) = path.parent() {
        make_directory(parent, 0o755, true)?;
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode & 0o700)) {
        Err(Errno::EXIST) if path.is_dir() => return Ok(()),
        made => made.at(path)?,
    }
    change_mode(path, mode)?;
    sync_parent(path)
}

/// Removes a file or an empty directory; says whether it was there.
pub fn remove(path: &Path) -> Result<bool> {
    let Some(stat) = stat(path)? else { return Ok(false) };
    let flags = if stat.kind == Kind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match rustix::fs::unlinkat(CWD, path, flags) {
        Err(Errno::NOENT) => return Ok(false),
        removed => removed.at(path)?,
    }
    sync_parent(path)?;
    Ok(true)
}

/// Renames a file or directory; what is at `to` is replaced, as `rename(2)` does it.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| {
        let why = format!("cannot become `{}`: {}", to.display(), super::paths::reason(&error));
        PathError { path: from.to_owned(), source: io::Error::new(error.kind(), why) }
    })?;
    sync_parent(from)?;
    sync_parent(to)
}

/// Sets the permission bits. A symbolic link is refused, as its target could lie anywhere.
pub fn change_mode(path: &Path, mode: u32) -> Result<()> {
    let opened =
        rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).at(path)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened).at(path)?.st_mode);
    if kind == FileType::Symlink {
        return Err(Errno::LOOP).at(path);
    }
    let opened = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
    rustix::fs::chmod(opened, Mode::from_raw_mode(mode)).at(path)
}

/// Sets owner and group, of a symbolic link its own.
pub fn change_owner(path: &Path, uid: u32, gid: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).at(path)
}

/// The room on the file system that holds `path`.
pub fn usage(path: &Path) -> Result<Usage> {
    let stat = rustix::fs::statvfs(path).at(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let used = bytes(stat.f_blocks.saturating_sub(stat.f_bfree));
    Ok(Usage { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail), used })
}

/// The path without symbolic links, `.` and `..`; it must exist.
pub fn real(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).at(path)
}

/// Makes the entries of the directory around `path` durable.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent).and_then(|directory| directory.sync_all()).at(parent)
}

/// Opens without ever waiting for the other end of a pipe, or leaving the device that a path names changed.
fn open_regular(path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, mode)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// Fills a new file beside `path` and renames it to `path`; fails without a trace.
fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let fresh = beside(path).at(path)?;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&fresh, create, Mode::from_raw_mode(0o600)).at(path)?);
    let filled = fill(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&fresh, path));
    if filled.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    filled.at(path)?;
    sync_parent(path)
}

/// A hidden name in the same directory that nothing has.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let name: String = name.chars().take(32).collect();
    Ok(path.with_file_name(format!(".{name}.{:016x}.tmp", u64::from_ne_bytes(random))))
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::BlockDevice => Kind::Block,
            _ => Kind::Other,
        };
        Self {
            kind,
            size: stat.st_size.unsigned_abs(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: stat.st_mtime as f64 + stat.st_mtime_nsec as f64 / 1e9,
        }
    }
}

/// Names the path of a failed system call.
pub(super) trait At<T> {
    /// The same result, with the path in its error.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| PathError { path: path.to_owned(), source: error.into() })
    }
}
