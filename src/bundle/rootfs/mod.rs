//! A root file system in the making: programs of this machine with what they need, and files of our own.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the files that go into a bundle, from anywhere on this machine"
)]

mod draft;
mod elf;
mod libraries;
mod programs;
mod tree;

pub use draft::{Draft, DraftError};
pub use libraries::Libraries;
pub use programs::{PATH, Program, find};
pub use tree::{Tree, size_of};

use crate::sys::files::paths::reason;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// By which a bundle of ours is known. Its text makes the files of each bundle its own: the engine refuses the same files under
/// another name (protocol 15).
pub const MARKER: &str = "/etc/moondock-bundle";

/// Why something cannot be put into a root file system.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum RootfsError {
    #[error("`{}`: {}", path.display(), reason(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("{}", missing(.0))]
    NoProgram(String),
    #[error("`{}` is neither an ELF program nor a script that names its interpreter by an absolute path", .0.display())]
    NotAProgram(PathBuf),
    #[error("`{}` needs the library `{}`, which is not installed here", program.display(), name.display())]
    NoLibrary { program: PathBuf, name: OsString },
    #[error("`{}` leads through too many links", .0.display())]
    Circle(PathBuf),
    #[error("`{}` is wanted as {wanted}, and is {found} already", path.display())]
    Clash {
        path: PathBuf,
        wanted: &'static str,
        found: &'static str,
    },
}

impl RootfsError {
    /// For a failed system call on `path`.
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn missing(name: &str) -> String {
    if name.starts_with('/') {
        format!("the program `{name}` is not there, or may not be run")
    } else {
        format!(
            "the program `{name}` was not found on the path of a managed plugin ({}): is its package installed here?",
            PATH.join(":")
        )
    }
}
