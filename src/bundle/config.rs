//! `config.json` in the engine's format (protocol 2.2).

use serde::Serialize;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginConfig {
    /// The purpose of the plugin.
    pub description: String,
    /// The address of its documentation.
    pub documentation: String,
    /// Its interfaces and its socket.
    pub interface: InterfaceConfig,
    /// The process's command line.
    pub entrypoint: Vec<String>,
    /// The process's directory.
    pub work_dir: String,
    /// The process's network.
    pub network: Network,
    /// The host's paths that it sees.
    pub mounts: Vec<Mount>,
    /// The directory below which the host sees the plugin's mounts, and files survive an upgrade.
    pub propagated_mount: String,
    /// The process's variables.
    pub env: Vec<Variable>,
    /// Its privileges.
    pub linux: Linux,
}

/// The plugin's types, and the name of its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct InterfaceConfig {
    pub types: Vec<String>,
    pub socket: String,
}

/// The network: `host`, or `none` for an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct Network {
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A directory or file of the host that is mounted into the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct Mount {
    pub name: String,
    pub description: String,
    pub source: String,
    pub destination: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub options: Vec<&'static str>,
    pub settable: Vec<&'static str>,
}

/// An environment variable, which is not set if it has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct Variable {
    pub name: String,
    pub description: String,
    pub value: Option<String>,
    pub settable: Vec<&'static str>,
}

/// Capabilities beyond Docker's default set, and devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct Linux {
    pub capabilities: Vec<&'static str>,
    pub allow_all_devices: bool,
    pub devices: Vec<()>,
}
