//! The directories of plugins: those that the command line names, and what is found in them.

#![expect(
    clippy::disallowed_methods,
    reason = "the directories that the command line names"
)]

use super::{ConfigError, NAME_MAX, make_absolute, read_error};
use crate::protocol::Interface;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A directory with at least one interface file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDir {
    /// The directory's name, which is Docker's name for the plugin.
    pub name: String,
    /// The directory, absolute.
    pub dir: PathBuf,
    /// Whether the command line names it. Other plugins come and go with their directories.
    pub is_named: bool,
}

/// The directories that the command line names, absolute.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    plugins: Vec<PluginDir>,
    /// The directories of several plugins.
    collections: Vec<PathBuf>,
}

/// What is in the directories at one moment.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The plugins, in the order of the paths given and then of their names.
    pub plugins: Vec<PluginDir>,
    /// What cannot be served, with the reason.
    pub problems: Vec<ConfigError>,
    /// The collections that could be read.
    collections: BTreeSet<PathBuf>,
    /// The directories in them, with or without a plugin.
    children: BTreeSet<PathBuf>,
}

impl Roster {
    /// Sorts out `paths`, each of which is a plugin's directory or contains such directories.
    ///
    /// # Errors
    /// Fails if one is neither, or if two plugins that it names have one name.
    pub fn new(paths: &[PathBuf]) -> Result<Roster, ConfigError> {
        let mut roster = Roster::default();
        for path in paths {
            let dir = make_absolute(path)?;
            if is_plugin(&dir) {
                let plugin = PluginDir::new(dir, true)?;
                refuse_duplicate(&roster.plugins, &plugin)?;
                roster.plugins.push(plugin);
            } else if visible_children(&dir)?.iter().any(|child| is_plugin(child)) {
                roster.collections.push(dir);
            } else {
                return Err(ConfigError::NoPlugin(path.to_owned()));
            }
        }
        Ok(roster)
    }

    /// Whether plugins may come and go while they are served.
    pub fn may_grow(&self) -> bool {
        !self.collections.is_empty()
    }

    /// Returns the directories of several plugins.
    pub fn collections(&self) -> &[PathBuf] {
        &self.collections
    }

    /// Returns where a plugin that does not exist could be.
    pub fn place_of(&self, name: &str) -> Option<PathBuf> {
        let collection = self.collections.first()?;
        name_problem(name).is_none().then(|| collection.join(name))
    }

    /// Finds the plugins, and what cannot be one.
    pub fn find(&self) -> Found {
        let mut found = Found {
            plugins: self.plugins.clone(),
            ..Found::default()
        };
        for collection in &self.collections {
            match visible_children(collection) {
                Ok(children) => {
                    found.collections.insert(collection.clone());
                    found.take_all(children);
                }
                Err(error) => found.problems.push(error),
            }
        }
        found
    }

    /// Finds the plugins, at least one.
    ///
    /// # Errors
    /// Fails with the first problem if there is no plugin.
    pub fn find_some(&self) -> Result<Found, ConfigError> {
        let mut found = self.find();
        if found.plugins.is_empty() && !found.problems.is_empty() {
            return Err(found.problems.swap_remove(0));
        }
        Ok(found)
    }
}

impl Found {
    /// Whether the directory of a plugin was removed: its collection could be read, and does not
    /// contain it.
    pub fn lacks(&self, dir: &Path) -> bool {
        let is_listed = dir
            .parent()
            .is_some_and(|parent| self.collections.contains(parent));
        is_listed && !self.children.contains(dir)
    }

    /// Returns the directories that may become plugins.
    pub fn unfinished(&self) -> impl Iterator<Item = &PathBuf> {
        let served = |dir: &Path| self.plugins.iter().any(|plugin| plugin.dir == *dir);
        self.children.iter().filter(move |dir| !served(dir))
    }

    fn take_all(&mut self, children: Vec<PathBuf>) {
        for child in children {
            self.take(child);
        }
    }

    /// Takes an entry of a collection.
    fn take(&mut self, child: PathBuf) {
        match child.metadata() {
            Ok(found) if !found.is_dir() => return,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            _ => {}
        }
        self.children.insert(child.clone());
        if let Err(error) = child.read_dir() {
            return self.problems.push(read_error(&child)(error));
        }
        let is_named = self.plugins.iter().any(|plugin| plugin.dir == child);
        if is_plugin(&child) && !is_named {
            let plugin = PluginDir::new(child, false)
                .and_then(|plugin| refuse_duplicate(&self.plugins, &plugin).map(|()| plugin));
            match plugin {
                Ok(plugin) => self.plugins.push(plugin),
                Err(error) => self.problems.push(error),
            }
        }
    }
}

impl PluginDir {
    fn new(dir: PathBuf, is_named: bool) -> Result<PluginDir, ConfigError> {
        let name = match dir.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => real_name(&dir)?,
        };
        match name_problem(&name) {
            None => Ok(PluginDir {
                name,
                dir,
                is_named,
            }),
            Some(reason) => Err(ConfigError::Name { name, dir, reason }),
        }
    }
}

/// Returns the name of a directory whose path ends in `..`.
fn real_name(dir: &Path) -> Result<String, ConfigError> {
    let real = dir.canonicalize().map_err(read_error(dir))?;
    Ok(real
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned())
}

