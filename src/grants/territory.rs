//! The paths that a plugin may use, with everything below them.

use super::Origin;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use std::path::{Path, PathBuf};

/// The paths that a plugin may use.
#[derive(Debug, Clone, Default)]
pub struct Territory {
    roots: Vec<Root>,
    /// A wider set of paths, which no root may leave.
    bounds: Option<Vec<Root>>,
    /// Paths that are declared and not accepted yet.
    declared: Vec<Root>,
    origin: Origin,
}

/// A granted path, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The absolute path, which may contain links.
    pub path: PathBuf,
    /// Whether it may also be changed.
    pub write: bool,
}

/// The intended use of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Changing.
    Write,
}

/// An error of a path that may not be used.
#[derive(Debug)]
pub enum Denied {
    /// The path leads outside of the granted paths.
    Outside {
        /// The path as given.
        asked: PathBuf,
        /// The path to which it leads.
        real: PathBuf,
        /// The intended use.
        access: Access,
        /// Whether a grant of it is declared and not accepted yet.
        is_declared: bool,
        /// Where the plugin's grants come from.
        origin: Origin,
    },
    /// The path is a granted path or a link that leads to one, and must not be replaced.
    Root(PathBuf),
    /// A system call failed.
    System(PathError),
}

/// A root, and where it leads at the moment.
struct ResolvedRoot {
    place: Place,
    write: bool,
}

impl Territory {
    /// Creates a territory of these roots.
    pub fn new(roots: Vec<Root>) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    /// Sets where the grants come from.
    #[must_use]
    pub fn coming_from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Adds paths that are declared and not accepted yet, for the errors about them.
    #[must_use]
    pub fn declaring(self, declared: Vec<Root>) -> Self {
        Self { declared, ..self }
    }

    /// Restricts the territory to paths within `bounds`, which a root below them may leave by a
    /// link.
    #[must_use]
    pub fn within(self, bounds: Vec<Root>) -> Self {
        Self {
            bounds: Some(bounds),
            ..self
        }
    }

    /// Finds the place to which `path` leads.
    ///
    /// # Errors
    /// Fails if the place is not granted, or if the path cannot be resolved.
    pub fn find(&self, path: &Path, access: Access, end: End) -> Result<Place, Denied> {
        let place = Place::find(path, end).map_err(Denied::System)?;
        let covers = |root: &ResolvedRoot| {
            (root.write || access == Access::Read) && place.real.starts_with(&root.place.real)
        };
        let allow = |roots: &[Root]| trusted(&resolve(roots)).any(covers);
        if allow(&self.roots) && self.bounds.as_deref().is_none_or(allow) {
            return Ok(place);
        }
        Err(Denied::Outside {
            asked: path.to_owned(),
            is_declared: allow(&self.declared),
            real: place.real,
            access,
            origin: self.origin,
        })
    }

    /// Finds the place of a path that is going to be replaced. It must not be one on which a root
    /// depends: renaming a link to it would move the territory elsewhere.
    ///
    /// # Errors
    /// Fails as [`Territory::find`] does, and for a path on which a root depends.
    pub fn find_free(&self, path: &Path) -> Result<Place, Denied> {
        let place = self.find(path, Access::Write, End::Itself)?;
        let depends = |root: &ResolvedRoot| {
            root.place.real == place.real || root.place.links().contains(&place.real)
        };
        let roots: Vec<_> = self
            .bounds
            .iter()
            .flatten()
            .chain(&self.roots)
            .cloned()
            .collect();
        if resolve(&roots).iter().any(depends) {
            return Err(Denied::Root(place.asked));
        }
        Ok(place)
    }
}

/// Resolves the roots, including those that do not exist yet.
fn resolve(roots: &[Root]) -> Vec<ResolvedRoot> {
    let resolve = |root: &Root| {
        let place = Place::find(&root.path, End::Followed).ok()?;
        Some(ResolvedRoot {
            place,
            write: root.write,
        })
    };
    roots.iter().filter_map(resolve).collect()
}

/// Returns the roots that the plugin cannot redirect: no link that leads to them is in a directory
/// that it may change.
fn trusted(roots: &[ResolvedRoot]) -> impl Iterator<Item = &ResolvedRoot> {
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
                matches!(granted.find_free(&at.join(path)), Err(Denied::Root(_))),
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
