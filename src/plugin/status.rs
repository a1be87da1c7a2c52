//! What a plugin is doing, as `moondock status` gets it from the running process.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plugin at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginStatus {
    /// How often an engine has activated the plugin, in this and earlier processes.
    pub activations: u64,
    /// The connections that the engine keeps open.
    pub connections: u64,
    /// Its grants.
    pub grants: Grants,
    /// Its scripts.
    pub scripts: Vec<ScriptStatus>,
    /// The calls that scripts are answering, the oldest first.
    pub calls_in_flight: Vec<CallStatus>,
    /// Its log streams.
    pub log_streams: LogStatus,
    /// Why something that is on disk does not run, by file.
    pub problems: BTreeMap<String, String>,
}

/// The grants of a plugin, as `plugin.toml` writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Those that an administrator accepted, and that apply.
    pub accepted: Vec<String>,
    /// Those that were saved, and wait to be accepted.
    pub waiting: Vec<String>,
}

/// A script at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptStatus {
    /// The interface: `volume`.
    pub interface: String,
    /// The file that answers its calls.
    pub file: String,
    /// The live generation; 0 if none could be loaded.
    pub generation: u64,
    /// When it was loaded.
    pub loaded: Option<String>,
    /// The memory of its state at the end of its last call.
    pub memory_bytes: u64,
    /// The calls since the process started.
    pub calls: Counts,
    /// The last call that failed.
    pub last_failure: Option<Failure>,
}

/// Calls by their outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Calls that were answered.
    pub ok: u64,
    /// Requests that were denied.
    pub denied: u64,
    /// Calls that failed.
    pub failed: u64,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it ended.
    pub at: String,
    /// The method: `VolumeDriver.Create`.
    pub method: String,
    /// The object that the call was about.
    pub object: String,
    /// The error.
    pub error: String,
}

/// A call in flight at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallStatus {
    /// The method: `VolumeDriver.Create`.
    pub method: String,
    /// How long it has taken so far, in milliseconds.
    pub ms: f64,
}

/// The log streams of a plugin at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// Open streams.
    pub open: u64,
    /// Bytes that are on disk, because the script was too slow to take them.
    pub spilled_bytes: u64,
    /// Entries that were dropped since the process started.
    pub dropped_entries: u64,
    /// Deliveries that failed since the process started.
    pub failed_deliveries: u64,
}
