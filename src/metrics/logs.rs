//! Counters of log streams since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one plugin's log streams, which any thread may read.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Open streams.
    pub streams: AtomicU64,
    /// Batches that the script accepted.
    pub batches: AtomicU64,
    /// Entries that the script accepted.
    pub entries: AtomicU64,
    /// Bytes of accepted entries, as the engine framed them.
    pub bytes: AtomicU64,
    /// Failed deliveries of a batch.
    pub failures: AtomicU64,
    /// Dropped entries.
    pub dropped_entries: AtomicU64,
    /// Bytes of dropped entries and of corrupt streams.
    pub dropped_bytes: AtomicU64,
    /// Bytes of entries that are on disk, because the script was too slow to take them.
    pub spilled_bytes: AtomicU64,
}

impl LogCounters {
    /// Counts a batch that the script accepted.
    pub fn handed_over(&self, entries: usize, bytes: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.entries.fetch_add(entries as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts dropped entries.
    pub fn dropped(&self, entries: usize, bytes: usize) {
        self.dropped_entries.fetch_add(entries as u64, Relaxed);
        self.dropped_bytes.fetch_add(bytes as u64, Relaxed);
    }
}
