//! The plugins' threads, as the main thread sees them.

use super::ServeError;
use super::endpoint::{Endpoint, Listener};
use super::order::{Event, Order, WorkerError};
use super::own_file::OwnFile;
use super::state::make_private;
use super::worker::Worker;
use crate::config::Config;
use crate::plugin::{PluginSpec, Surroundings};
use std::env;
use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// All plugins' threads.
pub struct Fleet {
    orders: Vec<UnboundedSender<Order>>,
    events: UnboundedReceiver<Event>,
    running: usize,
    unsettled: usize,
}

impl Fleet {
    /// Starts a thread for each plugin. Returns the files by which the engine finds them.
    pub fn start(
        config: &Config,
        endpoints: Vec<Endpoint>,
    ) -> Result<(Fleet, Vec<OwnFile>), ServeError> {
        let surroundings = surroundings(config);
        let (report, events) = unbounded_channel();
        let mut fleet = Fleet {
            orders: Vec::new(),
            events,
            running: 0,
            unsettled: 0,
        };
        let mut files = Vec::new();
        for (plugin, endpoint) in config.plugins.iter().zip(endpoints) {
            let state = config.places.state.join(&plugin.name);
            make_private(&state)?;
            let spec = PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), state);
            let spec = PluginSpec {
                surroundings: surroundings.clone(),
                ..spec
            };
            fleet.launch(spec, endpoint.listener, report.clone())?;
            files.extend(endpoint.file);
        }
        Ok((fleet, files))
    }

    fn launch(
        &mut self,
        spec: PluginSpec,
        listener: Listener,
        report: UnboundedSender<Event>,
    ) -> io::Result<()> {
        let (order, orders) = unbounded_channel();
        let plugin = spec.name.clone();
        let worker = Worker {
            spec,
            listener,
            orders,
            report: report.clone(),
        };
        thread::Builder::new().name(plugin.clone()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| worker.run()));
            let result = result.unwrap_or(Err(WorkerError::Panicked));
            // Nobody receives it while the process ends.
            let _ = report.send(Event::Ended { plugin, result });
        })?;
        self.orders.push(order);
        self.running += 1;
        self.unsettled += 1;
        Ok(())
    }

    /// Orders every plugin to load its scripts again, with new grants too if they are accepted.
    pub fn reload(&mut self, accept_grants: bool) {
        self.unsettled += self.running;
        self.order(Order::Reload { accept_grants });
    }

    /// Orders every plugin to finish what is in flight, then end.
    pub fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Whether any plugin's thread still runs.
    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Whether no plugin is loading scripts after an order.
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// Waits for the next event; for ever when no thread is left.
    pub async fn event(&mut self) -> Event {
        let Some(event) = self.events.recv().await else {
            return std::future::pending().await;
        };
        match event {
            Event::Ready(_) => {}
            Event::Settled => self.unsettled -= 1,
            Event::Ended { .. } => self.running -= 1,
        }
        event
    }

    fn order(&self, order: Order) {
        for worker in &self.orders {
            // A worker that has ended needs no orders.
            let _ = worker.send(order);
        }
    }
}

fn surroundings(config: &Config) -> Surroundings {
    let text = |(name, value): (OsString, OsString)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    };
    let variables = env::vars_os()
        .filter(|_| config.settings_from_env)
        .map(text)
        .collect();
    Surroundings {
        variables,
        managed: config.managed,
        host_paths: config.host_paths.clone(),
    }
}
