//! The position of a stream in its FIFO.

use super::settings::LogSettings;
use crate::protocol::{Cut, FrameError, LogEntry, cut};
use crate::sys::files::fifo::{Fifo, Peek};
use crate::sys::state::journal::Mark;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io;

/// The longest frame, as the engine's own reader has it.
const FRAME_LIMIT: usize = 1_000_000;
/// A page of a FIFO may be half full when a frame begins.
const PAGE: usize = 4096;

/// An error that prevents further reading of a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is at the beginning of a FIFO.
pub(super) enum Seen {
    /// Whole frames.
    Batch(Batch),
    /// Less than a frame.
    Piece,
    /// Nothing.
    Nothing,
    /// Nothing, and nobody has the FIFO open for writing.
    Deserted,
}

/// Entries that are still in the FIFO.
pub(super) struct Batch {
    pub entries: Vec<LogEntry>,
    pub mark: Mark,
}

/// The FIFO of a stream, and how far it was read.
pub(super) struct Cursor {
    fifo: Fifo,
    /// The number of the next entry.
    seq: Cell<u64>,
    /// The bytes at the beginning of the FIFO, still in it.
    seen: Vec<u8>,
}

impl Cursor {
    /// Begins with the first entry.
    pub fn new(fifo: Fifo) -> Self {
        Self {
            fifo,
            seq: Cell::new(1),
            seen: Vec::new(),
        }
    }

    /// Goes on after a process that was killed. Whether the batch that it delivered last was consumed
    /// shows in the FIFO.
    pub fn resume(&self, mark: &Mark) {
        let length = usize::try_from(mark.length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        let peeked = self.fifo.peek(length.max(1), &mut bytes);
        let is_there = peeked.is_ok() && bytes.len() == length && digest(&bytes) == mark.digest;
        let next = mark.seq.saturating_add(mark.count);
        self.seq.set(if is_there { mark.seq } else { next });
    }

    /// Looks at what is at the beginning of the FIFO, and leaves it there.
    pub fn look(&mut self, settings: &LogSettings) -> Result<Seen, ReadError> {
        let frame_limit = FRAME_LIMIT.min(self.fifo.sight()?.saturating_sub(PAGE));
        let mut limit = settings.batch_kib << 10;
        loop {
            match self.fifo.peek(limit, &mut self.seen)? {
                Peek::Bytes => {}
                Peek::Empty => return Ok(Seen::Nothing),
                Peek::Deserted => return Ok(Seen::Deserted),
            }
            match cut(&self.seen, settings.batch_entries, frame_limit)? {
                Cut::Entries(entries, length) => {
                    return Ok(Seen::Batch(self.batch(entries, length)));
                }
                Cut::Short(whole) if self.seen.len() == limit => limit = whole,
                Cut::Short(_) => return Ok(Seen::Piece),
            }
        }
    }

    fn batch(&self, entries: Vec<LogEntry>, length: usize) -> Batch {
        let mark = Mark {
            seq: self.seq.get(),
            count: entries.len() as u64,
            length: length as u64,
            digest: digest(&self.seen[..length]),
        };
        Batch { entries, mark }
    }

    /// Removes a batch from the FIFO.
    pub fn consume(&self, batch: &Batch) -> io::Result<()> {
        self.fifo.consume(batch.length())?;
        self.seq.set(batch.mark.seq + batch.mark.count);
        Ok(())
    }

    /// Removes the oldest entries, of at most `limit` bytes unless the first is longer. Returns how many
    /// entries and bytes it removed; `None` if there is no whole entry.
    pub fn discard(&self, mut limit: usize) -> Option<(usize, usize)> {
        let mut bytes = Vec::new();
        loop {
            self.fifo.peek(limit, &mut bytes).ok()?;
            match cut(&bytes, usize::MAX, FRAME_LIMIT) {
                Ok(Cut::Entries(entries, length)) => {
                    self.fifo.consume(length).ok()?;
                    self.seq.set(self.seq.get() + entries.len() as u64);
                    return Some((entries.len(), length));
                }
                Ok(Cut::Short(whole)) if bytes.len() == limit => limit = whole,
                _ => return None,
            }
        }
    }

    /// Removes all bytes, whole entries or not. Returns how many; 0 if there are none.
    pub fn discard_all(&self) -> usize {
        let waiting = self.waiting();
        match self.fifo.consume(waiting) {
            Ok(()) => waiting,
            Err(_) => 0,
        }
    }

    /// The bytes in the FIFO; 0 if it cannot tell.
    pub fn waiting(&self) -> usize {
        self.fifo.waiting().unwrap_or(0)
    }

    /// The bytes that the FIFO holds at most.
    pub fn capacity(&self) -> usize {
        self.fifo.capacity().unwrap_or(usize::MAX)
    }

    /// Whether nobody has the FIFO open for writing.
    pub fn is_deserted(&self) -> bool {
        let mut probe = Vec::new();
        matches!(self.fifo.peek(1, &mut probe), Ok(Peek::Deserted))
    }

    /// Waits for a change of the FIFO.
    pub async fn changed(&self) -> io::Result<()> {
        self.fifo.changed().await
    }

    /// Opens a deserted FIFO again. Returns whether it is still there.
    pub fn reopen(&mut self) -> io::Result<bool> {
        match self.fifo.reopen() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Batch {
    /// Its bytes in the FIFO.
    pub fn length(&self) -> usize {
        usize::try_from(self.mark.length).unwrap_or(usize::MAX)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
