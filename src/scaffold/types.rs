//! The types of a plugin that exists.

use super::templates::{LUAURC, Mode, OWN, VERSION_FILE, luaurc, types_files};
use super::{ScaffoldError, refusal};
use crate::sys::files::whole::{self, Contents};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const VERSION_PREFIX: &str = "moondock ";

/// What [`write_types`] changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TypesChange {
    /// The version that the types were of, if there were any.
    pub before: Option<String>,
    /// The files that are new, by their paths below [`TypesChange::dir`].
    pub added: Vec<PathBuf>,
    /// The files whose text is another now.
    pub changed: Vec<PathBuf>,
    /// The files that are gone.
    pub removed: Vec<PathBuf>,
    /// The directory of the types.
    pub dir: PathBuf,
    /// Whether `.luaurc` was missing and was written.
    pub has_new_luaurc: bool,
    /// Whether `.luaurc` says nothing of Moondock's types.
    pub lacks_alias: bool,
}

impl TypesChange {
    /// Whether the types were those of this version already.
    pub fn is_none(&self) -> bool {
        self.before.is_some()
            && [&self.added, &self.changed, &self.removed]
                .iter()
                .all(|paths| paths.is_empty())
    }
}

/// Replaces the types in `dir` by those of this version, and writes `.luaurc` if there is none.
/// Touches nothing else.
///
/// # Errors
/// The earlier types are kept.
pub fn write_types(dir: &Path) -> Result<TypesChange, ScaffoldError> {
    let own = dir.join(OWN);
    let old = read_types(&own)?;
    let fresh = types_files();
    let mut change = compare(
        old.as_ref().map_or(&Contents::new(), |(_, files)| files),
        &fresh,
    );
    (change.before, change.dir) = (old.map(|(version, _)| version), own.clone());
    change.write_luaurc(dir)?;
    if !change.is_none() {
        whole::replace(&own, &fresh).map_err(|error| refusal(&own, error))?;
    }
    Ok(change)
}

impl TypesChange {
    fn write_luaurc(&mut self, dir: &Path) -> Result<(), ScaffoldError> {
        let path = dir.join(LUAURC);
        let written = whole::write_new(&path, luaurc(Mode::Nonstrict).as_bytes());
        self.has_new_luaurc = written.map_err(|error| refusal(&path, error))?;
        self.lacks_alias = !whole::contains(&path, "\"moondock\"");
        Ok(())
    }
}

/// Returns the version and the files of the types, if there are any.
fn read_types(own: &Path) -> Result<Option<(String, Contents)>, ScaffoldError> {
    let path = own.to_owned();
    match whole::read(own) {
        Ok(None) => Ok(None),
        Ok(Some(files)) => match version_of(&files) {
            Some(version) => Ok(Some((version, files))),
            None => Err(ScaffoldError::Foreign(path)),
        },
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(ScaffoldError::Foreign(path)),
        Err(source) => Err(ScaffoldError::Read { path, source }),
    }
}

fn version_of(files: &Contents) -> Option<String> {
    let text = String::from_utf8_lossy(files.get(Path::new(VERSION_FILE))?).into_owned();
    let version = text.lines().next()?.strip_prefix(VERSION_PREFIX)?;
    Some(version.to_owned())
}

fn compare(old: &Contents, fresh: &Contents) -> TypesChange {
    let missing_in = |other: &Contents, files: &Contents| {
        let paths = files.keys().filter(|path| !other.contains_key(*path));
        paths.cloned().collect()
    };
    let is_changed = |path: &&PathBuf| old.get(*path).is_some_and(|text| *text != fresh[*path]);
    TypesChange {
        added: missing_in(old, fresh),
        removed: missing_in(fresh, old),
        changed: fresh.keys().filter(is_changed).cloned().collect(),
        ..TypesChange::default()
    }
}
