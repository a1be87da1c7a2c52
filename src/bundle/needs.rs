//! The requirements of grants in a managed plugin, as a table. `config.json` and the reference are
//! made from it.

use crate::grants::Grant;
use crate::protocol::Interface;
use crate::sys::network::sysctl;

/// The requirements of one kind of grant in a managed plugin.
#[derive(Debug)]
pub struct Need {
    /// The kind of grant: the word before its colon.
    pub grant: &'static str,
    /// Linux capabilities beyond Docker's default set.
    pub capabilities: &'static [&'static str],
    /// Whether the process needs the host's network.
    pub host_network: bool,
    /// Whether the process needs access to all devices.
    pub all_devices: bool,
    /// The mounts that do not depend on the grant's value.
    pub mounts: &'static [FixedMount],
    /// The programs that host functions run.
    pub programs: &'static [&'static str],
    /// Whether the root file system includes CA certificates.
    pub certificates: bool,
    /// The meaning of the grant's value.
    pub value: Value,
    /// The reason, for the reference.
    pub why: &'static str,
}

/// The meaning of a grant's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The grant has no value.
    Nothing,
    /// A host to connect to.
    Host,
    /// A path to mount with these options.
    Path(&'static [&'static str]),
    /// A program to include.
    Program,
    /// A variable that can be set.
    Variable,
}

/// A mount that does not depend on a grant's value.
#[derive(Debug)]
pub struct FixedMount {
    /// The name in `docker plugin set`, without a dot.
    pub name: &'static str,
    /// The description for the administrator.
    pub description: &'static str,
    /// The path on the host.
    pub source: &'static str,
    /// The path in the plugin.
    pub destination: &'static str,
    /// The options of the OCI runtime.
    pub options: &'static [&'static str],
    /// Whether the administrator can change the source.
    pub settable: bool,
}

const READ_ONLY: &[&str] = &["rbind", "ro", "rslave"];
const READ_WRITE: &[&str] = &["rbind", "rw", "rshared"];

/// The table.
pub const NEEDS: &[Need] = &[
    Need {
        value: Value::Path(READ_ONLY),
        ..Need::of("fs.read", "the path, read-only, at the same place")
    },
    Need {
        value: Value::Path(READ_WRITE),
        ..Need::of("fs.write", "the path, at the same place")
    },
    Need {
        value: Value::Program,
        ..Need::of("exec", "the program, with its libraries")
    },
    Need {
        value: Value::Host,
        host_network: true,
        certificates: true,
        ..Need::of("http", "a managed plugin has no network but the host's")
    },
    Need {
        capabilities: &["CAP_NET_ADMIN"],
        host_network: true,
        mounts: &[FixedMount {
            name: "sysctl",
            description: "network parameters of the kernel, as /proc/sys is read-only in a plugin",
            source: "/proc/sys/net",
            destination: sysctl::WRITABLE,
            options: &["bind", "rw"],
            settable: false,
        }],
        programs: &["nft"],
        ..Need::of("net", "links, routes and firewall rules are the host's")
    },
    Need {
        capabilities: &["CAP_SYS_ADMIN"],
        all_devices: true,
        mounts: &[FixedMount {
            name: "dev",
            description: "devices, such as the loop devices that appear when a file system in a file is mounted",
            source: "/dev",
            destination: "/dev",
            options: &["rbind", "rw", "rslave"],
            settable: false,
        }],
        programs: &["mount"],
        ..Need::of("mount", "mounting, also of file systems in files")
    },
    Need {
        mounts: &[FixedMount {
            name: "docker",
            description: "the engine's socket",
            source: "/var/run/docker.sock",
            destination: "/run/docker.sock",
            options: &["rbind", "rw"],
            settable: true,
        }],
        ..Need::of("docker", "the engine's own API")
    },
    Need {
        value: Value::Variable,
        ..Need::of("env", "a variable that can be set")
    },
];

impl Need {
    const fn of(grant: &'static str, why: &'static str) -> Self {
        Self {
            grant,
            capabilities: &[],
            host_network: false,
            all_devices: false,
            mounts: &[],
            programs: &[],
            certificates: false,
            value: Value::Nothing,
            why,
        }
    }
}

/// Returns the requirements of `grants`, each once, in the order of the table.
pub fn needs_of(grants: &[Grant]) -> Vec<&'static Need> {
    let required: Vec<_> = grants
        .iter()
        .filter_map(need_of)
        .map(|need| need.grant)
        .collect();
    NEEDS
        .iter()
        .filter(|need| required.contains(&need.grant))
        .collect()
}

/// Returns the requirements of a grant.
pub fn need_of(grant: &Grant) -> Option<&'static Need> {
    let text = grant.to_string();
    let kind = text.split(':').next().unwrap_or_default();
    NEEDS.iter().find(|need| need.grant == kind)
}

/// Returns the type of an interface in `config.json`. The engine compares the version exactly
/// (protocol 2.2).
pub fn type_of(interface: Interface) -> String {
    format!("docker.{}/1.0", interface.implements().to_ascii_lowercase())
}
