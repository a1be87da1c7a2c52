//! `[log]` of `plugin.toml`.

use crate::plugin::validate::{InvalidValue, check_range};
use serde::Deserialize;
use std::ops::RangeInclusive;

/// The section, with its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// What happens when the script is slower than the container.
    pub on_slow: OnSlow,
    /// The capacity of a container's FIFO, in KiB. The system rounds it up to a power of two.
    pub buffer_kib: usize,
    /// How much of a container's log may be on disk, in MiB.
    pub spill_mib: usize,
    /// The largest batch, in entries.
    pub batch_entries: usize,
    /// The largest batch, in KiB of frames.
    pub batch_kib: usize,
}

/// What happens when the script is slower than the container.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSlow {
    /// The container waits in its next write, but only for a moment: then entries are moved to
    /// disk.
    #[default]
    Block,
    /// The oldest entries are dropped and counted.
    Drop,
}

const BUFFER_KIB: RangeInclusive<usize> = 64..=16 << 10;
const SPILL_MIB: RangeInclusive<usize> = 0..=1 << 20;
const BATCH_ENTRIES: RangeInclusive<usize> = 1..=10_000;
const BATCH_KIB: RangeInclusive<usize> = 4..=4 << 10;

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            on_slow: OnSlow::Block,
            buffer_kib: 1024,
            spill_mib: 64,
            batch_entries: 1000,
            batch_kib: 256,
        }
    }
}

impl LogSettings {
    /// Returns the first invalid value as an error.
    pub(in crate::plugin) fn validate(&self) -> Result<(), InvalidValue> {
        check_range("buffer_kib", self.buffer_kib, &BUFFER_KIB)?;
        check_range("spill_mib", self.spill_mib, &SPILL_MIB)?;
        check_range("batch_entries", self.batch_entries, &BATCH_ENTRIES)?;
        check_range("batch_kib", self.batch_kib, &BATCH_KIB)
    }
}
