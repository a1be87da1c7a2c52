//! What became of a plugin's scripts when they were loaded.

use std::fmt;

/// What became of one script, or of the whole plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The file; `None` for the whole plugin.
    pub file: Option<String>,
    /// What became of it.
    pub result: Loaded,
}

/// The result of loading a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// This generation is live.
    Live(u64),
    /// This generation is live, and was loaded from the same files as the one before.
    Unchanged(u64),
    /// The previous generation stays live, for this reason.
    Kept(String),
    /// Nothing of it runs, for this reason, which answers each call.
    Broken(String),
    /// The previous generation stays live, because `plugin.toml` has grants that nobody accepted.
    Unaccepted(String),
    /// The script, of which nothing ran, was deleted.
    Gone,
}

impl News {
    /// Describes the result of the script `file`.
    pub fn of(file: impl Into<String>, result: Loaded) -> Self {
        Self {
            file: Some(file.into()),
            result,
        }
    }

    /// Describes the result of the whole plugin.
    pub fn of_all(result: Loaded) -> Self {
        Self { file: None, result }
    }
}

impl Loaded {
    /// Whether what is on disk now is what runs.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::Live(_) | Self::Unchanged(_) | Self::Gone)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(generation) => write!(f, "live (generation {generation})"),
            Self::Unchanged(generation) => {
                write!(f, "loaded again, same files (generation {generation})")
            }
            Self::Kept(reason) => write!(f, "kept: {reason}"),
            Self::Broken(reason) => write!(f, "broken: {reason}"),
            Self::Unaccepted(reason) => write!(f, "grants not accepted: {reason}"),
            Self::Gone => f.write_str("gone"),
        }
    }
}
