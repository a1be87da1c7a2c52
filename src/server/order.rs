//! What the main thread and the plugins' threads say to each other.

use super::report::Report;
use super::status::Status;
use crate::config::Found;
use crate::plugin::{News, OpenError, Vitals};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::oneshot;

/// An order of the main thread to a plugin's thread.
#[derive(Debug)]
pub enum Order {
    /// Load the scripts again.
    Reload(Reload),
    /// Finish what is in flight, then end. Calls that take longer are abandoned.
    Drain {
        /// The time limit, unless the whole process has one.
        within: Option<Duration>,
    },
}

/// An order to load the scripts of a plugin again.
#[derive(Debug)]
pub struct Reload {
    /// With all that `plugin.toml` grants now.
    pub accept_grants: bool,
    /// Takes what became of the scripts.
    pub done: oneshot::Sender<Vec<News>>,
}

/// A request to look for plugins and to load all scripts again.
#[derive(Debug)]
pub struct Request {
    /// With all that the files of `plugin.toml` grant now.
    pub accept_grants: bool,
    /// Takes the report, if somebody waits for it.
    pub answer: Option<oneshot::Sender<Report>>,
}

/// A report to the main thread.
pub enum Event {
    /// A plugin is served.
    Ready(Arc<Vitals>),
    /// Plugins have carried out a change.
    Settled {
        /// Whether one of them ended meanwhile.
        has_ended: bool,
    },
    /// Somebody asks for a reload.
    Asked(Request),
    /// Somebody asks what the process is doing.
    Examined(oneshot::Sender<Status>),
    /// The directories were read, for a request or because they changed; `None` if they could not be.
    Found(Option<Found>, Option<Request>),
    /// A plugin's thread has ended.
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
}
