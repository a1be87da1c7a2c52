//! A body that goes on for as long as its reader likes, and ends when the reader goes.

use crate::dispatch::ReplyStream;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use hyper::body::{Body, Frame};
use std::io;
use std::os::unix::net;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::sleep;

/// How often a connection is looked at that has more to read than anybody reads.
const LOOK: Duration = Duration::from_millis(250);

/// The parts of a reply as they come.
///
/// A body without new parts writes nothing, and so would never notice that its reader has gone: the connection is
/// watched beside. No client of plugins stops sending while it still reads.
pub struct Streamed {
    parts: ReplyStream,
    gone: LocalBoxFuture<'static, ()>,
    /// Told once what came before it was sent: an error throws away what is not.
    failure: Option<io::Error>,
}

impl Streamed {
    /// The body that goes to `peer`.
    pub fn new(parts: ReplyStream, peer: &net::UnixStream) -> Self {
        let peer = peer.try_clone();
        let gone = async move {
            if let Err(error) = hung_up(peer).await {
                tracing::warn!("cannot tell whether the reader of a stream is there: {error}");
                std::future::pending::<()>().await;
            }
        };
        Self { parts, gone: gone.boxed_local(), failure: None }
    }
}

/// Waits until the other end is closed.
async fn hung_up(peer: io::Result<net::UnixStream>) -> io::Result<()> {
    let peer = UnixStream::from_std(peer?)?;
    while !peer.ready(Interest::READABLE).await?.is_read_closed() {
        sleep(LOOK).await;
    }
    Ok(())
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
            Poll::Pending => {
                self.gone.poll_unpin(context).map(|()| Some(Err(io::ErrorKind::BrokenPipe.into())))
            }
        }
    }
}
