//! What a stream has still to deliver: first what is on disk, then what is in the FIFO.

use super::control::Control;
use super::cursor::{Batch, Cursor, FRAME_LIMIT, Front, ReadError, Seen};
use super::registry::Registry;
use super::settings::LogSettings;
use crate::metrics::LogCounters;
use crate::protocol::{Cut, cut};
use crate::sys::blocking;
use crate::sys::files::fifo::Fifo;
use crate::sys::state::journal::Mark;
use crate::sys::state::spill::{Piece, Spill};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The entries of a stream that were not delivered.
///
/// While a batch is being delivered, it is still at the front, and only the keeper of the FIFO's room
/// moves entries.
pub(super) struct Queue {
    spill: Spill,
    pieces: RefCell<VecDeque<Piece>>,
    /// `None` once the engine has removed the FIFO.
    cursor: RefCell<Option<Cursor>>,
    /// Why the rest of the FIFO cannot be read.
    broken: RefCell<Option<ReadError>>,
    /// Whether the batch that is being delivered was removed from the FIFO already.
    is_consumed: Cell<bool>,
    control: Rc<Control>,
    counters: Arc<LogCounters>,
}

impl Queue {
    /// Opens the queue of a stream, after a process that was killed too. `fifo` is `None` if the
    /// engine has removed it; `mark` is the last batch that was delivered.
    pub async fn open(
        registry: &Registry,
        id: &str,
        control: Rc<Control>,
        fifo: Option<Fifo>,
        mark: Option<Mark>,
    ) -> io::Result<Self> {
        let (spill, cursor) = (registry.journal.spill(id), fifo.map(Cursor::new));
        let listed = spill.clone();
        let (pieces, last) = blocking(move || {
            let pieces = listed.pieces()?;
            let last = pieces.last().map(Piece::read_all).transpose()?;
            io::Result::Ok((VecDeque::from(pieces), last))
        })
        .await?;
        match (&cursor, pieces.back(), mark) {
            // A kill may have come after the piece was written and before its bytes were consumed.
            (Some(cursor), Some(piece), _) => {
                cursor.continue_at(piece.end, &last.unwrap_or_default())?;
            }
            (Some(cursor), None, Some(mark)) => cursor.resume(&mark),
            _ => {}
        }
        let queue = Self {
            spill,
            pieces: RefCell::new(pieces),
            cursor: RefCell::new(cursor),
            broken: RefCell::new(None),
            is_consumed: Cell::new(false),
            control,
            counters: registry.counters.clone(),
        };
        queue.account();
        Ok(queue)
    }

    /// Reads the oldest entries without removing them.
    pub async fn peek(&mut self, settings: &LogSettings) -> Result<Seen, ReadError> {
        self.is_consumed.set(false);
        if let Some(batch) = self.read_piece(settings).await {
            return Ok(Seen::Batch(batch));
        }
        match (self.broken.take(), self.cursor.get_mut()) {
            (Some(error), _) => Err(error),
            (None, Some(cursor)) => cursor.peek(settings),
            (None, None) => Ok(Seen::Deserted),
        }
    }

    /// Reads a batch from disk. Removes pieces that cannot be read.
    async fn read_piece(&self, settings: &LogSettings) -> Option<Batch> {
        let (entries, limit) = (settings.batch_entries, settings.batch_kib << 10);
        loop {
            let piece = self.pieces.borrow().front().cloned()?;
            let reading = piece.clone();
            let error = match blocking(move || read(&reading, entries, limit)).await {
                Ok(batch) => return Some(batch),
                Err(error) => error,
            };
            let lost = usize::try_from(piece.rest()).unwrap_or(usize::MAX);
            self.counters.dropped(0, lost);
            let container = &self.control.name;
            tracing::error!(container, %error, lost, "a spilled part of the log stream is corrupt");
            self.pieces.borrow_mut().pop_front();
            // It is reported already.
            let _ = blocking(move || piece.remove()).await;
            self.account();
        }
    }

    /// Removes a delivered batch, unless it was removed before.
    pub async fn consume(&self, batch: &Batch) -> io::Result<()> {
        if self.is_consumed.replace(false) {
            return Ok(());
        }
        let Some(piece) = self.pieces.borrow_mut().pop_front() else {
            return self.with_cursor(|cursor| cursor.consume(batch));
        };
        let (spill, mark) = (self.spill.clone(), batch.mark);
        let is_last = self.pieces.borrow().is_empty();
        let rest = blocking(move || {
            let rest = piece.take(mark.count, mark.length)?;
            if is_last && rest.is_none() {
                spill.close();
            }
            io::Result::Ok(rest)
        })
        .await?;
        if let Some(rest) = rest {
            self.pieces.borrow_mut().push_front(rest);
        }
        self.account();
        Ok(())
    }

    /// Removes the batch that is being delivered from the FIFO, so that the next can be dropped. A
    /// batch on disk is not in the way.
    pub fn consume_early(&self, batch: &Batch) -> io::Result<()> {
        if self.has_spilled() || self.is_consumed.replace(true) {
            return Ok(());
        }
        self.with_cursor(|cursor| cursor.consume(batch))
    }

