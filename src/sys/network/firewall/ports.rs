//! Ports of the host: published ones, used ones and free ones.

use super::nft::Family;
use super::seen::Seen;
use super::{FirewallError, Loopback, Network, Port, Protocol};
use crate::sys::blocking;
use crate::sys::network::conntrack::{self, Flow};
use crate::sys::network::netlink::{NetError, Netlink};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with, sockopt,
};
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Rejects ports that another network publishes, and new ports that a process of the host uses.
/// `own` are the IDs whose ports the network replaces. What `loopback` holds is not in use.
pub async fn check(
    seen: &Seen,
    table: &str,
    own: &[&str],
    network: &Network,
    loopback: &Loopback,
) -> Result<(), FirewallError> {
    let published = seen.ports_by_place();
    for port in &network.ports {
        let others = published.get(&port.place()).into_iter().flatten();
        let mut is_new = true;
        for other in others.filter(|other| other.port.meets(port)) {
            if other.table != table || !own.contains(&other.id) {
                return Err(FirewallError::Published {
                    port: port.to_string(),
                    id: other.id.to_owned(),
                });
            }
            is_new = false;
        }
        if is_new {
            port.try_bind(loopback).await?;
        }
    }
    Ok(())
}

/// Finds a port of the host that no process uses and no plugin publishes, at `host_ip` or at any
/// address.
///
/// The port is not reserved: publish it soon.
pub async fn free_port(protocol: Protocol, host_ip: Option<IpAddr>) -> Result<u16, FirewallError> {
    let seen = Seen::look().await?;
    let families = match host_ip {
        Some(ip) => vec![ip],
        None => vec![Family::Ip.any(), Family::Ip6.any()],
    };
    let search = move || {
        let published = seen.ports_by_place();
        for _ in 0..64 {
            let host_port = bound(protocol, families[0], 0)?;
            let is_taken = |ip: &IpAddr| {
                let port = Port {
                    protocol,
                    host_ip,
                    host_port,
                    ip: *ip,
                    port: host_port,
                };
                let others = published.get(&port.place()).into_iter().flatten();
                bound(protocol, *ip, host_port) == Err(Errno::ADDRINUSE)
                    || others.into_iter().any(|other| other.port.meets(&port))
            };
            if !families.iter().any(is_taken) {
                return Ok(host_port);
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

impl Port {
    /// Returns whether a flow is sent to this port.
    fn gets(&self, flow: &Flow, local: &BTreeSet<IpAddr>) -> bool {
        let ip = flow.to.ip();
        flow.to.port() == self.host_port
            && Family::of(ip) == Family::of(self.ip)
            && match self.host_ip.filter(|ip| !ip.is_unspecified()) {
                Some(host_ip) => ip == host_ip,
                None => ip.is_loopback() || local.contains(&ip),
            }
    }

    /// Returns whether the answers of a flow come from where this port leads.
    fn answers(&self, flow: &Flow) -> bool {
        SocketAddr::new(self.ip, self.port) == flow.answered_from
    }

    /// Checks that the host's port is free. Without kernel support for the protocol, nothing
    /// listens.
    async fn try_bind(self, loopback: &Loopback) -> Result<(), FirewallError> {
        let is_held = self.ip.is_ipv6() && self.is_on_loopback();
        let ips = if is_held && loopback.holds(self.host_port).await {
            self.ips_but_loopback().await?
        } else {
            vec![self.host_ip.unwrap_or_else(|| Family::of(self.ip).any())]
        };
        let try_it = move || {
            let mut tried = ips
                .iter()
                .map(|ip| bound(self.protocol, *ip, self.host_port));
            tried.find(|outcome| matches!(outcome, Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)))
        };
        match tokio::task::spawn_blocking(try_it).await {
            Ok(Some(Err(Errno::ADDRINUSE))) => Err(FirewallError::InUse(self.to_string())),
            Ok(Some(Err(Errno::ADDRNOTAVAIL))) => Err(FirewallError::NoAddress(self.to_string())),
            _ => Ok(()),
        }
    }

    /// Returns the addresses of the host at which the port is published, without `::1`.
    async fn ips_but_loopback(&self) -> Result<Vec<IpAddr>, NetError> {
        if self.host_ip.is_some_and(|ip| ip.is_loopback()) {
            return Ok(Vec::new());
        }
        let mut ips = Netlink::open()?.all_addresses().await?;
        ips.retain(|ip| ip.is_ipv6() && !ip.is_loopback());
        Ok(ips)
    }
}

/// Forgets the UDP flows that began before a change of ports, whose packets would still go where
/// they went before.
pub async fn forget_flows(gone: &HashSet<Port>, come: &HashSet<Port>) -> Result<(), FirewallError> {
    let udp = |ports: &HashSet<Port>| -> Vec<Port> {
        let udp = ports.iter().filter(|port| port.protocol == Protocol::Udp);
        udp.copied().collect()
    };
    let (gone, come) = (udp(gone), udp(come));
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
            Some(port) => !port.answers(flow),
            None => gone
                .iter()
                .any(|port| port.gets(flow, &local) && port.answers(flow)),
        }
    };
    let forgetting = blocking(move || conntrack::forget(stale)).await;
    forgetting.map_err(FirewallError::Flows)
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
