//! The position of a stream in its FIFO.

use super::settings::LogSettings;
use crate::protocol::{Cut, FrameError, LogEntry, Measured, cut, measure};
use crate::sys::files::fifo::{Fifo, Peek};
use crate::sys::state::journal::Mark;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io;

/// The longest frame in bytes, which is also the limit of the engine's own reader.
pub(super) const FRAME_LIMIT: usize = 1_000_000;
/// The size of a page in bytes. A frame may begin in the middle of a page of the FIFO.
const PAGE: usize = 4096;

/// An error that prevents further reading of a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The beginning of a FIFO.
pub(super) enum Seen {
    /// Complete frames.
    Batch(Batch),
    /// An incomplete frame.
    Piece,
    /// Nothing.
    Nothing,
    /// Nothing, and nobody has the FIFO open for writing.
    Deserted,
}

/// Complete frames at the beginning of a FIFO.
pub(super) struct Front {
    /// The frames.
    pub bytes: Vec<u8>,
    /// The number of the first entry.
    pub first: u64,
    /// The number of entries.
    pub count: usize,
    /// About as many bytes as the container printed.
    pub printed: usize,
}

/// Entries that are still in the FIFO, or on disk.
pub(super) struct Batch {
    pub entries: Vec<LogEntry>,
    pub mark: Mark,
}

/// The FIFO of a stream, and the position in it.
pub(super) struct Cursor {
    fifo: Fifo,
    /// The number of the next entry.
    seq: Cell<u64>,
    /// The bytes at the beginning of the FIFO, still in it.
    seen: Vec<u8>,
}

impl Cursor {
    /// Creates a cursor at the first entry.
    pub fn new(fifo: Fifo) -> Self {
        Self {
            fifo,
            seq: Cell::new(1),
            seen: Vec::new(),
        }
    }

    /// Continues after a process that was killed. The FIFO shows whether the last batch that it
    /// delivered was consumed.
    pub fn resume(&self, mark: &Mark) {
        let length = usize::try_from(mark.length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        let peeked = self.fifo.peek(length.max(1), &mut bytes);
        let is_there = peeked.is_ok() && bytes.len() == length && digest(&bytes) == mark.digest;
        let next = mark.seq.saturating_add(mark.count);
        self.seq.set(if is_there { mark.seq } else { next });
    }

    /// Reads the beginning of the FIFO without removing it.
    pub fn peek(&mut self, settings: &LogSettings) -> Result<Seen, ReadError> {
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
        Batch::new(entries, self.seq.get(), &self.seen[..length])
    }

    /// Removes a batch from the FIFO.
    pub fn consume(&self, batch: &Batch) -> io::Result<()> {
        self.advance(batch.length(), batch.mark.count)
    }

    /// Reads the oldest entries, of at most `limit` bytes unless the first is longer. Returns `None`
    /// if there is no complete entry.
    pub fn front(&self, limit: usize) -> Result<Option<Front>, ReadError> {
        let (mut limit, mut bytes) = (limit.max(1), Vec::new());
        loop {
            if self.fifo.peek(limit, &mut bytes)? != Peek::Bytes {
                return Ok(None);
            }
            match measure(&bytes, FRAME_LIMIT)? {
                Measured::Frames {
                    count,
                    length,
                    printed,
                } => {
                    bytes.truncate(length);
                    let first = self.seq.get();
                    return Ok(Some(Front {
                        bytes,
                        first,
                        count,
                        printed,
                    }));
                }
                Measured::Short(whole) if bytes.len() == limit => limit = whole,
                Measured::Short(_) => return Ok(None),
            }
        }
    }

    /// Removes what [`Cursor::front`] returned.
    pub fn discard(&self, front: &Front) -> io::Result<()> {
        self.advance(front.bytes.len(), front.count as u64)
    }

    /// Continues at entry number `seq`. Removes `bytes` if the FIFO begins with them.
    pub fn continue_at(&self, seq: u64, bytes: &[u8]) -> io::Result<()> {
        self.seq.set(seq);
        let mut front = Vec::new();
        self.fifo.peek(bytes.len().max(1), &mut front)?;
        if !bytes.is_empty() && front == bytes {
            self.fifo.consume(bytes.len())?;
        }
        Ok(())
    }

    fn advance(&self, bytes: usize, entries: u64) -> io::Result<()> {
        self.fifo.consume(bytes)?;
        self.seq.set(self.seq.get() + entries);
        Ok(())
    }

    /// Removes all bytes, also of incomplete entries, and returns how many.
    pub fn discard_all(&self) -> usize {
        let waiting = self.waiting();
        match self.fifo.consume(waiting) {
            Ok(()) => waiting,
            Err(_) => 0,
        }
    }

    /// Returns the number of bytes in the FIFO; 0 if it is unknown.
    pub fn waiting(&self) -> usize {
        self.fifo.waiting().unwrap_or(0)
    }

    /// Returns the capacity of the FIFO in bytes.
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

    /// Opens a deserted FIFO again. Returns whether it still exists.
    pub fn reopen(&mut self) -> io::Result<bool> {
        match self.fifo.reopen() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Batch {
    /// Creates a batch of entries, the first of which is number `seq`, from their frames.
    pub fn new(entries: Vec<LogEntry>, seq: u64, frames: &[u8]) -> Self {
        let mark = Mark {
            seq,
            count: entries.len() as u64,
            length: frames.len() as u64,
            digest: digest(frames),
        };
        Self { entries, mark }
    }

    /// Returns the length of the batch as framed by the engine, in bytes.
    pub fn length(&self) -> usize {
        usize::try_from(self.mark.length).unwrap_or(usize::MAX)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
