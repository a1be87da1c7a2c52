//! Resolves the paths that scripts use to a name in an open directory.
//!
//! A path is walked name by name from the root of the file system. Each directory is opened in the
//! previous one, and links are followed here, never by the kernel. The place that is checked is
//! therefore the place that is used, even if something is renamed or replaced meanwhile.

#[cfg(test)]
mod tests;

use super::paths::{PathError, parts};
use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::fs::{fstat, fstatfs, openat, openat2, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The place to which a path leads: a name in an open directory.
#[derive(Debug)]
pub struct Place {
    /// The path as given.
    pub asked: PathBuf,
    /// The path without links, `.` and `..`, as far as it exists.
    pub real: PathBuf,
    directory: OwnedFd,
    /// The names below `directory`: only the last one, unless directories are missing.
    names: VecDeque<OsString>,
    /// The error at the first missing directory.
    stopped: Errno,
    /// The links that were followed, each by its directory and name.
    links: Vec<PathBuf>,
}

/// The treatment of a symbolic link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The place is the link itself.
    Itself,
    /// The place is the link's target.
    Followed,
}

/// The limit on symbolic links in one path.
const MAX_LINKS: usize = 40;
/// The limit on the steps of a walk, which each `..` restarts.
const MAX_STEPS: usize = 10_000;
/// The kernel's limit on a path, in bytes.
const MAX_PATH: usize = 4096;
/// The limit on attempts to resolve a path whose end becomes a link before it is used.
const TRIES: usize = 32;

const WALK: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

type Result<T> = std::result::Result<T, PathError>;

impl Place {
    /// Finds the place to which the absolute `path` leads.
    ///
    /// # Errors
    /// Fails for a loop of links, for a link that only the kernel can follow, and for a directory
    /// that may not be searched. A missing file or directory is not an error yet.
    pub fn find(path: &Path, end: End) -> Result<Self> {
        Walk::new(path)
            .and_then(|walk| walk.to(path, end))
            .map_err(|error| named(path, error))
    }

    /// Finds the place and runs `work` on it. Retries if its end becomes a link in between.
    ///
    /// # Errors
    /// Fails as `find` and `work` do.
    pub fn with<T, E>(
        path: &Path,
        end: End,
        mut find: impl FnMut(&Path, End) -> std::result::Result<Self, E>,
        mut work: impl FnMut(&Place) -> Result<T>,
    ) -> std::result::Result<T, E>
    where
        E: From<PathError>,
    {
        let mut tries = 1;
        loop {
            match work(&find(path, end)?) {
                Err(error) if end == End::Followed && error.is_loop() && tries < TRIES => {
                    tries += 1;
                }
                done => return Ok(done?),
            }
        }
    }

    /// Returns the open directory, and the name in it.
    ///
    /// # Errors
    /// Fails if the directory is missing.
    pub fn entry(&self) -> Result<(&OwnedFd, &OsStr)> {
        match (self.names.front(), self.names.len()) {
            (Some(name), 1) => Ok((&self.directory, name)),
            _ => Err(named(&self.asked, self.stopped.into())),
        }
    }

    /// Opens the place without following a link.
    ///
    /// # Errors
    /// Fails as `open(2)` does, with `ELOOP` for a link.
    pub fn open(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let (directory, name) = self.entry()?;
        openat(
            directory,
            name,
            flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            mode,
        )
        .map_err(|error| named(&self.asked, error.into()))
    }

    /// Opens the place to refer to it by a path.
    ///
    /// # Errors
    /// Fails as `open(2)` does, with `ELOOP` for a link.
    pub fn hold(&self) -> Result<Handle> {
        let held = self.open(OFlags::PATH, Mode::empty())?;
        let stat = fstat(&held).map_err(|error| named(&self.asked, error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Err(named(&self.asked, Errno::LOOP.into())),
            _ => Ok(Handle(held)),
        }
    }

    /// Returns a path to the name in the open directory, which is valid as long as this lives. A
    /// system call that follows links follows one there.
    ///
    /// # Errors
    /// Fails if the directory is missing.
    pub fn by_directory(&self) -> Result<PathBuf> {
        let (directory, name) = self.entry()?;
        Ok(fd_path(directory).join(name))
    }

    /// Returns the open directory, and the missing names below it except the last one.
    ///
    /// # Errors
    /// Fails if the path leads up again from a missing directory.
    pub fn missing(&self) -> Result<(&OwnedFd, impl Iterator<Item = &OsStr>)> {
        if self.names.iter().any(|name| name == "..") {
            return Err(named(&self.asked, self.stopped.into()));
        }
        let above = self.names.len().saturating_sub(1);
        Ok((
            &self.directory,
            self.names.iter().take(above).map(OsString::as_os_str),
        ))
    }

    /// Returns the last name.
    pub fn name(&self) -> &OsStr {
        self.names
            .back()
            .map_or(OsStr::new("."), OsString::as_os_str)
    }

    /// Returns the links that were followed, each by its directory and name.
    pub fn links(&self) -> &[PathBuf] {
        &self.links
    }
}

/// An open file that can be named by a path.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Returns a path to it for this process, which is valid as long as this lives.
    pub fn path(&self) -> PathBuf {
        fd_path(&self.0)
    }

