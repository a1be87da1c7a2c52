//! Telling that files changed, once they have settled.

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

/// How long nothing must happen before a change counts as finished.
const QUIET: Duration = Duration::from_millis(20);
/// How long a file that is written to may stay open before it is taken as it is, and how long changes that
/// follow one another are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches directories, none of them recursively.
pub struct Watcher {
    inner: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
    followed: BTreeSet<PathBuf>,
    /// The directories that the kernel does not let us follow.
    refused: BTreeSet<PathBuf>,
    /// The scripts that are being written to, and since when.
    open: BTreeMap<PathBuf, Instant>,
}

/// What an event means to a reader of scripts.
#[derive(Debug, PartialEq, Eq)]
enum Sign {
    Nothing,
    /// Something may be another than before.
    Change,
    /// A script's content is another than before.
    Writing,
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
        Ok(Self {
            inner,
            events,
            followed: BTreeSet::new(),
            refused: BTreeSet::new(),
            open: BTreeMap::new(),
        })
    }

    /// Follows these directories from now on, and no others; whether they are others than before.
    pub fn follow(&mut self, directories: &[PathBuf]) -> bool {
        let wanted: BTreeSet<PathBuf> = directories.iter().cloned().collect();
        for gone in self.followed.difference(&wanted) {
            // A directory that was removed is no longer watched anyway.
            let _ = self.inner.unwatch(gone);
        }
        // Added again even if followed: a directory of this name may be another one by now.
        let now = wanted
            .into_iter()
            .filter(|directory| self.watch(directory))
            .collect();
        replace(&mut self.followed, now) != self.followed
    }

    /// Tells once of a directory that is there and cannot be followed: saves in it go unnoticed.
    fn watch(&mut self, directory: &Path) -> bool {
        match self.inner.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.refused.remove(directory);
                true
            }
            Err(error) => {
                if !is_gone(&error.kind) && self.refused.insert(directory.to_owned()) {
                    tracing::error!(directory = %directory.display(), %error, "cannot be watched: send SIGHUP after a change there");
                }
                false
            }
        }
    }

    /// Returns when something changed and the change has settled.
    pub async fn changed(&mut self) {
        while self.next().await == Sign::Nothing {}
        self.settled().await;
    }

    /// Returns when nothing happens any more, and no script that was written to is still open for writing.
    pub async fn settled(&mut self) {
        let begun = Instant::now();
        let mut last = begun;
        while let Ok(sign) = timeout_at(self.settles_at(begun, last), self.next()).await {
            if sign != Sign::Nothing {
                last = Instant::now();
            }
        }
        self.open.clear();
    }

    /// Whether a script was written to since the scripts were settled.
    pub fn saw_writing(&mut self) -> bool {
        self.catch_up();
        let mut seen = false;
        while let Ok(event) = self.events.try_recv() {
            seen |= self.note(event) == Sign::Writing;
        }
        seen
    }

    /// Waits until the watching thread has passed on what happened before. It may take an order before the events
    /// that came with it, so it gets two.
    fn catch_up(&mut self) {
        let Some(directory) = self.followed.first().cloned() else {
            return;
        };
        for _ in 0..2 {
            self.watch(&directory);
        }
    }

    fn settles_at(&self, begun: Instant, last: Instant) -> Instant {
        match self.open.values().max() {
            Some(since) => *since + PATIENCE,
            None => (last + QUIET).min(begun + PATIENCE),
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
                tracing::warn!(%error, "watching the scripts");
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

/// Only scripts are waited for until they are closed: an editor keeps its swap file open all the time.
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
