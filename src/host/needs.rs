//! The grants that host functions need.

use crate::grants::Grant;

/// What a plugin must be granted for a function. A grant without a value is checked before the
/// function runs. A grant with a value (a path, a program) is checked by the function itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// No grant: the function reaches only what belongs to the plugin.
    Nothing,
    /// `fs.read` or `fs.write` for its path.
    Read,
    /// `fs.write` for its paths.
    Write,
    /// `mount`.
    Mount,
    /// `mount`, and `fs.write` for its target.
    MountAndWrite,
    /// `exec` for its program.
    Exec,
    /// `net`.
    Net,
    /// `http` for its host.
    Http,
    /// `docker`.
    Docker,
    /// `env` for its variable.
    Env,
}

impl Needs {
    /// Returns the grant that does not depend on the function's arguments.
    pub fn stands_alone(self) -> Option<Grant> {
        match self {
            Self::Mount | Self::MountAndWrite => Some(Grant::Mount),
            Self::Net => Some(Grant::Net),
            Self::Docker => Some(Grant::Docker),
            Self::Nothing | Self::Read | Self::Write | Self::Exec | Self::Http | Self::Env => None,
        }
    }

    /// Whether nothing is left to check once the function runs.
    pub fn are_checked_first(self) -> bool {
        matches!(self, Self::Nothing | Self::Net)
    }

    /// Returns the form of a grant without which the function fails, whatever its arguments, unless
    /// `grants` has one.
    pub fn missing_in(self, grants: &[Grant]) -> Option<&'static str> {
        let has = |form: &str| grants.iter().any(|grant| grant.is_a(form));
        let mut missing = self.forms().iter().filter(|form| !has(form));
        missing.next().copied()
    }

    /// Whether a function with these needs may use the grant. A program may reach what the plugin
    /// reaches, and a mount has a source.
    pub fn may_use(self, grant: &Grant) -> bool {
        let is_path = matches!(grant, Grant::FsRead(_) | Grant::FsWrite(_));
        match self {
            Self::Exec | Self::MountAndWrite | Self::Read if is_path => true,
            _ => self.forms().iter().any(|form| grant.is_a(form)),
        }
    }

    /// Returns the forms of the grants.
    fn forms(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Read => &["fs.read:PATH"],
            Self::Write => &["fs.write:PATH"],
            Self::Mount => &["mount"],
            Self::MountAndWrite => &["mount", "fs.write:PATH"],
            Self::Exec => &["exec:NAME"],
            Self::Net => &["net"],
            Self::Http => &["http:HOST"],
            Self::Docker => &["docker"],
            Self::Env => &["env:NAME"],
        }
    }

    /// Returns the grants as text for the documentation.
    pub fn in_words(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Read => Some("`fs.read` (or `fs.write`) for the path"),
            Self::Write => Some("`fs.write` for the path"),
            Self::Mount => Some("`mount`"),
            Self::MountAndWrite => Some("`mount`, and `fs.write` for the target"),
            Self::Exec => Some("`exec` for the program"),
            Self::Net => Some("`net`"),
            Self::Http => Some("`http` for the host, and for that of each redirect"),
            Self::Docker => Some("`docker`"),
            Self::Env => Some("`env` for the variable"),
        }
    }
}
