//! Accepts the connections of a plugin's endpoint.

use super::connection::Connections;
use super::endpoint::Listener;
use super::stream::{AnyStream, Peer};
use rustix::net::sockopt::set_socket_keepalive;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::debug;

/// The pause after a failed accept, as when the process has no file descriptor left.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS handshakes at a time; further clients wait to be accepted. Each takes file descriptors, which
/// belong to the whole process, before the client is authenticated.
const HANDSHAKE_LIMIT: usize = 128;

/// A listener of the plugin's own event loop.
pub enum Acceptor {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
    /// TLS over TCP; clients authenticate by certificate.
    Tls(TcpListener, TlsAcceptor, Arc<Semaphore>),
}

impl Acceptor {
    /// Registers the listener with the event loop of this thread.
    pub fn new(listener: Listener) -> io::Result<Acceptor> {
        Ok(match listener {
            Listener::Unix(listener) => Acceptor::Unix(UnixListener::from_std(listener)?),
            Listener::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Listener::Tls(listener, config) => {
                let places = Arc::new(Semaphore::new(HANDSHAKE_LIMIT));
                Acceptor::Tls(TcpListener::from_std(listener)?, config.into(), places)
            }
        })
    }

    /// Waits for a connection, and serves it in a task of its own.
    pub async fn accept(&self, connections: &Connections) -> io::Result<()> {
        match self {
            Acceptor::Unix(listener) => {
                let stream = listener.accept().await?.0;
                connections.serve(Peer::unix(&stream)?, ready(Some(stream)));
            }
            Acceptor::Tcp(listener) => {
                let stream = prepare(listener.accept().await?.0)?;
                connections.serve(
                    Peer::tcp(&stream)?,
                    ready(Some(Box::new(stream) as Box<dyn AnyStream>)),
                );
            }
            Acceptor::Tls(listener, tls, places) => {
                let place = places
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(io::Error::other)?;
                let stream = prepare(listener.accept().await?.0)?;
                connections.serve(Peer::tcp(&stream)?, shake_hands(tls.accept(stream), place));
            }
        }
        Ok(())
    }
}

/// Sets the options of a TCP connection: replies are written at once, so delaying packets gains nothing;
/// and a peer that vanished without closing is noticed after two hours instead of never.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Completes a TLS handshake. Returns `None` if it fails or times out. `_place` is freed in any case.
async fn shake_hands(
    handshake: Accept<TcpStream>,
    _place: OwnedSemaphorePermit,
) -> Option<Box<dyn AnyStream>> {
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => debug!("TLS client rejected: {error}"),
        Err(_) => debug!(
            "TLS client rejected: no handshake within {} s",
            HANDSHAKE_TIMEOUT.as_secs()
        ),
    }
    None
}
