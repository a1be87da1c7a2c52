//! What a path of a script means, and why nothing comes of it.

use crate::grants::Refused;
use crate::grants::mount_rules::MountRefused;
use crate::grants::territory::{Access, Denied};
use crate::host::Host;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use mlua::LuaString;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use tokio::task::spawn_blocking;

/// Why a function of the module failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    #[error("a path cannot hold a zero byte")]
    Zero,
    #[error("`{0}` leaves the directory")]
    Leaves(String),
    #[error("`{0}` is not a mode: use octal digits in a string, such as \"0755\"")]
    Mode(String),
    #[error("`{0}` is not a number of bytes")]
    Size(f64),
    #[error("`{0}` must be {1}, not a {2}")]
    Option(&'static str, &'static str, &'static str),
    #[error("there is no option `{0}`")]
    Unknown(String),
    #[error("`type` is missing")]
    Type,
    #[error("`loop` and the option `bind` exclude each other")]
    Both,
    #[error(transparent)]
    Mount(#[from] MountRefused),
    #[error("{0}")]
    Lua(#[from] mlua::Error),
    #[error("{0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Why nothing could be done at a path.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("`{0}` is itself granted, or a link to what is: nothing can be renamed to it")]
    Landmark(String),
}

pub(super) type Outcome<T, E = Failure> = Result<T, E>;

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Outside {
                asked,
                real,
                access,
            } => Refused::path(&asked, &real, access == Access::Write).into(),
            Denied::Root(path) => Self::Landmark(path.display().to_string()),
            Denied::System(error) => error.into(),
        }
    }
}

/// A path as a script gives it.
pub(super) fn absolute(path: &LuaString) -> Outcome<PathBuf> {
    let bytes = path.as_bytes();
    match bytes.first() {
        _ if bytes.contains(&0) => Err(Failure::Zero),
        Some(b'/') => Ok(PathBuf::from(OsStr::from_bytes(&bytes))),
        _ => Err(Failure::Relative(path.to_string_lossy())),
    }
}

/// Does what may wait for a disk on another thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T, Trouble> + Send + 'static,
) -> Outcome<T> {
    Ok(spawn_blocking(work).await??)
}

/// Finds the place that a path leads to, if it is granted, and does the work there: every path passes here.
pub(super) async fn at<T: Send + 'static>(
    host: &Host,
    path: &LuaString,
    access: Access,
    end: End,
    work: impl Fn(&Place) -> Result<T, PathError> + Send + 'static,
) -> Outcome<T> {
    let (path, territory) = (absolute(path)?, host.shared.territory());
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
