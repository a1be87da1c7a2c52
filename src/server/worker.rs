//! A plugin's own thread: opens the plugin, accepts its connections, and drains them in the end.

use super::acceptor::{ACCEPT_BACKOFF, Acceptor};
use super::connection::Connections;
use super::endpoint::{Address, Listener};
use super::order::{Event, Order, Reload, WorkerError};
use super::state::create_private;
use crate::plugin::{News, OpenError, Plugin, PluginSpec};
use crate::protocol::Interface;
use crate::telemetry::chain;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

/// What a plugin's thread works with.
pub struct Worker {
    /// The plugin to open.
    pub spec: PluginSpec,
    /// Where it is served.
    pub address: Address,
    /// Takes what became of the scripts when the plugin was first opened.
    pub opened: Option<oneshot::Sender<Vec<News>>>,
    /// Whether calls may be answered: not before all plugins are opened, if all must be right.
    pub gate: watch::Receiver<bool>,
    /// The orders of the main thread.
    pub orders: UnboundedReceiver<Order>,
    /// Takes reports to the main thread.
    pub report: UnboundedSender<Event>,
    /// The reloads that were ordered while the plugin was being opened.
    pub late: Vec<Reload>,
}

/// Why calls are not answered any more.
enum End {
    /// The plugin, in whose place a stand-in answered, may be opened now.
    Retry,
    /// The order to drain.
    Drain(Option<Duration>),
}

impl Worker {
    /// Serves until ordered to end.
    pub fn run(self, listener: Listener) -> Result<(), WorkerError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let result = LocalSet::new().block_on(&runtime, self.serve(listener));
        // A file operation that hangs must not hold up the end.
        runtime.shutdown_background();
        result
    }

    async fn serve(mut self, listener: Listener) -> Result<(), WorkerError> {
        let acceptor = Acceptor::new(listener)?;
        while let Some(plugin) = self.open().await? {
            let connections = Connections::new(plugin.clone());
            match self.answer(&acceptor, &connections, &plugin).await {
                End::Retry => {
                    connections.drain().await;
                    self.spec.activated = plugin.is_activated();
                }
                End::Drain(within) => {
                    drop(acceptor);
                    self.drain(&plugin, connections, within).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn drain(&self, plugin: &Plugin, connections: Connections, within: Option<Duration>) {
        let draining = async {
            connections.drain().await;
            plugin.shut_down().await;
        };
        let Some(limit) = within else {
            return draining.await;
        };
        if timeout(limit, draining).await.is_err() {
            let (plugin, seconds) = (&self.spec.name, limit.as_secs_f32());
            warn!(plugin, "abandoning calls in flight after {seconds} s");
        }
    }

    /// Opens the plugin, or what stands in for it. Returns `None` if the end is ordered first.
    async fn open(&mut self) -> Result<Option<Rc<Plugin>>, WorkerError> {
        let begun = Instant::now();
        let opening = open(self.spec.clone());
        let opened = tokio::select! {
            opened = opening => opened,
            () = drain_ordered(&mut self.orders, &mut self.late) => return Ok(None),
        };
        let plugin = match opened {
            Ok(plugin) => plugin,
            Err(error) if self.spec.strict => return Err(WorkerError::Open(error)),
            Err(error) => self.stand_in(&error).await?,
        };
        if let Some(opened) = self.opened.take() {
            // Nobody may wait for it.
            let _ = opened.send(plugin.standing().await);
        }
        tokio::select! {
            _ = self.gate.wait_for(|open| *open) => {}
            () = drain_ordered(&mut self.orders, &mut self.late) => return Ok(None),
        }
        if !plugin.is_stand_in() {
            self.announce(&plugin, begun);
            plugin.resume_logs().await;
            plugin.resume_ports().await;
        }
        if self.spec.activated {
            plugin.forsake_logs();
        }
        // Nobody receives it while the process ends.
        let _ = self.report.send(Event::Ready(plugin.vitals().clone()));
        Ok(Some(plugin))
    }

    async fn stand_in(&self, error: &OpenError) -> Result<Rc<Plugin>, OpenError> {
        error!(
            plugin = self.spec.name,
            "cannot be opened, its calls fail until this is mended (then save a file of it, or run `moondock \
             reload`): {}",
            chain(error)
        );
        Plugin::stand_in(self.spec.clone(), error).await
    }

    fn announce(&self, plugin: &Plugin, begun: Instant) {
        let interfaces: Vec<_> = plugin.interfaces().map(Interface::name).collect();
        let (socket, address) = match &self.address {
            Address::Unix(path) => (Some(path.display().to_string()), None),
            Address::Inet(address) => (None, Some(address.to_string())),
        };
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        info!(
            plugin = self.spec.name,
            interfaces = interfaces.join(", "),
            socket,
            address,
            ms = format_args!("{ms:.1}"),
            next = next_steps(plugin),
            "ready"
        );
    }

    /// Answers calls until the order to drain, or until a stand-in may give way to its plugin.
    async fn answer(
        &mut self,
        acceptor: &Acceptor,
        connections: &Connections,
        plugin: &Rc<Plugin>,
    ) -> End {
        for order in self.late.drain(..) {
            spawn_local(reload(plugin.clone(), order));
        }
        let mut watching = spawn_local(watch(plugin.clone()));
        let end = loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Reload(order)) if plugin.is_stand_in() => {
                        self.late.push(order);
                        break End::Retry;
                    }
                    Some(Order::Reload(order)) => {
                        spawn_local(reload(plugin.clone(), order));
                    }
                    Some(Order::Drain { within }) => break End::Drain(within),
                    None => break End::Drain(None),
                },
                _ = &mut watching => break End::Retry,
                accepted = acceptor.accept(connections) => if let Err(error) = accepted {
                    warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        };
        watching.abort();
        end
    }
}

/// Returns the commands by which Docker comes to use a plugin, unless an engine has found it already.
fn next_steps(plugin: &Plugin) -> Option<String> {
    let command = |interface: Interface| interface.first_use().replace("PLUGIN", plugin.name());
    let commands: Vec<_> = plugin.interfaces().map(command).collect();
    (plugin.activation() == 0).then(|| commands.join("; "))
}

/// Creates the plugin's state directory, and opens the plugin.
async fn open(spec: PluginSpec) -> Result<Rc<Plugin>, OpenError> {
    create_private(&spec.state).map_err(|source| OpenError::State {
        dir: spec.state.display().to_string(),
        source,
    })?;
    Plugin::open(spec).await
}

/// Waits for the order to drain, and collects orders to reload.
async fn drain_ordered(orders: &mut UnboundedReceiver<Order>, late: &mut Vec<Reload>) {
    while let Some(Order::Reload(order)) = orders.recv().await {
        late.push(order);
    }
}

/// Watches the plugin's files. Returns only for a stand-in, once something has changed.
async fn watch(plugin: Rc<Plugin>) {
    let watching: JoinHandle<()> = spawn_local(plugin.watch());
    if watching.await.is_err_and(|e| e.is_panic()) {
        error!("saved scripts are no longer noticed: send SIGHUP to load them");
        pending::<()>().await;
    }
}

async fn reload(plugin: Rc<Plugin>, order: Reload) {
    let news = plugin.reload(order.accept_grants).await;
    // Nobody may wait for it.
    let _ = order.done.send(news);
}
