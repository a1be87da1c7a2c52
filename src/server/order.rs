//! What the main thread and the plugins' threads say to each other.

use crate::metrics::Meters;
use crate::plugin::OpenError;
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;

/// An order of the main thread to a plugin's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Load the scripts again.
    Reload {
        /// With all that `plugin.toml` grants now.
        accept_grants: bool,
    },
    /// Finish what is in flight, then end.
    Drain,
}

/// A report of a plugin's thread to the main thread.
pub enum Event {
    /// The plugin is served, with these counters.
    Ready(Arc<Meters>),
    /// The plugin has loaded its scripts, first or after an order.
    Settled,
    /// The plugin's thread has ended.
    Ended {
        /// The plugin's name.
        plugin: String,
        /// What ended it.
        result: Result<(), WorkerError>,
    },
}

/// What ends a plugin's thread before it is ordered to end.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum WorkerError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot serve its socket")]
    Socket(#[from] io::Error),
    #[error("its thread ended by a fault in moondock itself (see the log above)")]
    Panicked,
    #[error("its thread ended without a reason")]
    Stopped,
}

/// Reports, when it is dropped, that scripts are loaded, or that those before go on.
pub struct Settling(pub UnboundedSender<Event>);

impl Drop for Settling {
    fn drop(&mut self) {
        // Nobody receives it while the process ends.
        let _ = self.0.send(Event::Settled);
    }
}
