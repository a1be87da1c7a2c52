//! A plugin's thread: opens its scripts, accepts, and comes to an end when asked.

use super::connection::Connections;
use crate::dispatch::{Plugin, PluginSpec};
use std::io;
use std::os::unix::net;
use std::rc::Rc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;
use tracing::{error, info, warn};

/// How long accepting rests when the process has no file descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// What a plugin's thread is made of.
pub struct Worker {
    /// The plugin to open.
    pub spec: PluginSpec,
    /// Its socket, bound already.
    pub listener: net::UnixListener,
    /// What the main thread wants.
    pub orders: UnboundedReceiver<Order>,
}

/// What the main thread may want of a plugin's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Load the scripts again.
    Reload,
    /// Finish what is in flight and end.
    Drain,
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
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let result = LocalSet::new().block_on(&runtime, self.serve());
        // A file operation that hangs must not hold up the end.
        runtime.shutdown_background();
        result
    }

    async fn serve(mut self) -> Result<(), WorkerError> {
        let begun = Instant::now();
        let Some(plugin) = open(self.spec.clone(), &mut self.orders).await? else { return Ok(()) };
        let listener = UnixListener::from_std(self.listener)?;
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        info!(plugin = self.spec.name, ms = format_args!("{ms:.1}"), "ready");
        plugin.resume_logs().await;
        let watching = spawn_local(watch(plugin.clone()));
        let connections = Connections::new(plugin.clone());
        accept(&listener, &connections, &plugin, &mut self.orders).await;
        drop(listener);
        connections.drain().await;
        plugin.rest_logs().await;
        watching.abort();
        Ok(())
    }
}

/// The opened plugin, or nothing when the end is asked for first.
async fn open(
    spec: PluginSpec,
    orders: &mut UnboundedReceiver<Order>,
) -> Result<Option<Rc<Plugin>>, WorkerError> {
    tokio::select! {
        opened = Plugin::open(spec) => opened.map(Some).map_err(|e| WorkerError::Open(e.to_string())),
        () = told_to_drain(orders) => Ok(None),
    }
}

/// Whoever asks for a reload now gets one: the scripts are being read.
async fn told_to_drain(orders: &mut UnboundedReceiver<Order>) {
    while orders.recv().await == Some(Order::Reload) {}
}

async fn watch(plugin: Rc<Plugin>) {
    let watching: JoinHandle<()> = spawn_local(plugin.watch());
    if watching.await.is_err_and(|e| e.is_panic()) {
        error!("saved scripts are no longer noticed: send SIGHUP to load them");
    }
}

async fn accept(
    listener: &UnixListener,
    connections: &Connections,
    plugin: &Rc<Plugin>,
    orders: &mut UnboundedReceiver<Order>,
) {
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Reload) => { spawn_local(reload(plugin.clone())); }
                Some(Order::Drain) | None => return,
            },
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream),
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(BREATH).await;
                }
            }
        }
    }
}

async fn reload(plugin: Rc<Plugin>) {
    plugin.reload().await;
}
