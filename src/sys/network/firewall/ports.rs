//! Ports of the host: published ones, used ones and free ones.

use super::nft::{self, Family, PREFIX, Rule, Seen};
use super::{FirewallError, Network, Port, Protocol};
use crate::sys::blocking;
use crate::sys::network::conntrack::{self, Flow};
use crate::sys::network::netlink::Netlink;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with, sockopt,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A published port in the ruleset.
#[derive(Clone, PartialEq)]
struct Published {
    id: String,
    family: Family,
    protocol: String,
    host_ip: Option<IpAddr>,
    port: u64,
    /// Where in a container it leads.
    to: Option<SocketAddr>,
}

/// Rejects ports that another network publishes, and new ports that a process of the host uses.
pub async fn check(seen: &Seen, id: &str, network: &Network) -> Result<(), FirewallError> {
    let published = published(seen);
    for port in &network.ports {
        let meets = |other: &&Published| {
            other.meets(port.protocol, port.family(), port.host_ip, port.host_port)
        };
        if let Some(other) = published.iter().filter(|other| other.id != id).find(meets) {
            return Err(FirewallError::Published {
                port: port.to_string(),
                id: other.id.clone(),
            });
        }
        if !published
            .iter()
            .any(|other| other.id == id && meets(&other))
        {
            port.try_bind().await?;
        }
    }
    Ok(())
}