    /// Moves the oldest entries of the FIFO to disk, of at most `limit` bytes unless the first is
    /// longer. Returns how many bytes the container had printed; `None` if there is no complete
    /// entry.
    pub async fn spill(&self, limit: usize) -> Result<Option<usize>, ReadError> {
        let Some(front) = self.front(limit)? else {
            return Ok(None);
        };
        let spill = self.spill.clone();
        let (front, piece) = blocking(move || {
            let piece = spill.write(front.first, front.count as u64, &front.bytes)?;
            io::Result::Ok((front, piece))
        })
        .await?;
        self.with_cursor(|cursor| cursor.discard(&front))?;
        self.pieces.borrow_mut().push_back(piece);
        self.account();
        Ok(Some(front.printed))
    }

    /// Drops the oldest entries of the FIFO, as [`Queue::spill`] moves them. Returns what it dropped.
    pub fn drop_front(&self, limit: usize) -> Result<Option<Front>, ReadError> {
        let front = self.front(limit)?;
        if let Some(front) = &front {
            self.with_cursor(|cursor| cursor.discard(front))?;
        }
        Ok(front)
    }

    fn front(&self, limit: usize) -> Result<Option<Front>, ReadError> {
        match &*self.cursor.borrow() {
            Some(cursor) => cursor.front(limit),
            None => Ok(None),
        }
    }

    /// Gives up the FIFO, which cannot be read further, once what is on disk is delivered.
    pub fn give_up(&self, error: ReadError) {
        self.broken.replace(Some(error));
    }

    /// Whether the FIFO cannot be read further.
    pub fn is_given_up(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Removes all bytes from the FIFO, also of incomplete entries, and returns how many.
    pub fn discard_all(&self) -> usize {
        let discarded = self.with_cursor(|cursor| Ok(cursor.discard_all()));
        discarded.unwrap_or(0)
    }

    /// Closes the FIFO if nobody has it open for writing, and nothing is in it.
    pub fn close_deserted(&self) {
        if self.is_deserted() {
            self.cursor.take();
        }
    }

    /// Whether entries are on disk.
    pub fn has_spilled(&self) -> bool {
        !self.pieces.borrow().is_empty()
    }

    /// Whether nothing is left to deliver.
    pub fn is_empty(&self) -> bool {
        !self.has_spilled() && self.waiting() == 0
    }

    /// Returns the number of bytes in the FIFO; 0 if it is unknown.
    pub fn waiting(&self) -> usize {
        self.cursor.borrow().as_ref().map_or(0, Cursor::waiting)
    }

    /// Returns the capacity of the FIFO in bytes.
    pub fn capacity(&self) -> usize {
        let cursor = self.cursor.borrow();
        cursor.as_ref().map_or(usize::MAX, Cursor::capacity)
    }

    /// Whether nobody has the FIFO open for writing, and nothing is in it.
    pub fn is_deserted(&self) -> bool {
        self.cursor
            .borrow()
            .as_ref()
            .is_none_or(Cursor::is_deserted)
    }

    /// Waits for a change of the FIFO.
    pub async fn changed(&mut self) -> io::Result<()> {
        match self.cursor.get_mut() {
            Some(cursor) => cursor.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Opens a deserted FIFO again. Returns whether it still exists.
    pub fn reopen(&mut self) -> io::Result<bool> {
        match self.cursor.get_mut() {
            Some(cursor) => cursor.reopen(),
            None => Ok(false),
        }
    }

    fn with_cursor<T: Default>(
        &self,
        work: impl FnOnce(&Cursor) -> io::Result<T>,
    ) -> io::Result<T> {
        match &*self.cursor.borrow() {
            Some(cursor) => work(cursor),
            None => Ok(T::default()),
        }
    }

    /// Counts what is on disk.
    fn account(&self) {
        let now = self.pieces.borrow().iter().map(Piece::rest).sum();
        let before = self.control.spilled.replace(now);
        self.counters.spilled_bytes.fetch_add(now, Relaxed);
        self.counters.spilled_bytes.fetch_sub(before, Relaxed);
    }
}

impl Drop for Queue {
    /// What stays on disk is for the next process.
    fn drop(&mut self) {
        let counted = self.control.spilled.take();
        self.counters.spilled_bytes.fetch_sub(counted, Relaxed);
    }
}

/// Reads a batch from a piece.
fn read(piece: &Piece, entries: usize, mut limit: usize) -> io::Result<Batch> {
    loop {
        let bytes = piece.read(limit)?;
        match cut(&bytes, entries, FRAME_LIMIT).map_err(io::Error::other)? {
            Cut::Entries(entries, length) => {
                return Ok(Batch::new(entries, piece.next, &bytes[..length]));
            }
            Cut::Short(whole) if bytes.len() == limit => limit = whole,
            Cut::Short(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
