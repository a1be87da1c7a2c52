//! Messages of netfilter's subsystems in the kernel, in Moondock's network namespace. All of it
//! blocks, for microseconds.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt,
};
use std::io;
use std::time::Duration;

/// A connection to netfilter.
pub struct Socket(OwnedFd);

/// A message of the kernel.
struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

/// A request without its attributes.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The subsystem, and in it the kind of message.
    pub kind: u16,
    /// The address family.
    pub family: u8,
}

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const INTERRUPTED: u16 = 0x10;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const HEADER: usize = 16;
/// The length of `struct nfgenmsg`, which follows the header.
const FAMILY: usize = 4;
/// The kernel answers at once, or the message was lost.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The limit on the size of a transaction, in bytes.
const MAX_BATCH: usize = 64 << 20;
/// The limit on attempts to list objects that others change meanwhile.
const ATTEMPTS: usize = 16;

impl Socket {
    /// Connects to the kernel.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TIMEOUT))?;
        Ok(Self(socket))
    }

    /// Lists objects, of which `read` makes something from the family and the attributes. Without
    /// what should contain them, there are none.
    pub fn dump<T>(
        &self,
        request: Request,
        attributes: &[u8],
        read: impl Fn(u8, &[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..ATTEMPTS {
            let (mut found, mut whole) = (Vec::new(), true);
            self.send(&message(request, REQUEST | DUMP, 0, attributes))?;
            let outcome = self.answers(|answer| {
                whole &= answer.flags & INTERRUPTED == 0;
                if let Some((family, attributes)) = answer.split() {
                    found.extend(read(family, attributes));
                }
            });
            match outcome {
                Err(error) if is(&error, Errno::NOENT) => return Ok(Vec::new()),
                Err(error) if is(&error, Errno::INTR) => continue,
                outcome => outcome?,
            }
            if whole {
                return Ok(found);
            }
        }
        Err(io::Error::from(Errno::BUSY))
    }

    /// Makes one request, and waits until it is done.
    pub fn request(&self, request: Request, attributes: &[u8]) -> io::Result<()> {
        self.send(&message(request, REQUEST | ACK, 0, attributes))?;
        self.answers(|_| {})
    }

    /// Makes the requests of a subsystem in one transaction: all of them, or none.
    pub fn transact(&self, subsystem: u8, requests: &[(Request, Vec<u8>)]) -> io::Result<()> {
        let Some((last, others)) = requests.split_last() else {
            return Ok(());
        };
        let edge = |kind| {
            let request = Request { kind, family: 0 };
            message(request, REQUEST, subsystem.into(), &[])
        };
        let one = |(request, attributes): &(Request, Vec<u8>), flags| {
            message(*request, REQUEST | CREATE | flags, 0, attributes)
        };
        let mut bytes = edge(BATCH_BEGIN);
        for each in others {
            bytes.extend(one(each, 0));
        }
        bytes.extend(one(last, ACK));
        bytes.extend(edge(BATCH_END));
        if sockopt::set_socket_send_buffer_size_force(&self.0, MAX_BATCH).is_err() {
            sockopt::set_socket_send_buffer_size(&self.0, MAX_BATCH)?;
        }
        self.send(&bytes)?;
        self.answers(|_| {})
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(send(&self.0, bytes, SendFlags::empty()).map(drop)?)
    }

    /// Passes each answer to `each`, until the last one or an error.
    fn answers(&self, mut each: impl FnMut(&Message)) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = &buffer[..length];
            while let Some((message, after)) = Message::first(rest) {
                match message.kind {
                    DONE | ERROR => return status(message.body),
                    _ => each(&message),
                }
                rest = after;
            }
        }
    }
}

impl<'a> Message<'a> {
    /// Returns the first message, and the bytes after it.
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let half = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let message = Self {
            kind: half(4)?,
            flags: half(6)?,
            body: bytes.get(HEADER..length)?,
        };
        let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((message, after))
    }

    /// Returns the family and the attributes.
    fn split(&self) -> Option<(u8, &'a [u8])> {
        Some((*self.body.first()?, self.body.get(FAMILY..)?))
    }
}

/// Returns whether an error is this one of the kernel's.
pub fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// Returns the outcome that the kernel reports.
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

fn message(request: Request, flags: u16, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY + attributes.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(request.kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]); // the number of the request, and the kernel's port
    message.extend([request.family, 0]);
    message.extend(resource.to_be_bytes());
    message.extend(attributes);
    message
}

/// The flags of an attribute's kind: nested, and in network byte order.
const NESTED: u16 = 0x8000;
const FLAGS: u16 = 0xc000;

/// Returns the value of the first attribute of that kind.
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

/// Returns the attributes with their kinds.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !FLAGS, value))
    })
}

/// Returns the text of an attribute that ends with a NUL.
pub fn text(bytes: &[u8], wanted: u16) -> Option<&str> {
    let value = attribute(bytes, wanted)?;
    std::str::from_utf8(value.strip_suffix(b"\0").unwrap_or(value)).ok()
}

/// Returns an attribute.
pub fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns an attribute that consists of attributes.
pub fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    encoded(kind | NESTED, value)
}

/// Returns an attribute of text.
pub fn encoded_text(kind: u16, text: &str) -> Vec<u8> {
    encoded(kind, format!("{text}\0").as_bytes())
}
