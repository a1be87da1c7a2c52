//! A reproducible tree of files: sorted, with fixed times, owners and modes.

use super::RootfsError;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// The limit on symbolic links in one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Files by their absolute paths in the tree.
#[derive(Debug, Default)]
pub struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Directory { mode: u32 },
    Text(Vec<u8>),
    Copy { from: PathBuf, mode: u32, size: u64 },
    Link(PathBuf),
}

impl Tree {
    /// Adds an empty directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.entries
            .entry(path.into())
            .or_insert(Entry::Directory { mode });
    }

    /// Adds a file with this text and mode 0644, replacing an earlier one.
    pub fn text(&mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) {
        self.entries.insert(path.into(), Entry::Text(text.into()));
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.entries.insert(path.into(), Entry::Link(target.into()));
    }

    /// Adds a copy of this machine's file `from` at another path.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn copy(&mut self, from: &Path, path: impl Into<PathBuf>) -> Result<(), RootfsError> {
        let entry = copy_of(from)?;
        self.insert(path.into(), entry)
    }

    /// Adds this machine's file `path` at the same path, with the symbolic links that lead to it.
    ///
    /// # Errors
    /// Fails if there is no such file.
    pub fn mirror(&mut self, path: &Path) -> Result<(), RootfsError> {
        let mut at = PathBuf::from("/");
        let mut links = 0;
        let mut rest = names(path);
        while let Some(name) = rest.pop() {
            if name == Path::new("..") {
                at.pop();
                continue;
            }
            let here = at.join(&name);
            match fs::read_link(&here) {
                Ok(target) => {
                    links += 1;
                    rest.extend(names(&target));
                    at = if target.is_absolute() {
                        PathBuf::from("/")
                    } else {
                        at
                    };
                    self.insert(here, Entry::Link(target))?;
                }
                Err(_) if rest.is_empty() => return self.insert_file(here),
                Err(_) => at = here,
            }
            if links > MAX_LINKS {
                return Err(RootfsError::Circle(path.to_owned()));
            }
        }
        Err(RootfsError::NotAProgram(path.to_owned()))
    }

    fn insert_file(&mut self, path: PathBuf) -> Result<(), RootfsError> {
        let entry = copy_of(&path)?;
        self.insert(path, entry)
    }

    fn insert(&mut self, path: PathBuf, entry: Entry) -> Result<(), RootfsError> {
        match self.entries.get(&path) {
            Some(there) if *there != entry => Err(RootfsError::Clash {
                path,
                wanted: entry.kind(),
                found: there.kind(),
            }),
            _ => {
                self.entries.insert(path, entry);
                Ok(())
            }
        }
    }

    /// Returns the size of all files, in bytes.
    pub fn size(&self) -> u64 {
        self.entries.values().map(Entry::size).sum()
    }

    /// Returns an entry that a mount on `path` would hide: a file or link at `path`, or anything
    /// below.
    pub fn at_or_below(&self, path: &Path) -> Option<&Path> {
        let is_hidden = |(at, entry): &(&PathBuf, &Entry)| {
            at.starts_with(path) && (*at != path || !matches!(entry, Entry::Directory { .. }))
        };
        self.entries
            .iter()
            .find(is_hidden)
            .map(|(at, _)| at.as_path())
    }

    /// Writes the tree into the existing directory `root`.
    ///
    /// # Errors
    /// Fails if the disk is full, or if a file can no longer be read.
    pub fn write(&self, root: &Path) -> Result<(), RootfsError> {
        let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let parents: BTreeSet<&Path> = self
            .entries
            .keys()
            .flat_map(|path| path.ancestors().skip(1))
            .collect();
        for parent in &parents {
            make_directory(&inside(parent), 0o755)?;
        }
        for (path, entry) in &self.entries {
            entry.write(&inside(path))?;
        }
        // Each new entry changes the time of its directory, so the outermost comes last.
        let paths: BTreeSet<&Path> = self
            .entries
            .keys()
            .map(PathBuf::as_path)
            .chain(parents)
            .collect();
        paths
            .into_iter()
            .rev()
            .try_for_each(|path| forget_time(&inside(path)))
    }
}

