//! Looks for plugins that come and go, beside the main thread.

use super::order::{Event, Request};
use crate::config::{Found, Roster};
use crate::plugin::{Watcher, ways_to};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::error;

/// How long reading the directories may take, as of a server that does not answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is wrong if the directories cannot be read.
pub const HANGS: &str =
    "the directories of plugins cannot be read: new and removed ones go unnoticed";

/// Takes requests to look for plugins. Without a request, it only looks.
pub type Requests = UnboundedSender<Option<Request>>;

/// Starts to look for plugins whenever their directories change, and at each request. What is found
/// is reported in the order in which it was read.
pub fn start(roster: Roster, report: UnboundedSender<Event>) -> Requests {
    let (requests, requested) = unbounded_channel();
    tokio::spawn(look(roster, requested, report));
    requests
}

async fn look(
    roster: Roster,
    mut requests: UnboundedReceiver<Option<Request>>,
    report: UnboundedSender<Event>,
) {
    let mut watcher = watcher(&roster);
    let mut request = None;
    loop {
        let (found, directories) = read(roster.clone()).await.unzip();
        if found.is_none() {
            error!("{HANGS}");
        }
        if report.send(Event::Found(found, request.take())).is_err() {
            return;
        }
        // Only another reading sees what came into a directory before it was followed.
        if let (Some(watcher), Some(directories)) = (&mut watcher, directories)
            && watcher.follow(&directories)
        {
            continue;
        }
        tokio::select! {
            () = changed(&mut watcher) => {}
            asked = requests.recv() => match asked {
                Some(asked) => request = asked,
                None => return,
            },
        }
    }
}

/// Returns a watcher, if plugins may come and go, and the kernel has one.
fn watcher(roster: &Roster) -> Option<Watcher> {
    if !roster.may_grow() {
        return None;
    }
    let watcher = Watcher::new();
    watcher
        .inspect_err(
            |error| error!(%error, "cannot watch for new plugins: send SIGHUP after a change"),
        )
        .ok()
}

async fn changed(watcher: &mut Option<Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

/// Reads the directories. Returns what is found, and the directories to watch for more; `None` if a
/// directory hangs.
async fn read(roster: Roster) -> Option<(Found, Vec<PathBuf>)> {
    let reading = spawn_blocking(move || {
        let found = roster.find();
        let collections = roster.collections().iter().flat_map(|dir| ways_to(dir));
        let directories = collections.chain(found.unfinished().cloned()).collect();
        (found, directories)
    });
    timeout(READ_TIMEOUT, reading).await.ok()?.ok()
}
