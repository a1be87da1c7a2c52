//! Removes a whole tree, which others may change meanwhile, without leaving it.
//!
//! Each step uses a descriptor of its directory. It follows no symbolic link and crosses no mount
//! point, even if something is renamed meanwhile.

use super::paths::PathError;
use super::places::Place;
use super::{At, sync_around};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::fs::{openat2, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, PathError>;

/// The limit on open directories. Deeper ones are moved up first, to limit descriptors and stack.
const MAX_OPEN: usize = 64;
/// The number of entries that are read before they are removed.
const BATCH: usize = 4096;

/// Removes what is at the place and everything below it; returns whether it was there.
///
/// # Errors
/// Nothing is removed if `find_mount` finds a mount point at or below the place.
pub fn remove_all(
    place: &Place,
    find_mount: impl FnOnce(&Path) -> Result<Option<PathBuf>>,
) -> Result<bool> {
    let path = &place.asked;
    if place.name() == "." {
        return Err(io::Error::other("cannot be removed")).at(path);
    }
    let Ok((around, name)) = place.entry() else {
        return Ok(false);
    };
    let name = CString::new(name.as_bytes()).at(path)?;
    let kind = match statat(around, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
        stat => FileType::from_raw_mode(stat.at(path)?.st_mode),
    };
    if kind == FileType::Directory {
        if let Some(mounted) = find_mount(&place.real)? {
            return Err(mounted_here()).at(&mounted);
        }
        Emptying::of(path, open_child(around, &name).at(path)?)?;
    }
    unlink(around.as_fd(), &name, kind).at(path)?;
    sync_around(place)?;
    Ok(true)
}

fn mounted_here() -> io::Error {
    io::Error::other("a file system is mounted here, so nothing was removed: unmount it first")
}

/// The removal of the entries of one directory, the top.
struct Emptying {
    top: OwnedFd,
    /// The current path, for errors.
    path: PathBuf,
    moved: u64,
}

impl Emptying {
    fn of(path: &Path, top: OwnedFd) -> Result<()> {
        let directory = top.try_clone().at(path)?;
        Self {
            top,
            path: path.to_owned(),
            moved: 0,
        }
        .empty(&directory, 0)
    }

    fn empty(&mut self, directory: &OwnedFd, depth: usize) -> Result<()> {
        loop {
            let entries = entries(directory).at(&self.path)?;
            if entries.is_empty() {
                return Ok(());
            }
            for (name, kind) in entries {
                self.path.push(OsStr::from_bytes(name.as_bytes()));
                self.entry(directory, &name, kind, depth)?;
                self.path.pop();
            }
        }
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &CString,
        kind: FileType,
        depth: usize,
    ) -> Result<()> {
        if kind == FileType::Directory && depth == MAX_OPEN {
            return self.move_up(directory, name);
        }
        if kind == FileType::Directory {
            let child = match open_child(directory, name) {
                Err(Errno::NOENT) => return Ok(()),
                Err(Errno::XDEV) => return Err(mounted_here()).at(&self.path),
                child => child.at(&self.path)?,
            };
            self.empty(&child, depth + 1)?;
        }
        unlink(directory.as_fd(), name, kind).at(&self.path)
    }

    /// Moves a directory to the top, where the loop over the top finds it again.
    fn move_up(&mut self, directory: &OwnedFd, name: &CString) -> Result<()> {
        loop {
            self.moved += 1;
            let place = format!(".removed-{}", self.moved);
            match rustix::fs::renameat_with(
                directory,
                name,
                &self.top,
                &*place,
                rustix::fs::RenameFlags::NOREPLACE,
            ) {
                Err(Errno::EXIST) => {}
                Err(Errno::INVAL) => {
                    return renameat(directory, name, &self.top, place).at(&self.path);
                }
                moved => return moved.at(&self.path),
            }
        }
    }
}

fn open_child(directory: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    openat2(directory, name, flags, Mode::empty(), stay)
}

/// Removes an entry, which another process may have removed already.
fn unlink(directory: BorrowedFd, name: &CString, kind: FileType) -> rustix::io::Result<()> {
    let flags = if kind == FileType::Directory {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(directory, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// Returns the first [`BATCH`] entries.
fn entries(directory: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            found.push((name.to_owned(), kind(directory, &entry)?));
        }
        if found.len() == BATCH {
            break;
        }
    }
    Ok(found)
}

/// Returns the type of an entry, which some file systems do not return with the name.
fn kind(directory: &OwnedFd, entry: &rustix::fs::DirEntry) -> io::Result<FileType> {
    match entry.file_type() {
        FileType::Unknown => {
            let stat = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(FileType::from_raw_mode(stat.st_mode))
        }
        known => Ok(known),
    }
}
