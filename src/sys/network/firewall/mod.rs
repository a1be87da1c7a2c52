//! The firewall of Moondock's networks by nftables: masquerading, isolation and published ports.
//!
//! Each plugin has one table per family, `moondock_<plugin>`. Its rules are the same for all
//! networks. Its sets and maps contain the bridges, subnets and published ports, with the networks'
//! IDs as comments. The tables are the only state: they outlive Moondock, which reads them after a
//! restart. A change adds and deletes the elements that differ.

mod elements;
mod host;
mod loopback;
mod network;
mod nft;
mod ports;
mod rules;
mod seen;
mod statements;

use super::ip::Cidr;
use super::netfilter::Socket;
use super::netlink::{NetError, Netlink};
use super::sysctl::{self, SysctlError};
use crate::sys::blocking;
use crate::sys::processes::ProcessError;
use elements::Verb;
use nft::Family;
use seen::Seen;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use loopback::Loopback;
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
    /// Another network of the plugin has some of the addresses.
    #[error(
        "subnet {subnet} overlaps that of `{id}`: remove that network, or choose another subnet"
    )]
    Overlap {
        /// The subnet.
        subnet: Cidr,
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
    /// The kernel did not return or change the elements of the tables.
    #[error("cannot read or change nftables: {0} (CAP_NET_ADMIN is needed)")]
    Kernel(io::Error),
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
    loopback: Arc<Loopback>,
}

/// The limit on attempts to change a ruleset that others (Docker, another plugin) change meanwhile.
const ATTEMPTS: usize = 4;

impl Firewall {
    /// Creates the firewall of a plugin, which keeps only a lock file in its state directory.
    pub fn new(
        plugin: &str,
        state: &Path,
        loopback: &Arc<Loopback>,
    ) -> Result<Self, FirewallError> {
        if !is_word(plugin, 40) {
            return Err(FirewallError::Plugin(plugin.to_owned()));
        }
        Ok(Self {
            plugin: plugin.to_owned(),
            lock: state.join("firewall.lock"),
            loopback: loopback.clone(),
        })
    }

    /// Applies exactly these settings to a network. They replace those of a network that had the
    /// same bridge.
    pub async fn apply(&self, id: &str, network: &Network) -> Result<(), FirewallError> {
        validate_id(id)?;
        network.validate()?;
        let _lock = self.locked().await?;
        let link = Netlink::open()?.link(&network.bridge).await?;
        link.ok_or_else(|| NetError::NoLink(network.bridge.to_string()))?;
        self.put(&Seen::look().await?, id, &network.normal()).await
    }

    /// Publishes ports of a network, after it has withdrawn others. Returns whether the network has
    /// rules; without them nothing is done.
    pub async fn publish(
        &self,
        id: &str,
        ports: &[Port],
        withdrawn: &[Port],
    ) -> Result<bool, FirewallError> {
        validate_id(id)?;
        let _lock = self.locked().await?;
        let (seen, table) = (Seen::look().await?, self.table());
        let Some((_, network)) = seen.networks(&table).find(|(other, _)| *other == id) else {
            return Ok(false);
        };
        let mut network = network.clone();
        let withdrawn: HashSet<Port> = withdrawn.iter().map(Port::normal).collect();
        network.ports.retain(|port| !withdrawn.contains(port));
        network.ports.extend(ports);
        network.validate()?;
        self.put(&seen, id, &network.normal()).await?;
        Ok(true)
    }

    async fn put(&self, seen: &Seen, id: &str, network: &Network) -> Result<(), FirewallError> {
        let table = self.table();
        let is_replaced = |other: &str, its: &Network| other == id || its.bridge == network.bridge;
        let (replaced, others): (Networks, Networks) = seen
            .networks(&table)
            .partition(|(other, its)| is_replaced(other, its));
        reject_overlaps(network, &others)?;
        let own: Vec<&str> = replaced.iter().map(|(id, _)| *id).collect();
        ports::check(seen, &table, &own, network, &self.loopback).await?;
        self.make_rules().await?;
        let new = [(id, network)];
        self.change(&replaced, &new).await?;
        self.forward(others.iter().chain(&new)).await;
        self.commit(id, async || {
            host::application(&self.plugin, id, network).await
        })
        .await?;
        self.forget_flows(id, &replaced, &new).await;
        for (_, left) in replaced
            .iter()
            .filter(|(_, its)| its.bridge != network.bridge)
        {
            route_localnet(left.bridge.as_str(), false).await?;
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
        let (seen, table) = (Seen::look().await?, self.table());
        let (its, others): (Networks, Networks) =
            seen.networks(&table).partition(|(other, _)| *other == id);
        // This comes first: without its guarding rule, the bridge must not reach 127.0.0.1.
        for (_, left) in &its {
            route_localnet(left.bridge.as_str(), false).await?;
        }
        let is_last = others.is_empty();
        let had_rules = self
            .commit(id, async || host::removal(&self.plugin, id, is_last).await)
            .await?;
        if !is_last {
            self.change(&its, &[]).await?;
        } else if seen.has_table(&table) {
            nft::run(rules::removal(&table)).await?;
        }
        self.forward(&others).await;
        self.forget_flows(id, &its, &[]).await;
        Ok(had_rules || !its.is_empty())
    }

    /// Returns the IDs of the networks that have rules.
    pub async fn list(&self) -> Result<Vec<String>, FirewallError> {
        Ok(self.bridges().await?.into_keys().collect())
    }

    /// Forwards from `[::1]` what the kernel publishes, as at the start of the process.
    pub async fn resume(&self) -> Result<(), FirewallError> {
        let _lock = self.locked().await?;
        let (seen, table) = (Seen::look().await?, self.table());
        self.forward(&seen.networks(&table).collect::<Networks>())
            .await;
        Ok(())
    }

    /// Forwards the ports of these networks, which are all of the plugin, from `[::1]`.
    async fn forward<'a>(&self, all: impl IntoIterator<Item = &'a (&'a str, &'a Network)>) {
        let ports = all.into_iter().flat_map(|(_, network)| &network.ports);
        self.loopback.follow(&self.plugin, ports).await;
    }

