//! How many lines a script may write to the log: a script that prints in a loop must not fill the
//! disk of the machine.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long the lines are counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// A longer line counts as several, one for each portion of this many bytes.
const PORTION: usize = 256;

/// Counts the lines of one script.
#[derive(Debug, Default)]
pub struct LineMeter {
    window: Cell<Option<Instant>>,
    written: Cell<usize>,
    left_out: Cell<usize>,
}

impl LineMeter {
    /// Returns whether a line of `bytes` may be written, of which there may be `limit` per second.
    pub fn admits(&self, bytes: usize, limit: usize) -> bool {
        let now = Instant::now();
        let is_over = |began| now.duration_since(began) >= WINDOW;
        if self.window.get().is_none_or(is_over) {
            self.window.set(Some(now));
            self.written.set(0);
        }
        let written = self.written.get() + 1 + bytes / PORTION;
        let is_first = self.written.get() == 0;
        if written > limit && !is_first {
            self.left_out.set(self.left_out.get() + 1);
            return false;
        }
        self.written.set(written);
        true
    }

    /// Returns how many lines were left out since it was last asked.
    pub fn take_left_out(&self) -> usize {
        self.left_out.take()
    }
}
