//! The plugins' threads, as the main thread sees them.

use super::ServeError;
use super::socket::{Socket, SocketFile};
use super::state::make_private;
use super::worker::{Order, Worker, WorkerError};
use crate::config::Config;
use crate::dispatch::PluginSpec;
use crate::metrics::Meters;
use std::io;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// All plugins' threads.
pub struct Fleet {
    orders: Vec<UnboundedSender<Order>>,
    events: UnboundedReceiver<Event>,
    running: usize,
}

/// What a plugin's thread tells.
pub enum Event {
    /// It is ready, and this is counted of it.
    Ready(Arc<Meters>),
    /// It has come to its end.
    Ended {
        /// The plugin's name.
        plugin: String,
        /// What ended it.
        result: Result<(), WorkerError>,
    },
}

impl Fleet {
    /// Starts a thread for each plugin, and hands back the files of their sockets.
    pub fn start(config: &Config, sockets: Vec<Socket>) -> Result<(Fleet, Vec<SocketFile>), ServeError> {
        let (report, events) = unbounded_channel();
        let mut fleet = Fleet { orders: Vec::new(), events, running: 0 };
        let mut files = Vec::new();
        for (plugin, socket) in config.plugins.iter().zip(sockets) {
            let state = config.state.join(&plugin.name);
            make_private(&state)?;
            let spec = PluginSpec { name: plugin.name.clone(), dir: plugin.dir.clone(), state };
            fleet.launch(spec, socket.listener, report.clone())?;
            files.push(socket.file);
        }
        Ok((fleet, files))
    }

    fn launch(
        &mut self,
        spec: PluginSpec,
        listener: UnixListener,
        report: UnboundedSender<Event>,
    ) -> io::Result<()> {
        let (order, orders) = unbounded_channel();
        let plugin = spec.name.clone();
        let worker = Worker { spec, listener, orders, events: report.clone() };
        thread::Builder::new().name(plugin.clone()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| worker.run()));
            let result = result.unwrap_or(Err(WorkerError::Panicked));
            // Nobody listens once the process is about to end anyway.
            let _ = report.send(Event::Ended { plugin, result });
        })?;
        self.orders.push(order);
        self.running += 1;
        Ok(())
    }

    /// Has every plugin load its scripts again.
    pub fn reload(&self) {
        self.order(Order::Reload);
    }

    /// Has every plugin finish what is in flight and end.
    pub fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Whether any plugin's thread still runs.
    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    /// The next event; waits for ever when no thread is left.
    pub async fn event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => {
                self.running -= usize::from(matches!(event, Event::Ended { .. }));
                event
            }
            None => std::future::pending().await,
        }
    }

    fn order(&self, order: Order) {
        for worker in &self.orders {
            // A worker that has ended needs no orders.
            let _ = worker.send(order);
        }
    }
}
