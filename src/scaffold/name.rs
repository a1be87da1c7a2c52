//! The name of a new plugin.

use super::ScaffoldError;
use crate::config::{NAME_MAX, name_problem};
use crate::protocol::Interface;
use std::collections::BTreeSet;
use std::path::{Path, absolute};

/// A valid name.
#[derive(Debug)]
pub(super) struct NewName(String);

impl NewName {
    /// Returns the last part of the path.
    ///
    /// # Errors
    /// Fails if it cannot be a name.
    pub fn of(path: &Path) -> Result<Self, ScaffoldError> {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else {
            return Err(ScaffoldError::NoName(path));
        };
        match name_problem(&name) {
            None => Ok(Self(name.into_owned())),
            Some(reason) => Err(ScaffoldError::Name {
                cure: cure(&name),
                name: name.into_owned(),
                reason,
            }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses a name that the engine gives to a driver of its own.
    pub fn refuse_built_in(&self, interfaces: &BTreeSet<Interface>) -> Result<(), ScaffoldError> {
        let is_built_in = |interface: &&Interface| interface.built_in().contains(&self.as_str());
        match interfaces.iter().find(is_built_in) {
            None => Ok(()),
            Some(interface) => Err(ScaffoldError::NeverAsked {
                interface: interface.name(),
                name: self.0.clone(),
            }),
        }
    }
}

/// Returns the end of a message about an invalid name: a valid one that is near, if there is one.
fn cure(name: &str) -> String {
    let near: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_.-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let near = near.trim_start_matches(['_', '.', '-']);
    let near = &near[..near.len().min(NAME_MAX)].trim_end_matches(['_', '.', '-']);
    if near.is_empty() || name_problem(near).is_some() {
        return String::new();
    }
    format!("; `{near}` can")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_valid() {
        for (name, near) in [
            ("MyDisk", "; `mydisk` can"),
            ("my disk!", "; `my-disk` can"),
            ("-x", "; `x` can"),
            (
                "a.very.long.name.of.a.plugin",
                "; `a.very.long.name.of` can",
            ),
            ("größe", "; `gr--e` can"),
            ("日本", ""),
        ] {
            assert_eq!(cure(name), near, "{name}");
        }
    }
}
