//! What the process is doing, for `moondock status`.

use crate::plugin::PluginStatus;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The process at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of Moondock.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it began to serve.
    pub started: String,
    /// The directory of its state.
    pub state: PathBuf,
    /// The plugins that have a socket.
    pub plugins: Vec<ServedPlugin>,
    /// What could not be served when the directories of plugins were last read.
    pub problems: Vec<String>,
}

/// A plugin that has a socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServedPlugin {
    /// The plugin's name, as Docker knows it.
    pub name: String,
    /// The directory of its scripts.
    pub directory: PathBuf,
    /// Where it is served, as a URL.
    pub address: String,
    /// Whether calls are answered.
    pub phase: Phase,
    /// What it is doing; missing while it is being opened for the first time.
    #[serde(flatten)]
    pub plugin: Option<PluginStatus>,
}

/// Whether the calls of a plugin are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not yet: it is being opened.
    Opening,
    /// Yes.
    Serving,
    /// Those in flight are finished, and no new ones are answered.
    Draining,
}
