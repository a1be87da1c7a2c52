//! The log streams of a plugin: started by `StartLogging`, fed from FIFOs, delivered to the script
//! in batches, resumed after a crash, read by `ReadLogs` (protocol 8).

mod control;
mod cursor;
mod deliver;
mod drops;
pub mod entry;
mod info;
mod keeper;
mod queue;
mod read;
mod registry;
mod resume;
mod settings;
mod stream;

pub use self::settings::{LogSettings, OnSlow};

use self::control::{Control, Order};
use self::info::StreamInfo;
use self::queue::Queue;
use self::registry::Registry;
use self::stream::Stream;
use super::outcome::Outcome;
use super::slot::{Live, Ongoing, Slot};
use super::{CallError, Reply, hook};
use crate::protocol::{Method, READ_LOG};
use crate::script::{Diagnostic, Owed};
use crate::sys::blocking;
use crate::sys::state::journal::MarkFile;
use serde_json::{Value as Json, json};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// How long `StopLogging` waits for the rest of the log, while the engine holds the container's lock.
/// After the answer, the engine removes the FIFO.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long `StopLogging` then waits until the rest is on disk.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

/// The name of the state directory in a diagnostic.
const STATE_DIR: &str = "the state directory";

/// The log streams of one plugin, on the thread of the log script.
pub(super) struct Logs {
    registry: Rc<Registry>,
}

impl Logs {
    /// Creates the log streams of a plugin, of which none is started yet.
    pub fn new(slot: Rc<Slot>) -> Self {
        Self {
            registry: Rc::new(Registry::new(slot)),
        }
    }

    /// Answers `Capabilities`: logs can be read if the script has the hook for it.
    pub fn capabilities(live: &Live) -> Outcome {
        let reads = live.script.has(READ_LOG);
        let reply = json!({ "Cap": { "ReadLogs": reads } }).to_string();
        Outcome::ok(reply.into_bytes(), String::new())
    }

    /// Answers `StartLogging`: starts a stream, after the script agreed and the stream is noted on
    /// disk.
    pub async fn start(&self, method: &'static Method, live: &Live, body: &[u8]) -> Outcome {
        match StreamInfo::of_request(body) {
            Ok(info) => {
                let name = info.name.clone();
                let started = self.start_stream(method, live, info).await;
                Outcome::of(started.map(|()| b"{}".to_vec()), name)
            }
            Err(problem) => {
                let slot = &self.registry.slot;
                Outcome::failed(hook::unreadable(slot, body, problem), String::new())
            }
        }
    }

    async fn start_stream(
        &self,
        method: &'static Method,
        live: &Live,
        info: StreamInfo,
    ) -> Result<(), CallError> {
        let registry = &self.registry;
        // An engine whose connection was cut repeats the call.
        let held = registry.lock(&info.file).await;
        let _held = held.map_err(|error| failed(&info.file, &error))?;
        if registry.is_running(&info.file) {
            return Ok(());
        }
        let fifo = registry
            .open_fifo(&info.file)
            .map_err(|error| failed(&info.file, &error))?;
        let table = info
            .table(live.script.lua())
            .map_err(|problem| hook::unreadable(&registry.slot, &info.text, problem))?;
        let owed = Owed::of(method, &table);
        hook::call(&registry.slot, method, live, &owed, table).await?;
        let mark = self.note(&info).await.map_err(|e| failed(STATE_DIR, &e))?;
        registry.forsake(Some(&info.container));
        let control = registry.register(&info);
        let queue = match Queue::open(registry, &info.id, control.clone(), Some(fifo), None).await {
            Ok(queue) => queue,
            Err(error) => {
                registry.unregister(&info);
                return Err(failed(STATE_DIR, &error));
            }
        };
        let stream = Stream::new(registry.clone(), info, control, queue, mark);
        registry.slot.spawn(stream.run());
        Ok(())
    }

    /// Notes the stream in the journal.
    async fn note(&self, info: &StreamInfo) -> io::Result<MarkFile> {
        let journal = self.registry.journal.clone();
        let (id, text) = (info.id.clone(), info.text.clone());
        blocking(move || journal.add(&id, &text)).await
    }

    /// Answers `StopLogging`: ends a stream once it is empty. Returns then, or after
    /// [`DRAIN_TIMEOUT`] and [`LEAVE_TIMEOUT`].
    pub async fn stop(&self, body: &[u8]) -> Outcome {
        match file_of(body) {
            Ok(file) => Outcome::ok(b"{}".to_vec(), self.stop_stream(&file).await),
            Err(problem) => {
                let slot = &self.registry.slot;
                Outcome::failed(hook::unreadable(slot, body, problem), String::new())
            }
        }
    }

    /// Ends the stream of a FIFO. Returns the container's name.
    async fn stop_stream(&self, file: &str) -> String {
        // There is none when the engine asks again, or when the FIFO was gone already.
        let Some(control) = self.registry.stream(file) else {
            return file.to_owned();
        };
        if !drains(&control, Order::Stop, DRAIN_TIMEOUT).await
            && !drains(&control, Order::Leave, LEAVE_TIMEOUT).await
        {
            let (plugin, container) = (self.registry.slot.name(), &control.name);
            tracing::warn!(
                plugin,
                container,
                "log stream was stopped before its end was written"
            );
        }
        control.name.clone()
    }

    /// Answers `ReadLogs` with what the hook emits, as a stream unless the hook fails at once.
    pub async fn read(&self, call: Ongoing, live: &Live) -> Reply {
        read::read(&self.registry, call, live).await
    }

    /// Resumes the streams that are noted in the journal, but not running: after a restart of the process,
    /// or a panic.
    pub async fn resume(&self) {
        resume::resume(&self.registry).await;
    }

    /// Orders all streams to end once they are empty and nobody can write to them.
    pub fn forsake_all(&self) {
        self.registry.forsake(None);
    }

    /// Stops the delivery of batches, and waits for those that the script has.
    pub async fn shut_down(&self) {
        self.registry.shut_down().await;
    }
}

/// Gives a stream the order. Returns whether nothing is left in its FIFO within `limit`.
async fn drains(control: &Control, order: Order, limit: Duration) -> bool {
    control.order(order);
    timeout(limit, control.drained()).await.is_ok()
}

fn file_of(body: &[u8]) -> Result<String, String> {
    let request: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let file = request["File"].as_str();
    file.map(str::to_owned)
        .ok_or_else(|| "`File` is missing or empty".to_owned())
}

fn failed(what: &str, error: &io::Error) -> CallError {
    CallError::Failed(Diagnostic::of_file(what, error.to_string()))
}
