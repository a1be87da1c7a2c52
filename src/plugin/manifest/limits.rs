//! `[limits]` of `plugin.toml`.

use crate::host::Limits;
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
    #[serde(default)]
    deadline_ms: BTreeMap<String, u64>,
}

/// The range of `memory_mib`. An empty Luau state needs half a MiB, and more than a TiB is a typo.
const MEMORY_MIB: RangeInclusive<usize> = 2..=1 << 20;

impl LimitSettings {
    /// Returns the first invalid value as an error.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        if self.cpu_ms == Some(0) {
            let message = "`cpu_ms` must be at least 1";
            return Err(InvalidValue::new("cpu_ms", message));
        }
        if let Some(mib) = self.memory_mib {
            check_range("memory_mib", mib, &MEMORY_MIB)?;
        }
        let mut deadlines = self.deadline_ms.iter();
        deadlines.try_for_each(|(hook, ms)| validate_deadline(hook, *ms))
    }

    /// Returns the limits of each script.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        let cpu = self.cpu_ms.map(Duration::from_millis);
        let memory = self.memory_mib.map(|mib| mib << 20);
        Limits {
            cpu: cpu.unwrap_or(default.cpu),
            memory: memory.unwrap_or(default.memory),
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
