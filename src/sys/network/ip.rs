//! Arithmetic of IPv4 and IPv6 addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An error of parsing or arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is not an IPv4 or IPv6 address.
    #[error("`{0}` is not an IP address (such as `10.0.0.1` or `fd00::1`)")]
    NotAnAddress(String),
    /// The text is not an address with a prefix length.
    #[error("`{0}` is not a network (such as `10.0.0.0/24` or `fd00::/64`)")]
    NotANetwork(String),
    /// The text is not a hardware address.
    #[error("`{0}` is not a MAC address (such as `02:42:0a:00:00:01`)")]
    NotAMac(String),
    /// The sum is not in the address family.
    #[error("`{0}` plus {1} is outside of its address family")]
    OutOfRange(IpAddr, i64),
    /// One address is IPv4, the other IPv6.
    #[error("`{0}` and `{1}` are of different address families")]
    Families(IpAddr, IpAddr),
    /// The distance is not exact as a Lua number.
    #[error("`{0}` and `{1}` are more than 2^53 addresses apart")]
    TooFar(IpAddr, IpAddr),
    /// The prefix of a subnet is shorter than the network's, or longer than an address.
    #[error("`{0}` has no subnets with a prefix of {1}: it must be between the network's own and {max}", max = .0.bits())]
    Prefix(Cidr, u32),
}

/// An address with a prefix length, such as `10.0.0.5/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address, including its host bits.
    pub address: IpAddr,
    /// The length of the network's prefix, in bits.
    pub prefix: u8,
}

/// A hardware address of six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// The limit up to which a Lua number represents each integer.
const EXACT: u128 = 1 << 53;

impl Cidr {
    /// Returns the length of an address, 32 or 128 bits.
    pub fn bits(&self) -> u8 {
        width(self.address)
    }

    /// Returns the first address of the network.
    pub fn network(&self) -> IpAddr {
        from_bits(self.address, to_bits(self.address) & !self.host_mask())
    }

    /// Returns the last address of the network.
    pub fn last(&self) -> IpAddr {
        from_bits(self.address, to_bits(self.address) | self.host_mask())
    }

    /// Returns the broadcast address of an IPv4 network with at least four addresses.
    pub fn broadcast(&self) -> Option<IpAddr> {
        (self.address.is_ipv4() && self.prefix <= 30).then(|| self.last())
    }

    /// Returns the number of addresses, including the first and the last. Exact up to 2^53.
    pub fn size(&self) -> f64 {
        2f64.powi(i32::from(self.bits() - self.prefix))
    }

    /// Returns the network with its host bits cleared.
    #[must_use]
    pub fn canonical(&self) -> Cidr {
        Cidr {
            address: self.network(),
            prefix: self.prefix,
        }
    }

    /// Returns whether the network contains all of `other`.
    pub fn contains(&self, other: &Cidr) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.prefix <= other.prefix
            && self.network() <= other.address
            && other.address <= self.last()
    }

    /// Returns whether the two networks share an address.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(&other.canonical()) || other.contains(&self.canonical())
    }

    /// Returns the `index`-th subnet (from 0) with that prefix, or `None` if there are fewer.
    pub fn subnet(&self, prefix: u32, index: u64) -> Result<Option<Cidr>, AddressError> {
        let wrong = AddressError::Prefix(*self, prefix);
        let prefix = u8::try_from(prefix).map_err(|_| wrong.clone())?;
        if prefix < self.prefix || prefix > self.bits() {
            return Err(wrong);
        }
        let more = u32::from(prefix - self.prefix);
        if more < 64 && index >> more != 0 {
            return Ok(None);
        }
        let offset = u128::from(index)
            .checked_shl(u32::from(self.bits() - prefix))
            .unwrap_or(0);
        Ok(Some(Cidr {
            address: from_bits(self.address, to_bits(self.network()) | offset),
            prefix,
        }))
    }

    /// Returns the digit of the address family and the bits of the prefix as text: `410` for
    /// `128.0.0.0/2`. Of two networks, one contains the other if its text begins the other's.
    pub fn prefix_bits(&self) -> String {
        let family = if self.address.is_ipv4() { '4' } else { '6' };
        let top = to_bits(self.address) << (128 - u32::from(self.bits()));
        let bits = (0..self.prefix).map(|n| if top << n >> 127 == 1 { '1' } else { '0' });
        std::iter::once(family).chain(bits).collect()
    }

    fn host_mask(&self) -> u128 {
        match self.bits() - self.prefix {
            128 => u128::MAX,
            host => (1 << host) - 1,
        }
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Cidr {
            address,
            prefix: width(address),
        }
    }
}

