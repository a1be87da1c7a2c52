//! Networks and their published ports, as the firewall applies them.

use super::FirewallError;
use super::nft::Family;
use crate::sys::network::ip::Cidr;
use crate::sys::network::netlink::LinkName;
use std::collections::HashMap;
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
        let mut places = HashMap::new();
        for port in &self.ports {
            port.validate(&self.subnets)?;
            if places
                .insert(port.host(), port)
                .is_some_and(|other| other != port)
            {
                return Err(invalid(format!(
                    "port {port} is published twice, to different places"
                )));
            }
        }
        Ok(())
    }

    /// Returns the same network without host addresses that stand for all.
    pub(super) fn normal(&self) -> Self {
        let ports = self.ports.iter().map(Port::normal).collect();
        Self {
            ports,
            ..self.clone()
        }
    }

    /// Returns the subnets of a family.
    pub(super) fn subnets_of(&self, family: Family) -> impl Iterator<Item = Cidr> {
        self.subnets
            .iter()
            .filter(move |subnet| Family::of(subnet.address) == family)
            .map(Cidr::canonical)
    }

    /// Returns the words of the settings that are on.
    pub(super) fn settings(&self) -> String {
        let words = SETTINGS.map(|(word, _, is_on)| if is_on(self) { word } else { "" });
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    /// Returns a network with these settings, without subnets and ports.
    pub(super) fn of_settings(bridge: LinkName, words: &str) -> Self {
        let mut network = Self {
            bridge,
            subnets: Vec::new(),
            masquerade: false,
            internal: false,
            icc: false,
            isolate: false,
            ports: Vec::new(),
        };
        for (word, field, _) in SETTINGS {
            *field(&mut network) = words.split(' ').any(|each| each == word);
        }
        network
    }
}

type Setting = (
    &'static str,
    fn(&mut Network) -> &mut bool,
    fn(&Network) -> bool,
);

const SETTINGS: [Setting; 4] = [
    ("masquerade", |n| &mut n.masquerade, |n| n.masquerade),
    ("internal", |n| &mut n.internal, |n| n.internal),
    ("icc", |n| &mut n.icc, |n| n.icc),
    ("isolate", |n| &mut n.isolate, |n| n.isolate),
];

impl Port {
    /// Returns the same port without a host address that stands for all.
    pub(super) fn normal(&self) -> Self {
        let host_ip = self.host_ip.filter(|ip| !ip.is_unspecified());
        Self { host_ip, ..*self }
    }

    /// Returns the host's side of the port, in which an unspecified address is `None`.
    fn host(&self) -> (Place, Option<IpAddr>) {
        (self.place(), self.host_ip.filter(|ip| !ip.is_unspecified()))
    }

    /// Returns what ports that collide have in common.
    pub(super) fn place(&self) -> Place {
        (self.protocol, Family::of(self.ip), self.host_port)
    }

    /// Returns whether a packet could be for both ports.
    pub(super) fn meets(&self, other: &Port) -> bool {
        let ((place, ip), (other_place, other_ip)) = (self.host(), other.host());
        place == other_place && (ip.is_none() || other_ip.is_none() || ip == other_ip)
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

/// The protocol, the family and the port on the host.
pub(super) type Place = (Protocol, Family, u16);

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// Returns the protocol's number in IP packets.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Returns the protocol with that number in IP packets.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }

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
