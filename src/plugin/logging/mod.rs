//! The log streams of a plugin: begun by `StartLogging`, fed from FIFOs, handed to the script in batches, taken up again
//! after a crash, given back by `ReadLogs` (`protocol.md` 8).

mod control;
mod delivery;
mod entry;
mod info;
mod read;
mod resume;
mod room;
mod settings;
mod stream;

pub use settings::{LogSettings, OnSlow};

use self::control::{Control, Order};
use self::info::StreamInfo;
use self::stream::Stream;
use super::answer::Outcome;
use super::core::Live;
use super::{CallError, Plugin};
use crate::metrics::LogCounters;
use crate::protocol::{Interface, Method, methods_of};
use crate::script::{Diagnostic, Owed};
use crate::sys::files::fifo::{Fifo, Scratch};
use crate::sys::locks::Locks;
use crate::sys::state::journal::Journal;
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::timeout;

/// The directory of the journal, in the plugin's state.
const JOURNAL: &str = "logs";

/// How long `StopLogging` waits for the rest of the log. The engine removes the FIFO once it is answered.
const REST: Duration = Duration::from_secs(2);

/// The log streams of one plugin, on its thread.
pub(super) struct Logs {
    journal: Journal,
    pub(super) counters: Arc<LogCounters>,
    /// By the path of the FIFO.
    streams: RefCell<BTreeMap<String, Rc<Control>>>,
    /// Held for a FIFO while a stream begins: an engine whose connection was cut asks again meanwhile.
    beginning: Locks,
    /// By the container's ID: who follows its log is woken through this.
    written: RefCell<HashMap<String, watch::Sender<()>>>,
    scratch: RefCell<Option<Rc<Scratch>>>,
    /// True once the process is to end.
    resting: watch::Sender<bool>,
}

impl Logs {
    /// No streams yet.
    pub(super) fn new(state: &Path, counters: Arc<LogCounters>) -> Self {
        Self {
            journal: Journal::new(state.join(JOURNAL)),
            counters,
            streams: RefCell::default(),
            beginning: Locks::default(),
            written: RefCell::default(),
            scratch: RefCell::default(),
            resting: watch::Sender::new(false),
        }
    }

    fn scratch(&self) -> io::Result<Rc<Scratch>> {
        let mut scratch = self.scratch.borrow_mut();
        match &*scratch {
            Some(scratch) => Ok(scratch.clone()),
            None => Ok(scratch.insert(Rc::new(Scratch::new()?)).clone()),
        }
    }

    fn register(&self, info: &StreamInfo) -> Rc<Control> {
        let control = Rc::new(Control::new(info));
        self.streams
            .borrow_mut()
            .insert(info.file.clone(), control.clone());
        self.written
            .borrow_mut()
            .entry(info.container.clone())
            .or_default();
        self.counters.streams.fetch_add(1, Relaxed);
        control
    }

    fn unregister(&self, info: &StreamInfo) {
        let mut streams = self.streams.borrow_mut();
        streams.remove(&info.file);
        self.counters.streams.fetch_sub(1, Relaxed);
        if !streams
            .values()
            .any(|other| other.container == info.container)
        {
            self.written.borrow_mut().remove(&info.container);
        }
    }

    /// Tells whoever follows the container's log that there is more of it.
    fn tell_written(&self, container: &str) {
        if let Some(sender) = self.written.borrow().get(container) {
            sender.send_replace(());
        }
    }

    /// Woken by each batch of the container's log that was taken; closed when its log has ended.
    fn follow(&self, container: &str) -> Option<watch::Receiver<()>> {
        self.written
            .borrow()
            .get(container)
            .map(watch::Sender::subscribe)
    }

    /// Streams that nobody writes to any more end once they are empty: their engine, or its connection to them, is gone.
    pub(super) fn forsake(&self, container: Option<&str>) {
        for control in self.streams.borrow().values() {
            if container.is_none_or(|container| control.container == container) {
                control.order(Order::EndWhenDeserted);
            }
        }
    }
}

impl Plugin {
    /// What was handed over and what was lost.
    pub fn log_counters(&self) -> Arc<LogCounters> {
        self.logs.counters.clone()
    }

    /// Takes no more batches, and waits for those that the script has.
    pub async fn rest_logs(&self) {
        self.logs.resting.send_replace(true);
        let controls: Vec<_> = self.logs.streams.borrow().values().cloned().collect();
        for control in controls {
            control.ended().await;
        }
    }

