//! Reading the scripts of a plugin's directory, as they are at one moment.

use super::MANIFEST;
use crate::sys::files::paths::{hops, open_beneath, reason};
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The largest script, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;
/// How many scripts a plugin may have.
pub const MAX_FILES: usize = 1000;
/// How many directories they may lie in.
pub const MAX_DIRECTORIES: usize = 1000;
/// How deep below the plugin's directory they may lie.
pub const MAX_DEPTH: usize = 8;

/// How often a directory is read that changes meanwhile.
const ATTEMPTS: usize = 12;

/// What a plugin's directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// `plugin.toml`, `*.lua` and `*.luau`, by their path below the directory, as a script requires it.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Every directory in which something can change what is in `files`; all exist.
    pub watch: Vec<PathBuf>,
    /// What was left out, by its path below the directory, and why.
    pub problems: Vec<(PathBuf, String)>,
}

/// Reads the scripts below `directory`. Links are followed as long as they stay below it, at every hop.
///
/// Two readings must agree: a directory that is swapped for another meanwhile (Kubernetes, `git checkout`)
/// is so read as it was before or after, not half of each.
pub fn read_sources(directory: &Path) -> io::Result<Sources> {
    let directory = std::path::absolute(directory)?;
    let mut last = Reading::of(&directory)?;
    for _ in 1..ATTEMPTS {
        let next = Reading::of(&directory)?;
        if next == last {
            return Ok(last);
        }
        last = next;
    }
    Err(io::Error::other(
        "the files change faster than they can be read",
    ))
}

struct Reading {
    top: OwnedFd,
    place: PathBuf,
    sources: Sources,
    watch: BTreeSet<PathBuf>,
    directories: usize,
    /// Device and inode of the directories being read, the outermost first.
    open: Vec<(u64, u64)>,
}

impl Reading {
    fn of(directory: &Path) -> io::Result<Sources> {
        let top = open(
            directory,
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let place = directory.canonicalize()?;
        let mut reading = Self {
            top,
            watch: around(directory, &place),
            place,
            sources: Sources::default(),
            directories: 0,
            open: Vec::new(),
        };
        reading.directory(Path::new(""))?;
        reading.sources.watch = reading.watch.into_iter().collect();
        Ok(reading.sources)
    }

    /// Reads what lies in the directory at `path` below the top; fails only where nothing of it can be read.
    fn directory(&mut self, path: &Path) -> io::Result<()> {
        let here = self.open_directory(path)?;
        let stat = fstat(&here)?;
        let identity = (stat.st_dev, stat.st_ino);
        if self.open.contains(&identity) {
            return Err(io::Error::other(
                "the link leads back to a directory around it",
            ));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(io::Error::other(format!(
                "lies deeper than {MAX_DEPTH} directories"
            )));
        }
        self.open.push(identity);
        let entries = entries(&here).map(|entries| self.entries(path, entries));
        self.open.pop();
        entries
    }

    fn open_directory(&mut self, path: &Path) -> io::Result<OwnedFd> {
        self.directories += 1;
        if self.directories > MAX_DIRECTORIES {
            return Err(io::Error::other(format!(
                "more than {MAX_DIRECTORIES} directories"
            )));
        }
        let here = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        open_beneath(&self.top, here, OFlags::DIRECTORY)
    }

    fn entries(&mut self, path: &Path, entries: Vec<(PathBuf, FileType)>) {
        for (name, kind) in entries {
            let path = path.join(name);
            if let Err(error) = self.entry(&path, kind) {
                self.sources.problems.push((path, explain(&error)));
            }
        }
    }

    fn entry(&mut self, path: &Path, kind: FileType) -> io::Result<()> {
        let kind = match kind {
            FileType::RegularFile | FileType::Directory => kind,
            _ => self.target(path)?,
        };
        match kind {
            FileType::Directory => {
                self.watch.insert(self.place.join(path).canonicalize()?);
                self.directory(path)
            }
            FileType::RegularFile if is_source(path) => self.file(path),
            _ => Ok(()),
        }
    }

    /// What a link leads to. Only where it could be scripts does it matter that it leads nowhere, or out.
    fn target(&mut self, path: &Path) -> io::Result<FileType> {
        let opened = open_beneath(&self.top, path, OFlags::PATH);
        if is_source(path) || opened.is_ok() {
            let inside = hops(&self.place.join(path))
                .into_iter()
                .filter(|hop| hop.starts_with(&self.place));
            self.watch.extend(inside);
        }
        match opened {
            Ok(target) => Ok(FileType::from_raw_mode(fstat(target)?.st_mode)),
            Err(error) if is_source(path) || self.place.join(path).is_dir() => Err(error),
            Err(_) => Ok(FileType::Unknown),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        if self.sources.files.len() >= MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} scripts")));
        }
        let file = File::from(open_beneath(&self.top, path, OFlags::RDONLY)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("is not a regular file"));
        }
        let mut text = Vec::new();
        file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_SIZE {
            return Err(io::Error::other(format!(
                "is larger than {} KiB",
                MAX_SIZE >> 10
            )));
        }
        self.sources.files.insert(path.to_owned(), text);
        Ok(())
    }
}

const XDEV: i32 = Errno::XDEV.raw_os_error();

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(XDEV) => "the link leads out of the plugin's directory".to_owned(),
        _ => reason(error),
    }
}

/// The directory itself, the one around it, and those whose links lead to it.
fn around(directory: &Path, place: &Path) -> BTreeSet<PathBuf> {
    let parents = [directory.parent(), place.parent()];
    let mut watch: BTreeSet<PathBuf> = parents
        .into_iter()
        .flatten()
        .filter_map(|p| p.canonicalize().ok())
        .collect();
    watch.extend(hops(directory));
    watch.insert(place.to_owned());
    watch
}

/// The directory's entries that are not hidden, sorted by name.
fn entries(directory: &OwnedFd) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !name.starts_with(b".") {
            found.push((path_of(name), entry.file_type()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name).into()
}

/// Scripts anywhere, the settings only at the top.
fn is_source(path: &Path) -> bool {
    path == Path::new(MANIFEST) || is_script(path)
}

/// Whether a file somewhere may be a source of the plugin there, by its name.
pub(super) fn may_be_source(path: &Path) -> bool {
    path.ends_with(MANIFEST) || is_script(path)
}

fn is_script(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "lua" || end == "luau")
}
