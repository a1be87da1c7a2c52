//! Directories that appear as a whole, or not at all.

use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use tempfile::TempDir;

/// Files by their paths below a directory.
pub type Contents = BTreeMap<PathBuf, Vec<u8>>;

/// The limit on a script or another file, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// What the names of unfinished directories begin with. Hidden ones are no plugins.
const DRAFT: &str = ".moondock-draft-";

/// Creates the directory `path` with these files, and the directories above it.
///
/// # Errors
/// Fails if there is anything but an empty directory. Nothing is left behind.
pub fn create(path: &Path, files: &Contents) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    match path.symlink_metadata() {
        Ok(_) => fill(&path, files),
        Err(error) if error.kind() == ErrorKind::NotFound => create_missing(&path, files),
        Err(error) => Err(error),
    }
}

fn create_missing(path: &Path, files: &Contents) -> io::Result<()> {
    let (existing, first) = first_missing(path)?;
    let inner = path.strip_prefix(first).unwrap_or(Path::new(""));
    if inner.components().any(|part| part == Component::ParentDir) {
        return Err(ErrorKind::NotFound.into());
    }
    let draft = draft_in(existing)?;
    write_all(&draft.path().join(inner), files)?;
    fs::rename(draft.path(), first)?;
    let _renamed = draft.keep();
    Ok(())
}

/// Returns the longest part of a path that exists, and the part that is one directory longer.
fn first_missing(path: &Path) -> io::Result<(&Path, &Path)> {
    let mut missing = path;
    for parent in path.ancestors().skip(1) {
        match parent.metadata() {
            Ok(found) if found.is_dir() => return Ok((parent, missing)),
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => missing = parent,
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// Moves the files into an empty directory, scripts last, as a script is served once it is there.
fn fill(path: &Path, files: &Contents) -> io::Result<()> {
    if path.read_dir()?.next().is_some() {
        return Err(ErrorKind::DirectoryNotEmpty.into());
    }
    let draft = draft_in(path)?;
    write_all(draft.path(), files)?;
    let mut entries = draft
        .path()
        .read_dir()?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|name| Path::new(name).extension().is_some_and(|end| end == "lua"));
    for (at, name) in entries.iter().enumerate() {
        if let Err(error) = fs::rename(draft.path().join(name), path.join(name)) {
            for name in &entries[..at] {
                // Removed with the draft.
                let _ = fs::rename(path.join(name), draft.path().join(name));
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Replaces the directory `path`, or creates it.
///
/// # Errors
/// The earlier directory is kept.
pub fn replace(path: &Path, files: &Contents) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let around = path.parent().unwrap_or(Path::new("/"));
    let (fresh, old) = (draft_in(around)?, draft_in(around)?);
    write_all(fresh.path(), files)?;
    match fs::rename(&path, old.path()) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Err(error) = fs::rename(fresh.path(), &path) {
        // The error that counts is the first one.
        let _ = fs::rename(old.path(), &path);
        return Err(error);
    }
    let _renamed = fresh.keep();
    Ok(())
}

/// Reads all files below a directory, or returns `None` if it does not exist.
///
/// # Errors
/// Fails on anything but files and directories.
pub fn read(path: &Path) -> io::Result<Option<Contents>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => return Err(ErrorKind::NotADirectory.into()),
        Ok(_) => {}
    }
    let (mut open, mut files) = (vec![path.to_owned()], Contents::new());
    while let Some(dir) = open.pop() {
        for entry in dir.read_dir()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                let below = entry.path().strip_prefix(path).map(Path::to_owned);
                files.insert(below.unwrap_or_default(), read_file(&entry.path())?);
            }
        }
    }
    Ok(Some(files))
}

/// Reads a regular file of at most [`MAX_SIZE`] bytes. Never waits for the other end of a pipe.
///
/// # Errors
/// Those of [`text_of`].
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    text_of(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Returns what is in an open file.
///
/// # Errors
/// Fails on anything but regular files, and on more than [`MAX_SIZE`] bytes.
pub fn text_of(file: File) -> io::Result<Vec<u8>> {
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
    Ok(text)
}

/// Writes a file, unless there is one. Returns whether it was written.
pub fn write_new(path: &Path, text: &[u8]) -> io::Result<bool> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    match opened {
        Ok(mut file) => file.write_all(text).map(|()| true).inspect_err(|_| {
            // The error that counts is the first one.
            let _ = fs::remove_file(path);
        }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a file can be read and contains a text.
pub fn contains(path: &Path, text: &str) -> bool {
    read_file(path).is_ok_and(|all| String::from_utf8_lossy(&all).contains(text))
}

/// Creates a directory that is removed when it is dropped.
fn draft_in(dir: &Path) -> io::Result<TempDir> {
    let everyone = Permissions::from_mode(0o777); // less the umask
    tempfile::Builder::new()
        .prefix(DRAFT)
        .permissions(everyone)
        .tempdir_in(dir)
}

fn write_all(dir: &Path, files: &Contents) -> io::Result<()> {
    for (path, text) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, text)?;
    }
    Ok(())
}
