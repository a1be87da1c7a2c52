//! Endpoints of plugins: what they listen on, and the files by which the engine finds them.

use super::own_file::OwnFile;
use super::systemd::Activation;
use super::{ActivationError, CertificateError, SocketError, SpecError};
use super::{certificates, socket, spec};
use crate::config::{Access, Config, PluginDir, Tls, Transport};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio_rustls::rustls::ServerConfig;
use tracing::info;

/// A bound endpoint. Clients wait in its queue until the plugin is served.
#[derive(Debug)]
pub struct Endpoint {
    /// The listener.
    pub listener: Listener,
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

/// An error of binding an endpoint.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum EndpointError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Activation(#[from] ActivationError),
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

/// Binds the endpoints of all plugins, or takes them over from systemd.
///
/// # Errors
/// Fails if any endpoint cannot be bound; none stays bound then.
pub fn bind_all(config: &Config) -> Result<Vec<Endpoint>, EndpointError> {
    let mut activation = Activation::take(&config.plugins, &config.transports)?;
    let wanted = || {
        config
            .plugins
            .iter()
            .map(|plugin| plugin.name.as_str())
            .zip(&config.transports)
    };
    prepare_directories(config, &activation)?;
    // All stale files go before the first bind, which may get an address that such a file names.
    for (plugin, _) in wanted().filter(|(_, transport)| transport.address().is_some()) {
        socket::clear(&config.socket(plugin))?;
        spec::clear(&config.places.specs, plugin)?;
    }
    let bind = |(plugin, transport)| match activation.socket(plugin) {
        Some(listener) => Ok(Endpoint {
            listener: Listener::Unix(listener),
            file: None,
        }),
        None => bind(config, plugin, transport),
    };
    wanted().map(bind).collect()
}

fn prepare_directories(config: &Config, activation: &Activation) -> Result<(), EndpointError> {
    let by_address = |transport: &Transport| transport.address().is_some();
    let of_systemd = |plugin: &PluginDir| activation.has(&plugin.name);
    if config.transports.iter().any(by_address) {
        spec::make_directory(&config.places.specs)?;
    }
    if !config.transports.iter().all(by_address) && !config.plugins.iter().all(of_systemd) {
        socket::make_directory(&config.places.sockets)?;
    }
    Ok(())
}

fn bind(config: &Config, plugin: &str, transport: &Transport) -> Result<Endpoint, EndpointError> {
    match transport {
        Transport::Unix(access) => bind_unix(config.socket(plugin), access),
        Transport::Tcp(address) => {
            let (listener, address) = bind_port(plugin, *address)?;
            let file = spec::write_tcp(&config.places.specs, plugin, address)?;
            Ok(Endpoint {
                listener: Listener::Tcp(listener),
                file: Some(file),
            })
        }
        Transport::Tls(tls) => bind_tls(config, plugin, tls),
    }
}

fn bind_unix(path: PathBuf, access: &Access) -> Result<Endpoint, EndpointError> {
    let (listener, file) = socket::bind(&path, access)?;
    Ok(Endpoint {
        listener: Listener::Unix(listener),
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
    let (listener, address) = bind_port(plugin, tls.address)?;
    let file = spec::write_tls(&config.places.specs, plugin, address, &files)?;
    Ok(Endpoint {
        listener: Listener::Tls(listener, served),
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
