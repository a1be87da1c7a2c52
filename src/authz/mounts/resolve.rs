//! Where host paths lead: symbolic links followed as the kernel does, as far as the path exists.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::fields::refused;
use super::{HostMount, Walk};
use crate::authz::Refusal;

/// Reads a symbolic link: its text, `None` for what is no link (`EINVAL`), or an error, of which
/// `NotFound` and `NotADirectory` mean that the path ends before, and `Unsupported` that it is not to be seen.
pub type ReadLink<'f> = dyn Fn(&Path) -> io::Result<Option<PathBuf>> + 'f;

/// What a path is that [`ReadLink`] says `Unsupported` of.
pub const HIDDEN: &str = "a managed plugin sees only what its grants name of the host: grant `fs.read:` for the path, and bundle it again";

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Sets [`HostMount::resolved`] of each mount. It waits for the file system: call it where waiting is allowed.
///
/// # Errors
/// [`Refusal::HostPath`] when links run in a circle or cannot be read, and when `..` leads to different places
/// with and without following links, because engines differ in who makes sense of it.
pub fn resolve(mounts: &mut [HostMount], read_link: &ReadLink<'_>) -> Result<(), Refusal> {
    for mount in mounts {
        mount.resolved = Some(resolved(mount, read_link)?);
    }
    Ok(())
}

fn resolved(mount: &HostMount, read_link: &ReadLink<'_>) -> Result<PathBuf, Refusal> {
    let source = Path::new(&mount.source);
    let follow =
        |path: &Path| follow(path, read_link).or_else(|reason| refused(&mount.via, reason));
    let walked = follow(source)?;
    let climbs = source.components().any(|part| part == Component::ParentDir);
    if climbs && mount.walk == Walk::Cleaned && follow(&clean(source))? != walked {
        return refused(&mount.via, "`..` after a symbolic link is ambiguous");
    }
    Ok(walked)
}

/// Go's `path.Clean`: `..` taken as text.
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

struct Way<'f> {
    read_link: &'f ReadLink<'f>,
    out: PathBuf,
    ahead: VecDeque<OsString>,
    links: usize,
    /// The rest does not exist.
    missing: bool,
}

fn follow<'f>(path: &Path, read_link: &'f ReadLink<'f>) -> Result<PathBuf, &'static str> {
    let mut way = Way {
        read_link,
        out: PathBuf::from("/"),
        ahead: VecDeque::new(),
        links: 0,
        missing: false,
    };
    way.take(path);
    while let Some(name) = way.ahead.pop_front() {
        way.step(name)?;
    }
    Ok(way.out)
}

impl Way<'_> {
    fn take(&mut self, path: &Path) {
        let names = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        for (at, part) in names.enumerate() {
            self.ahead.insert(at, part.as_os_str().to_owned());
        }
    }

    fn step(&mut self, name: OsString) -> Result<(), &'static str> {
        if name == ".." {
            self.out.pop();
            return if self.missing {
                Err("it climbs out of a path that does not exist")
            } else {
                Ok(())
            };
        }
        self.out.push(name);
        if self.missing { Ok(()) } else { self.look() }
    }

    fn look(&mut self) -> Result<(), &'static str> {
        match (self.read_link)(&self.out) {
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
            return Err("its symbolic links lead too far");
        }
        self.out.pop();
        if link.is_absolute() {
            self.out = PathBuf::from("/");
        }
        self.take(link);
        Ok(())
    }
}
