//! The scripts in a plugin's directory: reading them, and noticing changes.

pub mod luaurc;
pub mod sources;
pub mod watch;

/// The file of a plugin's settings, limits and grants.
pub const MANIFEST: &str = "plugin.toml";
