//! A plugin's own thread: opens the plugin, accepts its connections, and drains them in the end.

use super::acceptor::{ACCEPT_BACKOFF, Acceptor};
use super::connection::Connections;
use super::endpoint::Listener;
use super::order::{Event, Order, Settling, WorkerError};
use crate::plugin::{Plugin, PluginSpec};
use std::rc::Rc;
use std::time::Instant;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;
use tracing::{error, info, warn};

/// What a plugin's thread works with.
pub struct Worker {
    /// The plugin to open.
    pub spec: PluginSpec,
    /// Its bound listener.
    pub listener: Listener,
    /// The orders of the main thread.
    pub orders: UnboundedReceiver<Order>,
    /// Takes reports to the main thread.
    pub report: UnboundedSender<Event>,
}

impl Worker {
    /// Serves until ordered to end.
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
        // Nobody receives it while the process ends.
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

    /// Opens the plugin. Returns `None` if the end is ordered first.
    async fn open(&mut self) -> Result<Option<Rc<Plugin>>, WorkerError> {
        tokio::select! {
            opened = Plugin::open(self.spec.clone()) => {
                opened.map(Some).map_err(WorkerError::Open)
            }
            () = drain_ordered(&mut self.orders, &self.report) => Ok(None),
        }
    }
}

/// Waits for the order to drain. A reload that is ordered now is under way: the scripts are being read.
async fn drain_ordered(orders: &mut UnboundedReceiver<Order>, report: &UnboundedSender<Event>) {
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
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn reload(plugin: Rc<Plugin>, accept_grants: bool, settling: Settling) {
    plugin.reload(accept_grants).await;
    drop(settling);
}
