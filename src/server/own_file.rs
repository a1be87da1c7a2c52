//! The files by which the engine finds a plugin, which are removed when the process ends.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the files by which the engine finds a plugin"
)]

use rustix::fs::{Mode, OFlags, Stat, fstat, lstat, open};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    /// Keeps the inode number from being reused while it is open.
    file: OwnedFd,
}

impl OwnFile {
    /// Takes ownership of the file that has just been created at `path`.
    pub fn new(path: &Path) -> io::Result<OwnFile> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        Ok(OwnFile {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes the file atomically, and takes ownership of it.
    pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<OwnFile> {
        write(path, text, mode)?;
        OwnFile::new(path)
    }
}

/// Writes a file atomically with its final mode, replacing an existing one.
pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension("new");
    remove(&draft)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// Removes a file, if it exists.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|e| {
        if e.kind() == ErrorKind::NotFound {
            Ok(())
        } else {
            Err(e)
        }
    })
}

impl Drop for OwnFile {
    /// Removes the file, unless another process has replaced it.
    fn drop(&mut self) {
        let identity = |found: Stat| (found.st_dev, found.st_ino);
        let there = lstat(&self.path).map(identity);
        let ours = there.is_ok() && there == fstat(&self.file).map(identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}
