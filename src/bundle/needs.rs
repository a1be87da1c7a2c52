//! What grants ask of the engine, as a table: `config.json` and the reference follow from it.

use crate::grants::Grant;
use crate::protocol::Interface;
use crate::sys::network::sysctl;

/// What one kind of grant needs in a managed plugin.
#[derive(Debug)]
pub struct Need {
    /// The kind of grant: the word before its colon.
    pub grant: &'static str,
    /// Linux capabilities beyond Docker's default set.
    pub capabilities: &'static [&'static str],
    /// Whether the process must be in the host's network.
    pub host_network: bool,
    /// Whether it must reach all devices.
    pub all_devices: bool,
    /// What of the host is mounted, whatever the grant's value.
    pub mounts: &'static [FixedMount],
    /// Programs that host functions run.
    pub programs: &'static [&'static str],
    /// Whether the root file system has CA certificates.
    pub certificates: bool,
    /// What the grant's value is.
    pub value: Value,
    /// Why, for the reference.
    pub why: &'static str,
}

/// What the value of a grant stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// It has none.
    Nothing,
    /// A host to be reached.
    Host,
    /// A path to be mounted with these options.
    Path(&'static [&'static str]),
    /// A program to be taken along.
    Program,
    /// A variable to be settable.
    Variable,
}

/// A mount that is always the same.
#[derive(Debug)]
pub struct FixedMount {
    /// By which `docker plugin set` knows it; has no dot.
    pub name: &'static str,
    /// What the administrator reads.
    pub description: &'static str,
    /// On the host.
    pub source: &'static str,
    /// In the plugin.
    pub destination: &'static str,
    /// As the OCI runtime knows them.
    pub options: &'static [&'static str],
    /// Whether the administrator may choose the source.
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

/// What a grant needs.
pub fn need_of(grant: &Grant) -> Option<&'static Need> {
    let text = grant.to_string();
    let kind = text.split(':').next().unwrap_or_default();
    NEEDS.iter().find(|need| need.grant == kind)
}

/// The type by which `config.json` announces an interface; the version is needed to the letter (protocol 2.2).
pub fn type_of(interface: Interface) -> String {
    format!("docker.{}/1.0", interface.implements().to_ascii_lowercase())
}