impl FromStr for Cidr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        let plain = prefix.bytes().all(|b| b.is_ascii_digit())
            && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = prefix
            .parse()
            .ok()
            .filter(|&p| plain && p <= width(address))
            .ok_or_else(wrong)?;
        Ok(Cidr { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Mac {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts
                .next()
                .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = part
                .and_then(|p| u8::from_str_radix(p, 16).ok())
                .ok_or_else(|| AddressError::NotAMac(text.to_owned()))?;
        }
        parts.next().map_or(Ok(Mac(mac)), |_| {
            Err(AddressError::NotAMac(text.to_owned()))
        })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

/// Parses an address without prefix, zone and leading zeros.
pub fn parse_ip(text: &str) -> Result<IpAddr, AddressError> {
    text.parse()
        .map_err(|_| AddressError::NotAnAddress(text.to_owned()))
}

/// Parses a network. A bare address is the network of that one address.
pub fn parse_either(text: &str) -> Result<Cidr, AddressError> {
    if text.contains('/') {
        text.parse()
    } else {
        parse_ip(text).map(Cidr::from)
    }
}

/// Adds `n`, which may be negative, to an address.
pub fn add(ip: IpAddr, n: i64) -> Result<IpAddr, AddressError> {
    let highest = Cidr {
        address: ip,
        prefix: 0,
    }
    .host_mask();
    let sum = to_bits(ip)
        .checked_add_signed(i128::from(n))
        .filter(|&sum| sum <= highest);
    sum.map(|sum| from_bits(ip, sum))
        .ok_or(AddressError::OutOfRange(ip, n))
}

/// Returns the distance from `a` to `b`, which is negative if `b` comes first.
pub fn distance(a: IpAddr, b: IpAddr) -> Result<f64, AddressError> {
    if a.is_ipv4() != b.is_ipv4() {
        return Err(AddressError::Families(a, b));
    }
    let (from, to) = (to_bits(a), to_bits(b));
    let apart = from.abs_diff(to);
    if apart > EXACT {
        return Err(AddressError::TooFar(a, b));
    }
    Ok(if to < from {
        -(apart as f64)
    } else {
        apart as f64
    })
}

/// Returns the locally administered MAC of an address: `02:42` and the four bytes of an IPv4
/// address, or `02` and five bytes of a hash of all of an IPv6 address. A container that restarts
/// with its address has the same MAC, so its neighbours' caches stay valid (protocol 15).
pub fn mac(ip: IpAddr) -> Mac {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Mac([0x02, 0x42, a, b, c, d])
        }
        IpAddr::V6(ip) => {
            let mut mac = [0x02; 6];
            mac[1..].copy_from_slice(&fnv1a(&ip.octets()).to_be_bytes()[3..]);
            Mac(mac)
        }
    }
}

