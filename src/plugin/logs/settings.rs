//! `[log]` of `plugin.toml`: how much is held, and what gives way when a script is slow.

use serde::Deserialize;

/// The section, with its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// What happens when the script is slower than the container.
    pub on_slow: OnSlow,
    /// How much of a container's log waits in its FIFO, in KiB. The system rounds it up to a power of two.
    pub buffer_kib: usize,
    /// How many entries are handed over at once.
    pub batch_entries: usize,
    /// How much is handed over at once, in KiB as the engine writes it.
    pub batch_kib: usize,
}

/// What gives way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSlow {
    /// The container waits in its next write. Nothing is lost.
    #[default]
    Block,
    /// The oldest entries are given up, and counted.
    Drop,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            on_slow: OnSlow::Block,
            buffer_kib: 1024,
            batch_entries: 1000,
            batch_kib: 256,
        }
    }
}

impl LogSettings {
    /// The first value that makes no sense: its key, and what it must be.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let within = |key, value: usize, least: usize, most: usize| {
            let message = format!("`{key}` must be {least} to {most}");
            (!(least..=most).contains(&value)).then_some((key, message))
        };
        within("buffer_kib", self.buffer_kib, 64, 16 << 10)
            .or_else(|| within("batch_entries", self.batch_entries, 1, 10_000))
            .or_else(|| within("batch_kib", self.batch_kib, 4, 4 << 10))
    }
}
