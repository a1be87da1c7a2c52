//! The log of a container in a test: the engine's end of a FIFO, and what `docker logs` reads.

use super::rig::{HUNG_UP, Rig, message_of};
use crate::plugin::log_entry::ends_line;
use crate::plugin::{Plugin, Reply, ReplyStream};
use crate::protocol::{Cut, LogEntry, READ_LOG, cut, frame};
use rustix::fs::{CWD, Mode, mkfifoat, unlink};
use rustix::io::ioctl_fionread;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::unix::pipe::{OpenOptions, Sender};
use tokio::time::{sleep, timeout};

/// How long a write waits until the script has taken it.
const TAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two looks at what the script has taken.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The engine's end of a FIFO.
pub struct Feed(Sender);

impl Feed {
    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the script has everything, also what was moved to disk meanwhile.
    async fn taken(&self, plugin: &Plugin) -> io::Result<()> {
        let counters = plugin.log_counters();
        while ioctl_fionread(&self.0)? > 0 || counters.spilled_bytes.load(Relaxed) > 0 {
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Rig {
    /// Makes the FIFO of a log, as the engine does before it starts the log.
    ///
    /// # Errors
    /// A FIFO that cannot be made.
    pub fn open_feed(&self, path: &Path) -> io::Result<()> {
        let place = self.room_for(path)?;
        mkfifoat(CWD, &place, Mode::RUSR | Mode::WUSR)?;
        let sender = OpenOptions::new().read_write(true).open_sender(&place)?;
        let feed = Rc::new(Feed(sender));
        self.feeds.borrow_mut().insert(path.to_owned(), feed);
        Ok(())
    }

    /// Closes and removes the FIFO of a log, and waits until the script has seen its end.
    ///
    /// # Errors
    /// A FIFO that cannot be removed, or a plugin that was killed.
    pub async fn close_feed(&self, path: &Path) -> Result<(), String> {
        self.feeds.borrow_mut().remove(path);
        unlink(self.path(path)).map_err(|error| error.to_string())?;
        let open = self.feeds.borrow().len() as u64;
        self.with_plugin(async |plugin| {
            let counters = plugin.log_counters();
            let ended = async {
                while counters.streams.load(Relaxed) > open {
                    sleep(POLL_INTERVAL).await;
                }
            };
            // One that has not ended is reported by the log.
            let _ = timeout(TAKE_TIMEOUT, ended).await;
            Ok(())
        })
        .await
    }

    /// Writes entries to a log. Returns whether the script takes them within [`TAKE_TIMEOUT`].
    ///
    /// # Errors
    /// A log that was stopped, or a plugin that was killed.
    pub async fn write_log(&self, path: &Path, entries: Vec<LogEntry>) -> Result<bool, String> {
        let feed = self.feeds.borrow().get(path).cloned();
        let feed = feed.ok_or("the log was stopped")?;
        let mut bytes = Vec::new();
        for entry in entries {
            frame(&without_newline(entry), &mut bytes);
        }
        self.with_plugin(async |plugin| {
            let taken = async {
                feed.send(&bytes).await?;
                feed.taken(plugin).await
            };
            match timeout(TAKE_TIMEOUT, taken).await {
                Ok(taken) => taken.map(|()| true).map_err(|error| error.to_string()),
                Err(_) => Ok(false),
            }
        })
        .await
    }

    /// Reads a log to its end, as `docker logs` does.
    ///
    /// # Errors
    /// The message of a failure.
    pub async fn read_log(&self, body: String) -> Result<Vec<LogEntry>, String> {
        let read = async |reply| match reply {
            Reply::Stream(stream) => collect(stream).await,
            Reply::Answer { body, .. } => Err(message_of(&body)),
            Reply::HangUp => Err(HUNG_UP.to_owned()),
        };
        let shown = |entries: &Vec<LogEntry>| format!("{} entries", entries.len());
        self.call(READ_LOG.wire, body, read, shown).await
    }
}

async fn collect(mut stream: ReplyStream) -> Result<Vec<LogEntry>, String> {
    let mut bytes = Vec::new();
    while let Some(part) = poll_fn(|context| stream.poll_part(context)).await {
        bytes.extend(part.map_err(|error| error.to_string())?);
    }
    match cut(&bytes, usize::MAX, usize::MAX) {
        Ok(Cut::Entries(entries, _)) => Ok(entries.into_iter().map(without_newline).collect()),
        Ok(Cut::Short(_)) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns an entry as the engine writes it, and scripts see it.
fn without_newline(mut entry: LogEntry) -> LogEntry {
    if ends_line(&entry) {
        entry.line.pop_if(|last| *last == b'\n');
    }
    entry
}
