//! Where host paths lead: symbolic links are followed as the kernel does, as far as the path
//! exists.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::{HostMount, Walk};
use crate::authz::Refusal;

/// Reads a symbolic link. Returns its text, or `None` for a path that is not a link (`EINVAL`). The
/// errors `NotFound` and `NotADirectory` mean that the path does not exist, and `Unsupported` that
/// Moondock cannot see it.
pub type ReadLink<'f> = dyn Fn(&Path) -> io::Result<Option<PathBuf>> + 'f;

/// The reason to refuse a path for which [`ReadLink`] returns `Unsupported`.
pub const HIDDEN: &str = "a managed plugin sees only what its grants name of the host: \
     grant `fs.read:` for the path, and bundle the plugin again";

/// The number of links that the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Sets [`HostMount::resolved`] of each mount. Blocks on the file system.
///
/// # Errors
/// [`Refusal::HostPath`] when links form a loop or cannot be read, and when `..` leads to different
/// places with and without following links, because engines differ in who interprets it.
pub fn resolve(mounts: &mut [HostMount], read_link: &ReadLink<'_>) -> Result<(), Refusal> {
    for mount in mounts {
        mount.resolved = Some(resolved(mount, read_link)?);
    }
    Ok(())
}

fn resolved(mount: &HostMount, read_link: &ReadLink<'_>) -> Result<PathBuf, Refusal> {
    let source = Path::new(&mount.source);
    let refusal = |reason| Refusal::HostPath {
        via: mount.via.clone(),
        reason,
    };
    let walked = follow(source, read_link).map_err(refusal)?;
    let climbs = source.components().any(|part| part == Component::ParentDir);
    if climbs && mount.walk == Walk::Cleaned {
        let cleaned = follow(&clean(source), read_link).map_err(refusal)?;
        if cleaned != walked {
            return Err(refusal("`..` after a symbolic link is ambiguous"));
        }
    }
    Ok(walked)
}

/// Resolves `..` in the text, as Go's `path.Clean` does.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

/// A walk along a path.
struct Walker<'f> {
    read_link: &'f ReadLink<'f>,
    /// The part that is walked, without links.
    walked: PathBuf,
    /// The names that are still to walk.
    ahead: VecDeque<OsString>,
    /// The number of links followed.
    links: usize,
    /// The rest does not exist.
    missing: bool,
}

fn follow<'f>(path: &Path, read_link: &'f ReadLink<'f>) -> Result<PathBuf, &'static str> {
    let mut walker = Walker {
        read_link,
        walked: PathBuf::from("/"),
        ahead: VecDeque::new(),
        links: 0,
        missing: false,
    };
    walker.add(path);
    while let Some(name) = walker.ahead.pop_front() {
        walker.step(name)?;
    }
    Ok(walker.walked)
}

impl Walker<'_> {
    /// Puts the names of `path` before those that are still to walk.
    fn add(&mut self, path: &Path) {
        let names = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        for (at, part) in names.enumerate() {
            self.ahead.insert(at, part.as_os_str().to_owned());
        }
    }

    fn step(&mut self, name: OsString) -> Result<(), &'static str> {
        if name == ".." {
            self.walked.pop();
            return if self.missing {
                Err("`..` follows a part that does not exist")
            } else {
                Ok(())
            };
        }
        self.walked.push(name);
        if self.missing {
            Ok(())
        } else {
            self.follow_link()
        }
    }

    fn follow_link(&mut self) -> Result<(), &'static str> {
        match (self.read_link)(&self.walked) {
            Ok(None) => Ok(()),
            Ok(Some(link)) => self.enter(&link),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                self.missing = true;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(HIDDEN),
            Err(_) => Err("its symbolic links cannot be read"),
        }
    }

    fn enter(&mut self, link: &Path) -> Result<(), &'static str> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err("it has too many symbolic links");
        }
        self.walked.pop();
        if link.is_absolute() {
            self.walked = PathBuf::from("/");
        }
        self.add(link);
        Ok(())
    }
}
