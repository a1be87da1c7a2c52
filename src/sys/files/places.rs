//! Paths that scripts name: where they really lead, whether that may be touched, and the open directory to touch it by.
//!
//! The way is walked name by name from the root of the file system, each directory opened in the one before it, and links are
//! read and followed here, never by the kernel. So the place that was judged is the place that is used, whatever is renamed or
//! replaced meanwhile.

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

/// Where a path leads: a name in a directory that is open.
#[derive(Debug)]
pub struct Place {
    /// The path as it was given.
    pub asked: PathBuf,
    /// The path without links, `.` and `..`, as far as anything is there.
    pub real: PathBuf,
    directory: OwnedFd,
    /// The names below `directory`: the last alone, unless directories are missing.
    names: VecDeque<OsString>,
    stopped: Errno,
    /// The links on the way, each by its directory and name.
    links: Vec<PathBuf>,
}

/// What is to be done about a symbolic link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The link itself is meant.
    Itself,
    /// What the link leads to is meant.
    Followed,
}

/// How many links are followed before they are called a circle.
const MAX_LINKS: usize = 40;
/// How many steps a walk may take; each `..` begins it anew.
const MAX_STEPS: usize = 10_000;
/// The longest path that the kernel takes, in bytes.
const MAX_PATH: usize = 4096;
/// How often a path is walked again, when its end became a link between the walk and the deed.
const TRIES: usize = 32;

const WALK: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

type Result<T> = std::result::Result<T, PathError>;

impl Place {
    /// Where `path`, which is absolute, leads.
    ///
    /// # Errors
    /// A circle of links, a link that only the kernel can follow, a directory that may not be searched. What is missing is no
    /// error yet.
    pub fn find(path: &Path, end: End) -> Result<Self> {
        Walk::new(path)
            .and_then(|walk| walk.to(path, end))
            .map_err(|error| named(path, error))
    }

    /// Finds the place and does `work` there; once more when a link took the place of its end in between.
    ///
    /// # Errors
    /// Those of both.
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

    /// The open directory, and the name in it.
    ///
    /// # Errors
    /// When the directory is missing.
    pub fn entry(&self) -> Result<(&OwnedFd, &OsStr)> {
        match (self.names.front(), self.names.len()) {
            (Some(name), 1) => Ok((&self.directory, name)),
            _ => Err(named(&self.asked, self.stopped.into())),
        }
    }

    /// Opens the place itself, and never follows a link there: that fails with `ELOOP`.
    ///
    /// # Errors
    /// Those of `open(2)`.
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

    /// Holds what is there as it is, so that a path can mean it: fails with `ELOOP` on a link.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn hold(&self) -> Result<Handle> {
        let held = self.open(OFlags::PATH, Mode::empty())?;
        let stat = fstat(&held).map_err(|error| named(&self.asked, error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Err(named(&self.asked, Errno::LOOP.into())),
            _ => Ok(Handle(held)),
        }
    }

    /// A path that means the name in the open directory, as long as this lives; a link there is followed by whoever follows links.
    ///
    /// # Errors
    /// When the directory is missing.
    pub fn by_directory(&self) -> Result<PathBuf> {
        let (directory, name) = self.entry()?;
        Ok(fd_path(directory).join(name))
    }

    /// The open directory, and the names that are missing below it but for the last.
    ///
    /// # Errors
    /// When the path leads back up from something that is missing.
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

    /// The last name.
    pub fn name(&self) -> &OsStr {
        self.names
            .back()
            .map_or(OsStr::new("."), OsString::as_os_str)
    }

    /// The links that were followed, each by its directory and name.
    pub fn links(&self) -> &[PathBuf] {
        &self.links
    }
}

/// Something that is held open, to be named by path.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// A path that means it, as long as this lives, in this process.
    pub fn path(&self) -> PathBuf {
        fd_path(&self.0)
    }

    /// The same, for programs that this process starts.
    pub fn path_for_children(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

/// A path that means what is open, as long as it is.
pub(super) fn fd_path(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// A walk under way.
struct Walk {
    directory: OwnedFd,
    real: PathBuf,
    /// What is still to be walked, in order.
    rest: VecDeque<OsString>,
    links: Vec<PathBuf>,
    steps: usize,
}

impl Walk {
    fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() >= MAX_PATH {
            return Err(Errno::NAMETOOLONG.into());
        }
        let (directory, real) = (root()?, PathBuf::from("/"));
        Ok(Self {
            directory,
            real,
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
        let (directory, names, links) = (self.directory, self.rest, self.links);
        Place {
            asked: asked.to_owned(),
            real,
            directory,
            names,
            stopped,
            links,
        }
    }

    /// Enters the directory `name`, or follows the link. The inner error is that of something that is missing, or no directory.
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

    /// Puts what a link says in the place of its name; says whether it was a link.
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

    /// Links such as `/proc/self/root` say one thing and lead elsewhere.
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

    /// Begins anew, with the directory above in the place of this one: what is there now need not be where we came from.
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
        (self.directory, self.real) = (root()?, PathBuf::from("/"));
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
