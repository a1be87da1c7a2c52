//! What one call may use: processor time without giving way, and the fact that it is used up.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::Duration;

/// The limits of one script, from `plugin.toml` (`[limits]`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Processor time that a hook may use before it gives way.
    pub cpu: Duration,
    /// Memory of one script's state, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(250),
            memory: 64 << 20,
        }
    }
}

/// Why a call was ended by its budget. A script cannot catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The hook computed for longer than [`Limits::cpu`] without giving way.
    #[error("used more than {0} ms of processor time without giving way")]
    Cpu(u128),
    /// The whole call took longer than its deadline.
    #[error("did not answer within {0} ms")]
    Deadline(u128),
    /// The script's state holds more than [`Limits::memory`].
    #[error("used more than {0} MiB of memory")]
    Memory(usize),
}

/// The meter of one script's state. A *slice* is the time between two points at which the script gives way;
/// calls of one script interleave only there, so one meter serves them all.
#[derive(Debug, Default)]
pub struct Budget {
    ends: Cell<Option<Duration>>,
    limit: Cell<Duration>,
    tick: Cell<i128>,
    exhausted: Cell<Option<Exhausted>>,
}

impl Budget {
    /// Starts a slice that may use `cpu` of processor time.
    pub fn begin(&self, cpu: Duration) {
        self.limit.set(cpu);
        self.ends.set(None);
        self.exhausted.set(None);
    }

    /// Ends the slice and says whether it overdrew.
    pub fn end(&self) -> Result<(), Exhausted> {
        self.exhausted.take().map_or(Ok(()), Err)
    }

    /// Fails once the running slice is used up, and again until it ends, so that no `pcall` outlives it.
    ///
    /// The exact clock costs a system call, so it is looked at only when a coarse one has moved on. Counting calls
    /// instead would not do: between two of them a pattern may run over a whole text of many MiB.
    /// Says whether that was so.
    pub fn check(&self) -> Result<bool, Exhausted> {
        if let Some(why) = self.exhausted.get() {
            return Err(why);
        }
        let now = tick();
        if self.tick.replace(now) == now {
            return Ok(false);
        }
        self.look().map(|()| true)
    }

    /// The same as [`Budget::check`] by the exact clock: for host functions, each of which may have used a lot.
    pub fn look(&self) -> Result<(), Exhausted> {
        if let Some(why) = self.exhausted.get() {
            return Err(why);
        }
        let now = thread_time();
        let ends = self.ends.get().unwrap_or(now + self.limit.get());
        self.ends.set(Some(ends));
        if now <= ends {
            return Ok(());
        }
        let why = Exhausted::Cpu(self.limit.get().as_millis());
        self.exhausted.set(Some(why));
        Err(why)
    }

    /// Marks the slice as used up for another reason.
    pub fn exhaust(&self, why: Exhausted) {
        self.exhausted.set(Some(why));
    }

    /// The reason, if the running slice is used up.
    pub fn exhausted(&self) -> Option<Exhausted> {
        self.exhausted.get()
    }
}

/// Moves on every few milliseconds, and is read without a system call.
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
