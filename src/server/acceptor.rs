//! Takes what comes to a plugin's endpoint, and hands it on as a stream.

use super::connection::Connections;
use super::endpoint::Listener;
use super::stream::Peer;
use rustix::net::sockopt::set_socket_keepalive;
use std::future::ready;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::debug;

/// How long a client may take to prove who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listener of the plugin's own event loop.
pub enum Acceptor {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
    /// TCP, with a handshake that proves who is there.
    Tls(TcpListener, TlsAcceptor),
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
            Listener::Tls(listener, config) => Acceptor::Tls(TcpListener::from_std(listener)?, config.into()),
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
                connections.serve(Peer::tcp(&stream)?, ready(Some(Box::new(stream) as Box<dyn Stream>)));
            }
            Acceptor::Tls(listener, tls) => {
                let stream = prepare(listener.accept().await?.0)?;
                connections.serve(Peer::tcp(&stream)?, shake_hands(tls.accept(stream)));
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

/// Nothing when the client has not proved in time who it is.
async fn shake_hands(handshake: Accept<TcpStream>) -> Option<Box<dyn Stream>> {
    match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => debug!("a client is turned away: {error}"),
        Err(_) => debug!("a client is turned away: no handshake within {} s", HANDSHAKE.as_secs()),
    }
    None
}
