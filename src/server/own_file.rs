//! A file by which the engine finds a plugin: there while this is held, and removed with it.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file, removed when this is dropped.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    identity: Identity,
}

/// Device, number and time of writing: a file system gives a removed file's number to the next one.
type Identity = (u64, u64, i64, i64);

impl OwnFile {
    /// The file that has just been put at `path`.
    pub fn new(path: &Path) -> io::Result<OwnFile> {
        Ok(OwnFile { path: path.to_owned(), identity: identity(path)? })
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
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// Removes a file; one that is not there is as good.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

impl Drop for OwnFile {
    /// Removes the file, unless another process has put its own there since.
    fn drop(&mut self) {
        let ours = identity(&self.path).is_ok_and(|identity| identity == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}