    /// Answers the methods of `LogDriver` but `ReadLogs`.
    pub(super) async fn log_outcome(
        self: &Rc<Self>,
        method: &'static Method,
        live: &Live,
        body: &[u8],
    ) -> Outcome {
        let reply = match method.hook {
            "capabilities" => Ok((Self::log_capabilities(live), String::new())),
            "start" => self
                .start_log(method, live, body)
                .await
                .map(|name| (b"{}".to_vec(), name)),
            "stop" => self
                .stop_log(method, body)
                .await
                .map(|name| (b"{}".to_vec(), name)),
            _ => return Outcome::without_hook(method),
        };
        Outcome::of(reply, "")
    }

    /// Answers `Capabilities`: logs can be read by scripts that say how.
    fn log_capabilities(live: &Live) -> Vec<u8> {
        let reads = hook("read").is_some_and(|read| live.script.has(read));
        json!({ "Cap": { "ReadLogs": reads } })
            .to_string()
            .into_bytes()
    }

    /// Begins a stream: after the script agreed, and before the engine is answered, it is on the disk.
    async fn start_log(
        self: &Rc<Self>,
        method: &'static Method,
        live: &Live,
        body: &[u8],
    ) -> Result<String, CallError> {
        if body.trim_ascii().is_empty() {
            return Err(CallError::NoArguments(method.wire));
        }
        let info = StreamInfo::of_request(body).map_err(|e| bad_request(method, e))?;
        let name = info.name.clone();
        let beginning = &self.logs.beginning;
        let held = beginning.take(beginning.caller(), &info.file).await;
        let _held = held.map_err(|e| failed(&info.file, &io::Error::other(e)))?;
        if self.logs.streams.borrow().contains_key(&info.file) {
            return Ok(name);
        }
        let fifo = self
            .open_fifo(&info.file)
            .map_err(|e| failed(&info.file, &e))?;
        let table = info
            .table(live.script.lua())
            .map_err(|e| bad_request(method, e))?;
        self.call_hook(method, live, &Owed::of(method, &table), table.clone())
            .await?;
        let (journal, id, text) = (
            self.logs.journal.clone(),
            info.id.clone(),
            info.text.clone(),
        );
        let added = spawn_blocking(move || journal.add(&id, &text))
            .await
            .map_err(io::Error::other)
            .flatten();
        let place = added.map_err(|e| failed("the state directory", &e))?;
        self.logs.forsake(Some(&info.container));
        let control = self.logs.register(&info);
        spawn_local(Stream::begun(self.clone(), info, control, fifo, place).run());
        Ok(name)
    }

    /// Ends a stream once it is empty. Answers when it is, but not later than [`REST`].
    async fn stop_log(&self, method: &'static Method, body: &[u8]) -> Result<String, CallError> {
        if body.trim_ascii().is_empty() {
            return Err(CallError::NoArguments(method.wire));
        }
        let request: Json =
            serde_json::from_slice(body).map_err(|e| bad_request(method, e.to_string()))?;
        let Some(file) = request["File"].as_str() else {
            return Err(bad_request(method, "`File` is missing or empty".to_owned()));
        };
        let control = self.logs.streams.borrow().get(file).cloned();
        // Asked again, or for one whose FIFO was gone already.
        let Some(control) = control else {
            return Ok(file.to_owned());
        };
        control.order(Order::Stop);
        if timeout(REST, control.drained()).await.is_err() {
            tracing::warn!(
                plugin = self.name(),
                container = control.name,
                "the end of its log is still to be written"
            );
        }
        Ok(control.name.clone())
    }

    fn open_fifo(&self, file: &str) -> io::Result<Fifo> {
        let settings = self.log_settings();
        Fifo::open(
            Path::new(file),
            settings.buffer_kib << 10,
            self.logs.scratch()?,
        )
    }

    fn log_settings(&self) -> LogSettings {
        self.live(Interface::Log)
            .map(|live| live.manifest.log)
            .unwrap_or_default()
    }
}

/// The row of a hook of `log.lua`.
fn hook(name: &str) -> Option<&'static Method> {
    methods_of(Interface::Log)
        .iter()
        .find(|method| method.hook == name)
}

fn bad_request(method: &'static Method, problem: String) -> CallError {
    CallError::BadRequest {
        method: method.wire,
        problem,
    }
}

fn failed(what: &str, error: &io::Error) -> CallError {
    CallError::Failed(Diagnostic::of_file(what, error.to_string()))
}
