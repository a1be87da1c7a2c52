//! The root file system of a bundle: programs of this machine with their libraries, and files of
//! Moondock's own.

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
pub use programs::{Program, find};
pub use tree::{Tree, size_of};

use crate::sys::processes::programs::PLACES;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The file that marks a bundle of Moondock's. Its text makes each bundle unique, because the
/// engine rejects identical files under another name (protocol 15).
pub const MARKER: &str = "/etc/moondock-bundle";

/// An error that keeps a file out of a root file system.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum RootfsError {
    #[error("cannot use `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the program `{0}` is missing, or not executable")]
    NotExecutable(String),
    #[error("the program `{0}` was not found on the path of a managed plugin ({path}): is its package installed here?", path = PLACES.join(":"))]
    NotOnPath(String),
    #[error("`{}` is neither an ELF program nor a script that names its interpreter by an absolute path", .0.display())]
    NotAProgram(PathBuf),
    #[error("`{}` needs the library `{}`, which is not installed here", program.display(), name.display())]
    NoLibrary { program: PathBuf, name: OsString },
    #[error("`{}` leads through too many symbolic links", .0.display())]
    Circle(PathBuf),
    #[error("`{}` is needed as {wanted}, but is already {found}", path.display())]
    Clash {
        path: PathBuf,
        wanted: &'static str,
        found: &'static str,
    },
}

impl RootfsError {
    /// Returns a function that adds `path` to the error of a system call.
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
