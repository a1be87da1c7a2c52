//! Values that a test compares with those of an earlier run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of snapshots, beside the tests.
const DIRECTORY: &str = "snapshots";

/// The snapshots of one file of tests.
#[derive(Clone)]
pub struct Snapshots {
    file: PathBuf,
    kept: BTreeMap<String, String>,
    new: BTreeMap<String, String>,
    /// Whether values that differ replace those of an earlier run.
    update: bool,
}

#[expect(clippy::disallowed_methods, reason = "files beside the author's tests")]
impl Snapshots {
    /// Reads the snapshots of a file of tests in the directory of a plugin.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn read(dir: &Path, test: &str, update: bool) -> io::Result<Self> {
        let file = dir.join(DIRECTORY).join(format!("{test}.json"));
        let kept = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            kept,
            new: BTreeMap::new(),
            update,
        })
    }

    /// Returns the value of an earlier run to compare with, if there is one.
    pub fn kept(&mut self, name: &str, text: String) -> Option<String> {
        match self.kept.get(name) {
            Some(kept) if !self.update => Some(kept.clone()),
            Some(kept) if *kept == text => None,
            _ => {
                self.new.insert(name.to_owned(), text);
                None
            }
        }
    }

    /// Takes over what a case has added.
    pub fn merge(&mut self, other: &Self) {
        self.new.extend(other.new.clone());
    }

    /// Writes the file if there is anything new in it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self) -> io::Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        let mut all = self.kept.clone();
        all.extend(self.new.clone());
        std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
        let text = serde_json::to_string_pretty(&all).map_err(io::Error::other)?;
        std::fs::write(&self.file, text + "\n")
    }
}
