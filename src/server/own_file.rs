//! A file by which the engine finds a plugin: there while this is held, and removed with it.

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

/// The file, removed when this is dropped.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    /// For as long as it is open, no other file can have its inode's number.
    file: OwnedFd,
}

impl OwnFile {
    /// The file that has just been put at `path`.
    pub fn new(path: &Path) -> io::Result<OwnFile> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        Ok(OwnFile {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes the file, all at once.
    pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<OwnFile> {
        write(path, text, mode)?;
        OwnFile::new(path)
    }
}

/// Writes a file that appears all at once, whole and with its mode, in place of one that is there.
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

/// Removes a file; one that is not there is as good.
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
    /// Removes the file, unless another process has put its own there since.
    fn drop(&mut self) {
        let identity = |found: Stat| (found.st_dev, found.st_ino);
        let there = lstat(&self.path).map(identity);
        let ours = there.is_ok() && there == fstat(&self.file).map(identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}
