//! The format of Lua files: Moondock's own style, by `StyLua`.

use crate::script::{Diagnostic, check_syntax};
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use crate::sys::files::{self, Kind, MAX_READ};
use crate::sys::memory::Allowance;
use similar::TextDiff;
use std::io;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;
use std::thread;
use stylua_lib::{Config, Error, OutputVerification, format_code};
use thiserror::Error;

/// The style, which is that of Moondock's own scripts.
const STYLE: &str = include_str!("../stylua.toml");

/// The stack of the thread that formats, in bytes.
const STACK: usize = 256 << 20;

/// The limit on how often a text is formatted.
const PASSES: usize = 8;

/// The lines that a difference shows around a change.
const CONTEXT: usize = 3;

/// Why a file is left as it is.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The path cannot be made absolute.
    #[error("`{}`: {source}", .path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or directory cannot be read or written.
    #[error(transparent)]
    File(#[from] PathError),
    /// There is nothing that can be formatted.
    #[error("`{}` {why}: name files that end in .lua or .luau, or directories", .path.display())]
    NoLua {
        /// The path as given.
        path: PathBuf,
        /// What is there in place of a Lua file.
        why: &'static str,
    },
    /// The text cannot be formatted.
    #[error("{0}")]
    Text(Diagnostic),
}

type Result<T> = std::result::Result<T, FormatError>;

/// A text as it is, and as it should be.
#[derive(Debug)]
pub struct Formatted {
    name: String,
    before: String,
    /// The text as it should be.
    pub after: String,
}

/// Returns the Lua files at `path`: itself, or those below it but for hidden ones and links, sorted.
///
/// # Errors
/// A directory that cannot be read, and a path that leads to no Lua file.
pub fn lua_files(path: &Path) -> Result<Vec<PathBuf>> {
    if kind(path, End::Followed)? == Some(Kind::Directory) {
        return below(path);
    }
    let why = match kind(path, End::Itself)? {
        Some(Kind::File) if is_lua(path) => return Ok(vec![path.to_owned()]),
        Some(Kind::File) => "is no Lua file",
        Some(Kind::Symlink) => "is a symbolic link",
        Some(_) => "is not a regular file",
        None => "does not exist",
    };
    let path = path.to_owned();
    Err(FormatError::NoLua { path, why })
}

fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in at(directory, End::Followed, files::list)? {
        let path = directory.join(&name);
        match kind(&path, End::Itself)? {
            _ if name.as_encoded_bytes().starts_with(b".") => {}
            Some(Kind::Directory) => found.extend(below(&path)?),
            Some(Kind::File) if is_lua(&path) => found.push(path),
            _ => {}
        }
    }
    Ok(found)
}

fn is_lua(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "lua" || extension == "luau")
}

fn kind(path: &Path, end: End) -> Result<Option<Kind>> {
    Ok(at(path, end, files::stat)?.map(|stat| stat.kind))
}

/// Formats a file, without writing it.
///
/// # Errors
/// A file that cannot be read or formatted.
pub fn format_file(path: &Path) -> Result<Formatted> {
    let allowance = Allowance::of(usize::try_from(MAX_READ).unwrap_or(usize::MAX));
    let text = at(path, End::Itself, |place| files::read(place, &allowance))?;
    format_text(&path.to_string_lossy(), &text)
}

/// Formats the text of the file `name`.
///
/// # Errors
/// A text that Luau or `StyLua` rejects.
pub fn format_text(name: &str, text: &[u8]) -> Result<Formatted> {
    let rejected = |problem: Diagnostic| FormatError::Text(problem.excerpt_from(|_| Some(text)));
    check_syntax(name, text).map_err(rejected)?;
    let before = str::from_utf8(text).map_err(|error| rejected(no_utf8(name, text, &error)))?;
    let after = deeply(name, before).map_err(rejected)?;
    Ok(Formatted {
        name: name.to_owned(),
        before: before.to_owned(),
        after,
    })
}

impl Formatted {
    /// Returns whether the text was not formatted yet.
    pub fn is_changed(&self) -> bool {
        self.before != self.after
    }

    /// Returns what changes, in the form of `diff -u`.
    pub fn diff(&self) -> String {
        TextDiff::from_lines(&self.before, &self.after)
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&self.name, &format!("{} (formatted)", self.name))
            .to_string()
    }

    /// Replaces the file atomically. It keeps its mode and its owner.
    ///
    /// # Errors
    /// A file that cannot be replaced, which is then left as it is.
    pub fn save(&self, path: &Path) -> Result<()> {
        at(path, End::Itself, |place| {
            files::write(place, self.after.as_bytes(), None)
        })
    }
}

/// Formats on a thread of its own, as `StyLua` follows the nesting of the source.
fn deeply(name: &str, text: &str) -> std::result::Result<String, Diagnostic> {
    thread::scope(|scope| {
        let work = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || styled(name, text));
        match work.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(styled)) => styled,
            _ => Err(Diagnostic::of_file(
                name,
                "cannot be formatted: StyLua failed",
            )),
        }
    })
}

/// `StyLua` does not always leave alone what it has made: it formats until it does.
fn styled(name: &str, text: &str) -> std::result::Result<String, Diagnostic> {
    let style: Config = toml::from_str(STYLE)
        .map_err(|error| Diagnostic::of_file("stylua.toml", error.to_string()))?;
    let mut styled = text.to_owned();
    for _ in 0..PASSES {
        let again = format_code(&styled, style, None, OutputVerification::Full)
            .map_err(|error| of_stylua(name, &error))?;
        if again == styled {
            break;
        }
        styled = again;
    }
    Ok(styled)
}

/// Luau reads the file: this is about what `StyLua` does not know, or does wrong.
fn of_stylua(name: &str, error: &Error) -> Diagnostic {
    let Error::ParseError(errors) = error else {
        return Diagnostic::of_file(name, "StyLua would change what a statement does")
            .cure("put `-- stylua: ignore` above it");
    };
    let first = errors.first();
    let message = first.map_or("unknown syntax".into(), |error| error.error_message());
    Diagnostic::of_file(name, format!("StyLua cannot read this: {message}"))
        .at(first.map(|error| error.range().0.line()))
        .cure("write it in a simpler way")
}

fn no_utf8(file: &str, text: &[u8], error: &Utf8Error) -> Diagnostic {
    let line = 1 + memchr::memchr_iter(b'\n', &text[..error.valid_up_to()]).count();
    Diagnostic::of_file(file, "the file is not in UTF-8")
        .at(Some(line))
        .cure("save it as UTF-8, and write other bytes as `\\xFF`")
}

/// Runs `work` at the place to which a path leads.
fn at<T>(
    path: &Path,
    end: End,
    work: impl FnMut(&Place) -> std::result::Result<T, PathError>,
) -> Result<T> {
    let absolute = std::path::absolute(path).map_err(|source| FormatError::Path {
        path: path.to_owned(),
        source,
    })?;
    let found = Place::with::<_, PathError>(&absolute, end, Place::find, work);
    Ok(found?)
}
