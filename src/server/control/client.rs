//! The commands' end of the control socket.

use super::Kind;
use crate::config::{SOCKET_PATH_MAX, STATE_CONTROL};
use crate::server::report::Report;
use crate::server::state::{self, StateError};
use crate::server::status::Status;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a reload may take; a script may run its top level for 5 s.
const RELOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the status may take, which no script can hold up.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to a running process.
#[derive(Debug, Clone)]
pub enum Control {
    /// By the directory of its state.
    State(PathBuf),
    /// By its control socket.
    Socket(PathBuf),
}

/// An error of asking a running process.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ControlError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("no moondock takes requests at `{}`: start it with `--control`", .0.display())]
    Absent(PathBuf),
    #[error("cannot connect to `{}`: run this as the user that moondock runs as", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("moondock has not answered after {} s: see its log", .0.as_secs())]
    Timeout(Duration),
    #[error("moondock ended, or failed, before it reported what it did: see its log")]
    NoReport,
    #[error("moondock refused the request: {0}")]
    Refused(String),
}

impl Control {
    /// Asks the process what it is doing.
    ///
    /// # Errors
    /// Fails if there is no such process, or if it does not answer.
    pub async fn status(&self) -> Result<Status, ControlError> {
        let asking = self.document(Kind::Status, String::new());
        within(STATUS_TIMEOUT, asking).await
    }

    /// Asks the process to reload its scripts, and waits for its report.
    ///
    /// # Errors
    /// Fails if there is no such process, or if it ends meanwhile.
    pub async fn reload(&self, accept_grants: bool) -> Result<Report, ControlError> {
        let body = json!({ "accept_grants": accept_grants }).to_string();
        within(RELOAD_TIMEOUT, self.document(Kind::Reload, body)).await
    }

    /// Passes the calls that the parameters select to `see`, a line of JSON each, until it returns
    /// false, or the process ends.
    ///
    /// # Errors
    /// Fails if there is no such process.
    pub async fn trace(
        &self,
        parameters: &[(&str, String)],
        mut see: impl FnMut(&str) -> bool,
    ) -> Result<(), ControlError> {
        let encoded: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let query = format!("?{}", encoded.join("&"));
        let mut answer = self.ask(Kind::Trace, &query, String::new()).await?;
        let mut text = Vec::new();
        while let Some(Ok(frame)) = answer.frame().await {
            let Ok(data) = frame.into_data() else {
                continue;
            };
            text.extend_from_slice(&data);
            while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = text.drain(..=end).collect();
                if end > 0 && !see(&String::from_utf8_lossy(&line[..end])) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn document<T: DeserializeOwned>(
        &self,
        kind: Kind,
        body: String,
    ) -> Result<T, ControlError> {
        let answer = self.ask(kind, "", body).await?;
        let bytes = answer.collect().await.map_err(|_| ControlError::NoReport)?;
        serde_json::from_slice(&bytes.to_bytes()).map_err(|_| ControlError::NoReport)
    }

    /// Sends a request. Returns the answer if it is a success.
    async fn ask(&self, kind: Kind, query: &str, body: String) -> Result<Incoming, ControlError> {
        let route = kind.route();
        let lost = |_| ControlError::NoReport;
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(lost)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(route.method)
            .uri([route.path, query].concat())
            .header("Host", "moondock")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| ControlError::Refused(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(lost)?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        Err(refused(answer).await)
    }

    async fn connect(&self) -> Result<UnixStream, ControlError> {
        let path = match self {
            Self::State(dir) => dir.join(STATE_CONTROL),
            Self::Socket(path) => path.clone(),
        };
        match (connect(&path).await, self) {
            (Ok(stream), _) => Ok(stream),
            (Err(error), Self::State(dir)) if is_absent(&error) => {
                Err(state::why_silent(dir).into())
            }
            (Err(error), Self::Socket(_)) if is_absent(&error) => Err(ControlError::Absent(path)),
            (Err(source), _) => Err(ControlError::Connect { path, source }),
        }
    }
}

/// Connects to a socket, also if its path is longer than one that a socket can have: below the
/// engine's directory of a managed plugin, it is.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await;
    };
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return UnixStream::connect(path).await;
    }
    #[expect(clippy::disallowed_types, reason = "the directory of the socket")]
    let dir = std::fs::File::open(dir)?;
    let near = format!("/proc/self/fd/{}", dir.as_raw_fd());
    UnixStream::connect(Path::new(&near).join(name)).await
}

async fn refused(answer: Response<Incoming>) -> ControlError {
    let status = answer.status();
    let Ok(body) = answer.collect().await else {
        return ControlError::NoReport;
    };
    let json: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let text = json["error"].as_str().map(str::to_owned);
    ControlError::Refused(text.unwrap_or_else(|| status.to_string()))
}

async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, ControlError> {
    let answered = timeout(limit, asking).await;
    answered.unwrap_or(Err(ControlError::Timeout(limit)))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused
    )
}
