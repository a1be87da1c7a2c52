//! The kernel's tracked connections, by ctnetlink, in Moondock's network namespace.
//!
//! The kernel decides about address translation with the first packet of a UDP flow, and keeps to it
//! while packets come. When a port is published or moved, flows that began before it must be
//! forgotten.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
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
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Attributes of a connection, of a tuple, and of its two parts.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const HEADER: usize = 16;
/// The length of `struct nfgenmsg`, which follows the header.
const FAMILY: usize = 4;

/// Makes the kernel forget the UDP flows that are `stale`. Blocks.
pub fn forget(stale: impl Fn(&Flow) -> bool) -> io::Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::NETFILTER),
    )?;
    let mut found = Vec::new();
    request(&socket, &message(GET, REQUEST | DUMP, 0, &[]), |body| {
        found.extend(Connection::read(body).filter(|connection| stale(&connection.flow)));
    })?;
    for connection in &found {
        let delete = message(DELETE, REQUEST | ACK, connection.family, &connection.key);
        match request(&socket, &delete, |_| {}) {
            Err(error) if error.raw_os_error() != Some(Errno::NOENT.raw_os_error()) => {
                return Err(error);
            }
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
    fn read(body: &[u8]) -> Option<Self> {
        let attributes = body.get(FAMILY..)?;
        let original = attribute(attributes, TUPLE_ORIG)?;
        let (protocol, _, to) = tuple(original)?;
        let (_, answered_from, _) = tuple(attribute(attributes, TUPLE_REPLY)?)?;
        let mut key = encoded(TUPLE_ORIG | NESTED, original);
        if let Some(zone) = attribute(attributes, ZONE) {
            key.extend(encoded(ZONE, zone));
        }
        (protocol == UDP).then_some(Self {
            flow: Flow { to, answered_from },
            family: body[0],
            key,
        })
    }
}

/// Sends a request, and passes the body of each answer to `each`.
fn request(socket: &OwnedFd, message: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    send(socket, message, SendFlags::empty())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (length, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = next_message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return status(body),
                _ => each(body),
            }
            rest = after;
        }
    }
}

/// Returns the outcome that an acknowledgement tells.
fn status(body: &[u8]) -> io::Result<()> {
    let code = body
        .first_chunk()
        .map_or(0, |code| i32::from_ne_bytes(*code));
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(-code))
    }
}

fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY + attributes.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]); // the number of the request, and the kernel's port
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    message
}

/// Returns the kind and the body of the first message, and the messages after it.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, after))
}

/// The flags of an attribute's kind: nested, and in network byte order.
const NESTED: u16 = 0x8000;
const FLAGS: u16 = 0xc000;

/// Returns the value of the first attribute of that kind.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        if kind & !FLAGS == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
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