    /// Returns a path to it for child processes.
    pub fn path_for_children(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

/// Returns a path to an open file.
pub(super) fn fd_path(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// A walk along a path.
struct Walk {
    directory: OwnedFd,
    real: PathBuf,
    /// The remaining names, in order.
    rest: VecDeque<OsString>,
    links: Vec<PathBuf>,
    steps: usize,
}

impl Walk {
    fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() >= MAX_PATH {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(Self {
            directory: root()?,
            real: PathBuf::from("/"),
            rest: parts(path),
            links: Vec::new(),
            steps: 0,
        })
    }

    fn to(mut self, asked: &Path, end: End) -> io::Result<Place> {
        let mut stopped = Errno::NOENT;
        while let Some(name) = self.rest.front().cloned() {
            self.count()?;
            if name == ".." {
                self.up()?;
                continue;
            }
            let is_last = self.rest.len() == 1;
            if is_last && (end == End::Itself || !self.follow(&name)?) {
                break;
            }
            if !is_last && let Err(error) = self.down(&name)? {
                stopped = error;
                break;
            }
        }
        Ok(self.arrived(asked, stopped))
    }

    fn arrived(mut self, asked: &Path, stopped: Errno) -> Place {
        let mut real = self.real;
        for name in &self.rest {
            match name.to_str() {
                Some("..") => drop(real.pop()),
                _ => real.push(name),
            }
        }
        if self.rest.is_empty() {
            self.rest.push_back(".".into());
        }
        Place {
            asked: asked.to_owned(),
            real,
            directory: self.directory,
            names: self.rest,
            stopped,
            links: self.links,
        }
    }

    /// Enters the directory `name`, or follows the link. The inner error means that the name is
    /// missing or not a directory.
    fn down(&mut self, name: &OsStr) -> io::Result<std::result::Result<(), Errno>> {
        match openat(&self.directory, name, WALK, Mode::empty()) {
            Ok(directory) => {
                self.directory = directory;
                self.real.push(name);
                self.rest.pop_front();
                Ok(Ok(()))
            }
            Err(Errno::NOTDIR | Errno::LOOP) if self.follow(name)? => Ok(Ok(())),
            Err(error @ (Errno::NOTDIR | Errno::NOENT)) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces a link's name by its target. Returns whether it was a link.
    fn follow(&mut self, name: &OsStr) -> io::Result<bool> {
        let target = match readlinkat(&self.directory, name, Vec::new()) {
            Ok(target) => PathBuf::from(OsString::from_vec(target.into_bytes())),
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.refuse_magic(name)?;
        self.links.push(self.real.join(name));
        if self.links.len() > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        self.rest.pop_front();
        parts(&target)
            .into_iter()
            .rev()
            .for_each(|part| self.rest.push_front(part));
        if target.is_absolute() {
            self.begin_at_root()?;
        }
        Ok(true)
    }

    /// Rejects links of the kernel such as `/proc/self/root`, whose text is not their target.
    fn refuse_magic(&self, name: &OsStr) -> io::Result<()> {
        if fstatfs(&self.directory)?.f_type != PROC_SUPER_MAGIC {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match openat2(
            &self.directory,
            name,
            flags,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        ) {
            Err(Errno::LOOP) => Err(io::Error::other(
                "leads through a link of the kernel's own, which is not followed",
            )),
            _ => Ok(()),
        }
    }

    /// Restarts the walk for the parent directory, which may have changed since it was left.
    fn up(&mut self) -> io::Result<()> {
        self.rest.pop_front();
        let above = self.real.parent().map(parts).unwrap_or_default();
        above
            .into_iter()
            .rev()
            .for_each(|part| self.rest.push_front(part));
        self.begin_at_root()
    }

    fn begin_at_root(&mut self) -> io::Result<()> {
        self.directory = root()?;
        self.real = PathBuf::from("/");
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            Err(Errno::LOOP.into())
        } else {
            Ok(())
        }
    }
}

fn root() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", WALK, Mode::empty())?)
}

fn named(path: &Path, source: io::Error) -> PathError {
    PathError {
        path: path.to_owned(),
        source,
    }
}
