//! Watches for changed files, and reports them once they have settled.

use super::sources::may_be_source;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::replace;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// The quiet period after which a change counts as complete.
const QUIET_PERIOD: Duration = Duration::from_millis(20);
/// The limit on waiting for an open file, and for a series of changes.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Watches directories, none of them recursively.
pub struct Watcher {
    inner: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
    followed: BTreeSet<PathBuf>,
    /// The directories that cannot be watched.
    refused: BTreeSet<PathBuf>,
    /// The scripts that are open for writing, by the time of the first write.
    open: BTreeMap<PathBuf, Instant>,
    /// Whether [`Watcher::saw_writing`] saw a change that nothing may have read.
    unread: bool,
}

/// The meaning of an event for scripts.
#[derive(Debug, PartialEq, Eq)]
enum Sign {
    Nothing,
    /// Something may have changed.
    Change,
    /// A script was written.
    Writing,
}

impl Watcher {
    /// Creates a watcher without directories.
    ///
    /// # Errors
    /// Fails if the kernel provides no inotify instance.
    pub fn new() -> notify::Result<Self> {
        let (sender, events) = unbounded_channel();
        let inner = notify::recommended_watcher(move |event| {
            // Fails only while the watcher is being dropped.
            let _ = sender.send(event);
        })?;
        Ok(Self {
            inner,
            events,
            followed: BTreeSet::new(),
            refused: BTreeSet::new(),
            open: BTreeMap::new(),
            unread: false,
        })
    }

    /// Watches exactly these directories. Returns whether the set has changed.
    pub fn follow(&mut self, directories: &[PathBuf]) -> bool {
        let wanted: BTreeSet<PathBuf> = directories.iter().cloned().collect();
        for gone in self.followed.difference(&wanted) {
            // Fails for a directory that was removed, which is not watched any more.
            let _ = self.inner.unwatch(gone);
        }
        // Watched directories are added again, because another directory may have the name now.
        let now = wanted
            .into_iter()
            .filter(|directory| self.watch(directory))
            .collect();
        replace(&mut self.followed, now) != self.followed
    }

    /// Watches a directory, and logs once if that fails although it exists.
    fn watch(&mut self, directory: &Path) -> bool {
        match self.inner.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.refused.remove(directory);
                true
            }
            Err(error) => {
                if !is_gone(&error.kind) && self.refused.insert(directory.to_owned()) {
                    tracing::error!(directory = %directory.display(), %error, "cannot watch directory, send SIGHUP after a change there");
                }
                false
            }
        }
    }

    /// Waits until something has changed and settled.
    pub async fn changed(&mut self) {
        while !self.unread && self.next().await == Sign::Nothing {}
        self.unread = false;
        self.settled().await;
    }

    /// Waits until changes have stopped and no script is open for writing. Returns whether there were
    /// changes.
    pub async fn settled(&mut self) -> bool {
        let begun = Instant::now();
        let (mut last, mut changed) = (begun, false);
        while let Ok(sign) = timeout_at(self.settles_at(begun, last), self.next()).await {
            if sign != Sign::Nothing {
                last = Instant::now();
                changed = true;
            }
        }
        self.open.clear();
        changed
    }

    /// Returns whether a script was written since the scripts had settled. Other changes end the next
    /// [`Watcher::changed`].
    pub fn saw_writing(&mut self) -> bool {
        self.flush_events();
        let mut seen = false;
        while let Ok(event) = self.events.try_recv() {
            let sign = self.note(event);
            seen |= sign == Sign::Writing;
            self.unread |= sign == Sign::Change;
        }
        seen
    }

    /// Waits until notify's thread has delivered earlier events, by adding a watch. The thread may
    /// handle the first request before events that arrived with it, so there are two.
    fn flush_events(&mut self) {
        let Some(directory) = self.followed.first().cloned() else {
            return;
        };
        for _ in 0..2 {
            self.watch(&directory);
        }
    }

    fn settles_at(&self, begun: Instant, last: Instant) -> Instant {
        match self.open.values().max() {
            Some(since) => *since + SETTLE_TIMEOUT,
            None => (last + QUIET_PERIOD).min(begun + SETTLE_TIMEOUT),
        }
    }

    async fn next(&mut self) -> Sign {
        match self.events.recv().await {
            Some(event) => self.note(event),
            None => std::future::pending().await,
        }
    }

    fn note(&mut self, event: notify::Result<Event>) -> Sign {
        match event {
            Ok(event) => note(event, &mut self.open),
            Err(error) => {
                tracing::warn!(%error, "cannot watch the scripts");
                Sign::Change
            }
        }
    }
}

fn is_gone(error: &ErrorKind) -> bool {
    match error {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Records an event. Only scripts are waited for until they are closed, because an editor keeps its
/// swap file open.
fn note(event: Event, open: &mut BTreeMap<PathBuf, Instant>) -> Sign {
    let is_script = event.paths.iter().any(|path| may_be_source(path));
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) if is_script => {
            for path in event.paths {
                open.entry(path).or_insert_with(Instant::now);
            }
            Sign::Writing
        }
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            open.retain(|path, _| !event.paths.contains(path));
            if is_script {
                Sign::Writing
            } else {
                Sign::Change
            }
        }
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => Sign::Nothing,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            open.retain(|path, _| !event.paths.contains(path));
            Sign::Change
        }
        _ => Sign::Change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, Flag, MetadataKind};

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const CHMOD: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));

    /// A file may be removed after it was read, and before anybody asks whether one is written.
    #[tokio::test]
    async fn a_change_that_ends_no_reading_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.lua");
        std::fs::write(&file, "").unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.follow(&[dir.path().to_owned()]);
        std::fs::remove_file(file).unwrap();
        assert!(!watcher.saw_writing());
        let noticed = tokio::time::timeout(Duration::from_secs(20), watcher.changed());
        noticed.await.unwrap();
    }

    #[test]
    fn lost_events_count_as_any_change() {
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(note(lost, &mut BTreeMap::new()), Sign::Change);
    }

    #[test]
    fn a_script_is_open_from_its_first_write_until_it_is_closed() {
        let mut open = BTreeMap::new();
        for (kind, name, sign, are_open) in [
            (WRITE, "p/.a.lua.swp", Sign::Nothing, 0),
            (WRITE, "p/a.lua", Sign::Writing, 1),
            (CHMOD, "p/a.lua", Sign::Change, 1),
            (WRITE, "p/plugin.toml", Sign::Writing, 2),
            (CLOSE, "p/a.lua", Sign::Writing, 1),
            (CLOSE, "p/notes.txt", Sign::Change, 1),
            (CLOSE, "p/plugin.toml", Sign::Writing, 0),
        ] {
            assert_eq!(
                note(Event::new(kind).add_path(name.into()), &mut open),
                sign,
                "{name}"
            );
            assert_eq!(open.len(), are_open, "{name}");
        }
    }
}
