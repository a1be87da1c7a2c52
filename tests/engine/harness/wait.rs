//! Waiting for a condition instead of sleeping.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Polls until `condition` holds, and fails the test with `what` when it does not in time.
#[track_caller]
pub fn wait_for(what: &str, timeout: Duration, condition: impl Fn() -> bool) {
    assert!(
        holds_within(timeout, condition),
        "after {timeout:?}: not yet {what}"
    );
}

/// Polls until `condition` holds; false when it does not in time.
pub fn holds_within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Says that something is done when it is dropped, so that threads which wait for that end with a test that fails, too.
pub struct Done<'a>(pub &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
