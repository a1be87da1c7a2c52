//! The directories and files that a plugin may touch, with all below them.

use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use std::path::{Path, PathBuf};

/// What a plugin may touch by path.
#[derive(Debug, Clone, Default)]
pub struct Territory {
    roots: Vec<Root>,
    /// A wider territory, out of which no root leads.
    bounds: Option<Vec<Root>>,
}

/// A path that is granted, with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The path, absolute; it may lead through links.
    pub path: PathBuf,
    /// Whether what is there may be changed too.
    pub write: bool,
}

/// What a path is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look at what is there.
    Read,
    /// To change it.
    Write,
}

/// Why a path may not be used.
#[derive(Debug)]
pub enum Denied {
    /// It leads out of the territory.
    Outside {
        /// The path as it was given.
        asked: PathBuf,
        /// Where it leads.
        real: PathBuf,
        /// What for.
        access: Access,
    },
    /// It is a granted path itself, or a link on the way to one, and nothing may be put in its place.
    Landmark(PathBuf),
    /// The system says no.
    System(PathError),
}

/// A root as it stands now.
struct Standing {
    place: Place,
    write: bool,
}

impl Territory {
    /// The territory that consists of these roots.
    pub fn new(roots: Vec<Root>) -> Self {
        Self {
            roots,
            bounds: None,
        }
    }

    /// The part of it that lies within `bounds` as well. A root below one of the bounds may lead out of it, by a link.
    #[must_use]
    pub fn within(self, bounds: Vec<Root>) -> Self {
        Self {
            bounds: Some(bounds),
            ..self
        }
    }

    /// The place that `path` leads to, if it lies within.
    ///
    /// # Errors
    /// When it does not, and when the system cannot find the way.
    pub fn find(&self, path: &Path, access: Access, end: End) -> Result<Place, Denied> {
        let place = Place::find(path, end).map_err(Denied::System)?;
        let covers = |root: &Standing| {
            (root.write || access == Access::Read) && place.real.starts_with(&root.place.real)
        };
        let allow = |roots: &[Root]| trusted(&standing(roots)).any(covers);
        if allow(&self.roots) && self.bounds.as_deref().is_none_or(allow) {
            Ok(place)
        } else {
            Err(Denied::Outside {
                asked: path.to_owned(),
                real: place.real,
                access,
            })
        }
    }

    /// The same for a name that something else is to get: not one that the territory itself hangs on. A link that is renamed to
    /// it would move the territory elsewhere.
    ///
    /// # Errors
    /// As those of [`Territory::find`].
    pub fn find_free(&self, path: &Path) -> Result<Place, Denied> {
        let place = self.find(path, Access::Write, End::Itself)?;
        let hangs = |root: &Standing| {
            root.place.real == place.real || root.place.links().contains(&place.real)
        };
        let roots: Vec<_> = self
            .bounds
            .iter()
            .flatten()
            .chain(&self.roots)
            .cloned()
            .collect();
        if standing(&roots).iter().any(hangs) {
            Err(Denied::Landmark(place.asked))
        } else {
            Ok(place)
        }
    }
}

/// Where the roots lead now, also those that do not exist yet.
fn standing(roots: &[Root]) -> Vec<Standing> {
    let stand = |root: &Root| {
        let place = Place::find(&root.path, End::Followed).ok()?;
        Some(Standing {
            place,
            write: root.write,
        })
    };
    roots.iter().filter_map(stand).collect()
}

