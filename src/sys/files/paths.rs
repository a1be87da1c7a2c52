//! Opens files without leaving a directory, and defines the error that names a path.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// An error of a system call, with the path.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {}", path.display(), reason(source))]
pub struct PathError {
    /// The path as given.
    pub path: PathBuf,
    /// The error of the system call.
    pub source: io::Error,
}

impl PathError {
    /// Returns whether the error is about a symbolic link that may not be followed.
    pub fn is_loop(&self) -> bool {
        self.source.raw_os_error() == Some(Errno::LOOP.raw_os_error())
    }
}

/// The limit on symbolic links in one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Opens `path` below `directory`, by default for reading.
///
/// Follows symbolic links that stay below `directory` at every hop, and fails with `EXDEV` for
/// others. Never waits for the other end of a pipe.
pub fn open_beneath(directory: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let waiting = if flags.contains(OFlags::PATH) {
        OFlags::empty()
    } else {
        OFlags::NOCTTY | OFlags::NONBLOCK
    };
    let flags = flags | OFlags::CLOEXEC | waiting;
    Ok(openat2(directory, path, flags, Mode::empty(), resolve)?)
}

/// Joins `name` to `base`. Returns `None` if the result would be `base` itself or outside of it.
///
/// Considers names only; [`open_beneath`] also considers symbolic links.
pub fn join_beneath(base: &Path, name: &Path) -> Option<PathBuf> {
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let nothing = name.as_os_str().is_empty();
    (plain && !nothing).then(|| base.join(name))
}

/// Returns the directories in which a change can alter what the absolute `path` leads to: those
/// that contain a symbolic link of the path, and the one that contains its end, or the last
/// existing one.
pub fn hops(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let mut rest = parts(path);
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        match std::fs::read_link(at.join(&part)) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                found.push(at.clone());
                parts(&target)
                    .into_iter()
                    .rev()
                    .for_each(|part| rest.push_front(part));
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
            }
            _ if rest.is_empty() || !at.join(&part).is_dir() => {
                found.push(at);
                break;
            }
            _ => at.push(part),
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Returns the names in `path` in order, including `..`.
pub(super) fn parts(path: &Path) -> VecDeque<OsString> {
    let named = |part: Component| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(named).collect()
}

/// Returns an error's message as the end of a sentence: `no such file or directory`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Returns whether the path exists, following links.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Returns whether `inner` is `directory` or below it, following links.
pub fn holds(directory: &Path, inner: &Path) -> bool {
    match (directory.canonicalize(), inner.canonicalize()) {
        (Ok(directory), Ok(inner)) => inner.starts_with(directory),
        _ => false,
    }
}

/// Reads a symbolic link. Returns `None` if `path` is not one.
///
/// # Errors
/// Fails as `readlink(2)` does, except for `EINVAL`.
pub fn read_link(path: &Path) -> io::Result<Option<PathBuf>> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether nothing on the way to `path` is a symbolic link, as far as the path exists and
/// the kernel knows it without waiting for a disk or a server. `false` says nothing; kernels before
/// 5.12 always say so.
pub fn is_known_without_links(path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS;
    match openat2(CWD, path, flags, Mode::empty(), resolve) {
        // The kernel walks a path from its beginning, so a link before the part that is missing
        // would have failed with `ELOOP`. What its cache does not know, missing or not, fails with
        // `EAGAIN`.
        Ok(_) | Err(Errno::NOENT) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_names_below_the_base_are_joined() {
        let joined = |name: &str| join_beneath(Path::new("/srv"), Path::new(name));
        assert_eq!(joined("a/b"), Some("/srv/a/b".into()));
        assert_eq!(joined("..."), Some("/srv/...".into()));
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "/etc",
            "//",
            "./a",
        ] {
            assert_eq!(joined(bad), None, "`{bad}`");
        }
    }

    #[test]
    fn resolving_visits_every_link() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        for directory in ["plugin/..1", "far"] {
            std::fs::create_dir_all(place.join(directory)).unwrap();
        }
        symlink("..1", place.join("plugin/..data")).unwrap();
        symlink("..data/a.lua", place.join("plugin/a.lua")).unwrap();
        symlink(place.join("plugin"), place.join("far/link")).unwrap();
        let seen = hops(&place.join("far/link/a.lua"));
        assert_eq!(
            seen,
            [
                place.join("far"),
                place.join("plugin"),
                place.join("plugin/..1")
            ]
        );
        symlink("round", place.join("round")).unwrap();
        assert_eq!(hops(&place.join("round/x")), [place]);
    }

    #[test]
    fn path_errors_complete_a_sentence() {
        let source = io::Error::from_raw_os_error(2);
        let error = PathError {
            path: "/x".into(),
            source,
        };
        assert_eq!(error.to_string(), "`/x`: no such file or directory");
    }

    #[test]
    fn a_path_without_links_is_told_from_one_with_a_link_anywhere() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(is_known_without_links(directory.path()));
        assert!(!is_known_without_links(&link));
        assert!(!is_known_without_links(&link.join("link")));
        assert!(!is_known_without_links(&link.join("missing")));
        assert_eq!(read_link(&link).unwrap().as_deref(), Some(directory.path()));
        assert_eq!(read_link(directory.path()).unwrap(), None);
    }

    #[test]
    fn a_missing_path_is_known_without_links_once_it_was_looked_up() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/below");
        assert!(!exists(&missing));
        assert!(is_known_without_links(&missing));
        std::os::unix::fs::symlink("/", directory.path().join("missing")).unwrap();
        assert!(!is_known_without_links(&missing));
    }
}
