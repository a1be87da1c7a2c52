//! Files and directories at a [`Place`]. Each change is on disk when its function returns. No
//! function follows a link, because a place is already resolved.
//!
//! All functions may wait for a disk or a server: call them on the blocking pool.

pub mod fifo;
pub mod paths;
pub mod places;
pub mod remove;
pub mod whole;

use self::paths::PathError;
use self::places::{Place, fd_path};
use crate::sys::memory::{Allowance, Buffer};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::fs::{chownat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The limit on a file that [`read`] returns, in bytes.
pub const MAX_READ: u64 = 16 << 20;

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// The ID that leaves an owner unchanged in chown(2).
const UNCHANGED_OWNER: u32 = u32::MAX;

type Result<T> = std::result::Result<T, PathError>;

/// The kind of a file, without following a symbolic link.
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

/// The metadata of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// The kind.
    pub kind: Kind,
    /// The size, in bytes.
    pub size: u64,
    /// The permission bits, at most `0o7777`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of the last change of its content, in seconds since 1970.
    pub modified: f64,
}

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The total space.
    pub total: u64,
    /// The space that an unprivileged user can still use.
    pub free: u64,
    /// The used space.
    pub used: u64,
}

/// Reads a regular file.
pub fn read(place: &Place, allowance: &Allowance) -> Result<Buffer> {
    let file = open_regular(place, OFlags::RDONLY, Mode::empty())?;
    let text = read_up_to(file, MAX_READ + 1, allowance).at(&place.asked)?;
    if text.len() as u64 > MAX_READ {
        return Err(io::Error::other(format!(
            "is larger than {} MiB",
            MAX_READ >> 20
        )))
        .at(&place.asked);
    }
    Ok(text)
}

/// Reads at most `length` or [`MAX_READ`] bytes of a regular file, from `offset` on.
pub fn read_part(place: &Place, offset: u64, length: u64, allowance: &Allowance) -> Result<Buffer> {
    let mut file = open_regular(place, OFlags::RDONLY, Mode::empty())?;
    let read = file
        .seek(SeekFrom::Start(offset))
        .and_then(|_| read_up_to(file, length.min(MAX_READ), allowance));
    read.at(&place.asked)
}

fn read_up_to(file: File, limit: u64, allowance: &Allowance) -> io::Result<Buffer> {
    let mut file = file.take(limit);
    let mut text = Buffer::new(allowance);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(text),
            count => text.extend(&chunk[..count]).map_err(io::Error::other)?,
        }
    }
}

/// Replaces a file's content atomically, also for a power cut.
///
/// A new file gets `mode`, by default 0644. An existing one keeps its owner and, without `mode`,
/// its mode.
pub fn write(place: &Place, text: &[u8], mode: Option<u32>) -> Result<()> {
    let before = stat(place)?.filter(|stat| stat.kind == Kind::File);
    let mode = mode.or(before.map(|stat| stat.mode)).unwrap_or(0o644);
    replace(place, |file| {
        if let Some(before) = before {
            std::os::unix::fs::fchown(&*file, Some(before.uid), Some(before.gid))?;
        }
        file.write_all(text)?;
        Ok(rustix::fs::fchmod(&*file, Mode::from_raw_mode(mode))?)
    })
}

/// Appends to a file. A new one gets `mode`, by default 0644.
pub fn append(place: &Place, text: &[u8], mode: Option<u32>) -> Result<()> {
    let new = stat(place)?.is_none();
    let create = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut file = open_regular(place, create, Mode::from_raw_mode(0o600))?;
    if new || mode.is_some() {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode.unwrap_or(0o644))).at(&place.asked)?;
    }
    file.write_all(text)
        .and_then(|()| file.sync_all())
        .at(&place.asked)?;
    if new { sync_around(place) } else { Ok(()) }
}

/// Creates a sparse file of `size` bytes. An existing file is an error.
pub fn allocate(place: &Place, size: u64) -> Result<()> {
    if stat(place)?.is_some() {
        return Err(Errno::EXIST).at(&place.asked);
    }
    replace(place, |file| file.set_len(size))
}

/// Returns the metadata of a place, or `None` if nothing exists there.
pub fn stat(place: &Place) -> Result<Option<Stat>> {
    let Ok((directory, name)) = place.entry() else {
        return Ok(None);
    };
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Stat::from(stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).at(&place.asked),
    }
}

