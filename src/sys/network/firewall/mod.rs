//! The firewall of Moondock's networks by nftables: masquerading, isolation and published ports.
//!
//! Each plugin has one table per family, `moondock_<plugin>`. It has one base chain per hook, and
//! one chain per network, to which a base chain jumps. The comment of the jump contains the
//! network's ID, bridge and kind. The ruleset is the only state: it outlives Moondock, which reads
//! it after a restart.

mod host;
mod network;
mod nft;
mod ports;
mod rules;
mod statements;

use super::netlink::{NetError, Netlink};
use super::sysctl::{self, SysctlError};
use crate::sys::blocking;
use crate::sys::processes::ProcessError;
use nft::{Family, Seen};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use network::{Network, Port, Protocol};
pub use ports::free_port;

/// An error of reading or changing the firewall.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The ID of a network is invalid.
    #[error("`{0}` cannot be an id: use 1 to 64 letters, digits, `_`, `-` and `.`")]
    Id(String),
    /// The name of the plugin cannot name a table.
    #[error(
        "a plugin named `{0}` cannot have a firewall: its name must be 1 to 40 letters, digits, `_`, `-` and `.`"
    )]
    Plugin(String),
    /// The network is invalid.
    #[error("{0}")]
    Invalid(String),
    /// Another network publishes the port.
    #[error("port {port} is already published by `{id}`")]
    Published {
        /// The port, such as `8080/tcp`, with the host's address if there is one.
        port: String,
        /// The ID of the network.
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
    /// The bridge is missing, or cannot be read.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kernel did not forget the flows to a port that was published or is no more.
    #[error("cannot delete tracked UDP connections: {0}")]
    Flows(io::Error),
    /// `route_localnet` could not be set.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// `nft` could not be run, or failed.
    #[error("{0} (nftables' `nft` is needed, and CAP_NET_ADMIN)")]
    Nft(#[from] ProcessError),
    /// `nft` returned invalid JSON.
    #[error("cannot parse the output of nft: {0}")]
    Answer(#[from] serde_json::Error),
    /// The lock of the plugin's firewall could not be taken.
    #[error("cannot lock `{path}`: {source}")]
    Lock {
        /// The lock file.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The firewall of one plugin.
#[derive(Debug, Clone)]
pub struct Firewall {
    plugin: String,
    lock: PathBuf,
}

/// The limit on attempts to change a ruleset that others (Docker, another plugin) change meanwhile.
const ATTEMPTS: usize = 4;

impl Firewall {
    /// Creates the firewall of a plugin, which keeps only a lock file in its state directory.
    pub fn new(plugin: &str, state: &Path) -> Result<Self, FirewallError> {
        if !is_word(plugin, 40) {
            return Err(FirewallError::Plugin(plugin.to_owned()));
        }
        Ok(Self {
            plugin: plugin.to_owned(),
            lock: state.join("firewall.lock"),
        })
    }

    /// Applies exactly these settings to a network, in one transaction.
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
        self.forget_flows(&before, id, &network.ports).await;
        if let Some(left) = self
            .sole_bridge(&before, id)
            .filter(|left| left != network.bridge.as_str())
        {
            route_localnet(&left, false).await?;
        }
        if network.ports.iter().any(|port| port.ip.is_ipv4()) {
            route_localnet(network.bridge.as_str(), true).await?;
        }
        Ok(())
    }

    /// Removes the rules of a network. Returns whether there were any.
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
        // This comes first: without its guarding rule, the bridge must not reach 127.0.0.1.
        if let Some(left) = self.sole_bridge(&seen, id) {
            route_localnet(&left, false).await?;
        }
        let before = self
            .commit(id, async |seen| Ok(self.removal(seen, id)))
            .await?;
        self.forget_flows(&before, id, &[]).await;
        Ok(true)
    }

    /// Returns the IDs of the networks that have rules.
    pub async fn list(&self) -> Result<Vec<String>, FirewallError> {
        Ok(self.bridges().await?.into_keys().collect())
    }

    /// Forgets UDP flows from before a change of ports. The rules hold all the same if the kernel
    /// does not allow it.
    async fn forget_flows(&self, before: &Seen, id: &str, ports: &[Port]) {
        if let Err(error) = ports::forget_flows(before, id, ports).await {
            tracing::warn!(plugin = self.plugin, id, %error, "flows to a UDP port that has changed were not forgotten");
        }
    }

    /// Returns the networks that have rules, by their IDs, with their bridges.
    pub async fn bridges(&self) -> Result<BTreeMap<String, String>, FirewallError> {
        let entries = self.look().await?.entries(&self.table());
        Ok(entries
            .into_iter()
            .map(|entry| (entry.id, entry.bridge))
            .collect())
    }

    /// Returns the bridge of a network, unless another network has rules for it.
    fn sole_bridge(&self, seen: &Seen, id: &str) -> Option<String> {
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

    /// Makes commands from the current ruleset, and runs them in one transaction. Retries if the
    /// ruleset changes meanwhile. Returns the ruleset before the change.
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
                    tracing::debug!(plugin = self.plugin, id, error = %e, "the ruleset has changed, retrying");
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

    /// Locks the plugin's firewall across scripts and processes, because a change rewrites the sets
    /// of bridges.
    async fn locked(&self) -> Result<File, FirewallError> {
        let path = self.lock.clone();
        let lock = move || {
            let file = File::options().create(true).append(true).open(path)?;
            file.lock().map(|()| file)
        };
        blocking(lock).await.map_err(|source| FirewallError::Lock {
            path: self.lock.display().to_string(),
            source,
        })
    }
}

/// Sets whether packets with an address of 127.0.0.0/8 may cross the bridge, as ports that are
/// published on 127.0.0.1 need. The chain `raw` drops such packets from containers.
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

fn validate_id(id: &str) -> Result<(), FirewallError> {
    if is_word(id, 64) {
        Ok(())
    } else {
        Err(FirewallError::Id(id.to_owned()))
    }
}

fn is_word(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
