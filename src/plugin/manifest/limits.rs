//! `[limits]` of `plugin.toml`.

use crate::host::{Limits, StoreSize};
use crate::plugin::validate::{InvalidValue, check_range};
use crate::protocol::{Method, methods};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The section. What it leaves out has a default.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    cpu_ms: Option<u64>,
    memory_mib: Option<usize>,
    store_mib: Option<usize>,
    store_keys: Option<usize>,
    log_lines_per_s: Option<usize>,
    #[serde(default)]
    deadline_ms: BTreeMap<String, u64>,
}

/// The range of `memory_mib`. An empty Luau state needs half a MiB, and more than a TiB is a typo.
const MEMORY_MIB: RangeInclusive<usize> = 2..=1 << 20;
/// The range of `store_mib`. All of a store is in memory.
const STORE_MIB: RangeInclusive<usize> = 1..=16 << 10;
/// The range of `store_keys`.
const STORE_KEYS: RangeInclusive<usize> = 1..=100_000_000;
/// The range of `log_lines_per_s`.
const LOG_LINES: RangeInclusive<usize> = 1..=1_000_000;

impl LimitSettings {
    /// Returns the first invalid value as an error.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        if self.cpu_ms == Some(0) {
            let message = "`cpu_ms` must be at least 1";
            return Err(InvalidValue::new("cpu_ms", message));
        }
        let ranges = [
            ("memory_mib", self.memory_mib, MEMORY_MIB),
            ("store_mib", self.store_mib, STORE_MIB),
            ("store_keys", self.store_keys, STORE_KEYS),
            ("log_lines_per_s", self.log_lines_per_s, LOG_LINES),
        ];
        for (key, value, range) in ranges {
            value.map_or(Ok(()), |value| check_range(key, value, &range))?;
        }
        let mut deadlines = self.deadline_ms.iter();
        deadlines.try_for_each(|(hook, ms)| validate_deadline(hook, *ms))
    }

    /// Returns the limits of each script.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        let cpu = self.cpu_ms.map(Duration::from_millis);
        let bytes = |mib: Option<usize>| mib.map(|mib| mib << 20);
        Limits {
            cpu: cpu.unwrap_or(default.cpu),
            memory: bytes(self.memory_mib).unwrap_or(default.memory),
            store: StoreSize {
                bytes: bytes(self.store_mib).unwrap_or(default.store.bytes),
                keys: self.store_keys.unwrap_or(default.store.keys),
            },
            log_lines: self.log_lines_per_s.unwrap_or(default.log_lines),
        }
    }

    /// Returns how long a call of `method` may take.
    pub fn deadline(&self, method: &Method) -> Duration {
        let is_own = |(key, _): &(&String, _)| {
            key.split_once('.') == Some((method.interface.name(), method.hook))
        };
        let own = self.deadline_ms.iter().find(is_own);
        own.map_or(method.deadline, |(_, ms)| Duration::from_millis(*ms))
    }
}

/// Checks the deadline of a hook, which can only be shorter than the default.
fn validate_deadline(hook: &str, ms: u64) -> Result<(), InvalidValue> {
    let mut methods = methods().filter(|method| method.has_hook());
    let Some(method) = methods.find(|method| method.key() == hook) else {
        let message =
            format!("unknown hook `{hook}`: write `interface.hook`, such as `volume.mount`");
        return Err(InvalidValue::new(hook, message));
    };
    let limit = method.deadline.as_millis();
    if ms == 0 || u128::from(ms) > limit {
        let message = format!(
            "the deadline of `{hook}` must be between 1 and {limit} ms: Docker does not wait longer"
        );
        return Err(InvalidValue::new(hook, message));
    }
    Ok(())
}
