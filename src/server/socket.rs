//! Unix sockets: private from the start, never taken from a running process, removed at exit.

#![expect(
    clippy::disallowed_methods,
    reason = "the files of the process's own sockets"
)]

use super::cure::cure;
use super::own_file::{OwnFile, remove};
use crate::config::Access;
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_peercred};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_address, connect, listen,
    socket_with,
};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of binding a socket.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum SocketError {
    #[error("cannot create the directory of sockets `{}`: {}", path.display(), cure(source, option))]
    Directory {
        path: PathBuf,
        /// What chooses the directory.
        option: &'static str,
        source: io::Error,
    },
    #[error("cannot bind `{}`: {}", path.display(), cure(source, option))]
    Bind {
        path: PathBuf,
        /// What chooses the directory.
        option: &'static str,
        source: io::Error,
    },
    #[error("`{}` is in the way: it is not a socket, so it is left unchanged", .0.display())]
    NotASocket(PathBuf),
    #[error("`{}` is in use by {owner}: stop that first", path.display())]
    Live { path: PathBuf, owner: String },
    #[error(
        "cannot give `{}` to the group `{group}` of `--listen`: `{GROUPS}` has no such group; use an existing \
         name, or a number",
        path.display()
    )]
    NoGroup { path: PathBuf, group: String },
    #[error(
        "cannot give `{}` to the group `{group}` of `--listen`: run moondock as root, or as a member",
        path.display()
    )]
    Group {
        path: PathBuf,
        group: String,
        source: io::Error,
    },
}

/// The limit on clients that wait to be accepted; the kernel may lower it.
const BACKLOG: i32 = 4096;

/// The file with the numbers of groups.
const GROUPS: &str = "/etc/group";

/// Creates the directory of sockets, which `option` chooses, if it is missing, as the engine does.
pub fn make_directory(dir: &Path, option: &'static str) -> Result<(), SocketError> {
    fs::create_dir_all(dir).map_err(|source| SocketError::Directory {
        path: dir.to_owned(),
        option,
        source,
    })
}

/// Binds `path`, for nobody else, in a directory that `option` chooses, and listens.
pub fn listen_privately(
    path: &Path,
    option: &'static str,
) -> Result<(tokio::net::UnixListener, OwnFile), SocketError> {
    let (listener, file) = bind(path, &Access::default(), option)?;
    let listener = tokio::net::UnixListener::from_std(listener);
    Ok((listener.map_err(failure(path, option))?, file))
}

/// Makes the error of binding `path`, in a directory that `option` chooses.
fn failure(path: &Path, option: &'static str) -> impl Fn(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Bind {
        path: path.clone(),
        option,
        source,
    }
}

/// Binds `path`, in a directory that `option` chooses, with the mode and group of `access`, replacing
/// a stale socket.
///
/// The listener is non-blocking, and clients wait in its queue until they are served. The socket is
/// prepared under another name and renamed, so it appears listening and with its final access.
pub fn bind(
    path: &Path,
    access: &Access,
    option: &'static str,
) -> Result<(UnixListener, OwnFile), SocketError> {
    let failed = failure(path, option);
    let group = access
        .group
        .as_deref()
        .map(|group| group_id(path, group))
        .transpose()?;
    check_stale(path, &failed)?;
    let draft = path.with_extension("new");
    check_stale(&draft, &failed)?;
    let listener = bind_private(&draft).map_err(&failed)?;
    let placed = set_access(&draft, path, access, group, &failed).and_then(|()| {
        fs::rename(&draft, path)
            .and_then(|()| OwnFile::new(path))
            .map_err(&failed)
    });
    if placed.is_err() {
        remove(&draft).map_err(&failed)?;
    }
    Ok((listener, placed?))
}

/// Removes a stale socket at `path`, in a directory that `option` chooses, which the engine would find before a spec file (protocol 1.1).
pub fn clear(path: &Path, option: &'static str) -> Result<(), SocketError> {
    let failed = failure(path, option);
    check_stale(path, &failed)?;
    remove(path).map_err(failed)
}

/// Binds a socket that is private from the start. A mode set after `bind` would come too late; the
/// mode of a socket that is not bound yet is that of its file.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    remove(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind_address(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Sets the group, then the mode, which may open the socket to the group.
fn set_access(
    draft: &Path,
    path: &Path,
    access: &Access,
    group: Option<u32>,
    failed: impl Fn(io::Error) -> SocketError,
) -> Result<(), SocketError> {
    chown(draft, None, group).map_err(|source| SocketError::Group {
        path: path.to_owned(),
        group: access.group.clone().unwrap_or_default(),
        source,
    })?;
    fs::set_permissions(draft, Permissions::from_mode(access.mode)).map_err(failed)
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

/// Returns whether the socket listens. It may be a connection instead.
pub fn listens(socket: &UnixListener) -> io::Result<bool> {
    Ok(socket_acceptconn(socket)?)
}

fn check_stale(path: &Path, failed: impl Fn(io::Error) -> SocketError) -> Result<(), SocketError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(&failed)?,
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

/// Returns the process that listens on the socket at `path`, if any.
fn owner(path: &Path) -> Result<Option<String>, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&client, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        // Its queue is full, so a process must be listening.
        Err(Errno::AGAIN) => Ok(Some("a busy process".into())),
        Err(error) => Err(error),
        Ok(()) => {
            let pid = socket_peercred(&client)?.pid;
            Ok(Some(format!("process {}", pid.as_raw_nonzero())))
        }
    }
}
