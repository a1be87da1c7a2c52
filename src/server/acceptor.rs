//! Takes what comes to a plugin's endpoint, and hands it on as a stream.

use super::connection::Connections;
use super::endpoint::Listener;
use super::stream::Peer;
use rustix::net::sockopt::set_socket_keepalive;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::debug;

/// How long a client may take to prove who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many clients may be at that at a time; the others wait to be accepted. Each takes file descriptors, which are the
/// whole process's, before anybody knows who it is.
const HANDSHAKES: usize = 128;

/// A listener of the plugin's own event loop.
pub enum Acceptor {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
    /// TCP, with a handshake that proves who is there.
    Tls(TcpListener, TlsAcceptor, Arc<Semaphore>),
}

/// Whatever is no Unix socket: one kind of stream for all of them keeps a second and third HTTP server
/// out of the program.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Acceptor {
    /// Takes the listener over.
    pub fn new(listener: Listener) -> io::Result<Acceptor> {
        Ok(match listener {
            Listener::Unix(listener) => Acceptor::Unix(UnixListener::from_std(listener)?),
            Listener::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Listener::Tls(listener, config) => {
                let places = Arc::new(Semaphore::new(HANDSHAKES));
                Acceptor::Tls(TcpListener::from_std(listener)?, config.into(), places)
            }
        })
    }

    /// Waits for a connection and has it served.
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
                    ready(Some(Box::new(stream) as Box<dyn Stream>)),
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

/// An answer is written at once, so nothing is gained by waiting for more to send; and a peer that vanished
/// without a word is noticed after two hours, not never.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Nothing when the client has not proved in time who it is. Its place is free afterwards.
async fn shake_hands(
    handshake: Accept<TcpStream>,
    _place: OwnedSemaphorePermit,
) -> Option<Box<dyn Stream>> {
    match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => debug!("a client is turned away: {error}"),
        Err(_) => debug!(
            "a client is turned away: no handshake within {} s",
            HANDSHAKE.as_secs()
        ),
    }
    None
}
