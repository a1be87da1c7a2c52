//! Network devices, addresses, routes and neighbours, by rtnetlink, in Moondock's network
//! namespace.

mod address;
mod link;
mod neighbour;
mod route;

pub use link::{Link, NewLink};
pub use neighbour::Neighbour;
pub use route::Route;

use futures_util::TryStreamExt;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::str::FromStr;

/// An error of reading or changing the network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The name of a device is invalid.
    #[error("`{name}` cannot be the name of a link: {why}")]
    Name {
        /// The name.
        name: String,
        /// The violated rule.
        why: &'static str,
    },
    /// There is no such device.
    #[error("link `{0}`: no such device; `net.links()` lists the existing ones")]
    NoLink(String),
    /// The object exists already.
    #[error("{0}: exists already; look with `net.link` or `net.routes` first, or delete it")]
    Exists(String),
    /// The operation is not permitted.
    #[error("{0}: not permitted; moondock needs CAP_NET_ADMIN in the host's network namespace")]
    NotPermitted(String),
    /// The kernel rejected the request.
    #[error("{what}: {source}{}", advice(*.hint))]
    Refused {
        /// The object and the operation.
        what: String,
        /// The kernel's error.
        source: io::Error,
        /// The usual cure.
        hint: Option<&'static str>,
    },
    /// The arguments are invalid.
    #[error("{0}")]
    Invalid(&'static str),
    /// The connection to the kernel failed.
    #[error("netlink connection failed: {0}")]
    Connection(String),
}

/// The name of a network device: 1 to 15 bytes without slash, colon and white space, and not `.` or
/// `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LinkName(String);

/// A connection to the kernel, which is closed when this is dropped.
pub struct Netlink {
    handle: rtnetlink::Handle,
}

impl FromStr for LinkName {
    type Err = NetError;

    fn from_str(name: &str) -> Result<Self, NetError> {
        let rules = [
            (name.is_empty(), "it is empty"),
            (name.len() > 15, "it has more than 15 bytes"),
            (name == "." || name == "..", "it is a directory name"),
            (
                name.contains(['/', ':', '\0']),
                "it contains a slash, a colon or a NUL",
            ),
            (
                name.contains('%'),
                "it contains a percent sign, which the kernel would replace",
            ),
            (
                name.contains(|c: char| c.is_whitespace() || c.is_control()),
                "it contains white space",
            ),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, why)) => Err(NetError::Name {
                name: name.to_owned(),
                why,
            }),
            None => Ok(Self(name.to_owned())),
        }
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LinkName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Netlink {
    /// Connects to the kernel, which takes some 20 µs.
    pub fn open() -> Result<Self, NetError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|e| NetError::Connection(e.to_string()))?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Returns the index of an existing link.
    async fn index(&self, name: &LinkName) -> Result<u32, NetError> {
        let found = self.find(name).await?;
        found
            .map(|message| message.header.index)
            .ok_or_else(|| NetError::NoLink(name.to_string()))
    }

    async fn find(
        &self,
        name: &LinkName,
    ) -> Result<Option<rtnetlink::packet_route::link::LinkMessage>, NetError> {
        let mut found = self.handle.link().get().match_name(name.as_str()).execute();
        match found.try_next().await {
            Err(e) if errno(&e) == Some(Errno::NODEV) => Ok(None),
            found => found.map_err(|e| refused(format!("link `{name}`"), e)),
        }
    }
}

fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message
            .code
            .map(|code| Errno::from_raw_os_error(code.get().abs())),
        _ => None,
    }
}

/// Creates the error of a rejected request about `what`, the object and the operation.
fn refused(what: String, error: rtnetlink::Error) -> NetError {
    match errno(&error) {
        None => NetError::Connection(error.to_string()),
        Some(Errno::EXIST) => NetError::Exists(what),
        Some(Errno::PERM) => NetError::NotPermitted(what),
        Some(code) => NetError::Refused {
            what,
            source: code.into(),
            hint: cure(code),
        },
    }
}

fn cure(code: Errno) -> Option<&'static str> {
    match code {
        Errno::BUSY => Some("take the link down first"),
        Errno::NETUNREACH | Errno::HOSTUNREACH => {
            Some("is the gateway inside a network of the device?")
        }
        Errno::NETDOWN => Some("bring the link up first"),
        Errno::LOOP => Some("a bridge cannot be a port of itself"),
        Errno::RANGE => Some("the value is outside of the kernel's range"),
        _ => None,
    }
}

fn advice(hint: Option<&'static str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links() {
        for good in ["br0", "eth0.100", "vethä", "a-b_c", "0123456789abcde"] {
            assert!(good.parse::<LinkName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\tb",
            "a:b",
            "a\0b",
            "eth%d",
            "0123456789abcdef",
        ] {
            assert!(bad.parse::<LinkName>().is_err(), "{bad}");
        }
    }
}
