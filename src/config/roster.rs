//! The directories of plugins: those that the command line names, and what is found in them.

#![expect(
    clippy::disallowed_methods,
    reason = "the directories that the command line names"
)]

use super::misnamed::{near_plugin, near_script_in};
use super::{ConfigError, NAME_MAX, STATE_CONTROL, make_absolute, read_error};
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
    /// What is not served, and was probably meant to be.
    pub warnings: Vec<String>,
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
        without_problems(Self::of_each(paths))
    }

    /// Sorts out `paths`, like [`Roster::new`], and returns what is wrong with some beside what the
    /// others name.
    pub fn of_each(paths: &[PathBuf]) -> (Roster, Vec<ConfigError>) {
        Self::sorted(paths, |dir| {
            let children = visible_children(dir)?;
            Ok(children.iter().any(|child| is_plugin(child)))
        })
    }

    /// Sorts out `paths`, like [`Roster::new`], and takes a directory without a plugin for one of
    /// several, which are yet to come.
    ///
    /// # Errors
    /// Those of [`Roster::new`], except that a directory without a plugin is one only if it has a
    /// script with a wrong name.
    pub fn waiting(paths: &[PathBuf]) -> Result<Roster, ConfigError> {
        without_problems(Self::sorted(paths, |dir| {
            visible_children(dir)?;
            Ok(near_script_in(dir).is_none())
        }))
    }

    fn sorted(
        paths: &[PathBuf],
        is_collection: impl Fn(&Path) -> Result<bool, ConfigError>,
    ) -> (Roster, Vec<ConfigError>) {
        let mut roster = Roster::default();
        let taken = paths.iter().map(|path| roster.take(path, &is_collection));
        let problems = taken.filter_map(Result::err).collect();
        (roster, problems)
    }

    fn take(
        &mut self,
        path: &Path,
        is_collection: impl Fn(&Path) -> Result<bool, ConfigError>,
    ) -> Result<(), ConfigError> {
        let dir = make_absolute(path)?;
        if is_plugin(&dir) {
            let plugin = PluginDir::new(dir, true)?;
            refuse_duplicate(&self.plugins, &plugin)?;
            self.plugins.push(plugin);
        } else if is_collection(&dir)? {
            self.collections.push(dir);
        } else {
            return Err(ConfigError::NoPlugin(path.to_owned()));
        }
        Ok(())
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
        found.warn_of_misplaced();
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

fn without_problems((roster, problems): (Roster, Vec<ConfigError>)) -> Result<Roster, ConfigError> {
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(roster),
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

    fn warn_of_misplaced(&mut self) {
        let unfinished = self.unfinished().filter(|dir| !is_plugin(dir));
        let misnamed = unfinished.filter_map(|dir| {
            let name = dir.file_name().unwrap_or_default().display();
            Some(format!("{name}: not served: {}", near_plugin(dir)?))
        });
        let strays = self.collections.iter().filter_map(|dir| stray(dir));
        let mut warnings: Vec<_> = misnamed.chain(strays).collect();
        if self.plugins.is_empty() {
            let dirs = self.collections.iter().map(|dir| no_plugin_yet(dir));
            warnings.extend(dirs);
        }
        self.warnings = warnings;
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
        if let Some(script) = irregular_script(&child).filter(|_| !is_plugin(&child)) {
            self.problems.push(ConfigError::Irregular(script));
        }
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
    /// Returns the interfaces whose files are in the directory.
    pub fn interfaces(&self) -> impl Iterator<Item = Interface> {
        interfaces_in(&self.dir)
    }

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
    if name == STATE_CONTROL {
        return Some("moondock's own socket in the state directory has this name".to_owned());
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
    interfaces_in(dir).next().is_some()
}

/// Returns the interfaces whose files are in a directory.
fn interfaces_in(dir: &Path) -> impl Iterator<Item = Interface> {
    let all = Interface::ALL.into_iter();
    all.filter(move |interface| dir.join(interface.file()).is_file())
}

/// Describes a script in a directory of plugins.
fn stray(collection: &Path) -> Option<String> {
    let shown = collection.join(interfaces_in(collection).next()?.file());
    Some(format!(
        "{}: not served, as it lies beside plugins: move it into a directory of its own",
        shown.display()
    ))
}

fn no_plugin_yet(collection: &Path) -> String {
    let dir = collection.display();
    format!("no plugin in `{dir}` yet: create one with `moondock new {dir}/NAME`")
}

/// Returns the script of an interface that is a FIFO, a directory, a device or a loop of links.
fn irregular_script(dir: &Path) -> Option<PathBuf> {
    let mut scripts = Interface::ALL
        .iter()
        .map(|interface| dir.join(interface.file()));
    scripts.find(|script| match script.metadata() {
        Ok(found) => !found.is_file(),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    })
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
mod tests;
