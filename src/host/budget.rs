//! What one call may use: CPU time without yielding, and the reason why it was stopped.

use crate::sys::state::store::StoreSize;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::Duration;

/// The limits of one script, from `[limits]` in `plugin.toml`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// CPU time that a hook may use before it yields.
    pub cpu: Duration,
    /// Memory of one script's state, in bytes. Its calls may hold as much again outside of it.
    pub memory: usize,
    /// What the plugin may store.
    pub store: StoreSize,
    /// Lines that the script may write to the log, per second.
    pub log_lines: usize,
}

impl Limits {
    /// Returns why a call ends when the script's state needs more memory.
    pub fn out_of_memory(&self) -> Exhausted {
        Exhausted::Memory(self.memory >> 20)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(250),
            memory: 64 << 20,
            store: StoreSize {
                bytes: 64 << 20,
                keys: 200_000,
            },
            log_lines: 1000,
        }
    }
}

/// Why a call exceeded its budget. A script cannot catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The hook ran for longer than [`Limits::cpu`] without yielding.
    #[error("used more than {0} ms of CPU time without yielding")]
    Cpu(u128),
    /// The whole call took longer than its deadline.
    #[error("did not answer within {0} ms")]
    Deadline(u128),
    /// The script's state uses more than [`Limits::memory`].
    #[error("used more than {0} MiB of memory")]
    Memory(usize),
}

impl Exhausted {
    /// Returns what the script's author can do about it.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Cpu(_) => "look for an endless loop, or raise `cpu_ms` in plugin.toml",
            Self::Deadline(_) => {
                "check what it waits for, or raise the deadline in plugin.toml \
                 (`[limits.deadline_ms]`)"
            }
            Self::Memory(_) => {
                "keep less in memory at a time, or raise `memory_mib` in plugin.toml"
            }
        }
    }
}

/// Measures the CPU time of one script's state.
///
/// A *slice* is the time between two points at which the script yields. Calls of one script
/// interleave only at these points, so one budget is enough for all of them.
#[derive(Debug)]
pub struct Budget {
    deadline: Cell<Option<Duration>>,
    limit: Cell<Duration>,
    tick: Cell<i128>,
    exhausted: Cell<Option<Exhausted>>,
}

/// What Moondock's own code may use in a new state before the first slice, such as the reads of absent
/// names while a script is compiled.
const BEFORE: Duration = Duration::from_secs(1);

impl Default for Budget {
    fn default() -> Self {
        Self {
            deadline: Cell::default(),
            limit: Cell::new(BEFORE),
            tick: Cell::default(),
            exhausted: Cell::default(),
        }
    }
}

impl Budget {
    /// Starts a slice that may use `cpu` of CPU time.
    pub fn begin(&self, cpu: Duration) {
        self.limit.set(cpu);
        self.deadline.set(None);
        self.exhausted.set(None);
    }

    /// Ends the slice, and fails if it exceeded its budget.
    pub fn end(&self) -> Result<(), Exhausted> {
        self.exhausted.take().map_or(Ok(()), Err)
    }

    /// Fails once the running slice has exceeded its budget, and again until it ends, so that no
    /// `pcall` can hide it. Returns whether the exact clock was read.
    ///
    /// The exact clock costs a system call, so it is read only when a coarse one has advanced.
    /// Counting calls instead would not do: a pattern may run over a text of many MiB between two
    /// of them.
    pub fn check(&self) -> Result<bool, Exhausted> {
        if let Some(why) = self.exhausted.get() {
            return Err(why);
        }
        let now = tick();
        if self.tick.replace(now) == now {
            return Ok(false);
        }
        self.check_exactly().map(|()| true)
    }

    /// Checks like [`Budget::check`] by the exact clock. For host functions, which may use a lot of
    /// CPU time each.
    pub fn check_exactly(&self) -> Result<(), Exhausted> {
        if let Some(why) = self.exhausted.get() {
            return Err(why);
        }
        let now = thread_time();
        let deadline = self.deadline.get().unwrap_or(now + self.limit.get());
        self.deadline.set(Some(deadline));
        if now <= deadline {
            return Ok(());
        }
        let why = Exhausted::Cpu(self.limit.get().as_millis());
        self.exhausted.set(Some(why));
        Err(why)
    }

    /// Marks the slice as exhausted for another reason.
    pub fn exhaust(&self, why: Exhausted) {
        self.exhausted.set(Some(why));
    }

    /// Returns the reason if the running slice is exhausted.
    pub fn exhausted(&self) -> Option<Exhausted> {
        self.exhausted.get()
    }
}

/// Reads a clock that advances every few milliseconds, without a system call.
fn tick() -> i128 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nanoseconds of a second, as the kernel counts them"
)]
fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