    /// Forgets UDP flows from before a change of ports. The rules hold all the same if the kernel
    /// does not allow it.
    async fn forget_flows(&self, id: &str, old: Changed<'_>, new: Changed<'_>) {
        let ports = |networks| {
            ports_of(networks)
                .into_iter()
                .map(|(_, port)| port)
                .collect()
        };
        let (old, new): (HashSet<Port>, HashSet<Port>) = (ports(old), ports(new));
        let (gone, come) = (&old - &new, &new - &old);
        if let Err(error) = ports::forget_flows(&gone, &come).await {
            tracing::warn!(plugin = self.plugin, id, %error, "flows to a UDP port that has changed were not forgotten");
        }
    }

    /// Returns the networks that have rules, by their IDs, with their bridges.
    pub async fn bridges(&self) -> Result<BTreeMap<String, String>, FirewallError> {
        let (seen, table) = (Seen::look().await?, self.table());
        let networks = seen.networks(&table);
        Ok(networks
            .map(|(id, network)| (id.to_owned(), network.bridge.to_string()))
            .collect())
    }

    /// Makes the plugin's tables and rules, or restores them.
    async fn make_rules(&self) -> Result<(), FirewallError> {
        let table = self.table();
        let incomplete = move || {
            let (socket, mut commands) = (Socket::open()?, Vec::new());
            for family in Family::supported() {
                let found = elements::rules(&socket, family, &table)?;
                if !rules::is_whole(family, &found) {
                    commands.extend(rules::skeleton(&table, family));
                }
            }
            Ok(commands)
        };
        let commands = blocking(incomplete).await.map_err(FirewallError::Kernel)?;
        nft::run(commands).await
    }

    /// Replaces the elements of `old` networks by those of `new` ones.
    async fn change(&self, old: Changed<'_>, new: Changed<'_>) -> Result<(), FirewallError> {
        let mut changes = Vec::new();
        let (old_ports, new_ports) = (ports_of(old), ports_of(new));
        for family in Family::supported() {
            let own = (rules::elements(family, old), rules::elements(family, new));
            let elements = |ports: HashSet<_>| rules::port_elements(family, ports);
            let ports = (
                elements(&old_ports - &new_ports),
                elements(&new_ports - &old_ports),
            );
            let gone = own.0.difference(&own.1).chain(&ports.0);
            // An element that is to be deleted must exist, or the kernel refuses the transaction.
            for verb in [Verb::Add, Verb::Delete] {
                changes.extend(gone.clone().map(|element| (verb, family, element.clone())));
            }
            let come = own.1.iter().chain(&ports.1);
            changes.extend(come.map(|element| (Verb::Add, family, element.clone())));
        }
        let table = self.table();
        let changing = blocking(move || elements::change(&Socket::open()?, &table, &changes));
        changing.await.map_err(FirewallError::Kernel)
    }

    /// Makes commands from the current rules of the host's filter, and runs them in one
    /// transaction. Retries if the rules change meanwhile. Returns whether there were commands.
    async fn commit(
        &self,
        id: &str,
        commands: impl AsyncFn() -> Result<Vec<serde_json::Value>, FirewallError>,
    ) -> Result<bool, FirewallError> {
        let mut attempt = 1;
        loop {
            let commands = commands().await?;
            let any = !commands.is_empty();
            match nft::run(commands).await {
                Ok(()) => return Ok(any),
                Err(e) if attempt == ATTEMPTS || !nft::is_outdated(&e) => return Err(e),
                Err(e) => {
                    tracing::debug!(plugin = self.plugin, id, error = %e, "the ruleset has changed, retrying");
                }
            }
            attempt += 1;
        }
    }

    fn table(&self) -> String {
        format!("{}{}", nft::PREFIX, self.plugin)
    }

    /// Locks the plugin's firewall across scripts and processes, because a change is made of what
    /// was read before.
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

/// Networks with their IDs.
type Networks<'a> = Vec<(&'a str, &'a Network)>;
type Changed<'a> = &'a [(&'a str, &'a Network)];

fn ports_of(networks: Changed<'_>) -> HashSet<(&str, Port)> {
    let ports = networks
        .iter()
        .flat_map(|(id, network)| network.ports.iter().map(|port| (*id, *port)));
    ports.collect()
}

/// The kernel translates by subnets, whatever the bridge.
fn reject_overlaps(network: &Network, others: Changed<'_>) -> Result<(), FirewallError> {
    for (id, other) in others {
        let overlaps = |subnet: &&Cidr| other.subnets.iter().any(|its| its.overlaps(subnet));
        if let Some(subnet) = network.subnets.iter().find(overlaps) {
            return Err(FirewallError::Overlap {
                subnet: *subnet,
                id: (*id).to_owned(),
            });
        }
    }
    Ok(())
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
