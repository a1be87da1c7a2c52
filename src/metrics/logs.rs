//! What log streams handed over and what was lost, counted since the process began.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one plugin's log streams. They may be read from any thread.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Streams that are open now.
    pub streams: AtomicU64,
    /// Batches that the script has taken.
    pub batches: AtomicU64,
    /// Entries that the script has taken.
    pub entries: AtomicU64,
    /// Bytes of these, as the engine framed them.
    pub bytes: AtomicU64,
    /// Times that the script failed to take a batch.
    pub failures: AtomicU64,
    /// Entries that were given up.
    pub dropped_entries: AtomicU64,
    /// Bytes of these, and of streams that could not be read on.
    pub dropped_bytes: AtomicU64,
}

impl LogCounters {
    /// Counts a batch that the script has taken.
    pub fn handed_over(&self, entries: usize, bytes: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.entries.fetch_add(entries as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts what was given up.
    pub fn dropped(&self, entries: usize, bytes: usize) {
        self.dropped_entries.fetch_add(entries as u64, Relaxed);
        self.dropped_bytes.fetch_add(bytes as u64, Relaxed);
    }
}
