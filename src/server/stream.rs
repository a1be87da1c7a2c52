//! A body that is made while it is read, and ends when its reader is gone.

use crate::plugin::ReplyStream;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use hyper::body::{Body, Frame};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

/// How often a connection with unread bytes is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// A second handle of a connection, which shows when the other end is closed.
#[derive(Debug)]
pub enum Peer {
    /// Of a Unix socket.
    Unix(OwnedFd),
    /// Of TCP, with or without TLS.
    Tcp(OwnedFd),
}

/// The parts of a reply, as they are made.
///
/// A body without new parts writes nothing, and so would never notice that its reader is gone. Therefore
/// the connection is watched. No client of plugins stops sending while it still reads.
pub struct Streamed {
    parts: ReplyStream,
    gone: LocalBoxFuture<'static, ()>,
    /// Reported once the parts before it are sent: an error drops what is not.
    failure: Option<io::Error>,
}

/// A stream of any transport. One type for several keeps further copies of the HTTP server out of the
/// program.
pub trait AnyStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AnyStream for T {}

impl Peer {
    /// The peer of a Unix socket.
    pub fn unix(stream: &UnixStream) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(Self::Unix)
    }

    /// The peer of a TCP connection.
    pub fn tcp(stream: &TcpStream) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(Self::Tcp)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(fd) => Self::Unix(fd.try_clone()?),
            Self::Tcp(fd) => Self::Tcp(fd.try_clone()?),
        })
    }

    /// Waits until the other end is closed.
    async fn hung_up(self) -> io::Result<()> {
        match self {
            Self::Unix(fd) => {
                let stream = UnixStream::from_std(fd.into())?;
                closed(async || stream.ready(Interest::READABLE).await).await
            }
            Self::Tcp(fd) => {
                let stream = TcpStream::from_std(fd.into())?;
                closed(async || stream.ready(Interest::READABLE).await).await
            }
        }
    }
}

async fn closed(ready: impl AsyncFn() -> io::Result<Ready>) -> io::Result<()> {
    while !ready().await?.is_read_closed() {
        sleep(CHECK_INTERVAL).await;
    }
    Ok(())
}

impl Streamed {
    /// Creates the body of a reply to `peer`.
    pub fn new(parts: ReplyStream, peer: &Peer) -> Self {
        let peer = peer.try_clone();
        let gone = async move {
            let watched = async { peer?.hung_up().await };
            if let Err(error) = watched.await {
                tracing::warn!("cannot watch the connection of a stream's reader: {error}");
                std::future::pending::<()>().await;
            }
        };
        Self {
            parts,
            gone: gone.boxed_local(),
            failure: None,
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match self.parts.poll_part(context) {
            Poll::Ready(Some(Ok(part))) => Poll::Ready(Some(Ok(Frame::data(part)))),
            Poll::Ready(Some(Err(error))) => {
                self.failure = Some(io::Error::other(error.to_string()));
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self
                .gone
                .poll_unpin(context)
                .map(|()| Some(Err(io::ErrorKind::BrokenPipe.into()))),
        }
    }
}
