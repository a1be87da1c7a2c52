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
}

/// The error of a script that uses a resource without a grant. It names the missing grant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum Refused {
    #[error("{what} is not granted: add \"{grant}\" to `grants` in plugin.toml")]
    Missing { what: String, grant: Grant },
    #[error(
        "{0} is not granted yet: its grant is in plugin.toml but not accepted: run `moondock reload --accept-grants`"
    )]
    Unaccepted(String),
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
            Err(Refused::thing(wanted, self.declares(wanted)))
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

    /// Returns whether one of the declared grants would allow all of `wanted`.
    fn declares(&self, wanted: &Grant) -> bool {
        self.declared.iter().any(|own| own.covers(wanted))
    }
}

impl From<Vec<Grant>> for Granted {
    fn from(grants: Vec<Grant>) -> Self {
        Self {
            grants,
            declared: Vec::new(),
        }
    }
}

impl Refused {
    /// Creates the error for the missing `grant`, which may be declared already.
    fn thing(grant: &Grant, is_declared: bool) -> Self {
        let what = match grant {
            Grant::Exec(program) => format!("`{program}`"),
            Grant::Env(variable) => format!("`{variable}`"),
            other => format!("`{other}`"),
        };
        if is_declared {
            return Self::Unaccepted(what);
        }
        Self::Missing {
            what,
            grant: grant.clone(),
        }
    }

    /// Creates the error for a path that a script gave as `asked` and that leads to `real`. It
    /// proposes a grant of the directory around the path, because scripts mostly use its neighbours
    /// too.
    pub fn path(asked: &Path, real: &Path, write: bool, is_declared: bool) -> Self {
        let around = real
            .parent()
            .filter(|around| around.parent().is_some())
            .unwrap_or(real);
        let grant = if write {
            Grant::FsWrite(around.to_owned())
        } else {
            Grant::FsRead(around.to_owned())
        };
        let what = if components(asked) == components(real) {
            format!("`{}`", asked.display())
        } else {
            format!("`{}` leads to `{}`, which", asked.display(), real.display())
        };
        if is_declared {
            return Self::Unaccepted(what);
        }
        Self::Missing { what, grant }
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
                "`/etc/x` is not granted: add \"fs.write:/etc\"",
            ),
            (
                "/x/",
                "/x",
                false,
                "`/x/` is not granted: add \"fs.read:/x\"",
            ),
            ("/", "/", false, "`/` is not granted: add \"fs.read:/\""),
            (
                "/s/l",
                "/etc/x",
                false,
                "`/s/l` leads to `/etc/x`, which is not granted: add \"fs.read:/etc\"",
            ),
        ] {
            let refused =
                Refused::path(Path::new(asked), Path::new(real), write, false).to_string();
            assert_eq!(refused, format!("{message} to `grants` in plugin.toml"));
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
