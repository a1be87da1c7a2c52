//! `GET /metrics`: the counters of all plugins, served by the main thread so that no plugin waits.

use super::own_file::OwnFile;
use super::side::{self, Answer, Listener, Service};
use super::socket::{SocketError, listen_privately, make_directory};
use crate::config::LocalAddress;
use crate::metrics::{CONTENT_TYPE, Meters, Process, page};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::net::TcpListener;
use tracing::info;

/// What chooses the address.
const OPTION: &str = "--metrics";

/// The service in the log.
const SERVICE: Service = Service {
    name: "a metrics connection",
    limit: Some(Duration::from_secs(5)),
};

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
        let process = Process {
            started: SystemTime::now(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let shown = plugins.clone();
        tokio::spawn(side::serve(listener, SERVICE, move |request| {
            ready(answer(&request, &process, &shown))
        }));
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

fn answer(request: &Request<Incoming>, process: &Process, plugins: &Plugins) -> Answer {
    if !side::reads(request.method()) {
        return side::not_allowed(CONTENT_TYPE, "use `GET`\n".to_owned(), "GET, HEAD");
    }
    if request.uri().path() != "/metrics" {
        let text = "not found; use `/metrics`\n".to_owned();
        return side::plain(StatusCode::NOT_FOUND, CONTENT_TYPE, text);
    }
    let plugins = plugins.lock().unwrap_or_else(PoisonError::into_inner);
    side::plain(StatusCode::OK, CONTENT_TYPE, page(process, &plugins))
}