/// The roots that the plugin cannot have moved: no link on the way to them lies where it may write.
fn trusted(roots: &[Standing]) -> impl Iterator<Item = &Standing> {
    let may_write = |path: &Path| {
        roots
            .iter()
            .any(|root| root.write && path.starts_with(&root.place.real))
    };
    roots.iter().filter(move |root| {
        let mut around = root.place.links().iter().filter_map(|link| link.parent());
        !around.any(may_write)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn place() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().canonicalize().unwrap();
        for name in ["a/deep", "b", "outside"] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
        fs::write(at.join("outside/secret"), "").unwrap();
        (dir, at)
    }

    fn territory(at: &Path, roots: &[(&str, bool)]) -> Territory {
        Territory::new(
            roots
                .iter()
                .map(|(path, write)| Root {
                    path: at.join(path),
                    write: *write,
                })
                .collect(),
        )
    }

    fn real(territory: &Territory, path: PathBuf, access: Access) -> Option<PathBuf> {
        territory
            .find(&path, access, End::Followed)
            .ok()
            .map(|place| place.real)
    }

    #[test]
    fn a_root_covers_its_descendants_even_before_it_exists() {
        let (_dir, at) = place();
        let territory = territory(&at, &[("a", true), ("b", false), ("new/root", true)]);
        for (path, access, allowed) in [
            ("a", Access::Write, true),
            ("a/deep/x/y", Access::Write, true),
            ("a/deep/../../a", Access::Write, true),
            ("b/x", Access::Read, true),
            ("b/x", Access::Write, false),
            ("ab", Access::Read, false),
            ("a/../outside/secret", Access::Read, false),
            ("a/x/../../outside/secret", Access::Read, false),
            ("a/deep/../../b/../outside", Access::Read, false),
            ("", Access::Read, false),
            ("new", Access::Write, false),
            ("new/root", Access::Write, true),
            ("new/root/x", Access::Write, true),
        ] {
            let found = real(&territory, at.join(path), access);
            assert_eq!(found.is_some(), allowed, "{path} {access:?} {found:?}");
        }
    }

    #[test]
    fn links_are_judged_by_their_target() {
        let (_dir, at) = place();
        symlink("../outside/secret", at.join("a/relative")).unwrap();
        symlink(at.join("outside"), at.join("a/absolute")).unwrap();
        symlink(at.join("b"), at.join("a/across")).unwrap();
        symlink(at.join("a/deep"), at.join("a/within")).unwrap();
        symlink("round", at.join("a/round")).unwrap();
        let territory = territory(&at, &[("a", true), ("b", false)]);
        let found = |path: &str, access| real(&territory, at.join(path), access);
        assert_eq!(found("a/relative", Access::Read), None);
        assert_eq!(found("a/absolute/secret", Access::Read), None);
        assert_eq!(
            found("a/absolute/../a/x", Access::Read),
            Some(at.join("a/x"))
        );
        assert_eq!(found("a/across/x", Access::Read), Some(at.join("b/x")));
        assert_eq!(found("a/across/x", Access::Write), None);
        assert_eq!(
            found("a/within/x", Access::Write),
            Some(at.join("a/deep/x"))
        );
        let round = territory.find(&at.join("a/round"), Access::Read, End::Followed);
        assert!(matches!(round, Err(Denied::System(error)) if error.is_loop()));
    }

    #[test]
    fn a_root_behind_a_link_works_unless_the_plugin_may_move_the_link() {
        let (_dir, at) = place();
        symlink("b", at.join("run")).unwrap();
        let granted = territory(&at, &[("run", true)]);
        assert_eq!(
            real(&granted, at.join("run/x"), Access::Write),
            Some(at.join("b/x"))
        );
        assert_eq!(
            real(&granted, at.join("b/x"), Access::Write),
            Some(at.join("b/x"))
        );
        symlink(at.join("outside"), at.join("a/moved")).unwrap();
        let nested = territory(&at, &[("a", true), ("a/moved/secret", false)]);
        assert_eq!(real(&nested, at.join("outside/secret"), Access::Read), None);
        symlink("a/moved", at.join("far")).unwrap();
        let through = territory(&at, &[("a", true), ("far", false)]);
        assert_eq!(
            real(&through, at.join("outside/secret"), Access::Read),
            None
        );
    }

    #[test]
    fn paths_that_a_root_depends_on_cannot_be_replaced() {
        let (_dir, at) = place();
        symlink("b", at.join("run")).unwrap();
        let granted = territory(&at, &[("a", true), ("run", true), ("new", true)]);
        for path in ["a", "b", "new"] {
            assert!(
                matches!(granted.find_free(&at.join(path)), Err(Denied::Landmark(_))),
                "{path}"
            );
        }
        // The link itself lies outside.
        assert!(matches!(
            granted.find_free(&at.join("run")),
            Err(Denied::Outside { .. })
        ));
        assert!(granted.find_free(&at.join("a/x")).is_ok());
    }

    #[test]
    fn links_of_the_kernel_are_not_followed() {
        let everywhere = Territory::new(vec![Root {
            path: "/".into(),
            write: true,
        }]);
        for path in [
            "/proc/self/root/etc/passwd",
            "/proc/self/cwd",
            "/proc/self/fd/0",
            "/proc/self/exe",
        ] {
            let found = everywhere.find(Path::new(path), Access::Read, End::Followed);
            let Err(Denied::System(error)) = found else {
                panic!("{path}: {found:?}")
            };
            assert!(
                error.to_string().contains("a link of the kernel's own"),
                "{error}"
            );
        }
        assert!(
            everywhere
                .find(Path::new("/proc/self/stat"), Access::Read, End::Followed)
                .is_ok()
        );
    }
}
