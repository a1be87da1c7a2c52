//! Calls as they pass, for those who watch them. While nobody does, a call pays for reading a counter.

mod mask;
mod view;

pub use self::mask::{Rule, SECRET_NAMES, mask_text};

use crate::protocol::Method;
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

/// The calls that may wait for a slow watcher. Older ones are dropped, and counted.
const QUEUE_LENGTH: usize = 256;

/// The limit on those who watch at the same time.
pub const MAX_WATCHERS: usize = 8;

/// The limit on a body that is shown, in bytes, so that what waits stays below 32 MiB.
const PART_LIMIT: usize = 64 << 10;

/// Where calls pass. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Tap {
    /// The queue, once somebody has watched.
    calls: Arc<OnceLock<Sender<Arc<PassedCall>>>>,
    watchers: Arc<AtomicUsize>,
}

/// One who watches calls, until dropped.
#[derive(Debug)]
pub struct Watcher {
    calls: Receiver<Arc<PassedCall>>,
    watchers: Arc<AtomicUsize>,
}

/// What a watcher sees.
#[derive(Debug)]
pub enum Seen {
    /// A call.
    Call(Arc<PassedCall>),
    /// This many calls passed while the watcher was too slow to see them.
    Missed(u64),
}

/// A call that has ended.
#[derive(Debug)]
pub struct PassedCall {
    /// The plugin.
    pub plugin: String,
    /// The method.
    pub method: &'static Method,
    /// When it ended.
    pub ended: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The generation of the script that answered; 0 if none did.
    pub generation: u64,
    /// `ok`, `denied` or `failed`.
    pub verdict: &'static str,
    /// The object of the call.
    pub object: String,
    /// The outcome, with its reason.
    pub outcome: String,
    /// The body of the request.
    pub request: Part,
    /// The body of the reply; `None` for an error.
    pub reply: Option<Part>,
}

/// A body.
#[derive(Debug)]
pub enum Part {
    /// All of it.
    Whole(Bytes),
    /// The length of one that is too large to be shown.
    TooLarge(usize),
}

impl Tap {
    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Relaxed) > 0
    }

    /// Shows a call to those who watch. Never waits for them.
    pub fn pass(&self, call: PassedCall) {
        if let Some(calls) = self.calls.get() {
            // Nobody may watch any more.
            let _ = calls.send(Arc::new(call));
        }
    }

    /// Watches the calls that pass from now on; `None` if too many do already.
    pub fn watch(&self) -> Option<Watcher> {
        let calls = self.calls.get_or_init(|| channel(QUEUE_LENGTH).0);
        let watcher = Watcher {
            calls: calls.subscribe(),
            watchers: self.watchers.clone(),
        };
        // Dropping the watcher counts it out again.
        let before = self.watchers.fetch_add(1, Relaxed);
        (before < MAX_WATCHERS).then_some(watcher)
    }
}

impl Watcher {
    /// Waits for the next call; `None` when no more can pass.
    pub async fn next(&mut self) -> Option<Seen> {
        match self.calls.recv().await {
            Ok(call) => Some(Seen::Call(call)),
            Err(RecvError::Lagged(calls)) => Some(Seen::Missed(calls)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Relaxed);
    }
}

impl Part {
    /// Takes a copy of a body, unless it is too large.
    pub fn new(body: &[u8]) -> Self {
        if body.len() > PART_LIMIT {
            Self::TooLarge(body.len())
        } else {
            Self::Whole(Bytes::copy_from_slice(body))
        }
    }
}
