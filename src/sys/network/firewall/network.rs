//! Networks and their published ports, as the firewall applies them.

use super::FirewallError;
use crate::sys::network::ip::Cidr;
use crate::sys::network::netlink::LinkName;
use std::net::IpAddr;

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

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// The protocol of both ports.
    pub protocol: Protocol,
    /// The address on the host; by default all of them.
    pub host_ip: Option<IpAddr>,
    /// The port on the host.
    pub host_port: u16,
    /// The address of the container.
    pub ip: IpAddr,
    /// The port of the container.
    pub port: u16,
}

/// The firewall settings of a network.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of `firewall.apply`"
)]
pub struct Network {
    /// The bridge.
    pub bridge: LinkName,
    /// The subnets of both families.
    pub subnets: Vec<Cidr>,
    /// Whether the host's address replaces those of containers outside.
    pub masquerade: bool,
    /// Whether no traffic enters or leaves.
    pub internal: bool,
    /// Whether its containers reach each other by their own addresses.
    pub icc: bool,
    /// Whether it is isolated from other networks of the plugin.
    pub isolate: bool,
    /// The published ports.
    pub ports: Vec<Port>,
}

impl Network {
    pub(super) fn validate(&self) -> Result<(), FirewallError> {
        if self.internal && !self.ports.is_empty() {
            return Err(invalid(
                "an internal network cannot publish ports: remove `ports` or `internal`".to_owned(),
            ));
        }
        for (i, port) in self.ports.iter().enumerate() {
            port.validate(&self.subnets)?;
            if self.ports[..i]
                .iter()
                .any(|other| other.host() == port.host() && other != port)
            {
                return Err(invalid(format!(
                    "port {port} is published twice, to different places"
                )));
            }
        }
        Ok(())
    }
}

impl Port {
    /// Returns the host's side of the port, in which an unspecified address is `None`.
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
            return Err(invalid(format!(
                "port {self}: 0 is not a port; `firewall.free_port` finds one"
            )));
        }
        if self
            .host_ip
            .is_some_and(|ip| ip.is_ipv4() != self.ip.is_ipv4())
        {
            return Err(invalid(format!(
                "port {self} leads to `{}`, which is of the other address family",
                self.ip
            )));
        }
        if !subnets
            .iter()
            .any(|subnet| subnet.contains(&self.ip.into()))
        {
            return Err(invalid(format!(
                "port {self} leads to `{}`, which is in none of the network's subnets",
                self.ip
            )));
        }
        Ok(())
    }
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// Returns the name in lower case.
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

fn invalid(text: String) -> FirewallError {
    FirewallError::Invalid(text)
}
