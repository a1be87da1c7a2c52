//! What gives way when a script is slow, and the account of it.

use super::settings::OnSlow;
use super::stream::{LONGEST_FRAME, Stream};
use crate::protocol::{Cut, cut};
use std::convert::Infallible;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// How often a FIFO is looked at that gives way while the script is slow.
const TICK: Duration = Duration::from_millis(5);
/// How much is given up before other calls get their turn, in bytes.
const PORTION: usize = 128 << 10;
/// How often what was dropped is told of.
pub(super) const REPORT: Duration = Duration::from_secs(5);

impl Stream {
    /// Where a slow script must not hold up the container, keeps room in the FIFO: first the batch that the script has
    /// is taken out of it, then the oldest entries are given up.
    pub(super) async fn make_room(&self, in_flight: usize, next: u64) -> Infallible {
        loop {
            let gives_way = self.settings().on_slow == OnSlow::Drop;
            sleep(if gives_way { TICK } else { REPORT }).await;
            // Where frames do not share pages, a FIFO is full at half of its capacity.
            let some = self.fifo.capacity().unwrap_or(usize::MAX) / 8;
            let waiting = || self.fifo.waiting().unwrap_or(0);
            if !gives_way || waiting() <= some * 3 {
                continue;
            }
            if !self.made_room.replace(true) {
                self.seq.set(next);
                if let Err(error) = self.fifo.consume(in_flight) {
                    tracing::warn!(plugin = self.plugin.name(), container = self.info.name, %error, "reading its log");
                }
            }
            // A container may write as fast as this gives up.
            while waiting() > some && self.drop_oldest((waiting() - some).min(PORTION)) {
                yield_now().await;
            }
            self.report_dropped(false);
        }
    }

    /// Gives up the oldest entries, of at most `most` bytes but for a longer one.
    fn drop_oldest(&self, mut most: usize) -> bool {
        let mut bytes = Vec::new();
        loop {
            let _ = self.fifo.peek(most, &mut bytes);
            match cut(&bytes, usize::MAX, LONGEST_FRAME) {
                Ok(Cut::Entries(entries, length)) if self.fifo.consume(length).is_ok() => {
                    self.seq.set(self.seq.get() + entries.len() as u64);
                    self.count_dropped(entries.len(), length);
                    return true;
                }
                Ok(Cut::Short(whole)) if bytes.len() == most => most = whole,
                _ => return false,
            }
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
