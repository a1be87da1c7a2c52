//! Closes connections whose client begins a request and does not finish its head.
//!
//! hyper's own timeout would also close idle connections, which the engine keeps for later calls
//! (protocol 1.3).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

/// How long the head of a request may take.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Since when the client is sending the head of a request; nothing between requests, and while one
/// is answered.
#[derive(Debug, Default, Clone)]
pub struct HeadClock(Rc<State>);

#[derive(Debug, Default)]
struct State {
    since: Cell<Option<Instant>>,
    is_answering: Cell<bool>,
}

/// A connection whose clock starts with the first bytes of a request.
pub struct Timed<S> {
    stream: S,
    clock: HeadClock,
}

impl HeadClock {
    /// Reports that the head of a request has arrived.
    pub fn stop(&self) {
        self.0.is_answering.set(true);
        self.0.since.set(None);
    }

    /// Reports that the request is answered.
    pub fn reset(&self) {
        self.0.is_answering.set(false);
    }

    /// Whether a request is being answered.
    pub fn is_answering(&self) -> bool {
        self.0.is_answering.get()
    }

    /// Waits until a head has taken longer than `timeout`.
    pub async fn run_out(&self, timeout: Duration) {
        let is_late = |since: Instant| since.elapsed() > timeout;
        while !self.0.since.get().is_some_and(is_late) {
            sleep(timeout / 2).await;
        }
    }

    fn start(&self) {
        let state = &self.0;
        if !self.is_answering() && state.since.get().is_none() {
            state.since.set(Some(Instant::now()));
        }
    }
}

impl<S> Timed<S> {
    /// Wraps a connection.
    pub fn new(stream: S, clock: HeadClock) -> Self {
        Self { stream, clock }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.start();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    const TIMEOUT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn only_a_head_that_has_begun_is_timed() {
        let (mut client, server) = duplex(100);
        let clock = HeadClock::default();
        let mut server = Timed::new(server, clock.clone());
        let runs_out = async || timeout(LONG, clock.run_out(TIMEOUT)).await.is_ok();
        let mut part = [0; 5];
        assert!(!runs_out().await, "an idle connection was timed");
        client.write_all(b"POST ").await.unwrap();
        server.read_exact(&mut part).await.unwrap();
        clock.stop();
        client.write_all(b"body.").await.unwrap();
        server.read_exact(&mut part).await.unwrap();
        assert!(!runs_out().await, "a call was timed");
        clock.reset();
        assert!(!runs_out().await, "a connection between calls was timed");
        client.write_all(b"POST ").await.unwrap();
        server.read_exact(&mut part).await.unwrap();
        assert!(runs_out().await, "half a head was not timed");
    }
}
