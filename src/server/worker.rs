//! A plugin's thread: opens its scripts, accepts, and comes to an end when asked.

use super::acceptor::Acceptor;
use super::connection::Connections;
use super::endpoint::Listener;
use super::fleet::Event;
use crate::plugin::{Plugin, PluginSpec};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;
use tracing::{error, info, warn};

/// How long accepting rests when the process has no file descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// What a plugin's thread is made of.
pub struct Worker {
    /// The plugin to open.
    pub spec: PluginSpec,
    /// What it listens on, bound already.
    pub listener: Listener,
    /// What the main thread wants.
    pub orders: UnboundedReceiver<Order>,
    /// Takes what the main thread is to know.
    pub report: UnboundedSender<Event>,
}

/// What the main thread may want of a plugin's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Load the scripts again.
    Reload {
        /// With all that `plugin.toml` grants now.
        accept_grants: bool,
    },
    /// Finish what is in flight and end.
    Drain,
}

/// Tells the main thread, when it is dropped, that scripts are loaded, or that those before go on.
struct Settling(UnboundedSender<Event>);

impl Drop for Settling {
    fn drop(&mut self) {
        // Nobody listens once the process is about to end anyway.
        let _ = self.0.send(Event::Settled);
    }
}

/// What ends a plugin's thread before it is asked to.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum WorkerError {
    #[error("{0}")]
    Open(String),
    #[error("cannot serve its socket")]
    Socket(#[from] io::Error),
    #[error("its thread ended by a fault in moondock itself (see the log above)")]
    Panicked,
    #[error("its thread ended without a reason")]
    Stopped,
}

impl Worker {
    /// Serves until told to end.
    pub fn run(self) -> Result<(), WorkerError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let result = LocalSet::new().block_on(&runtime, self.serve());
        // A file operation that hangs must not hold up the end.
        runtime.shutdown_background();
        result
    }

    async fn serve(mut self) -> Result<(), WorkerError> {
        let begun = Instant::now();
        let Some(plugin) = self.open().await? else {
            return Ok(());
        };
        let acceptor = Acceptor::new(self.listener)?;
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        info!(
            plugin = self.spec.name,
            ms = format_args!("{ms:.1}"),
            "ready"
        );
        // Nobody listens once the process is about to end anyway.
        let _ = self.report.send(Event::Ready(plugin.meters().clone()));
        plugin.resume_logs().await;
        drop(Settling(self.report.clone()));
        let watching = spawn_local(watch(plugin.clone()));
        let connections = Connections::new(plugin.clone());
        accept(
            &acceptor,
            &connections,
            &plugin,
            &mut self.orders,
            &self.report,
        )
        .await;
        drop(acceptor);
        connections.drain().await;
        plugin.shut_down().await;
        watching.abort();
        Ok(())
    }

    /// The opened plugin, or nothing when the end is asked for first.
    async fn open(&mut self) -> Result<Option<Rc<Plugin>>, WorkerError> {
        tokio::select! {
            opened = Plugin::open(self.spec.clone()) => {
                opened.map(Some).map_err(|e| WorkerError::Open(e.to_string()))
            }
            () = told_to_drain(&mut self.orders, &self.report) => Ok(None),
        }
    }
}

/// Whoever asks for a reload now gets one: the scripts are being read.
async fn told_to_drain(orders: &mut UnboundedReceiver<Order>, report: &UnboundedSender<Event>) {
    while matches!(orders.recv().await, Some(Order::Reload { .. })) {
        drop(Settling(report.clone()));
    }
}

async fn watch(plugin: Rc<Plugin>) {
    let watching: JoinHandle<()> = spawn_local(plugin.watch());
    if watching.await.is_err_and(|e| e.is_panic()) {
        error!("saved scripts are no longer noticed: send SIGHUP to load them");
    }
}

async fn accept(
    acceptor: &Acceptor,
    connections: &Connections,
    plugin: &Rc<Plugin>,
    orders: &mut UnboundedReceiver<Order>,
    report: &UnboundedSender<Event>,
) {
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Reload { accept_grants }) => {
                    spawn_local(reload(plugin.clone(), accept_grants, Settling(report.clone())));
                }
                Some(Order::Drain) | None => return,
            },
            accepted = acceptor.accept(connections) => if let Err(error) = accepted {
                warn!("cannot accept a connection: {error}");
                sleep(BREATH).await;
            }
        }
    }
}

async fn reload(plugin: Rc<Plugin>, accept_grants: bool, settling: Settling) {
    plugin.reload(accept_grants).await;
    drop(settling);
}
