//! The log streams of a plugin, their followers, and their journal.

use super::control::{Control, Order};
use super::info::StreamInfo;
use super::settings::LogSettings;
use crate::metrics::LogCounters;
use crate::plugin::slot::Slot;
use crate::sys::files::fifo::{Fifo, Scratch};
use crate::sys::locks::{Held, Locks};
use crate::sys::state::journal::Journal;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The directory of the journal, in the plugin's state.
const JOURNAL_DIR: &str = "logs";

/// The log streams of a plugin, and what they share, on the thread of the log script.
pub(super) struct Registry {
    pub slot: Rc<Slot>,
    pub journal: Journal,
    pub counters: Arc<LogCounters>,
    /// The streams by the path of their FIFO.
    streams: RefCell<BTreeMap<String, Rc<Control>>>,
    /// The number of streams that were ever registered.
    started: Cell<u64>,
    /// The senders that wake the followers of a log, by the container's ID.
    written: RefCell<HashMap<String, watch::Sender<()>>>,
    scratch: RefCell<Option<Rc<Scratch>>>,
    /// Held for a FIFO while its stream is started or resumed, of which there must be one.
    starting: Locks,
    /// True once no more batches are to be delivered.
    shutdown: watch::Sender<bool>,
}

impl Registry {
    /// Creates a registry without streams.
    pub fn new(slot: Rc<Slot>) -> Self {
        Self {
            journal: Journal::new(slot.core.spec.state.join(JOURNAL_DIR)),
            counters: slot.core.meters.logs().clone(),
            slot,
            streams: RefCell::default(),
            started: Cell::default(),
            written: RefCell::default(),
            scratch: RefCell::default(),
            starting: Locks::default(),
            shutdown: watch::Sender::new(false),
        }
    }

    /// Adds a stream, and returns its control.
    pub fn register(&self, info: &StreamInfo) -> Rc<Control> {
        let number = self.started.get();
        self.started.set(number + 1);
        let control = Rc::new(Control::new(info, number));
        let mut streams = self.streams.borrow_mut();
        let before = streams.insert(info.file.clone(), control.clone());
        let mut written = self.written.borrow_mut();
        written.entry(info.container.clone()).or_default();
        // One that ended by a panic was not removed.
        if before.is_none() {
            self.counters.streams.fetch_add(1, Relaxed);
        }
        control
    }

    /// Removes a stream that has ended.
    pub fn unregister(&self, info: &StreamInfo) {
        let mut streams = self.streams.borrow_mut();
        if streams.remove(&info.file).is_some() {
            self.counters.streams.fetch_sub(1, Relaxed);
        }
        if !streams
            .values()
            .any(|other| other.container == info.container)
        {
            self.written.borrow_mut().remove(&info.container);
        }
    }

    /// Waits until no other stream of the FIFO is being started or resumed.
    pub async fn lock(&self, file: &str) -> io::Result<Held> {
        let caller = self.starting.caller();
        let held = self.starting.take(caller, file).await;
        held.map_err(io::Error::other)
    }

    /// Whether a FIFO has a stream that goes on.
    pub fn is_running(&self, file: &str) -> bool {
        self.stream(file)
            .is_some_and(|control| !control.has_ended())
    }

    /// Returns the stream of a FIFO.
    pub fn stream(&self, file: &str) -> Option<Rc<Control>> {
        self.streams.borrow().get(file).cloned()
    }

    /// Returns the streams of the same container that began before.
    pub fn former(&self, control: &Control) -> Vec<Rc<Control>> {
        let streams = self.streams.borrow();
        streams
            .values()
            .filter(|other| other.container == control.container && other.number < control.number)
            .cloned()
            .collect()
    }

    /// Returns the bytes on disk of all streams of a container.
    pub fn spilled(&self, container: &str) -> u64 {
        let streams = self.streams.borrow();
        let of_container = streams.values().filter(|one| one.container == container);
        of_container.map(|one| one.spilled.get()).sum()
    }

    /// Orders the streams of `container`, or all, to end once they are empty and nobody can write
    /// to them: their engine, or its connection to them, is gone.
    pub fn forsake(&self, container: Option<&str>) {
        for control in self.streams.borrow().values() {
            if container.is_none_or(|container| control.container == container) {
                control.order(Order::EndWhenDeserted);
            }
        }
    }

    /// Wakes the followers of the container's log.
    pub fn notify_written(&self, container: &str) {
        if let Some(sender) = self.written.borrow().get(container) {
            sender.send_replace(());
        }
    }

    /// Returns a receiver that each batch of the container's log wakes, and that the end of the log
    /// closes.
    pub fn follow(&self, container: &str) -> Option<watch::Receiver<()>> {
        let written = self.written.borrow();
        written.get(container).map(watch::Sender::subscribe)
    }

    /// Opens a FIFO with the buffer of the settings.
    pub fn open_fifo(&self, file: &str) -> io::Result<Fifo> {
        let capacity = self.settings().buffer_kib << 10;
        let path = self.slot.core.shared.place(Path::new(file));
        Fifo::open(&path, capacity, self.scratch()?)
    }

    /// Returns the settings of the live generation.
    pub fn settings(&self) -> LogSettings {
        let live = self.slot.live();
        live.map(|live| live.manifest.log).unwrap_or_default()
    }

    /// Stops the delivery of batches, and waits for those that the script has.
    pub async fn shut_down(&self) {
        self.shutdown.send_replace(true);
        let controls: Vec<_> = self.streams.borrow().values().cloned().collect();
        for control in controls {
            control.ended().await;
        }
    }

    /// Whether no more batches are to be delivered.
    pub fn is_shutting_down(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Waits until no more batches are to be delivered.
    pub async fn shutdown(&self) {
        // The sender lives as long as `self`.
        let _ = self.shutdown.subscribe().wait_for(|shut| *shut).await;
    }

    /// Waits for `pause`. Returns whether no more batches are to be delivered.
    pub async fn shut_down_within(&self, pause: Duration) -> bool {
        timeout(pause, self.shutdown()).await.is_ok()
    }

    fn scratch(&self) -> io::Result<Rc<Scratch>> {
        let mut scratch = self.scratch.borrow_mut();
        match &*scratch {
            Some(scratch) => Ok(scratch.clone()),
            None => Ok(scratch.insert(Rc::new(Scratch::new()?)).clone()),
        }
    }
}
