//! Sockets, threads, signals and HTTP: everything between the engine and [`crate::plugin`].
//!
//! The main thread owns what belongs to the process: the lock on the state directory, the socket
//! files and the signals. Each plugin has a [`worker`] thread, which accepts connections, speaks
//! HTTP, and runs the plugin's policy. Its other scripts have threads of their own.

mod acceptor;
mod certificates;
mod connection;
mod control;
mod cure;
mod endpoint;
mod fleet;
mod head_timeout;
mod http;
pub mod init;
mod lookout;
mod order;
mod own_file;
mod report;
mod scrape;
mod side;
mod signals;
mod socket;
mod spec;
mod state;
mod status;
mod stream;
mod systemd;
mod tls;
mod tls_files;
mod worker;

pub use self::certificates::CertificateError;
pub use self::control::{Control, ControlError, PARAMETERS, ROUTES, Route};
pub use self::endpoint::EndpointError;
pub use self::order::WorkerError;
pub use self::report::Report;
pub use self::scrape::ScrapeError;
pub use self::socket::SocketError;
pub use self::spec::SpecError;
pub use self::state::{StateError, StateLock, make_private};
pub use self::status::{Phase, ServedPlugin, Status};
pub use self::systemd::ActivationError;
pub use self::tls::TlsError;

use self::fleet::Fleet;
use self::lookout::Requests;
use self::order::{Event, Request};
use self::report::Round;
use self::scrape::Scraped;
use self::signals::{Signal, Signals};
use self::systemd::Notifier;
use crate::config::{Config, ConfigError, ListenError};
use crate::telemetry::chain;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};
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
    #[error("cannot start a thread for the plugin `{plugin}`")]
    Thread { plugin: String, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Activation(#[from] ActivationError),
}

/// The pause before a plugin whose thread failed is started again.
const RESTART_BACKOFF: Duration = Duration::from_secs(1);

/// Serves `config` until a signal ends it.
///
/// # Errors
/// Fails if nothing can be served, or, strictly, if anything cannot.
pub fn run(config: &Config) -> Result<Outcome, ServeError> {
    let _lock = StateLock::take(&config.places.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(supervise(config));
    // A directory that hangs while it is read must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn supervise(config: &Config) -> Result<Outcome, ServeError> {
    let mut signals = Signals::listen()?;
    let scraped = scraped(config)?;
    let notifier = Notifier::from_env();
    let mut fleet = Fleet::start(config)?;
    let control = control::listen(config, fleet.report().clone(), fleet.tap().clone());
    let _control = control.inspect_err(|error| {
        let error = chain(error);
        warn!("`moondock reload` and `moondock status` will not work: {error}");
    });
    let requests = lookout::start(config.roster.clone(), fleet.report().clone());
    let mut main = Main {
        config,
        signals: &mut signals,
        notifier: &notifier,
        scraped: &scraped,
        requests,
    };
    let ended = main.watch_over(&mut fleet).await;
    notifier.stopping();
    let outcome = drain(fleet, &mut signals, config.drain).await;
    ended.map(|()| outcome)
}

/// Serves the metrics, or, unless strictly, only logs that it cannot.
fn scraped(config: &Config) -> Result<Scraped, ServeError> {
    let started = Scraped::start(config.metrics.as_ref());
    match started {
        Err(error) if !config.strict => {
            error!("{}", chain(&error));
            Ok(Scraped::start(None)?)
        }
        started => Ok(started?),
    }
}

/// What the main thread works with while plugins are served.
struct Main<'a> {
    config: &'a Config,
    signals: &'a mut Signals,
    notifier: &'a Notifier,
    scraped: &'a Scraped,
    requests: Requests,
}

impl Main<'_> {
    /// Handles signals and events until a signal asks for a shutdown, or, strictly, a plugin fails.
    async fn watch_over(&mut self, fleet: &mut Fleet<'_>) -> Result<(), ServeError> {
        loop {
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Signal::Reload { accept_grants } => {
                        self.pass_on(fleet, Request { accept_grants, answer: None });
                    }
                    Signal::Shutdown { name, .. } => {
                        info!(signal = name, "shutting down");
                        return Ok(());
                    }
                },
                event = fleet.event() => match event {
                    Event::Ready(vitals) => self.scraped.show(vitals.meters().clone()),
                    Event::Examined(answer) => {
                        // The client may have hung up.
                        let _ = answer.send(fleet.status());
                    }
                    Event::Settled { .. } if fleet.is_settled() => self.notifier.ready(fleet.names()),
                    Event::Settled { .. } => {}
                    Event::Asked(request) => self.pass_on(fleet, request),
                    Event::Found(found, request) => {
                        let mut round = Round::default();
                        match found {
                            Some(found) => drop(fleet.take_in(&found, &mut round)),
                            None => round.note_problem(lookout::HANGS.to_owned()),
                        }
                        match request {
                            Some(request) => fleet.reload(request, round),
                            None if round.is_idle() => {}
                            None => fleet.carry_out(round, None),
                        }
                    }
                    Event::Ended { plugin, result } => self.end(plugin, result)?,
                }
            }
        }
    }

    /// Passes a request to the lookout, because plugins may have come and gone.
    fn pass_on(&self, fleet: &mut Fleet<'_>, request: Request) {
        self.notifier.reloading();
        fleet.expect();
        // The lookout lives as long as the process.
        let _ = self.requests.send(Some(request));
    }

    /// Looks for a successor of a plugin that has ended.
    ///
    /// # Errors
    /// Strictly, the error that ended it.
    fn end(&self, plugin: String, result: Result<(), WorkerError>) -> Result<(), ServeError> {
        self.scraped.hide(&plugin);
        let pause = match result {
            Ok(()) => Duration::ZERO,
            Err(source) if self.config.strict => return Err(ServeError::Plugin { plugin, source }),
            Err(error) => {
                error!(plugin, "failed, and is started again: {}", chain(&error));
                RESTART_BACKOFF
            }
        };
        let requests = self.requests.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            // The lookout lives as long as the process.
            let _ = requests.send(None);
        });
        Ok(())
    }
}

async fn drain(mut fleet: Fleet<'_>, signals: &mut Signals, timeout: Duration) -> Outcome {
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
