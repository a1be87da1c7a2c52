//! Published ports on `[::1]`. The kernel translates no connections to it, so they are accepted and
//! forwarded here.

use super::{Port, Protocol};
use crate::sys::network::forward::{Forward, Forwarder};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tokio::sync::Mutex;

/// The TCP ports of one plugin that are forwarded from `[::1]`.
#[derive(Debug, Default)]
pub struct Loopback(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    forwarder: Option<Forwarder>,
    ports: HashMap<u16, Entry>,
}

/// A port that should answer.
#[derive(Debug)]
struct Entry {
    to: SocketAddr,
    /// Nothing, if another process has the port, or the host has no `::1`.
    forward: Option<Forward>,
}

impl Loopback {
    /// Forwards the ports of `published` that are on `[::1]`, and no others.
    pub async fn follow(&self, plugin: &str, published: impl IntoIterator<Item = &Port>) {
        let wanted = targets(published);
        let mut state = self.0.lock().await;
        state.end_others(&wanted).await;
        for (port, to) in wanted {
            state.begin(plugin, port, to).await;
        }
    }

    /// Returns whether the port on `[::1]` is held by this.
    pub async fn holds(&self, port: u16) -> bool {
        let entry = &self.0.lock().await.ports;
        entry
            .get(&port)
            .is_some_and(|entry| entry.forward.is_some())
    }
}

impl State {
    async fn end_others(&mut self, wanted: &HashMap<u16, SocketAddr>) {
        let is_other = |port: &u16, entry: &mut Entry| wanted.get(port) != Some(&entry.to);
        let others: Vec<Entry> = self.ports.extract_if(is_other).map(|(_, it)| it).collect();
        for forward in others.into_iter().filter_map(|entry| entry.forward) {
            forward.end().await;
        }
    }

    /// Begins to forward a port, unless it is forwarded. A port that another process has is tried
    /// again with each change, but reported once.
    async fn begin(&mut self, plugin: &str, port: u16, to: SocketAddr) {
        let before = self.ports.get(&port);
        if before.is_some_and(|entry| entry.forward.is_some()) {
            return;
        }
        let is_new = before.is_none();
        let begun = self.forward(plugin, port, to).await;
        if let Err(error) = &begun
            && is_new
            && !is_missing(error)
        {
            tracing::warn!(plugin, port, %error, "a published port does not answer on [::1]");
        }
        let forward = begun.ok();
        self.ports.insert(port, Entry { to, forward });
    }

    async fn forward(&mut self, plugin: &str, port: u16, to: SocketAddr) -> io::Result<Forward> {
        let forwarder = match &mut self.forwarder {
            Some(forwarder) => forwarder,
            none => none.insert(Forwarder::start(format!("{plugin} [::1]"))?),
        };
        let from = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        forwarder.forward(from, to).await
    }
}

impl Port {
    /// Returns whether the port answers on `[::1]`.
    pub(super) fn is_on_loopback(&self) -> bool {
        let is_on = |ip: IpAddr| ip.is_unspecified() || ip == Ipv6Addr::LOCALHOST;
        self.protocol == Protocol::Tcp && self.host_ip.is_none_or(is_on)
    }
}

/// Returns where ports on `[::1]` lead. A container's IPv6 address comes before its IPv4 address.
fn targets<'a>(published: impl IntoIterator<Item = &'a Port>) -> HashMap<u16, SocketAddr> {
    let mut targets = HashMap::new();
    for port in published.into_iter().filter(|port| port.is_on_loopback()) {
        let to = SocketAddr::new(port.ip, port.port);
        if port.ip.is_ipv6() {
            targets.insert(port.host_port, to);
        } else {
            targets.entry(port.host_port).or_insert(to);
        }
    }
    targets
}

/// Returns whether the host has no `::1`: IPv6 is disabled, or missing.
fn is_missing(error: &io::Error) -> bool {
    let without_ipv6 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(without_ipv6)
}
