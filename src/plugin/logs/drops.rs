//! The count of a stream's dropped entries, and its reports.

use super::info::StreamInfo;
use super::registry::Registry;
use crate::script::Diagnostic;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The count of a stream's dropped entries.
pub(super) struct Drops {
    registry: Rc<Registry>,
    info: Rc<StreamInfo>,
    total: Cell<u64>,
    /// How many of `total` were reported.
    reported: Cell<u64>,
    last_report: Cell<Option<Instant>>,
    last_failure: Cell<Option<Instant>>,
}

impl Drops {
    /// Creates the count of a stream.
    pub fn new(registry: Rc<Registry>, info: Rc<StreamInfo>) -> Self {
        Self {
            registry,
            info,
            total: Cell::new(0),
            reported: Cell::new(0),
            last_report: Cell::new(None),
            last_failure: Cell::new(None),
        }
    }

    /// Counts dropped entries.
    pub fn count(&self, entries: usize, bytes: usize) {
        self.registry.counters.dropped(entries, bytes);
        self.total.set(self.total.get() + entries as u64);
    }

    /// Reports what was dropped since the last report, unless the last report was a moment ago.
    pub fn report(&self) {
        if is_due(&self.last_report) {
            self.report_all();
        }
    }

    /// Reports what was dropped since the last report.
    pub fn report_all(&self) {
        let (total, reported) = (self.total.get(), self.reported.get());
        if total == reported {
            return;
        }
        self.reported.set(total);
        self.last_report.set(Some(Instant::now()));
        let (plugin, container) = (self.registry.slot.name(), &self.info.name);
        let dropped = total - reported;
        tracing::warn!(
            plugin,
            container,
            dropped,
            total,
            "log entries were dropped"
        );
    }

    /// Reports why entries are dropped, unless that was reported a moment ago: a script that always
    /// fails would fill the log.
    pub fn report_failure(&self, problem: &Diagnostic) {
        if is_due(&self.last_failure) {
            self.last_failure.set(Some(Instant::now()));
            let (plugin, container) = (self.registry.slot.name(), &self.info.name);
            tracing::warn!(plugin, container, "log entries are dropped:\n{problem}");
        }
    }
}

/// Whether the last report was long enough ago for another.
pub(super) fn is_due(last: &Cell<Option<Instant>>) -> bool {
    last.get()
        .is_none_or(|last| last.elapsed() > REPORT_INTERVAL)
}
