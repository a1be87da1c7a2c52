//! `GET /metrics`: the counters of all plugins, served by the main thread so that no plugin waits.

use super::acceptor::ACCEPT_BACKOFF;
use super::own_file::OwnFile;
use super::socket::{SocketError, listen_privately, make_directory};
use super::stream::AnyStream;
use crate::config::LocalAddress;
use crate::metrics::{CONTENT_TYPE, Meters, Process, page};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE as TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// What chooses the address.
const OPTION: &str = "--metrics";

/// The limit on concurrent clients; others wait.
const MAX_CLIENTS: usize = 16;

/// The time limit on a client's request and answer together.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The metrics page, which is served as long as this lives.
pub struct Scraped {
    plugins: Plugins,
    _file: Option<OwnFile>,
}

/// An error of serving metrics.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ScrapeError {
    #[error("cannot serve metrics")]
    Socket(#[from] SocketError),
    #[error("cannot serve metrics at `{address}`")]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
}

/// The counters of all plugins. Only the main thread takes the lock, and briefly.
type Plugins = Arc<Mutex<Vec<Arc<Meters>>>>;

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Scraped {
    /// Serves the page at `address`, if there is one.
    pub fn start(address: Option<&LocalAddress>) -> Result<Scraped, ScrapeError> {
        let plugins = Plugins::default();
        let (listener, file) = match address {
            None => {
                return Ok(Scraped {
                    plugins,
                    _file: None,
                });
            }
            Some(LocalAddress::Unix(path)) => bind_unix(path)?,
            Some(LocalAddress::Tcp(address)) => (bind_tcp(*address)?, None),
        };
        tokio::spawn(serve(listener, plugins.clone()));
        Ok(Scraped {
            plugins,
            _file: file,
        })
    }

    /// Adds a plugin to the page, in the place of an earlier one of its name.
    pub fn show(&self, meters: Arc<Meters>) {
        self.hide(meters.plugin());
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.push(meters);
        plugins.sort_by(|a, b| a.plugin().cmp(b.plugin()));
    }

    /// Removes a plugin from the page.
    pub fn hide(&self, plugin: &str) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|meters| meters.plugin() != plugin);
    }
}

fn bind_unix(path: &Path) -> Result<(Listener, Option<OwnFile>), ScrapeError> {
    if let Some(dir) = path.parent() {
        make_directory(dir, OPTION)?;
    }
    let (listener, file) = listen_privately(path, OPTION)?;
    info!(socket = %path.display(), "serving metrics");
    Ok((Listener::Unix(listener), Some(file)))
}

fn bind_tcp(address: SocketAddr) -> Result<Listener, ScrapeError> {
    let failed = |source| ScrapeError::Bind { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    info!(url = %format_args!("http://{bound}/metrics"), "serving metrics");
    TcpListener::from_std(listener)
        .map(Listener::Tcp)
        .map_err(failed)
}

async fn serve(listener: Listener, plugins: Plugins) {
    let process = Process {
        started: SystemTime::now(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let accepted = match &listener {
            Listener::Unix(listener) => listener
                .accept()
                .await
                .map(|(s, _)| Box::new(s) as Box<dyn AnyStream>),
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .map(|(s, _)| Box::new(s) as Box<dyn AnyStream>),
        };
        match accepted {
            Ok(stream) => {
                let plugins = plugins.clone();
                tokio::spawn(async move {
                    // A client that is too slow, or hangs up, asks again.
                    let _ = timeout(CLIENT_TIMEOUT, converse(stream, process, plugins)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!("cannot accept a metrics connection: {error}");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn converse(
    stream: Box<dyn AnyStream>,
    process: Process,
    plugins: Plugins,
) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let answer = answer(&request, &process, &plugins);
        async { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(
    request: &Request<Incoming>,
    process: &Process,
    plugins: &Plugins,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "use `GET`\n".to_owned());
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => {
            let plugins = plugins.lock().unwrap_or_else(PoisonError::into_inner);
            plain(StatusCode::OK, page(process, &plugins))
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            "not found; use `/metrics`\n".to_owned(),
        ),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(TYPE, HeaderValue::from_static(CONTENT_TYPE));
    answer
}