impl Entry {
    fn kind(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "a directory",
            Self::Text(_) => "a file of Moondock",
            Self::Copy { .. } => "a file of this machine",
            Self::Link(_) => "a link",
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Copy { size, .. } => *size,
            Self::Directory { .. } | Self::Link(_) => 0,
        }
    }

    fn write(&self, path: &Path) -> Result<(), RootfsError> {
        match self {
            Self::Directory { mode } => return make_directory(path, *mode),
            Self::Text(text) => fs::write(path, text).and_then(|()| set_mode(path, 0o644)),
            Self::Copy { from, mode, .. } => {
                fs::copy(from, path).and_then(|_| set_mode(path, *mode))
            }
            Self::Link(target) => symlink(target, path),
        }
        .map_err(RootfsError::at(path))
    }
}

/// Returns the size of a file of this machine in bytes, following links; 0 if it is missing.
pub fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Returns a copy that everyone may read or run and only root may change. Set-id bits are dropped,
/// because the plugin's process is already root.
fn copy_of(from: &Path) -> Result<Entry, RootfsError> {
    let found = fs::metadata(from).map_err(RootfsError::at(from))?;
    if !found.is_file() {
        return Err(RootfsError::NotAProgram(from.to_owned()));
    }
    let mode = if found.permissions().mode() & 0o111 == 0 {
        0o644
    } else {
        0o755
    };
    Ok(Entry::Copy {
        from: from.to_owned(),
        mode,
        size: found.len(),
    })
}

/// Returns the names in `path`, the last one first.
fn names(path: &Path) -> Vec<PathBuf> {
    let named = |part: Component| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}

fn make_directory(path: &Path, mode: u32) -> Result<(), RootfsError> {
    fs::create_dir_all(path)
        .and_then(|()| set_mode(path, mode))
        .map_err(RootfsError::at(path))
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Sets the time of `path` to the epoch, so that the result does not depend on when it is made.
fn forget_time(path: &Path) -> Result<(), RootfsError> {
    let then = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: then,
        last_modification: then,
    };
    let set = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    set.map_err(|error| RootfsError::at(path)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mirrored_with_the_links_to_them() {
        let host = tempfile::tempdir().unwrap();
        let host = host.path().canonicalize().unwrap();
        fs::create_dir_all(host.join("usr/lib")).unwrap();
        fs::write(host.join("usr/lib/libx.so.1.2"), "x").unwrap();
        symlink("libx.so.1.2", host.join("usr/lib/libx.so.1")).unwrap();
        symlink("usr/lib", host.join("lib")).unwrap();
        symlink("round", host.join("round")).unwrap();
        let mut tree = Tree::default();
        tree.mirror(&host.join("lib/libx.so.1")).unwrap();
        tree.mirror(&host.join("usr/lib/libx.so.1.2")).unwrap();
        assert!(matches!(
            tree.mirror(&host.join("round")),
            Err(RootfsError::Circle(_))
        ));
        assert!(matches!(
            tree.mirror(&host.join("absent")),
            Err(RootfsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound
        ));
        let made = tempfile::tempdir().unwrap();
        tree.write(made.path()).unwrap();
        let inside = made.path().join(host.strip_prefix("/").unwrap());
        assert_eq!(
            fs::read_link(inside.join("lib")).unwrap(),
            Path::new("usr/lib")
        );
        assert_eq!(
            fs::read_link(inside.join("usr/lib/libx.so.1")).unwrap(),
            Path::new("libx.so.1.2")
        );
        assert_eq!(
            fs::read_to_string(inside.join("lib/libx.so.1")).unwrap(),
            "x"
        );
    }

    #[test]
    fn modes_and_times_do_not_depend_on_the_machine() {
        use std::os::unix::fs::MetadataExt;
        let mut tree = Tree::default();
        tree.directory("/tmp", 0o1777);
        tree.text("/etc/passwd", "root");
        tree.link("/var/run", "../run");
        let made = tempfile::tempdir().unwrap();
        tree.write(made.path()).unwrap();
        for (path, mode) in [
            ("tmp", 0o41777),
            ("etc", 0o40755),
            ("etc/passwd", 0o100_644),
            ("var/run", 0o120_777),
        ] {
            let seen = fs::symlink_metadata(made.path().join(path)).unwrap();
            assert_eq!((seen.mode(), seen.mtime()), (mode, 0), "{path}");
        }
        assert_eq!(tree.size(), 4);
        assert_eq!(
            tree.at_or_below(Path::new("/etc")),
            Some(Path::new("/etc/passwd"))
        );
        assert_eq!(tree.at_or_below(Path::new("/tmp")), None);
        assert_eq!(tree.at_or_below(Path::new("/et")), None);
    }
}
