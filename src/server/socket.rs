//! Socket files: private from the first moment, never stolen from a living process, removed at exit.

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::umask;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A bound socket: who connects waits until it is served.
#[derive(Debug)]
pub struct Socket {
    /// What accepts; it does not block.
    pub listener: UnixListener,
    /// The file in front of it.
    pub file: SocketFile,
}

/// The file of a socket, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

/// Why a socket cannot be bound.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum SocketError {
    #[error("cannot make the directory of sockets `{}`", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot bind `{}`", path.display())]
    Bind { path: PathBuf, source: io::Error },
    #[error("`{}` is in the way: it is no socket, so it is left alone", .0.display())]
    NotASocket(PathBuf),
    #[error("`{}` is answered by {owner}: end that first", path.display())]
    Live { path: PathBuf, owner: String },
}

/// Makes the directory of sockets when it is missing, as the engine would.
pub fn make_directory(dir: &Path) -> Result<(), SocketError> {
    fs::create_dir_all(dir).map_err(|source| SocketError::Directory { path: dir.to_owned(), source })
}

impl Socket {
    /// Binds `path` with mode 0600, in place of a socket that nobody answers any more.
    pub fn bind(path: PathBuf) -> Result<Socket, SocketError> {
        refuse_to_steal(&path)?;
        match bind_private(&path) {
            Ok((listener, inode)) => Ok(Socket { listener, file: SocketFile { path, inode } }),
            Err(source) => Err(SocketError::Bind { path, source }),
        }
    }
}

/// A socket that appears all at once: listening, and private.
///
/// A mode set after `bind` would leave a moment in which anybody may connect; the umask leaves none.
/// Nobody listens yet right after `bind`, so it is done under another name.
fn bind_private(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let newborn = path.with_extension("new");
    fs::remove_file(&newborn).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(&newborn);
    umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    fs::rename(&newborn, path)?;
    Ok((listener, inode(&fs::symlink_metadata(path)?)))
}

fn refuse_to_steal(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match owner(path).map_err(|e| failed(e.into()))? {
        Some(owner) => Err(SocketError::Live { path: path.to_owned(), owner }),
        None => Ok(()),
    }
}

/// Who listens on the socket at `path`, if anybody does.
fn owner(path: &Path) -> Result<Option<String>, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&client, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        // Its queue is full, so somebody is to empty it.
        Err(Errno::AGAIN) => Ok(Some("a busy process".into())),
        Err(error) => Err(error),
        Ok(()) => {
            let pid = socket_peercred(&client)?.pid;
            Ok(Some(format!("process {}", pid.as_raw_nonzero())))
        }
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    /// Removes the file, unless another process has put its own there since.
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| inode(&found) == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}
