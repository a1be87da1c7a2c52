//! The format of Lua files: Moondock's own style, by StyLua.

use crate::script::check_syntax;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use crate::sys::files::{self, Kind};
use crate::sys::memory::Allowance;
use std::path::{Path, PathBuf};
use stylua_lib::{Config, OutputVerification, format_code};
use thiserror::Error;

/// The style, which is that of Moondock's own scripts.
const STYLE: &str = include_str!("../stylua.toml");

/// The limit of a file in bytes.
const LIMIT: usize = 64 << 20;

/// Why a file is left as it is.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The file or directory cannot be read or written.
    #[error("{0}")]
    Files(String),
    /// There is nothing at the path, or no file of Lua.
    #[error("`{}` is neither a directory nor a file of Lua (`.lua` or `.luau`)", .0.display())]
    NoLua(PathBuf),
    /// The file is no Luau.
    #[error("{0}")]
    Syntax(String),
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formatted {
    /// It was formatted already.
    Unchanged,
    /// It is formatted from this line on, counted from 1, or would be.
    From(usize),
}

/// Returns the files of Lua at `path`: itself, or those below it but for hidden ones, sorted.
///
/// # Errors
/// A directory that cannot be read, and a path that leads to no Lua.
pub fn lua_files(path: &Path) -> Result<Vec<PathBuf>, FormatError> {
    let kind = find(path, |place| files::stat(place))?.map(|stat| stat.kind);
    match kind {
        Some(Kind::Directory) => below(path),
        Some(Kind::File) if is_lua(path) => Ok(vec![path.to_owned()]),
        _ => Err(FormatError::NoLua(path.to_owned())),
    }
}

fn below(directory: &Path) -> Result<Vec<PathBuf>, FormatError> {
    let mut found = Vec::new();
    for name in find(directory, |place| files::list(place))? {
        let path = directory.join(&name);
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let stat = within(&path, End::Itself, |place| files::stat(place))?;
        match stat.map(|stat| stat.kind) {
            Some(Kind::Directory) => found.extend(below(&path)?),
            Some(Kind::File | Kind::Symlink) if is_lua(&path) => found.push(path),
            _ => {}
        }
    }
    Ok(found)
}

fn is_lua(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "lua" || extension == "luau")
}

/// Formats a file, or only finds out whether it would change.
///
/// The file is replaced atomically, and keeps its mode and its owner. A link stays a link.
///
/// # Errors
/// What is wrong with the file, which is then left as it is.
pub fn format_file(path: &Path, only_check: bool) -> Result<Formatted, FormatError> {
    let allowance = Allowance::of(LIMIT);
    let text = find(path, |place| files::read(place, &allowance))?;
    let formatted = formatted(&path.display().to_string(), &text)?;
    if formatted.as_bytes() == &text[..] {
        return Ok(Formatted::Unchanged);
    }
    if !only_check {
        find(path, |place| {
            files::write(place, formatted.as_bytes(), None)
        })?;
    }
    Ok(Formatted::From(first_difference(
        &text,
        formatted.as_bytes(),
    )))
}

fn formatted(file: &str, text: &[u8]) -> Result<String, FormatError> {
    check_syntax(file, text)
        .map_err(|problem| FormatError::Syntax(problem.excerpt_from(|_| Some(text)).to_string()))?;
    let problem = |what: String| FormatError::Syntax(format!("{file}: {what}"));
    let style: Config = toml::from_str(STYLE).map_err(|error| problem(error.to_string()))?;
    let text = str::from_utf8(text).map_err(|_| problem("is not UTF-8".to_owned()))?;
    format_code(text, style, None, OutputVerification::Full).map_err(|e| problem(e.to_string()))
}

/// Returns the first line that differs.
fn first_difference(before: &[u8], after: &[u8]) -> usize {
    let pairs = before.iter().zip(after);
    let same = pairs.take_while(|(before, after)| before == after).count();
    1 + before[..same].iter().filter(|byte| **byte == b'\n').count()
}

/// Runs `work` on the file that a path leads to.
fn find<T>(path: &Path, work: impl FnMut(&Place) -> Work<T>) -> Result<T, FormatError> {
    within(path, End::Followed, work)
}

type Work<T> = Result<T, PathError>;

fn within<T>(path: &Path, end: End, work: impl FnMut(&Place) -> Work<T>) -> Result<T, FormatError> {
    let absolute = std::path::absolute(path);
    let absolute = absolute.map_err(|error| FormatError::Files(error.to_string()))?;
    Place::with(&absolute, end, Place::find, work)
        .map_err(|error: PathError| FormatError::Files(error.to_string()))
}
