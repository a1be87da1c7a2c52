//! Addresses that are reachable only from this machine.

use super::SOCKET_PATH_MAX;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAddress {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// A port of a loopback address.
    Tcp(SocketAddr),
}

/// An error of a local address.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum LocalAddressError {
    #[error(
        "`{0}` is not a local address: write `unix:///run/moondock/metrics.sock` or `127.0.0.1:9323`"
    )]
    Malformed(String),
    #[error(
        "`{0}` is reachable from other machines, and clients are not authenticated: use `127.0.0.1`, `[::1]` or a Unix socket, behind a proxy if needed"
    )]
    NotLoopback(SocketAddr),
    #[error("the socket path `{0}` exceeds the limit of {SOCKET_PATH_MAX} bytes")]
    TooLong(String),
}

impl FromStr for LocalAddress {
    type Err = LocalAddressError;

    fn from_str(text: &str) -> Result<Self, LocalAddressError> {
        match text.strip_prefix("unix://") {
            Some(path) if !path.starts_with('/') || path.ends_with('/') => {
                Err(LocalAddressError::Malformed(text.to_owned()))
            }
            Some(path) if path.len() > SOCKET_PATH_MAX => {
                Err(LocalAddressError::TooLong(path.to_owned()))
            }
            Some(path) => Ok(LocalAddress::Unix(path.into())),
            None => tcp(text),
        }
    }
}

fn tcp(text: &str) -> Result<LocalAddress, LocalAddressError> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| LocalAddressError::Malformed(text.to_owned()))?;
    if address.ip().is_loopback() {
        Ok(LocalAddress::Tcp(address))
    } else {
        Err(LocalAddressError::NotLoopback(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_listened_on() {
        let parse = |text: &str| text.parse::<LocalAddress>().map_err(|e| e.to_string());
        assert_eq!(
            parse("unix:///run/m.sock").unwrap(),
            LocalAddress::Unix("/run/m.sock".into())
        );
        assert!(matches!(
            parse("127.0.0.1:9323").unwrap(),
            LocalAddress::Tcp(_)
        ));
        assert!(matches!(
            parse("127.9.9.9:1").unwrap(),
            LocalAddress::Tcp(_)
        ));
        assert!(matches!(parse("[::1]:9323").unwrap(), LocalAddress::Tcp(_)));
        for text in [
            "0.0.0.0:9323",
            "[::]:9323",
            "192.0.2.1:9323",
            "[::ffff:127.0.0.1]:9323",
        ] {
            assert!(
                parse(text)
                    .unwrap_err()
                    .contains("is reachable from other machines"),
                "{text}"
            );
        }
        for text in [
            "",
            ":9323",
            "localhost:9323",
            "127.0.0.1",
            "unix://run/m.sock",
            "unix:///run/",
            "/run/m",
        ] {
            assert!(
                parse(text).unwrap_err().contains("is not a local address"),
                "{text}"
            );
        }
        assert!(
            parse(&format!("unix:///{}", "x".repeat(107)))
                .unwrap_err()
                .contains("107 bytes")
        );
    }
}
