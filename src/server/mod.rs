//! Sockets, threads, signals and HTTP: everything between the engine and [`crate::plugin`].
//!
//! The main thread owns what belongs to the process: the lock on the state directory, the socket
//! files and the signals. Each plugin has a [`worker`] thread, which accepts connections, speaks
//! HTTP, and runs the plugin's policy. Its other scripts have threads of their own.

mod acceptor;
mod certificates;
mod connection;
mod endpoint;
mod fleet;
mod head_timeout;
mod http;
pub mod init;
mod order;
mod own_file;
mod scrape;
mod signals;
mod socket;
mod spec;
mod state;
mod stream;
mod systemd;
mod tls;
mod tls_files;
mod worker;

pub use self::certificates::CertificateError;
pub use self::endpoint::EndpointError;
pub use self::order::WorkerError;
pub use self::scrape::ScrapeError;
pub use self::socket::SocketError;
pub use self::spec::SpecError;
pub use self::state::{StateError, StateLock, make_private};
pub use self::systemd::ActivationError;
pub use self::tls::TlsError;

use self::endpoint::Endpoint;
use self::fleet::Fleet;
use self::order::Event;
use self::scrape::Scraped;
use self::signals::{Signal, Signals};
use self::systemd::Notifier;
use crate::config::Config;
use crate::telemetry::chain;
use rustix::process::Pid;
use std::io;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

/// How serving ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A signal asked for a shutdown, and all calls in flight were answered or reached the
    /// deadline.
    Drained,
    /// A second signal, with this number, interrupted the shutdown.
    Interrupted(u8),
}

/// An error that prevents or ends serving.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ServeError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Metrics(#[from] ScrapeError),
    #[error("cannot set up threads and signals")]
    Runtime(#[from] io::Error),
    #[error("the plugin `{plugin}` failed")]
    Plugin { plugin: String, source: WorkerError },
    #[error("cannot send a signal to process {process}")]
    Signal { process: u32, source: io::Error },
}

/// Serves `config` until a signal ends it.
///
/// Must be called before the process starts threads that create files: the mode of the sockets is
/// kept by the umask, which belongs to the whole process.
pub fn run(config: &Config) -> Result<Outcome, ServeError> {
    let mut lock = StateLock::take(&config.places.state)?;
    let bound = endpoint::bind_all(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(supervise(config, bound, &mut lock))
}

/// Asks the process that serves with the state in `state` to reload its scripts. Returns its
/// process ID.
///
/// # Errors
/// Fails if there is no such process, or if it cannot be signalled.
pub fn ask_to_reload(state: &Path, accept_grants: bool) -> Result<u32, ServeError> {
    let process = state::serving(state)?;
    let pid = i32::try_from(process)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidData.into());
    pid.and_then(|pid| signals::send(pid, Signal::Reload { accept_grants }))
        .map_err(|source| ServeError::Signal { process, source })?;
    Ok(process)
}

async fn supervise(
    config: &Config,
    endpoints: Vec<Endpoint>,
    lock: &mut StateLock,
) -> Result<Outcome, ServeError> {
    let mut signals = Signals::listen()?;
    lock.announce()?;
    let scraped = Scraped::start(config.metrics.as_ref())?;
    let (mut fleet, files) = Fleet::start(config, endpoints)?;
    let notifier = Notifier::from_env(&config.plugins);
    let ended = watch_over(&mut fleet, &mut signals, &notifier, &scraped).await;
    notifier.stopping();
    drop(files);
    let outcome = drain(fleet, &mut signals, config.drain).await;
    ended.map(|()| outcome)
}

/// Handles signals and events until a signal asks for a shutdown, or a plugin fails.
async fn watch_over(
    fleet: &mut Fleet,
    signals: &mut Signals,
    notifier: &Notifier,
    scraped: &Scraped,
) -> Result<(), ServeError> {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload { accept_grants } => {
                    notifier.reloading();
                    fleet.reload(accept_grants);
                }
                Signal::Shutdown { name, .. } => {
                    info!(signal = name, "shutting down");
                    return Ok(());
                }
            },
            event = fleet.event() => match event {
                Event::Ready(meters) => scraped.show(meters),
                Event::Settled if fleet.is_settled() => notifier.ready(),
                Event::Settled => {}
                Event::Ended { plugin, result } => {
                    let source = result.err().unwrap_or(WorkerError::Stopped);
                    return Err(ServeError::Plugin { plugin, source });
                }
            }
        }
    }
}

async fn drain(mut fleet: Fleet, signals: &mut Signals, timeout: Duration) -> Outcome {
    let deadline = Instant::now() + timeout;
    fleet.drain();
    while fleet.is_running() {
        tokio::select! {
            event = fleet.event() => if let Event::Ended { plugin, result: Err(error) } = event {
                error!(plugin, "{}", chain(&error));
            },
            signal = signals.next() => if let Signal::Shutdown { number, name } = signal {
                warn!(signal = name, "interrupted, abandoning calls in flight");
                return Outcome::Interrupted(number);
            },
            () = sleep_until(deadline) => {
                warn!("abandoning calls in flight after {} s", timeout.as_secs_f32());
                break;
            }
        }
    }
    Outcome::Drained
}
