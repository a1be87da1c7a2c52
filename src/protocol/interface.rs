//! Docker's plugin types.

/// One of Docker's plugin types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Authorization of Engine API requests.
    Authz,
    /// Volumes.
    Volume,
    /// Networks, by libnetwork's remote driver.
    Network,
    /// Address pools.
    Ipam,
    /// Container logs.
    Log,
    /// Metrics collectors.
    Metrics,
    /// Secrets of a swarm.
    Secret,
}

impl Interface {
    /// All interfaces.
    pub const ALL: [Interface; 7] = [
        Interface::Authz,
        Interface::Volume,
        Interface::Network,
        Interface::Ipam,
        Interface::Log,
        Interface::Metrics,
        Interface::Secret,
    ];

    /// Returns the script's file name without its extension.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Authz => "authz",
            Interface::Volume => "volume",
            Interface::Network => "network",
            Interface::Ipam => "ipam",
            Interface::Log => "log",
            Interface::Metrics => "metrics",
            Interface::Secret => "secret",
        }
    }

    /// Returns the script's file name.
    pub fn file(self) -> String {
        format!("{}.lua", self.name())
    }

    /// Returns the part before the dot of the methods' wire names.
    pub fn prefix(self) -> &'static str {
        match self {
            Interface::Authz => "AuthZPlugin",
            Interface::Volume => "VolumeDriver",
            Interface::Network => "NetworkDriver",
            Interface::Ipam => "IpamDriver",
            Interface::Log => "LogDriver",
            Interface::Metrics => "MetricsCollector",
            Interface::Secret => "SecretProvider",
        }
    }

    /// Returns the name in the reply to `Plugin.Activate` (protocol 1.5).
    pub fn implements(self) -> &'static str {
        match self {
            Interface::Authz => "authz",
            Interface::Secret => "secretprovider",
            other => other.prefix(),
        }
    }

    /// Returns the command by which Docker comes to use the interface of a plugin named `PLUGIN`.
    pub fn first_use(self) -> &'static str {
        match self {
            Interface::Authz => "dockerd --authorization-plugin=PLUGIN",
            Interface::Volume => "docker volume create -d PLUGIN VOLUME",
            Interface::Network => "docker network create -d PLUGIN NETWORK",
            Interface::Ipam => "docker network create --ipam-driver PLUGIN NETWORK",
            Interface::Log => "docker run --log-driver PLUGIN IMAGE",
            // Only a managed plugin is asked for metrics.
            Interface::Metrics => "moondock bundle --name PLUGIN --create --out BUNDLE DIR",
            Interface::Secret => "docker secret create -d PLUGIN SECRET",
        }
    }

    /// Returns the names of the engine's own drivers, which it uses instead of a plugin of the same
    /// name.
    pub fn built_in(self) -> &'static [&'static str] {
        match self {
            Interface::Volume => &["local"],
            Interface::Network => &[
                "bridge", "host", "none", "null", "overlay", "macvlan", "ipvlan", "default",
            ],
            Interface::Ipam => &["default", "null"],
            Interface::Log => &[
                "json-file",
                "local",
                "none",
                "syslog",
                "journald",
                "gelf",
                "fluentd",
                "awslogs",
                "splunk",
                "gcplogs",
                "logentries",
                "etwlogs",
            ],
            Interface::Authz | Interface::Metrics | Interface::Secret => &[],
        }
    }

    /// Whether the reply to `Plugin.Activate` may name the interface. An engine that finds a
    /// metrics collector by a socket waits for itself without end (protocol 1.5).
    pub fn is_announced(self) -> bool {
        !matches!(self, Interface::Metrics)
    }
}
