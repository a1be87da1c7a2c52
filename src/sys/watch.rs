//! Telling that files changed, once they have settled.

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// How long nothing must happen before a change counts as finished.
const QUIET: Duration = Duration::from_millis(20);
/// How long a file that is written to may stay open before it is taken as it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches directories, none of them recursively.
pub struct Watcher {
    inner: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
    followed: BTreeSet<PathBuf>,
}

impl Watcher {
    /// A watcher that follows nothing yet.
    ///
    /// # Errors
    /// When the kernel gives no inotify instance.
    pub fn new() -> notify::Result<Self> {
        let (sender, events) = unbounded_channel();
        let inner = notify::recommended_watcher(move |event| {
            // The receiver is gone only when the watcher is about to be.
            let _ = sender.send(event);
        })?;
        Ok(Self { inner, events, followed: BTreeSet::new() })
    }

    /// Follows these directories from now on, and no others.
    pub fn follow(&mut self, directories: &[PathBuf]) {
        let wanted: BTreeSet<PathBuf> = directories.iter().cloned().collect();
        for gone in self.followed.difference(&wanted) {
            // A directory that was removed is no longer watched anyway.
            let _ = self.inner.unwatch(gone);
        }
        // Added again even if followed: a directory of this name may be another one by now.
        self.followed = wanted.into_iter().filter(|directory| watch(&mut self.inner, directory)).collect();
    }

    /// Returns when something changed and the change has settled: nothing happens any more, and no file that
    /// was written to is still open for writing.
    pub async fn changed(&mut self) {
        let mut open = BTreeSet::new();
        while !self.next(&mut open).await {}
        let patience = Instant::now() + PATIENCE;
        loop {
            let quiet = if open.is_empty() { Instant::now() + QUIET } else { patience };
            if timeout_at(quiet.min(patience), self.next(&mut open)).await.is_err() {
                return;
            }
        }
    }

    /// Takes the next event; whether it may have changed what a reader sees.
    async fn next(&mut self, open: &mut BTreeSet<PathBuf>) -> bool {
        match self.events.recv().await {
            Some(Ok(event)) => note(event, open),
            Some(Err(error)) => {
                tracing::warn!(%error, "watching the scripts");
                true
            }
            None => std::future::pending().await,
        }
    }
}

fn watch(inner: &mut RecommendedWatcher, directory: &Path) -> bool {
    match inner.watch(directory, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(directory = %directory.display(), %error, "cannot be watched");
            false
        }
    }
}

fn note(event: Event, open: &mut BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => open.extend(event.paths),
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Remove(_)
        | EventKind::Modify(_) => {
            open.retain(|path| !event.paths.contains(path));
        }
        EventKind::Access(_) => return false,
        _ => {}
    }
    true
}
