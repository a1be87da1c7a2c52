//! `config.json`, as the engine reads it (protocol 2.2).

use serde::Serialize;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginConfig {
    /// What the plugin is for.
    pub description: String,
    /// Where to read more.
    pub documentation: String,
    /// What it answers, and where.
    pub interface: InterfaceConfig,
    /// The process's command line.
    pub entrypoint: Vec<String>,
    /// The process's directory.
    pub work_dir: String,
    /// The process's network.
    pub network: Network,
    /// What of the host it sees.
    pub mounts: Vec<Mount>,
    /// Below it, mounts made in the plugin are seen by the host, and files survive an upgrade.
    pub propagated_mount: String,
    /// The process's variables.
    pub env: Vec<Variable>,
    /// What it may do to the kernel.
    pub linux: Linux,
}

/// The plugin's types, and the name of its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct InterfaceConfig {
    pub types: Vec<String>,
    pub socket: String,
}

/// `host`, or `none` for a namespace with nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the engine's own names")]
pub struct Network {
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A directory or file of the host, bound into the plugin.
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

/// A variable of the environment; without a value it is not set.
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
