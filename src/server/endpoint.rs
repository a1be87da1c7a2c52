//! Endpoints of plugins: what they listen on, and the files by which the engine finds them.

use super::own_file::OwnFile;
use super::systemd::Activation;
use super::{CertificateError, SocketError, SpecError};
use super::{certificates, socket, spec};
use crate::config::{Access, Config, ConfigError, ListenError, Tls, Transport};
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio_rustls::rustls::ServerConfig;
use tracing::info;

/// What chooses the directory of sockets.
const SOCKETS: &str = "--sockets";

/// A bound endpoint. Clients wait in its queue until the plugin is served.
#[derive(Debug)]
pub struct Endpoint {
    /// The listener.
    pub listener: Listener,
    /// Where it listens.
    pub address: Address,
    /// The file by which the engine finds it, unless systemd owns it.
    pub file: Option<OwnFile>,
}

/// A non-blocking listener.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
    /// TLS over TCP, with its configuration.
    Tls(TcpListener, Arc<ServerConfig>),
}

/// Where a plugin is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// An IP address and a port.
    Inet(SocketAddr),
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Inet(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// An error of binding an endpoint.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum EndpointError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot use the socket that systemd passes for the plugin `{plugin}`")]
    Duplicate { plugin: String, source: io::Error },
    #[error("cannot use TLS for the plugin `{plugin}`")]
    Certificates {
        plugin: String,
        source: CertificateError,
    },
    #[error("cannot listen on `{address}` for the plugin `{plugin}`")]
    Port {
        plugin: String,
        address: SocketAddr,
        source: io::Error,
    },
}

/// Removes the stale files of plugins that are about to be bound: before the first is, which may
/// get an address that such a file names. What cannot be removed is an error of binding.
pub fn clear_stale<'a>(config: &Config, plugins: impl Iterator<Item = &'a str>) {
    for plugin in plugins {
        // Binding tries it again, and reports it.
        let _ = clear(config, plugin, &config.listens.of(plugin));
    }
}

/// Binds a plugin's endpoint, or takes it over from systemd. `others` have their endpoints already.
///
/// # Errors
/// Fails if it cannot be bound; the plugin has no files then.
pub fn bind<'a>(
    config: &Config,
    activation: &Activation,
    plugin: &str,
    others: impl Iterator<Item = &'a str>,
) -> Result<Endpoint, EndpointError> {
    if let Some(listener) = activation.socket(plugin) {
        return of_systemd(plugin, listener);
    }
    let transport = config.listens.beside(plugin, others)?;
    clear(config, plugin, &transport)?;
    match transport {
        Transport::Unix(access) => bind_unix(config, plugin, &access),
        Transport::Tcp(address) => {
            spec::make_directory(&config.places.specs)?;
            let (listener, address) = bind_port(plugin, address)?;
            let file = spec::write_tcp(&config.places.specs, plugin, address)?;
            Ok(Endpoint {
                listener: Listener::Tcp(listener),
                address: Address::Inet(address),
                file: Some(file),
            })
        }
        Transport::Tls(tls) => bind_tls(config, plugin, &tls),
    }
}

/// Removes the stale files by which an engine would find a plugin at another address.
fn clear(config: &Config, plugin: &str, transport: &Transport) -> Result<(), EndpointError> {
    if transport.address().is_some() {
        socket::clear(&config.socket(plugin)?, SOCKETS)?;
        spec::clear(&config.places.specs, plugin)?;
    }
    Ok(())
}

fn of_systemd(plugin: &str, listener: io::Result<UnixListener>) -> Result<Endpoint, EndpointError> {
    let listener = listener.map_err(|source| EndpointError::Duplicate {
        plugin: plugin.to_owned(),
        source,
    })?;
    let address = listener.local_addr().ok();
    let path = address.and_then(|address| Some(address.as_pathname()?.to_owned()));
    Ok(Endpoint {
        listener: Listener::Unix(listener),
        address: Address::Unix(path.unwrap_or_default()),
        file: None,
    })
}

fn bind_unix(config: &Config, plugin: &str, access: &Access) -> Result<Endpoint, EndpointError> {
    let path = config.socket(plugin)?;
    socket::make_directory(&config.places.sockets, SOCKETS)?;
    let (listener, file) = socket::bind(&path, access, SOCKETS)?;
    Ok(Endpoint {
        listener: Listener::Unix(listener),
        address: Address::Unix(path),
        file: Some(file),
    })
}

fn bind_tls(config: &Config, plugin: &str, tls: &Tls) -> Result<Endpoint, EndpointError> {
    let failed = |source| EndpointError::Certificates {
        plugin: plugin.to_owned(),
        source,
    };
    let (files, served) = match &tls.certificates {
        Some(dir) => certificates::given(dir, tls.address.ip()),
        None => certificates::own(&config.places.state.join(plugin), plugin, tls.address.ip()),
    }
    .map_err(failed)?;
    spec::make_directory(&config.places.specs)?;
    let (listener, address) = bind_port(plugin, tls.address)?;
    let file = spec::write_tls(&config.places.specs, plugin, address, &files)?;
    Ok(Endpoint {
        listener: Listener::Tls(listener, served),
        address: Address::Inet(address),
        file: Some(file),
    })
}

/// Binds a port. Returns the listener and its address, of which the kernel may choose the port.
fn bind_port(
    plugin: &str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), EndpointError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound
        .inspect(|(_, address)| info!(plugin, %address, "listening"))
        .map_err(|source| EndpointError::Port {
            plugin: plugin.to_owned(),
            address,
            source,
        })
}
