//! The socket by which `moondock reload` asks the running process, and gets its report.
//!
//! A request is a line, `reload` or `reload accept-grants`. The answer is a JSON object. The socket
//! is in the state directory, so its client has found the right process, in whatever namespace.

use super::acceptor::ACCEPT_BACKOFF;
use super::order::{Event, Request};
use super::own_file::OwnFile;
use super::report::Report;
use super::socket::{SocketError, listen_privately};
use super::state::{self, StateError};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{self, UnixListener};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// The socket, beside the plugins' directories. No plugin can have this name.
const CONTROL_SOCKET: &str = ".control";

/// The requests, and whether they accept grants.
const REQUESTS: [(&str, bool); 2] = [("reload", false), ("reload accept-grants", true)];

/// The limit on a request, in bytes.
const MAX_REQUEST: u64 = 100;

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reload may take; a script may run its top level for 5 s.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// An error of asking a process to reload.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ControlError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot connect to `{}`: run this as the user that moondock runs as", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("moondock has not finished the reload after {} s: see its log", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    #[error("moondock ended, or failed, before it reported what it did: see its log")]
    NoReport,
}

/// Takes requests in the state directory, for as long as the returned file lives.
///
/// # Errors
/// Fails if the socket cannot be bound.
pub fn listen(dir: &Path, report: UnboundedSender<Event>) -> Result<OwnFile, SocketError> {
    let (listener, file) = listen_privately(&dir.join(CONTROL_SOCKET), "--state")?;
    tokio::spawn(serve(listener, report));
    Ok(file)
}

async fn serve(listener: UnixListener, report: UnboundedSender<Event>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let report = report.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(client, report).await {
                        debug!("request for a reload failed: {error}");
                    }
                });
            }
            Err(error) => {
                warn!("cannot accept a request for a reload: {error}");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn answer(mut client: net::UnixStream, report: UnboundedSender<Event>) -> io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut client).take(MAX_REQUEST));
    timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
    let (_, accept_grants) = *REQUESTS
        .iter()
        .find(|(text, _)| *text == line.trim_end())
        .ok_or(ErrorKind::InvalidInput)?;
    let (answer, answered) = oneshot::channel();
    let request = Request {
        accept_grants,
        answer: Some(answer),
    };
    // While the process ends, nobody receives it, and the connection to the client closes.
    let _ = report.send(Event::Asked(request));
    let told = answered.await.map_err(io::Error::other)?;
    client.write_all(told.to_json().as_bytes()).await
}

/// Asks the process that serves with the state in `dir` to reload its scripts, and waits for its
/// report.
///
/// # Errors
/// Fails if there is no such process, if it cannot be reached, or if it ends meanwhile.
pub fn ask_to_reload(dir: &Path, accept_grants: bool) -> Result<Report, ControlError> {
    let path = dir.join(CONTROL_SOCKET);
    let server = match UnixStream::connect(&path) {
        Ok(server) => server,
        Err(error) if is_absent(&error) => return Err(state::why_silent(dir).into()),
        Err(source) => return Err(ControlError::Connect { path, source }),
    };
    let request = REQUESTS
        .iter()
        .find(|(_, accepts)| *accepts == accept_grants);
    let request = request.map_or("", |(text, _)| text);
    match converse(server, request) {
        Ok(text) => Report::from_json(&text).ok_or(ControlError::NoReport),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ControlError::Timeout),
        Err(_) => Err(ControlError::NoReport),
    }
}

fn converse(mut server: UnixStream, request: &str) -> io::Result<String> {
    server.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    server.write_all(format!("{request}\n").as_bytes())?;
    server.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    Ok(text)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused
    )
}
