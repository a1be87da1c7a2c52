//! Reads a consistent snapshot of the scripts in a plugin's directory.

use super::MANIFEST;
use crate::sys::files::paths::{hops, open_beneath, reason};
use crate::sys::files::whole::text_of;
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The limit on the number of scripts.
pub const MAX_FILES: usize = 1000;
/// The limit on the number of directories.
pub const MAX_DIRECTORIES: usize = 1000;
/// The limit on the depth of directories.
pub const MAX_DEPTH: usize = 8;

/// The limit on attempts to read a directory that changes meanwhile.
const ATTEMPTS: usize = 12;

/// The files of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// `plugin.toml`, `*.lua` and `*.luau`, by their paths below the directory, as in `require`.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The files whose names end in `_test`. They are no part of what is served.
    pub tests: BTreeMap<PathBuf, Vec<u8>>,
    /// The existing directories in which a change can alter `files`.
    pub watch: Vec<PathBuf>,
    /// The files that were left out, by their paths below the directory, with the reason.
    pub problems: Vec<(PathBuf, String)>,
    /// The names of other files at the top, at most [`MAX_FILES`].
    pub others: Vec<String>,
}

impl Sources {
    /// Returns whether the files and the tests are the same.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.files == other.files && self.tests == other.tests
    }

    /// Returns whether there is a file, by its path below the directory.
    pub fn has(&self, file: &str) -> bool {
        self.files.contains_key(Path::new(file))
    }

    /// Returns what a test can require: the plugin's files, and other tests.
    #[must_use]
    pub fn with_tests(&self) -> Self {
        let mut all = self.clone();
        all.files.append(&mut all.tests);
        all
    }

    /// Returns the reason why a file was left out.
    pub fn problem_of(&self, file: &str) -> Option<&str> {
        let mut problems = self.problems.iter();
        let problem = problems.find(|(path, _)| path == Path::new(file));
        problem.map(|(_, reason)| reason.as_str())
    }

    /// Returns the first script or manifest that was left out, with the reason.
    pub fn unread(&self) -> Option<(&Path, &str)> {
        let mut problems = self.problems.iter();
        let problem = problems.find(|(path, _)| is_source(path));
        problem.map(|(path, reason)| (path.as_path(), reason.as_str()))
    }
}

/// Reads the scripts below `directory`, following links that stay below it at every hop.
///
/// Reads until two results agree, so that a directory that is replaced meanwhile (Kubernetes,
/// `git checkout`) is read as it was before or after.
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
    /// The scripts beyond [`MAX_FILES`].
    beyond: Vec<PathBuf>,
    /// The device and inode of the directories being read, the outermost first.
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
            beyond: Vec::new(),
            open: Vec::new(),
        };
        reading.directory(Path::new(""))?;
        reading.report_beyond();
        reading.sources.watch = reading.watch.into_iter().collect();
        Ok(reading.sources)
    }

    /// Reads the directory at `path` below the top. Fails only if none of it can be read.
    fn directory(&mut self, path: &Path) -> io::Result<()> {
        let here = self.open_directory(path)?;
        let stat = fstat(&here)?;
        let identity = (stat.st_dev, stat.st_ino);
        if self.open.contains(&identity) {
            return Err(io::Error::other(
                "the link leads back to a parent directory",
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

    /// Reports all scripts beyond the limit in one line.
    fn report_beyond(&mut self) {
        let Some(first) = self.beyond.first() else {
            return;
        };
        let others = match self.beyond.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} others)"),
        };
        let problem = format!("more than {MAX_FILES} scripts{others}");
        self.sources.problems.push((first.clone(), problem));
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
            FileType::RegularFile if is_source(path) => self.file(path),
            _ if is_source(path) => Err(io::Error::other("is not a regular file")),
            FileType::Directory => {
                self.watch.insert(self.place.join(path).canonicalize()?);
                self.directory(path)
            }
            FileType::RegularFile => {
                self.other(path);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the type of a link's target. A dangling link, or one that leads outside, is an error
    /// only if it could name scripts.
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
        let Sources { files, tests, .. } = &mut self.sources;
        // The manifest is read whatever else there is: without it, scripts would have no settings.
        if path != Path::new(MANIFEST) && files.len() + tests.len() >= MAX_FILES {
            self.beyond.push(path.to_owned());
            return Ok(());
        }
        let file = File::from(open_beneath(&self.top, path, OFlags::RDONLY)?);
        let text = text_of(file)?;
        let kind = if is_test(path) { tests } else { files };
        kind.insert(path.to_owned(), text);
        Ok(())
    }

    /// Notes the name of a file at the top that is no source.
    fn other(&mut self, path: &Path) {
        let others = &mut self.sources.others;
        if path.components().count() == 1 && others.len() < MAX_FILES {
            others.push(path.display().to_string());
        }
    }
}

const XDEV: i32 = Errno::XDEV.raw_os_error();

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(XDEV) => "the link leads out of the plugin's directory".to_owned(),
        _ => reason(error),
    }
}

/// Returns the existing directories in which a change can alter what `directory` leads to.
pub fn ways_to(directory: &Path) -> Vec<PathBuf> {
    let place = directory.canonicalize();
    let place = place.unwrap_or_else(|_| directory.to_owned());
    let around = around(directory, &place);
    around.into_iter().filter(|at| at.is_dir()).collect()
}

/// Returns the directory, its parent, and the directories of the links that lead to it.
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

/// Returns the entries that are not hidden, sorted by name.
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

/// Returns whether a file is a script, or the manifest at the top.
fn is_source(path: &Path) -> bool {
    path == Path::new(MANIFEST) || is_script(path)
}

/// Returns whether a file may be a source by its name, wherever it is.
pub(super) fn may_be_source(path: &Path) -> bool {
    path.ends_with(MANIFEST) || is_script(path)
}

/// Returns whether a script is a test by its name.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| stem.ends_with("_test"))
}

fn is_script(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "lua" || end == "luau")
}
