//! Makes the directory of a new plugin from templates, and keeps the types that editors read.

mod manifest;
mod name;
mod templates;
mod types;

pub use self::types::{TypesChange, write_types};

use self::name::NewName;
use self::templates::{Mode, OWN, copy, editor_files, interface_files, types_files};
use crate::protocol::Interface;
use crate::shipped::ShippedPlugin;
use crate::sys::files::whole::{self, Contents};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a new plugin begins with.
#[derive(Debug)]
pub enum Beginning {
    /// A script for each interface, on a kit where there is one, unless `raw` is set.
    Interfaces {
        /// The interfaces.
        interfaces: BTreeSet<Interface>,
        /// Whether the scripts have hooks of their own in place of kits.
        raw: bool,
    },
    /// The files of a shipped plugin.
    Copy(&'static ShippedPlugin),
}

/// An error of making a plugin, or of writing types.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ScaffoldError {
    #[error("`{name}` cannot be the name of a plugin: {reason}{cure}")]
    Name {
        name: String,
        reason: String,
        cure: String,
    },
    #[error("`{}` does not end in the name of a plugin: write `DIRECTORY/NAME`", .0.display())]
    NoName(PathBuf),
    #[error(
        "Docker has a {interface} driver `{name}` of its own, and never asks a plugin of that name: choose another"
    )]
    NeverAsked {
        interface: &'static str,
        name: String,
    },
    #[error("`{}` exists, and is not empty: choose another name, or add scripts to it yourself", .0.display())]
    NotEmpty(PathBuf),
    #[error("`{}` is not a directory: choose another name", .0.display())]
    NotADirectory(PathBuf),
    #[error("`{}` was not made by moondock: move it away, and try again", .0.display())]
    Foreign(PathBuf),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`, so it is left as it was", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Beginning {
    /// Returns how strictly types are checked. The shipped plugins do without annotations.
    fn mode(&self) -> Mode {
        match self {
            Beginning::Interfaces { .. } => Mode::Strict,
            Beginning::Copy(_) => Mode::Nonstrict,
        }
    }

    fn interfaces(&self) -> BTreeSet<Interface> {
        match self {
            Beginning::Interfaces { interfaces, .. } => interfaces.clone(),
            Beginning::Copy(plugin) => {
                let has_script = |interface: &Interface| plugin.dir.contains(interface.file());
                Interface::ALL.into_iter().filter(has_script).collect()
            }
        }
    }
}

/// Makes a plugin in the directory `path`, which must be absent or empty, and whose last part is
/// the plugin's name. Returns the plugin's own files, without those for editors.
///
/// # Errors
/// Nothing is left behind.
pub fn create(path: &Path, beginning: &Beginning) -> Result<Vec<PathBuf>, ScaffoldError> {
    let name = NewName::of(path)?;
    name.refuse_built_in(&beginning.interfaces())?;
    let mut files = match beginning {
        Beginning::Interfaces { interfaces, raw } => interface_files(&name, interfaces, *raw),
        Beginning::Copy(plugin) => copy(&name, plugin),
    };
    let own = files.keys().cloned().collect();
    files.extend(editor_files(beginning.mode()));
    files.extend(below(OWN, types_files()));
    whole::create(path, &files).map_err(|error| refusal(path, error))?;
    Ok(own)
}

fn refusal(path: &Path, source: io::Error) -> ScaffoldError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::DirectoryNotEmpty => ScaffoldError::NotEmpty(path),
        ErrorKind::NotADirectory => ScaffoldError::NotADirectory(path),
        _ => ScaffoldError::Write { path, source },
    }
}

/// Puts files below a directory.
fn below(dir: &str, files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Contents {
    let files = files.into_iter();
    files
        .map(|(path, text)| (Path::new(dir).join(path), text))
        .collect()
}