/// Returns the FNV-1a hash, which must not change: containers keep their addresses by it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn to_bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the bits of an IPv4 address are 32"
)]
fn from_bits(family: IpAddr, bits: u128) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::from_bits(bits as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_have_first_and_last_addresses() {
        let net = cidr("10.1.2.3/20");
        assert_eq!(net.canonical().to_string(), "10.1.0.0/20");
        assert_eq!(net.broadcast().unwrap().to_string(), "10.1.15.255");
        assert_eq!(net.size(), 4096.0);
        assert_eq!(cidr("fd00::5/64").canonical().to_string(), "fd00::/64");
        assert_eq!(cidr("fd00::5/64").broadcast(), None);
        assert_eq!(cidr("10.0.0.0/31").broadcast(), None);
        assert_eq!(
            cidr("::/0").last().to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        assert_eq!(cidr("0.0.0.0/0").last().to_string(), "255.255.255.255");
    }

    #[test]
    fn invalid_networks_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "010.0.0.0/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in [
            "::/129",
            "fe80::1%eth0/64",
            " 10.0.0.0/8",
            "10.0.0/8",
            "10.0.0.0/8/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn containment_and_overlap() {
        assert!(cidr("10.0.0.0/8").contains(&cidr("10.9.0.0/16")));
        assert!(!cidr("10.9.0.0/16").contains(&cidr("10.0.0.0/8")));
        assert!(!cidr("::/0").contains(&cidr("10.0.0.0/8")));
        assert!(cidr("10.0.0.7/24").overlaps(&cidr("10.0.0.200/25")));
        assert!(!cidr("10.0.0.0/25").overlaps(&cidr("10.0.0.128/25")));
    }

    #[test]
    fn bits_of_prefixes_nest_like_networks() {
        let bits = |net: &str| parse_either(net).unwrap().prefix_bits();
        assert_eq!(bits("128.0.0.0/2"), "410");
        assert_eq!(bits("10.0.0.0/8"), "400001010");
        assert_eq!(bits("0.0.0.0/0"), "4");
        assert_eq!(bits("::/0"), "6");
        assert_eq!(bits("fd00::/8"), "611111101");
        assert_eq!(bits("10.1.2.3").len(), 33);
        assert_eq!(bits("::1"), format!("6{}1", "0".repeat(127)));
        assert!(bits("10.1.2.0/24").starts_with(&bits("10.0.0.0/8")));
    }

    #[test]
    fn addition_stays_within_the_address_family() {
        assert_eq!(
            add(parse_ip("10.0.0.255").unwrap(), 1).unwrap().to_string(),
            "10.0.1.0"
        );
        assert_eq!(
            add(parse_ip("fd00::").unwrap(), -1).unwrap().to_string(),
            "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        assert!(add(parse_ip("255.255.255.255").unwrap(), 1).is_err());
        assert!(add(parse_ip("::").unwrap(), -1).is_err());
        assert_eq!(
            distance(parse_ip("10.0.0.9").unwrap(), parse_ip("10.0.0.4").unwrap()),
            Ok(-5.0)
        );
        assert!(distance(parse_ip("::1").unwrap(), parse_ip("0.0.0.1").unwrap()).is_err());
        assert!(distance(parse_ip("::").unwrap(), parse_ip("ffff::").unwrap()).is_err());
    }

    #[test]
    fn subnets_stay_within_the_network() {
        let at = |net: &str, prefix, index| {
            cidr(net)
                .subnet(prefix, index)
                .unwrap()
                .map(|s| s.to_string())
        };
        assert_eq!(at("10.0.0.0/8", 24, 257).as_deref(), Some("10.1.1.0/24"));
        assert_eq!(at("10.0.0.0/24", 26, 4), None);
        assert_eq!(at("10.0.0.0/24", 24, 0).as_deref(), Some("10.0.0.0/24"));
        assert_eq!(at("fd00::/8", 64, 3).as_deref(), Some("fd00:0:0:3::/64"));
        assert_eq!(
            at("::/0", 64, u64::MAX).as_deref(),
            Some("ffff:ffff:ffff:ffff::/64")
        );
        assert!(cidr("10.0.0.0/24").subnet(16, 0).is_err());
        assert!(cidr("10.0.0.0/24").subnet(33, 0).is_err());
    }

    #[test]
    fn mac_addresses_derive_from_ip_addresses() {
        assert_eq!(
            mac(parse_ip("10.0.0.5").unwrap()).to_string(),
            "02:42:0a:00:00:05"
        );
        let of = |ip: &str| mac(parse_ip(ip).unwrap()).to_string();
        assert_eq!(of("fd55::9"), of("fd55:0::9"));
        assert_ne!(
            of("fd55::9"),
            of("fd55::1:0:0:9"),
            "the last four bytes are the same"
        );
        assert!(of("fd55::9").starts_with("02:"));
        assert_eq!(
            "02:42:0A:00:00:05".parse(),
            Ok(mac(parse_ip("10.0.0.5").unwrap()))
        );
        for text in [
            "",
            "02:42:0a:00:00",
            "02:42:0a:00:00:05:06",
            "2:42:0a:00:00:05",
            "02-42-0a-00-00-05",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
