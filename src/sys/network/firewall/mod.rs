//! The firewall of Moondock's networks: masquerading, isolation, published ports, by nftables.
//!
//! Each plugin has one table per family, `moondock_<plugin>`, with one base chain per hook and, for each network, a
//! chain that a base chain jumps to. The jump's comment holds the network's id, bridge and kind. So the ruleset itself is
//! the only state: it outlives Moondock, and whoever restarts finds there what was applied.

mod host;
mod nft;
mod ports;
mod rules;

use super::ip::Cidr;
use super::netlink::{LinkName, NetError, Netlink};
use super::sysctl::{self, SysctlError};
use crate::sys::processes::ProcessError;
use nft::{Family, Seen};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use ports::free_port;

/// Why the firewall could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Not an id that the ruleset can hold.
    #[error("`{0}` cannot be an id: 1 to 64 of letters, digits, `_`, `-` and `.`")]
    Id(String),
    /// Not a plugin whose name a table can have.
    #[error(
        "a plugin called `{0}` cannot have a firewall: its name must be 1 to 40 of letters, digits, `_`, `-` and `.`"
    )]
    Plugin(String),
    /// Such a network cannot be.
    #[error("{0}")]
    Senseless(String),
    /// Another network publishes the port.
    #[error("port {port} is already published by `{id}`")]
    Published {
        /// `8080/tcp`, with the host's address when there is one.
        port: String,
        /// The network's id.
        id: String,
    },
    /// A process of the host uses the port.
    #[error(
        "port {0} is in use on the host: choose another, or stop what listens there (`ss -lntup`)"
    )]
    InUse(String),
    /// The host does not have the address.
    #[error("port {0} cannot be published: the host does not have that address")]
    NoAddress(String),
    /// All ports that were tried are in use.
    #[error("no free {0} port found on the host")]
    NoFreePort(Protocol),
    /// The bridge is absent, or cannot be looked at.
    #[error(transparent)]
    Net(#[from] NetError),
    /// `route_localnet` could not be set.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// `nft` could not be run, or refused.
    #[error("{0} (nftables' `nft` is needed, and CAP_NET_ADMIN)")]
    Nft(#[from] ProcessError),
    /// `nft` answered something else than its JSON.
    #[error("cannot read nft's answer: {0}")]
    Answer(#[from] serde_json::Error),
    /// Two changes of a plugin cannot be kept apart.
    #[error("cannot lock `{path}`: {source}")]
    Lock {
        /// The lock file.
        path: String,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// One port of the host that leads to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// The protocol, of both ports.
    pub protocol: Protocol,
    /// The host's address that answers; all of them without one.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
    /// The container's address.
    pub ip: IpAddr,
    /// The container's port.
    pub port: u16,
}

/// What a network wants of the firewall.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its bridge.
    pub bridge: LinkName,
    /// Its subnets, of both families.
    pub subnets: Vec<Cidr>,
    /// Whether containers appear outside with the host's address.
    pub masquerade: bool,
    /// Whether nothing goes in or out.
    pub internal: bool,
    /// Whether other networks of the plugin are kept apart.
    pub isolate: bool,
    /// Its published ports.
    pub ports: Vec<Port>,
}

/// The firewall of one plugin.
#[derive(Debug, Clone)]
pub struct Firewall {
    plugin: String,
    lock: PathBuf,
}

/// How often a change is tried again when somebody else (Docker, another plugin) changed the ruleset meanwhile.
const ATTEMPTS: usize = 4;

impl Firewall {
    /// The firewall of that plugin, which keeps a lock file (and nothing else) in its state directory.
    pub fn new(plugin: &str, state: &Path) -> Result<Self, FirewallError> {
        if !is_word(plugin, 40) {
            return Err(FirewallError::Plugin(plugin.to_owned()));
        }
        Ok(Self {
            plugin: plugin.to_owned(),
            lock: state.join("firewall.lock"),
        })
    }

    /// Makes the ruleset say exactly this about the network, in one transaction.
    pub async fn apply(&self, id: &str, network: &Network) -> Result<(), FirewallError> {
        validate_id(id)?;
        network.validate()?;
        let _lock = self.locked().await?;
        let link = Netlink::open()?.link(&network.bridge).await?;
        link.ok_or_else(|| NetError::NoLink(network.bridge.to_string()))?;
        let application = async |seen: &Seen| {
            ports::check(seen, id, network).await?;
            Ok(self.application(seen, id, network))
        };
        let before = self.commit(id, application).await?;
        if let Some(left) = self
            .bridge_left(&before, id)
            .filter(|left| left != network.bridge.as_str())
        {
            route_localnet(&left, false).await?;
        }
        if network.ports.iter().any(|port| port.ip.is_ipv4()) {
            route_localnet(network.bridge.as_str(), true).await?;
        }
        Ok(())
    }

    /// Takes away all that was applied under an id. False: nothing was.
    pub async fn remove(&self, id: &str) -> Result<bool, FirewallError> {
        validate_id(id)?;
        let _lock = self.locked().await?;
        let seen = self.look().await?;
        let applied = seen
            .entries(&self.table())
            .iter()
            .any(|entry| entry.id == id);
        if !applied && host::removal(&seen, &self.plugin, id).is_empty() {
            return Ok(false);
        }
        // First, because without its guarding rule the bridge must not reach 127.0.0.1.
        if let Some(left) = self.bridge_left(&seen, id) {
            route_localnet(&left, false).await?;
        }
        self.commit(id, async |seen| Ok(self.removal(seen, id)))
            .await?;
        Ok(true)
    }

    /// The ids that rules are applied under.
    pub async fn list(&self) -> Result<Vec<String>, FirewallError> {
        let ids: BTreeSet<String> = self
            .look()
            .await?
            .entries(&self.table())
            .into_iter()
            .map(|entry| entry.id)
            .collect();
        Ok(ids.into_iter().collect())
    }

    /// The bridge of what is applied under an id, unless another id has rules for it too.
    fn bridge_left(&self, seen: &Seen, id: &str) -> Option<String> {
        let (its, others): (Vec<_>, Vec<_>) = seen
            .entries(&self.table())
            .into_iter()
            .partition(|entry| entry.id == id);
        let bridge = its.into_iter().next()?.bridge;
        (!others.iter().any(|other| other.bridge == bridge)).then_some(bridge)
    }

    fn application(&self, seen: &Seen, id: &str, network: &Network) -> Vec<serde_json::Value> {
        let mut commands = host::removal(seen, &self.plugin, id);
        for family in Family::ALL
            .into_iter()
            .filter(|family| seen.supports(*family))
        {
            commands.extend(rules::application(seen, &self.table(), family, id, network));
            commands.extend(host::application(seen, &self.plugin, family, id, network));
        }
        commands
    }

    fn removal(&self, seen: &Seen, id: &str) -> Vec<serde_json::Value> {
        let mut commands = host::removal(seen, &self.plugin, id);
        for family in Family::ALL {
            commands.extend(rules::removal(seen, &self.table(), family, id));
        }
        commands
    }

    /// Makes commands of what is there, and runs them in one transaction; again when that fails because something
    /// that they refer to is gone meanwhile. Returns what was there before.
    async fn commit(
        &self,
        id: &str,
        commands: impl AsyncFn(&Seen) -> Result<Vec<serde_json::Value>, FirewallError>,
    ) -> Result<Seen, FirewallError> {
        let mut attempt = 1;
        loop {
            let seen = self.look().await?;
            match nft::run(commands(&seen).await?).await {
                Ok(()) => return Ok(seen),
                Err(e) if attempt == ATTEMPTS || !nft::is_outdated(&e) => return Err(e),
                Err(e) => {
                    tracing::debug!(plugin = self.plugin, id, error = %e, "the ruleset changed meanwhile");
                }
            }
            attempt += 1;
        }
    }

    async fn look(&self) -> Result<Seen, FirewallError> {
        nft::look(|table| table.starts_with(nft::PREFIX)).await
    }

    fn table(&self) -> String {
        format!("{}{}", nft::PREFIX, self.plugin)
    }

    /// One change of a plugin at a time, whichever script or process makes it: the sets of bridges are written anew.
    async fn locked(&self) -> Result<File, FirewallError> {
        let path = self.lock.clone();
        let lock = move || {
            let file = File::options().create(true).append(true).open(path)?;
            file.lock().map(|()| file)
        };
        let locked = tokio::task::spawn_blocking(lock)
            .await
            .map_err(io::Error::from)
            .flatten();
        locked.map_err(|source| FirewallError::Lock {
            path: self.lock.display().to_string(),
            source,
        })
    }
}

impl Network {
    fn validate(&self) -> Result<(), FirewallError> {
        if self.internal && !self.ports.is_empty() {
            return Err(senseless(
                "an internal network publishes no ports: leave out `ports` or `internal`"
                    .to_owned(),
            ));
        }
        for (i, port) in self.ports.iter().enumerate() {
            port.validate(&self.subnets)?;
            if self.ports[..i]
                .iter()
                .any(|other| other.host() == port.host() && other != port)
            {
                return Err(senseless(format!(
                    "port {port} is published twice, to different places"
                )));
            }
        }
        Ok(())
    }
}

impl Port {
    /// The host's side, with "all addresses" always written as none.
    fn host(&self) -> (Protocol, bool, Option<IpAddr>, u16) {
        (
            self.protocol,
            self.ip.is_ipv4(),
            self.host_ip.filter(|ip| !ip.is_unspecified()),
            self.host_port,
        )
    }

    fn validate(&self, subnets: &[Cidr]) -> Result<(), FirewallError> {
        if self.host_port == 0 || self.port == 0 {
            return Err(senseless(format!(
                "port {self}: 0 is no port; `firewall.free_port` finds one"
            )));
        }
        if self
            .host_ip
            .is_some_and(|ip| ip.is_ipv4() != self.ip.is_ipv4())
        {
            return Err(senseless(format!(
                "port {self} leads to `{}`, which is of the other address family",
                self.ip
            )));
        }
        if !subnets
            .iter()
            .any(|subnet| subnet.contains(&self.ip.into()))
        {
            return Err(senseless(format!(
                "port {self} leads to `{}`, which is in none of the network's subnets",
                self.ip
            )));
        }
        Ok(())
    }
}

impl Protocol {
    /// All there are.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:{}/{}", self.host_port, self.protocol),
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}/{}", self.host_port, self.protocol),
            None => write!(f, "{}/{}", self.host_port, self.protocol),
        }
    }
}

/// Lets packets with an address of 127.0.0.0/8 cross the bridge, which published ports need on 127.0.0.1. The chain
/// `raw` sees to it that none comes in from there.
async fn route_localnet(bridge: &str, on: bool) -> Result<(), FirewallError> {
    let key = format!("net/ipv4/conf/{bridge}/route_localnet").parse()?;
    match sysctl::set(&key, if on { "1" } else { "0" }).await {
        Err(SysctlError::Refused { source, .. })
            if !on && source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        done => Ok(done?),
    }
}

fn senseless(text: String) -> FirewallError {
    FirewallError::Senseless(text)
}

fn validate_id(id: &str) -> Result<(), FirewallError> {
    if is_word(id, 64) {
        Ok(())
    } else {
        Err(FirewallError::Id(id.to_owned()))
    }
}

fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
