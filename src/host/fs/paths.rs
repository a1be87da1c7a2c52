//! Paths of scripts, and the errors of the module.

use crate::grants::mount_rules::MountRefused;
use crate::grants::territory::{Access, Denied};
use crate::grants::{Refused, Wanted};
use crate::host::Host;
use crate::host::record::RecordError;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use crate::sys::memory::Spent;
use mlua::LuaString;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use tokio::task::spawn_blocking;

/// Why a function of the module failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FsFailure {
    #[error(transparent)]
    Path(#[from] PathFailure),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    #[error("a path cannot contain a zero byte")]
    Zero,
    #[error("`{0}` leaves the directory")]
    Leaves(String),
    #[error("`{0}` is not a mode: use octal digits in a string, such as \"0755\"")]
    Mode(String),
    #[error("`{0}` is not a number of bytes")]
    Size(f64),
    #[error("`type` is missing")]
    Type,
    #[error("`loop` and the option `bind` exclude each other")]
    Both,
    #[error(transparent)]
    Mount(#[from] MountRefused),
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error("{0}")]
    Played(String),
    #[error("{0}")]
    Lua(#[from] mlua::Error),
    #[error("{0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Why an operation on a path failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathFailure {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("`{0}` is itself granted, or a link to a granted path: it cannot be replaced")]
    Granted(String),
}

pub(super) type Outcome<T, E = FsFailure> = Result<T, E>;

impl From<Denied> for PathFailure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Outside {
                asked,
                real,
                access,
                is_declared,
                origin,
            } => {
                let wanted = Wanted {
                    asked: &asked,
                    real: &real,
                    write: access == Access::Write,
                    is_declared,
                };
                Refused::path(wanted, origin).into()
            }
            Denied::Root(path) => Self::Granted(path.display().to_string()),
            Denied::System(error) => error.into(),
        }
    }
}

/// Returns the path that a script passed.
pub(super) fn absolute(path: &LuaString) -> Outcome<PathBuf> {
    let bytes = path.as_bytes();
    match bytes.first() {
        _ if bytes.contains(&0) => Err(FsFailure::Zero),
        Some(b'/') => Ok(PathBuf::from(OsStr::from_bytes(&bytes))),
        _ => Err(FsFailure::Relative(path.to_string_lossy())),
    }
}

/// Returns where to find a path that a script passed.
pub(super) fn located(host: &Host, path: &LuaString) -> Outcome<PathBuf> {
    Ok(host.located(absolute(path)?))
}

/// Runs work that may wait for a disk on the blocking pool.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T, PathFailure> + Send + 'static,
) -> Outcome<T> {
    Ok(spawn_blocking(work).await??)
}

/// Finds the place that a path leads to, checks that it is granted, and does the work there. Every
/// path of a script passes through here.
pub(super) async fn act_on<T: Send + 'static>(
    host: &Host,
    path: &LuaString,
    access: Access,
    end: End,
    work: impl Fn(&Place) -> Result<T, PathError> + Send + 'static,
) -> Outcome<T> {
    let (path, territory) = (located(host, path)?, host.shared.territory());
    blocking(move || {
        Place::with(
            &path,
            end,
            |path, end| Ok(territory.find(path, access, end)?),
            work,
        )
    })
    .await
}