/// Returns the names in a directory, sorted.
pub fn list(place: &Place) -> Result<Vec<OsString>> {
    let directory = place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(directory).at(&place.asked)? {
        let name = entry.at(&place.asked)?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Creates a directory with exactly `mode` and, with `parents`, its missing parents with mode 0755.
/// An existing directory is left unchanged.
pub fn make_directory(place: &Place, mode: u32, parents: bool) -> Result<()> {
    if !parents {
        let (directory, name) = place.entry()?;
        return make_one(directory, name, mode).at(&place.asked);
    }
    let (directory, missing) = place.missing()?;
    let mut above = directory.try_clone().at(&place.asked)?;
    for name in missing {
        make_one(&above, name, 0o755).at(&place.asked)?;
        above = enter(&above, name).at(&place.asked)?;
    }
    make_one(&above, place.name(), mode).at(&place.asked)
}

fn make_one(directory: &OwnedFd, name: &OsStr, mode: u32) -> rustix::io::Result<()> {
    match mkdirat(directory, name, Mode::from_raw_mode(mode & 0o700)) {
        Err(Errno::EXIST) => {
            let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            return if is_directory {
                Ok(())
            } else {
                Err(Errno::EXIST)
            };
        }
        made => made?,
    }
    rustix::fs::chmod(fd_path(&enter(directory, name)?), Mode::from_raw_mode(mode))?;
    sync(directory)
}

fn enter(directory: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// Removes a file or an empty directory. Returns whether it existed.
pub fn remove(place: &Place) -> Result<bool> {
    let Some(stat) = stat(place)? else {
        return Ok(false);
    };
    let (directory, name) = place.entry()?;
    let flags = if stat.kind == Kind::Directory {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(directory, name, flags) {
        Err(Errno::NOENT) => return Ok(false),
        removed => removed.at(&place.asked)?,
    }
    sync_around(place)?;
    Ok(true)
}

/// Renames a file or directory, replacing `to` as `rename(2)` does.
pub fn rename(from: &Place, to: &Place) -> Result<()> {
    let (directory, name) = from.entry()?;
    let (new_directory, new_name) = to.entry()?;
    renameat(directory, name, new_directory, new_name).map_err(|error| {
        let error = io::Error::from(error);
        let why = format!(
            "cannot become `{}`: {}",
            to.asked.display(),
            paths::reason(&error)
        );
        PathError {
            path: from.asked.clone(),
            source: io::Error::new(error.kind(), why),
        }
    })?;
    sync_around(from)?;
    sync_around(to)
}

/// Sets the permission bits. Fails for a symbolic link, whose target could be anywhere.
pub fn change_mode(place: &Place, mode: u32) -> Result<()> {
    rustix::fs::chmod(place.hold()?.path(), Mode::from_raw_mode(mode)).at(&place.asked)
}

/// Sets the owner and the group, for a symbolic link those of the link itself.
pub fn change_owner(place: &Place, uid: u32, gid: u32) -> Result<()> {
    let (directory, name) = place.entry()?;
    if let Some(none) = [uid, gid].into_iter().find(|id| *id == UNCHANGED_OWNER) {
        return Err(io::Error::other(format!("{none} is not a valid owner"))).at(&place.asked);
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    chownat(
        directory,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .at(&place.asked)
}

/// Returns the space of the file system that contains the place.
pub fn usage(place: &Place) -> Result<Usage> {
    let stat = rustix::fs::statvfs(place.hold()?.path()).at(&place.asked)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let used = bytes(stat.f_blocks.saturating_sub(stat.f_bfree));
    Ok(Usage {
        total: bytes(stat.f_blocks),
        free: bytes(stat.f_bavail),
        used,
    })
}

/// Returns the path without symbolic links, `.` and `..`. The path must exist.
pub fn real(place: &Place) -> Result<PathBuf> {
    match stat(place)? {
        Some(_) => Ok(place.real.clone()),
        None => Err(Errno::NOENT).at(&place.asked),
    }
}

/// Syncs the directory that contains a place.
pub(super) fn sync_around(place: &Place) -> Result<()> {
    sync(place.entry()?.0).at(&place.asked)
}

fn sync(directory: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::fsync(openat(directory, ".", flags, Mode::empty())?)
}

/// Opens a regular file. Does not open pipes, which could block, nor devices, which opening can
/// change.
fn open_regular(place: &Place, flags: OFlags, mode: Mode) -> Result<File> {
    let irregular = || Err(io::Error::other("is not a regular file")).at(&place.asked);
    if stat(place)?.is_some_and(|stat| matches!(stat.kind, Kind::Block | Kind::Other)) {
        return irregular();
    }
    // Another file may have taken its place since.
    let file = File::from(place.open(flags | OFlags::NOCTTY | OFlags::NONBLOCK, mode)?);
    if file.metadata().at(&place.asked)?.is_file() {
        Ok(file)
    } else {
        irregular()
    }
}

/// Fills a new file beside the place, and renames it. Removes it on failure.
fn replace(place: &Place, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let (directory, name) = place.entry()?;
    let fresh = beside(name).at(&place.asked)?;
    let create =
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, &fresh, create, Mode::from_raw_mode(0o600)).at(&place.asked)?;
    let mut file = File::from(file);
    let renamed = || Ok(renameat(directory, &fresh, directory, name)?);
    let filled = fill(&mut file)
        .and_then(|()| file.sync_all())
        .and_then(|()| renamed());
    if filled.is_err() {
        let _ = unlinkat(directory, &fresh, AtFlags::empty());
    }
    filled.at(&place.asked)?;
    sync_around(place)
}

/// Returns a unique hidden name similar to `name`.
fn beside(name: &OsStr) -> io::Result<String> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    if name == "." {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let name: String = name.to_string_lossy().chars().take(32).collect();
    Ok(format!(".{name}.{:016x}.tmp", u64::from_ne_bytes(random)))
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

/// Adds the path to the error of a system call.
pub(in crate::sys) trait At<T> {
    /// Adds the path to the error.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| PathError {
            path: path.to_owned(),
            source: error.into(),
        })
    }
}