/// Finds a port of the host that no process uses and no plugin publishes, at `host_ip` or at any
/// address.
///
/// The port is not reserved: publish it soon.
pub async fn free_port(protocol: Protocol, host_ip: Option<IpAddr>) -> Result<u16, FirewallError> {
    let published = published(&nft::look(|table| table.starts_with(PREFIX)).await?);
    let families = match host_ip {
        Some(ip) => vec![ip],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let search = move || {
        for _ in 0..64 {
            let port = bound(protocol, families[0], 0)?;
            let is_taken = |ip: &IpAddr| {
                let family = if ip.is_ipv4() {
                    Family::Ip
                } else {
                    Family::Ip6
                };
                bound(protocol, *ip, port) == Err(Errno::ADDRINUSE)
                    || published
                        .iter()
                        .any(|other| other.meets(protocol, family, host_ip, port))
            };
            if !families.iter().any(is_taken) {
                return Ok(port);
            }
        }
        Err(Errno::ADDRINUSE)
    };
    let found = tokio::task::spawn_blocking(search)
        .await
        .unwrap_or(Err(Errno::CANCELED));
    found.map_err(|e| match (e, host_ip) {
        (Errno::ADDRNOTAVAIL, Some(ip)) => FirewallError::NoAddress(ip.to_string()),
        _ => FirewallError::NoFreePort(protocol),
    })
}

impl Published {
    fn read(rule: &Rule) -> Option<Self> {
        let id = ["prerouting_", "output_"]
            .iter()
            .find_map(|prefix| rule.chain.strip_prefix(prefix))?;
        let field = |name: &str| {
            rule.expr
                .iter()
                .find_map(|statement| payload(statement, name))
        };
        let (protocol, port) = field("dport")?;
        let host_ip = field("daddr").and_then(|(_, ip)| ip.as_str()?.parse().ok());
        Some(Self {
            id: id.to_owned(),
            family: rule.family,
            protocol: protocol.to_owned(),
            host_ip,
            port: port.as_u64()?,
            to: rule.expr.iter().find_map(target),
        })
    }

    /// Returns the same published port of a network's settings.
    fn of(id: &str, port: &Port) -> Self {
        Self {
            id: id.to_owned(),
            family: port.family(),
            protocol: port.protocol.to_string(),
            host_ip: port.host_ip.filter(|ip| !ip.is_unspecified()),
            port: port.host_port.into(),
            to: Some(SocketAddr::new(port.ip, port.port)),
        }
    }

    /// Returns whether a flow is sent to this port.
    fn gets(&self, flow: &Flow, local: &BTreeSet<IpAddr>) -> bool {
        let ip = flow.to.ip();
        u64::from(flow.to.port()) == self.port
            && ip.is_ipv4() == (self.family == Family::Ip)
            && match self.host_ip {
                Some(host_ip) => ip == host_ip,
                None => ip.is_loopback() || local.contains(&ip),
            }
    }

    fn meets(
        &self,
        protocol: Protocol,
        family: Family,
        host_ip: Option<IpAddr>,
        port: u16,
    ) -> bool {
        let any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.protocol == protocol.as_str()
            && self.family == family
            && self.port == u64::from(port)
            && (any(self.host_ip) || any(host_ip) || self.host_ip == host_ip)
    }
}

impl Port {
    fn family(&self) -> Family {
        if self.ip.is_ipv4() {
            Family::Ip
        } else {
            Family::Ip6
        }
    }

    /// Checks that the host's port is free. Without kernel support for the protocol, nothing
    /// listens.
    async fn try_bind(self) -> Result<(), FirewallError> {
        let all: IpAddr = if self.ip.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let try_it = move || bound(self.protocol, self.host_ip.unwrap_or(all), self.host_port);
        match tokio::task::spawn_blocking(try_it).await {
            Ok(Err(Errno::ADDRINUSE)) => Err(FirewallError::InUse(self.to_string())),
            Ok(Err(Errno::ADDRNOTAVAIL)) => Err(FirewallError::NoAddress(self.to_string())),
            _ => Ok(()),
        }
    }
}

fn published(seen: &Seen) -> Vec<Published> {
    seen.rules
        .iter()
        .filter(|rule| rule.table.starts_with(PREFIX))
        .filter_map(Published::read)
        .collect()
}

/// Forgets the UDP flows that began under other settings of a network, whose packets would still go
/// where they went before. `ports` are those that it publishes now.
pub async fn forget_flows(before: &Seen, id: &str, ports: &[Port]) -> Result<(), FirewallError> {
    let its_udp = |port: &Published| port.id == id && port.protocol == Protocol::Udp.as_str();
    let old: Vec<_> = published(before).into_iter().filter(its_udp).collect();
    let new = ports.iter().map(|port| Published::of(id, port));
    let new: Vec<_> = new.filter(its_udp).collect();
    let gone: Vec<_> = old
        .iter()
        .filter(|port| !new.contains(port))
        .cloned()
        .collect();
    let come: Vec<_> = new.into_iter().filter(|port| !old.contains(port)).collect();
    if gone.is_empty() && come.is_empty() {
        return Ok(());
    }
    let local: BTreeSet<IpAddr> = Netlink::open()?
        .all_addresses()
        .await?
        .into_iter()
        .collect();
    let stale = move |flow: &Flow| {
        let target = come.iter().find(|port| port.gets(flow, &local));
        match target {
            Some(port) => port.to != Some(flow.answered_from),
            None => gone
                .iter()
                .any(|port| port.gets(flow, &local) && port.to == Some(flow.answered_from)),
        }
    };
    let forgetting = blocking(move || conntrack::forget(stale)).await;
    forgetting.map_err(FirewallError::Flows)
}

/// Returns where a statement that translates the destination leads.
fn target(statement: &Value) -> Option<SocketAddr> {
    let to = statement.get("dnat")?;
    let ip = to.get("addr")?.as_str()?.parse().ok()?;
    let port = to.get("port")?.as_u64()?;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

/// Returns the protocol and the value with which a statement compares a field.
fn payload<'a>(statement: &'a Value, field: &str) -> Option<(&'a str, &'a Value)> {
    let found = statement.get("match")?;
    let left = found.get("left")?.get("payload")?;
    (left.get("field")? == field).then_some(())?;
    Some((left.get("protocol")?.as_str()?, found.get("right")?))
}

/// Binds a port (0 for any), releases it, and returns its number.
fn bound(protocol: Protocol, ip: IpAddr, port: u16) -> Result<u16, Errno> {
    let family = if ip.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if ip.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Lingering connections do not make a TCP port unusable, but a listener does.
    sockopt::set_socket_reuseaddr(&socket, protocol == Protocol::Tcp)?;
    bind(&socket, &SocketAddr::new(ip, port))?;
    let name = SocketAddr::try_from(getsockname(&socket)?).map_err(|_| Errno::INVAL)?;
    Ok(name.port())
}