/// Returns why a plugin cannot have this name, unless it can.
pub fn name_problem(name: &str) -> Option<String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > NAME_MAX {
        return Some(format!(
            "it has {} bytes, which exceeds the limit of {NAME_MAX}",
            name.len()
        ));
    }
    let (head, rest) = name.as_bytes().split_first()?;
    if plain(*head) && rest.iter().all(|&c| plain(c) || b"_.-".contains(&c)) {
        return None;
    }
    Some(
        "a name must consist of a-z, 0-9, `_`, `.` and `-`, and begin with a letter or a digit"
            .into(),
    )
}

fn refuse_duplicate(found: &[PluginDir], plugin: &PluginDir) -> Result<(), ConfigError> {
    match found.iter().find(|other| other.name == plugin.name) {
        None => Ok(()),
        Some(other) => Err(ConfigError::Duplicate {
            name: plugin.name.clone(),
            first: other.dir.clone(),
            second: plugin.dir.clone(),
        }),
    }
}

fn is_plugin(dir: &Path) -> bool {
    Interface::ALL
        .iter()
        .any(|interface| dir.join(interface.file()).is_file())
}

fn visible_children(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if dir.is_file() {
        return Err(ConfigError::File(dir.to_owned()));
    }
    let mut children = Vec::new();
    for entry in dir.read_dir().map_err(read_error(dir))? {
        let entry = entry.map_err(read_error(dir))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            children.push(entry.path());
        }
    }
    children.sort();
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn names(dir: &Path, paths: &[&str]) -> Result<Vec<String>, String> {
        let paths: Vec<_> = paths.iter().map(|p| dir.join(p)).collect();
        let found = Roster::new(&paths).and_then(|roster| roster.find_some());
        let found = found.map_err(|e| e.to_string())?;
        Ok(found.plugins.into_iter().map(|p| p.name).collect())
    }

    #[test]
    fn a_path_is_a_plugin_or_a_directory_of_plugins() {
        let dir = tree(&[
            "s/b/volume.lua",
            "s/a/authz.lua",
            "s/types/x.lua",
            "s/.git/authz.lua",
            "s/b/lib/x",
            "c/log.lua",
        ]);
        assert_eq!(names(dir.path(), &["s"]).unwrap(), ["a", "b"]);
        assert_eq!(names(dir.path(), &["s/b", "c"]).unwrap(), ["b", "c"]);
        assert_eq!(names(dir.path(), &["s/types/../b/."]).unwrap(), ["b"]);
        assert_eq!(names(dir.path(), &["s/b/lib/.."]).unwrap(), ["b"]);
    }

    #[test]
    fn unservable_directories_are_refused_with_a_reason() {
        let dir = tree(&[
            "s/a/authz.lua",
            "t/a/authz.lua",
            "Big/authz.lua",
            "-x/authz.lua",
            "e/x",
            "f",
        ]);
        let long = "a".repeat(21);
        fs::create_dir(dir.path().join(&long)).unwrap();
        fs::write(dir.path().join(&long).join("ipam.lua"), "").unwrap();
        for (paths, part) in [
            (&["s/a", "t/a"][..], "two plugins are named `a`"),
            (&["Big"], "`Big` cannot be the name of a plugin"),
            (&["-x"], "begin with a letter or a digit"),
            (&[&long], "it has 21 bytes, which exceeds the limit of 20"),
            (
                &["e"],
                "contains one of authz.lua, volume.lua, network.lua, ipam.lua, log.lua, metrics.lua, secret.lua",
            ),
            (&["f"], "is a file: pass the directory that contains it"),
            (&["none"], "there is no directory `"),
        ] {
            let error = names(dir.path(), paths).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_served_beside_others_is_a_problem() {
        let dir = tree(&[
            "s/a/authz.lua",
            "s/UPPER/authz.lua",
            "s/Backup copy/volume.lua",
            "s/half/README",
            "s/note.txt",
            "t/a/authz.lua",
        ]);
        let at = |path: &str| dir.path().join(path);
        let roster = Roster::new(&[at("s"), at("t")]).unwrap();
        let found = roster.find();
        let names: Vec<_> = found.plugins.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a"]);
        let problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        let parts = [
            "`Backup copy` cannot",
            "`UPPER` cannot",
            "two plugins are named `a`",
        ];
        assert_eq!(problems.len(), parts.len(), "{problems:?}");
        for (problem, part) in problems.iter().zip(parts) {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(found.unfinished().any(|dir| *dir == at("s/half")));
        assert!(!found.lacks(&at("s/half")) && found.lacks(&at("s/gone")));
        assert!(!found.lacks(&at("u/elsewhere")));
    }

    #[test]
    fn an_unreadable_collection_lacks_nothing() {
        let dir = tree(&["s/a/authz.lua"]);
        let roster = Roster::new(&[dir.path().join("s")]).unwrap();
        fs::rename(dir.path().join("s"), dir.path().join("t")).unwrap();
        let found = roster.find();
        assert!(!found.lacks(&dir.path().join("s/a")));
        assert!(
            found.problems[0]
                .to_string()
                .contains("there is no directory")
        );
        assert!(roster.find_some().is_err());
    }
}
