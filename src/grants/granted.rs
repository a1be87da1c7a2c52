//! The grants of a plugin, and the error for a missing one.

use super::Grant;
use std::path::Path;
use thiserror::Error;

/// The grants of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    grants: Vec<Grant>,
    /// What a saved `plugin.toml` declares and nobody has accepted yet.
    declared: Vec<Grant>,
    origin: Origin,
}

/// Where the grants of a plugin come from, which is where more can be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// `plugin.toml`, with the consent of an administrator.
    #[default]
    File,
    /// The bundle of a managed plugin.
    Bundle,
}

/// The error of a script that uses a resource without a grant. It names the missing grant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum Refused {
    #[error("{what} is not granted: add \"{grant}\"{} to `grants` in plugin.toml{}", around(grant), then(*origin))]
    Missing {
        what: String,
        grant: Grant,
        origin: Origin,
    },
    #[error(
        "{0} is not granted yet: its grant is in plugin.toml but not accepted: run `moondock reload --accept-grants`"
    )]
    Unaccepted(String),
    #[error(
        "{0} is not granted: its grant is in plugin.toml but not in the bundle: make a new bundle"
    )]
    Unbundled(String),
}

/// A path and the proposed use of it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The path as the script gave it.
    pub asked: &'a Path,
    /// Where it leads.
    pub real: &'a Path,
    /// Whether it is to be changed.
    pub write: bool,
    /// Whether a grant of it is declared.
    pub is_declared: bool,
}

/// Returns the alternative to the grant of a single path, of which only the author knows.
fn around(grant: &Grant) -> &'static str {
    match grant {
        Grant::FsRead(path) | Grant::FsWrite(path) if path.parent().is_some() => {
            " (or a directory above it)"
        }
        _ => "",
    }
}

/// Returns what else is to be done.
fn then(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "",
        Origin::Bundle => ", and make a new bundle",
    }
}

impl Granted {
    /// Returns whether one of the grants allows all of `wanted`.
    pub fn allows(&self, wanted: &Grant) -> bool {
        self.grants.iter().any(|own| own.covers(wanted))
    }

    /// Requires that one of the grants allows all of `wanted`.
    ///
    /// # Errors
    /// Fails with the missing grant.
    pub fn require(&self, wanted: &Grant) -> Result<(), Refused> {
        if self.allows(wanted) {
            Ok(())
        } else {
            Err(self.refuse(wanted))
        }
    }

    /// Returns an iterator over the grants.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter()
    }

    /// Adds what a saved `plugin.toml` declares, for the errors about it.
    #[must_use]
    pub fn declaring(self, declared: &Granted) -> Self {
        Self {
            declared: declared.grants.clone(),
            ..self
        }
    }

    /// Sets where the grants come from.
    #[must_use]
    pub fn coming_from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    fn refuse(&self, wanted: &Grant) -> Refused {
        let what = match wanted {
            Grant::Exec(program) => format!("`{program}`"),
            Grant::Env(variable) => format!("`{variable}`"),
            other => format!("`{other}`"),
        };
        Refused::new(what, wanted.clone(), self.declares(wanted), self.origin)
    }

    /// Returns whether one of the declared grants would allow all of `wanted`.
    fn declares(&self, wanted: &Grant) -> bool {
        self.declared.iter().any(|own| own.covers(wanted))
    }
}

impl From<Vec<Grant>> for Granted {
    fn from(grants: Vec<Grant>) -> Self {
        Self {
            grants,
            ..Self::default()
        }
    }
}

impl Refused {
    /// Creates the error for a missing grant.
    fn new(what: String, grant: Grant, is_declared: bool, origin: Origin) -> Self {
        match origin {
            _ if !is_declared => Self::Missing {
                what,
                grant,
                origin,
            },
            Origin::File => Self::Unaccepted(what),
            Origin::Bundle => Self::Unbundled(what),
        }
    }

    /// Creates the error for a path. It proposes a grant of no more than this path.
    pub fn path(wanted: Wanted<'_>, origin: Origin) -> Self {
        let Wanted { asked, real, .. } = wanted;
        let grant = if wanted.write {
            Grant::FsWrite(real.to_owned())
        } else {
            Grant::FsRead(real.to_owned())
        };
        let what = if components(asked) == components(real) {
            format!("`{}`", asked.display())
        } else {
            format!("`{}` leads to `{}`, which", asked.display(), real.display())
        };
        Self::new(what, grant, wanted.is_declared, origin)
    }
}

/// Returns the components, which do not depend on repeated and trailing slashes.
fn components(path: &Path) -> Vec<&std::ffi::OsStr> {
    path.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_grant_to_add() {
        for (asked, real, write, message) in [
            (
                "/etc/x",
                "/etc/x",
                true,
                "`/etc/x` is not granted: add \"fs.write:/etc/x\" (or a directory above it)",
            ),
            (
                "/x/",
                "/x",
                false,
                "`/x/` is not granted: add \"fs.read:/x\" (or a directory above it)",
            ),
            ("/", "/", false, "`/` is not granted: add \"fs.read:/\""),
            (
                "/s/l",
                "/etc/x",
                false,
                "`/s/l` leads to `/etc/x`, which is not granted: add \"fs.read:/etc/x\" (or a directory above it)",
            ),
        ] {
            let mut wanted = Wanted {
                asked: Path::new(asked),
                real: Path::new(real),
                write,
                is_declared: false,
            };
            let refused = |wanted, origin| Refused::path(wanted, origin).to_string();
            let add = format!("{message} to `grants` in plugin.toml");
            assert_eq!(refused(wanted, Origin::File), add);
            let bundled = format!("{add}, and make a new bundle");
            assert_eq!(refused(wanted, Origin::Bundle), bundled);
            wanted.is_declared = true;
            let told = refused(wanted, Origin::Bundle);
            assert!(
                told.ends_with("not in the bundle: make a new bundle"),
                "{told}"
            );
        }
        let declared = Granted::from(vec![Grant::Mount]);
        let granted = Granted::from(vec![Grant::Net]).declaring(&declared);
        let refused = granted.require(&Grant::Mount).unwrap_err().to_string();
        assert_eq!(
            refused,
            "`mount` is not granted yet: its grant is in plugin.toml but not accepted: run `moondock reload --accept-grants`"
        );
        assert!(granted.require(&Grant::Net).is_ok());
        let refused = granted
            .require(&Grant::Exec("sh".into()))
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "`sh` is not granted: add \"exec:sh\" to `grants` in plugin.toml"
        );
    }
}
