//! Unix sockets: private from the first moment, never stolen from a living process, removed at exit.

#![expect(
    clippy::disallowed_methods,
    reason = "the files of the process's own sockets"
)]

use super::own_file::{OwnFile, remove};
use crate::config::Access;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::umask;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use thiserror::Error;

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
    #[error(
        "`{}` cannot belong to the group `{group}` that `--listen` names: `{GROUPS}` has none of that name \
         (a number may be given instead)",
        path.display()
    )]
    NoGroup { path: PathBuf, group: String },
    #[error(
        "cannot give `{}` to the group `{group}` that `--listen` names: be root, or a member of it",
        path.display()
    )]
    Group {
        path: PathBuf,
        group: String,
        source: io::Error,
    },
}

/// Where groups have their numbers.
const GROUPS: &str = "/etc/group";

/// Makes the directory of sockets when it is missing, as the engine would.
pub fn make_directory(dir: &Path) -> Result<(), SocketError> {
    fs::create_dir_all(dir).map_err(|source| SocketError::Directory {
        path: dir.to_owned(),
        source,
    })
}

/// Binds `path` for whom `access` lets in, in place of a socket that nobody answers any more.
///
/// Who connects waits until it is served; the listener does not block. The socket appears all at once,
/// listening and open to nobody but whom it is for: all is done under another name before.
pub fn bind(path: &Path, access: &Access) -> Result<(UnixListener, OwnFile), SocketError> {
    let failed = |source| SocketError::Bind {
        path: path.to_owned(),
        source,
    };
    let group = access
        .group
        .as_deref()
        .map(|group| group_id(path, group))
        .transpose()?;
    refuse_to_steal(path)?;
    let newborn = path.with_extension("new");
    let listener = bind_private(&newborn).map_err(failed)?;
    let placed = open_to(&newborn, path, access, group).and_then(|()| {
        fs::rename(&newborn, path)
            .and_then(|()| OwnFile::new(path))
            .map_err(failed)
    });
    if placed.is_err() {
        remove(&newborn).map_err(failed)?;
    }
    Ok((listener, placed?))
}

/// Removes a socket at `path` that nobody answers any more, which the engine would find first (protocol 1.1).
pub fn clear(path: &Path) -> Result<(), SocketError> {
    refuse_to_steal(path)?;
    remove(path).map_err(|source| SocketError::Bind {
        path: path.to_owned(),
        source,
    })
}

/// A mode set after `bind` would leave a moment in which anybody may connect; the umask leaves none.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    remove(path)?;
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Lets the group in once it is the right one.
fn open_to(
    newborn: &Path,
    path: &Path,
    access: &Access,
    group: Option<u32>,
) -> Result<(), SocketError> {
    chown(newborn, None, group).map_err(|source| SocketError::Group {
        path: path.to_owned(),
        group: access.group.clone().unwrap_or_default(),
        source,
    })?;
    fs::set_permissions(newborn, Permissions::from_mode(access.mode)).map_err(|source| {
        SocketError::Bind {
            path: path.to_owned(),
            source,
        }
    })
}

fn group_id(path: &Path, group: &str) -> Result<u32, SocketError> {
    let named = |line: &str| {
        let mut fields = line.split(':');
        if fields.next() == Some(group) {
            fields.nth(1)?.parse().ok()
        } else {
            None
        }
    };
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string(GROUPS).unwrap_or_default();
    let none = || SocketError::NoGroup {
        path: path.to_owned(),
        group: group.to_owned(),
    };
    groups.lines().find_map(named).ok_or_else(none)
}

/// Whether others can connect to it; it may be a connection itself.
pub fn listens(socket: &UnixListener) -> io::Result<bool> {
    Ok(socket_acceptconn(socket)?)
}

fn refuse_to_steal(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Bind {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match owner(path).map_err(|e| failed(e.into()))? {
        Some(owner) => Err(SocketError::Live {
            path: path.to_owned(),
            owner,
        }),
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
