//! What gives way when a script is slow, and the account of it.

use super::settings::OnSlow;
use super::stream::{LONGEST_FRAME, Stream};
use crate::protocol::{Cut, cut};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a FIFO is looked at that gives way while the script is slow.
const TICK: Duration = Duration::from_millis(5);
/// How often what was dropped is told of.
const REPORT: Duration = Duration::from_secs(5);

impl Stream {
    /// Where a slow script must not hold up the container, keeps room in the FIFO: first the batch that the script has
    /// is taken out of it, then the oldest entries are given up.
    pub(super) async fn make_room(&self, in_flight: usize, next: u64) -> Infallible {
        loop {
            sleep(TICK).await;
            let full = self.fifo.capacity().unwrap_or(usize::MAX) / 8;
            let is_full = || self.fifo.waiting().is_ok_and(|waiting| waiting > full * 3);
            if self.settings().on_slow != OnSlow::Drop || !is_full() {
                continue;
            }
            if !self.made_room.replace(true) {
                self.seq.set(next);
                if let Err(error) = self.fifo.consume(in_flight) {
                    tracing::warn!(plugin = self.plugin.name(), container = self.info.name, %error, "reading its log");
                }
            }
            while self.fifo.waiting().is_ok_and(|waiting| waiting > full) && self.drop_oldest() {}
            self.report_dropped(false);
        }
    }

    fn drop_oldest(&self) -> bool {
        let mut bytes = Vec::new();
        let settings = self.settings();
        let _ = self.fifo.peek(settings.batch_kib << 10, &mut bytes);
        match cut(&bytes, settings.batch_entries, LONGEST_FRAME) {
            Ok(Cut::Entries(entries, length)) if self.fifo.consume(length).is_ok() => {
                self.seq.set(self.seq.get() + entries.len() as u64);
                self.count_dropped(entries.len(), length);
                true
            }
            _ => false,
        }
    }

    pub(super) fn count_dropped(&self, entries: usize, bytes: usize) {
        self.logs().counters.dropped(entries, bytes);
        self.dropped.set(self.dropped.get() + entries as u64);
    }

    /// Tells of what was dropped, now and then and at the end.
    pub(super) fn report_dropped(&self, end: bool) {
        let (dropped, (known, told)) = (self.dropped.get(), self.reported.get());
        if dropped == known || (!end && told.is_some_and(|told| told.elapsed() < REPORT)) {
            return;
        }
        self.reported.set((dropped, Some(Instant::now())));
        let (plugin, container) = (self.plugin.name(), &self.info.name);
        tracing::warn!(
            plugin,
            container,
            dropped = dropped - known,
            in_all = dropped,
            "entries of its log were dropped"
        );
    }
}
