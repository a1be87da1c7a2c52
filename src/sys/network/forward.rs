//! Forwards TCP connections from addresses of the host to others, in user space.

use rustix::process::{Resource, getrlimit};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The connections of one listener at a time; further clients wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// How long the other side may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection stays open on which nothing moves.
const IDLE_LIMIT: Duration = Duration::from_hours(24);

/// The pause after a failed accept, as when there is no file descriptor left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The error of a port or a connection for which there is no file descriptor left.
const TOO_MANY: &str =
    "too many ports and connections are forwarded: raise the limit on open files (`ulimit -n`)";

/// The file descriptors of a connection: one for each side.
const FILES_OF_CONNECTION: u32 = 2;

/// The bytes of a direction that are copied at a time.
const BUFFER: usize = 16 << 10;

/// A thread that forwards connections, and ends with this.
#[derive(Debug)]
pub struct Forwarder {
    runtime: Handle,
    /// The file descriptors that are left: most of the process's are for others.
    files: Arc<Semaphore>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A listener whose connections are forwarded. It ends with this.
#[derive(Debug)]
pub struct Forward(JoinHandle<()>);

impl Forwarder {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's error.
    pub fn start(name: String) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The sender is dropped, or sends nothing.
            let _: Result<(), _> = runtime.block_on(ended);
        })?;
        Ok(Self {
            runtime: handle,
            files: Arc::new(Semaphore::new(max_files())),
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Listens at `from`, and forwards the connections to `to`.
    ///
    /// # Errors
    /// The system's error of listening.
    pub async fn forward(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Forward> {
        let (files, own) = (self.files.clone(), take(&self.files, 1)?);
        let listener = self.runtime.spawn(TcpListener::bind(from)).await??;
        let task = self.runtime.spawn(async move {
            serve(&listener, to, &files).await;
            drop(own);
        });
        Ok(Forward(task))
    }
}

impl Drop for Forwarder {
    /// Ends the thread and waits for it, so that its addresses are free again.
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been logged.
            let _ = thread.join();
        }
    }
}

impl Forward {
    /// Closes the listener and its connections before it returns.
    pub async fn end(mut self) {
        self.0.abort();
        // It was aborted, or had panicked, which has been logged.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns a quarter of the file descriptors that the process may have.
fn max_files() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
    usize::try_from(files).map_or(Semaphore::MAX_PERMITS, |n| n.min(Semaphore::MAX_PERMITS))
}

fn take(files: &Arc<Semaphore>, count: u32) -> io::Result<OwnedSemaphorePermit> {
    let taken = files.clone().try_acquire_many_owned(count);
    taken.map_err(|_| io::Error::other(TOO_MANY))
}

async fn serve(listener: &TcpListener, to: SocketAddr, files: &Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        let may_accept = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if may_accept => {
                let accepted = accepted.and_then(|(client, _)| Ok((client, take(files, FILES_OF_CONNECTION)?)));
                match accepted {
                    Ok((client, held)) => {
                        connections.spawn(async move {
                            if let Err(error) = pass_on(client, to).await {
                                tracing::debug!(%to, %error, "a forwarded connection has failed");
                            }
                            drop(held);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%to, %error, "cannot forward a connection");
                        sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
        }
    }
}

/// Copies both ways until both sides have ended, or nothing moves for too long.
async fn pass_on(mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut server = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await??;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let moved = Notify::new();
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let copying = async {
        tokio::try_join!(
            copy(from_client, to_server, &moved),
            copy(from_server, to_client, &moved)
        )
    };
    tokio::select! {
        copied = copying => copied.map(drop),
        () = idle(&moved) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Copies one direction until its end, and passes the end on.
async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, moved: &Notify) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        moved.notify_one();
    }
}

/// Waits until nothing has moved for too long.
async fn idle(moved: &Notify) {
    while timeout(IDLE_LIMIT, moved.notified()).await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::time::Instant;

    async fn listener() -> (TcpListener, SocketAddr) {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn connections_beyond_the_file_descriptors_are_closed() {
        let ((front, from), (back, to)) = (listener().await, listener().await);
        let files = Arc::new(Semaphore::new(2));
        let serving = tokio::spawn(async move { serve(&front, to, &files).await });
        let mut first = TcpStream::connect(from).await.unwrap();
        let (mut server, _) = back.accept().await.unwrap();
        let mut second = TcpStream::connect(from).await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0);
        server.write_all(b"x").await.unwrap();
        assert_eq!(first.read(&mut [0]).await.unwrap(), 1);
        drop((first, server));
        // Its descriptors are free a moment later.
        loop {
            let mut third = TcpStream::connect(from).await.unwrap();
            third.write_all(b"y").await.unwrap_or(());
            if let Ok(Ok((mut server, _))) = timeout(ACCEPT_BACKOFF, back.accept()).await {
                assert_eq!(server.read(&mut [0]).await.unwrap(), 1);
                break;
            }
        }
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_ends() {
        let ((front, from), (back, to)) = (listener().await, listener().await);
        let _client = TcpStream::connect(from).await.unwrap();
        let (client, _) = front.accept().await.unwrap();
        let begun = Instant::now();
        let error = pass_on(client, to).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= IDLE_LIMIT);
        drop(back);
    }
}
