//! Sockets, threads, signals and HTTP: everything between the engine and [`crate::dispatch`].
//!
//! The main thread holds what belongs to the process (the lock on the state directory, the socket
//! files, the signals); each plugin has a [`worker`] thread of its own, which accepts, speaks HTTP
//! and runs the plugin's scripts.

mod connection;
mod fleet;
mod http;
mod signals;
mod socket;
mod state;
mod stream;
mod worker;

pub use self::socket::SocketError;
pub use self::state::{StateError, StateLock, make_private};
pub use self::worker::WorkerError;

use self::fleet::{Event, Fleet};
use self::signals::{Signal, Signals};
use self::socket::Socket;
use crate::config::Config;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

/// How long calls in flight may take once the process is asked to end.
const DRAIN: Duration = Duration::from_secs(5);

/// How serving ended, when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Asked to end, and all that was in flight is answered, or had its time.
    Drained,
    /// Told a second time to end, by this signal.
    Interrupted(u8),
}

/// Why serving did not begin, or ended by itself.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ServeError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot set up threads and signals")]
    Runtime(#[from] io::Error),
    #[error("plugin `{plugin}`")]
    Plugin { plugin: String, source: WorkerError },
}

/// Serves `config` until a signal ends it.
///
/// Must be called before the process starts threads that create files: the mode of the sockets is
/// kept by the umask, which belongs to the whole process.
pub fn run(config: &Config) -> Result<Outcome, ServeError> {
    let _lock = StateLock::take(&config.state)?;
    socket::make_directory(&config.sockets)?;
    let bound = bind_all(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(config, bound))
}

fn bind_all(config: &Config) -> Result<Vec<Socket>, SocketError> {
    config.plugins.iter().map(|plugin| Socket::bind(config.socket(&plugin.name))).collect()
}

async fn supervise(config: &Config, sockets: Vec<Socket>) -> Result<Outcome, ServeError> {
    let mut signals = Signals::listen()?;
    let (mut fleet, files) = Fleet::start(config, sockets)?;
    let ended = watch_over(&mut fleet, &mut signals).await;
    drop(files);
    let outcome = drain(fleet, &mut signals).await;
    ended.map(|()| outcome)
}

/// Goes on until a signal asks for the end, or a plugin fails.
async fn watch_over(fleet: &mut Fleet, signals: &mut Signals) -> Result<(), ServeError> {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => fleet.reload(),
                Signal::End { name, .. } => {
                    info!("{name}: no more calls are taken");
                    return Ok(());
                }
            },
            Event::Ended { plugin, result } = fleet.event() => {
                let source = result.err().unwrap_or(WorkerError::Stopped);
                return Err(ServeError::Plugin { plugin, source });
            }
        }
    }
}

async fn drain(mut fleet: Fleet, signals: &mut Signals) -> Outcome {
    let deadline = Instant::now() + DRAIN;
    fleet.drain();
    while fleet.is_running() {
        tokio::select! {
            Event::Ended { plugin, result } = fleet.event() => if let Err(error) = result {
                error!(plugin, "{error}");
            },
            signal = signals.next() => if let Signal::End { number, name } = signal {
                warn!("{name} again: calls in flight are given up");
                return Outcome::Interrupted(number);
            },
            () = sleep_until(deadline) => {
                warn!("calls in flight are given up after {} s", DRAIN.as_secs());
                break;
            }
        }
    }
    Outcome::Drained
}
