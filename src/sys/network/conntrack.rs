//! The kernel's tracked connections, by ctnetlink, in Moondock's network namespace.
//!
//! The kernel decides about address translation with the first packet of a UDP flow, and keeps to it
//! while packets come. When a port is published or moved, flows that began before it must be
//! forgotten.

use super::netfilter::{Request, Socket, attribute, encoded, is, nested};
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A tracked UDP flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Where its packets are sent.
    pub to: SocketAddr,
    /// Where the answers come from: another place, if the destination is translated.
    pub answered_from: SocketAddr,
}

const UDP: u8 = 17;
/// `NFNL_SUBSYS_CTNETLINK` with `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
/// Attributes of a connection, of a tuple, and of its two parts.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const ANY_FAMILY: u8 = 0;

/// Makes the kernel forget the UDP flows that are `stale`. Blocks.
pub fn forget(stale: impl Fn(&Flow) -> bool) -> io::Result<()> {
    let socket = Socket::open()?;
    let get = Request {
        kind: GET,
        family: ANY_FAMILY,
    };
    let found = socket.dump(get, &[], |family, attributes| {
        Connection::read(family, attributes).filter(|connection| stale(&connection.flow))
    })?;
    for connection in &found {
        let delete = Request {
            kind: DELETE,
            family: connection.family,
        };
        match socket.request(delete, &connection.key) {
            Err(error) if !is(&error, Errno::NOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A tracked connection, and the attributes by which it can be deleted.
struct Connection {
    flow: Flow,
    family: u8,
    key: Vec<u8>,
}

impl Connection {
    fn read(family: u8, attributes: &[u8]) -> Option<Self> {
        let original = attribute(attributes, TUPLE_ORIG)?;
        let (protocol, _, to) = tuple(original)?;
        let (_, answered_from, _) = tuple(attribute(attributes, TUPLE_REPLY)?)?;
        let mut key = nested(TUPLE_ORIG, original);
        if let Some(zone) = attribute(attributes, ZONE) {
            key.extend(encoded(ZONE, zone));
        }
        (protocol == UDP).then_some(Self {
            flow: Flow { to, answered_from },
            family,
            key,
        })
    }
}

/// Returns the protocol, the source and the destination of a tuple.
fn tuple(bytes: &[u8]) -> Option<(u8, SocketAddr, SocketAddr)> {
    let (ips, ports) = (attribute(bytes, TUPLE_IP)?, attribute(bytes, TUPLE_PROTO)?);
    let protocol = *attribute(ports, PROTO_NUM)?.first()?;
    let port = |kind| Some(u16::from_be_bytes(*attribute(ports, kind)?.first_chunk()?));
    // The kinds are 1 and 2 for IPv4, 3 and 4 for IPv6.
    let ip = |kind| {
        let v4 = || Some(Ipv4Addr::from(*attribute(ips, kind)?.first_chunk::<4>()?));
        let v6 = || {
            Some(Ipv6Addr::from(
                *attribute(ips, kind + 2)?.first_chunk::<16>()?,
            ))
        };
        v4().map(IpAddr::from).or_else(|| v6().map(IpAddr::from))
    };
    let source = SocketAddr::new(ip(1)?, port(PROTO_SRC_PORT)?);
    let destination = SocketAddr::new(ip(2)?, port(PROTO_DST_PORT)?);
    Some((protocol, source, destination))
}
