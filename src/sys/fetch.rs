//! One `GET` over a Unix socket, of a server that may be slow, broken or gone.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use thiserror::Error;
use tokio::net::UnixStream;

/// Why there is nothing to read.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Nobody listens.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// What came is no HTTP, or ended too early.
    #[error("the answer cannot be read: {0}")]
    Broken(String),
    /// The server refused.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The body is larger than asked for.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// The server did not come to an end in time.
    #[error("there is no whole answer after {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// The body of what a server on a Unix socket answers, if it is of at most `limit` bytes and comes within `patience`.
///
/// # Errors
/// Anything but a whole answer with status 200.
pub async fn get(socket: &Path, target: &str, limit: usize, patience: Duration) -> Result<Bytes, FetchError> {
    let fetched = tokio::time::timeout(patience, exchange(socket, target, limit)).await;
    fetched.unwrap_or(Err(FetchError::TimedOut(patience)))
}

async fn exchange(socket: &Path, target: &str, limit: usize) -> Result<Bytes, FetchError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(target).header(HOST, "localhost").header(ACCEPT, "text/plain");
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| FetchError::Broken(e.to_string()))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), limit).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken(*error),
            Err(_) => FetchError::TooLarge(limit),
        })
    });
    let mut open = true;
    poll_fn(|context| {
        // How the connection ends is seen in the answer.
        open = open && connection.as_mut().poll(context).is_pending();
        answer.as_mut().poll(context)
    })
    .await
}

fn broken(error: hyper::Error) -> FetchError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    FetchError::Broken(format!("{error}{cause}"))
}
