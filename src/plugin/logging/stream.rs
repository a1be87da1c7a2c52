//! The life of one stream: looked at, cut into frames, handed to the script, consumed.

use super::control::{Control, Order, State};
use super::delivery::Delivery;
use super::info::StreamInfo;
use super::settings::LogSettings;
use super::{Logs, hook};
use crate::plugin::Plugin;
use crate::protocol::{BadFrame, Cut, Interface, LogEntry, cut};
use crate::sys::fifo::{Fifo, Peek};
use crate::sys::journal::{Mark, MarkFile};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

/// The longest frame, as the engine's own reader has it.
pub(super) const LONGEST_FRAME: usize = 1_000_000;
/// A page of a FIFO may be half full when a frame begins.
const PAGE: usize = 4096;
/// A batch follows another no sooner than this, so that a busy container's entries come in larger ones.
const PACE: Duration = Duration::from_millis(5);
/// How long a stream that is stopped waits for the engine to close the FIFO, or for the rest of a frame.
const PARTING: Duration = Duration::from_secs(5);

/// Why a stream ends other than by being told to.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Frame(#[from] BadFrame),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// How a stream came to an end.
#[derive(PartialEq, Eq)]
enum End {
    /// All of it was handed over.
    Finished,
    /// The process is to end; the next one goes on.
    Resting,
}

/// What is at the beginning of a FIFO.
enum Seen {
    /// Whole frames, in so many bytes.
    Entries(Vec<LogEntry>, usize),
    /// Less than a frame.
    Piece,
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

/// A stream with everything that it needs, as a task of the plugin's thread.
pub(super) struct Stream {
    pub plugin: Rc<Plugin>,
    pub info: StreamInfo,
    pub control: Rc<Control>,
    pub fifo: Fifo,
    pub place: MarkFile,
    /// The number of the next entry.
    pub seq: Cell<u64>,
    /// Whether the batch that the script has was consumed already, to make room.
    pub made_room: Cell<bool>,
    pub dropped: Cell<u64>,
    /// Of `dropped`, what was told of, and when.
    pub reported: Cell<(u64, Option<Instant>)>,
    /// When a failing script was told of last, under `drop`.
    pub failure_told: Cell<Option<Instant>>,
    /// What was looked at.
    seen: Vec<u8>,
}

impl Stream {
    /// A stream that the engine has just begun.
    pub(super) fn begun(
        plugin: Rc<Plugin>,
        info: StreamInfo,
        control: Rc<Control>,
        fifo: Fifo,
        place: MarkFile,
    ) -> Self {
        let (seq, made_room) = (Cell::new(1), Cell::new(false));
        let (dropped, reported) = (Cell::new(0), Cell::new((0, None)));
        let (failure_told, seen) = (Cell::default(), Vec::new());
        Self {
            plugin,
            info,
            control,
            fifo,
            place,
            seq,
            made_room,
            dropped,
            reported,
            failure_told,
            seen,
        }
    }

    /// A stream of a process before this one. Whether the batch that it handed over last was consumed, the FIFO tells.
    pub(super) fn resumed(
        plugin: Rc<Plugin>,
        info: StreamInfo,
        control: Rc<Control>,
        fifo: Fifo,
        place: MarkFile,
        mark: Option<Mark>,
    ) -> Self {
        let stream = Self::begun(plugin, info, control, fifo, place);
        if let Some(mark) = mark {
            let length = usize::try_from(mark.length).unwrap_or(usize::MAX);
            let mut bytes = Vec::new();
            let peeked = stream.fifo.peek(length.max(1), &mut bytes);
            let is_there = peeked.is_ok() && bytes.len() == length && digest(&bytes) == mark.digest;
            stream.seq.set(if is_there {
                mark.seq
            } else {
                mark.seq.saturating_add(mark.count)
            });
        }
        stream
    }

    /// Ends a stream whose FIFO has gone while nobody looked.
    pub(super) async fn finish_gone(plugin: Rc<Plugin>, info: StreamInfo, control: Rc<Control>) {
        finish(&plugin, &info).await;
        control.reach(State::Ended);
    }

    /// Goes on until the stream ends.
    pub(super) async fn run(mut self) {
        let end = match self.pump().await {
            Ok(end) => end,
            Err(fault) => self.give_up(&fault).await,
        };
        self.control.reach(State::Drained);
        if end == End::Finished {
            self.report_dropped(true);
            finish(&self.plugin, &self.info).await;
        }
    }

    async fn pump(&mut self) -> Result<End, Fault> {
        let mut parting = None;
        while !*self.logs().resting.borrow() {
            let is_cut = match self.look()? {
                Seen::Entries(entries, length) => {
                    parting = None;
                    let bytes = std::mem::take(&mut self.seen);
                    if !self.hand_over(&entries, &bytes[..length]).await? {
                        return Ok(End::Resting);
                    }
                    continue;
                }
                Seen::End => return Ok(End::Finished),
                Seen::Piece => true,
                Seen::Nothing => false,
            };
            if self.is_to_end(is_cut)
                && parting.get_or_insert_with(Instant::now).elapsed() > PARTING
            {
                return Ok(End::Finished);
            }
            self.wait().await?;
        }
        Ok(End::Resting)
    }

    /// What is at the beginning of the FIFO, which is left there.
    fn look(&mut self) -> Result<Seen, Fault> {
        let settings = self.settings();
        let longest = LONGEST_FRAME.min(self.fifo.sight()?.saturating_sub(PAGE));
        let mut most = settings.batch_kib << 10;
        loop {
            match self.fifo.peek(most, &mut self.seen)? {
                Peek::Bytes => {}
                Peek::Empty => return Ok(Seen::Nothing),
                Peek::Deserted => return self.deserted(),
            }
            match cut(&self.seen, settings.batch_entries, longest)? {
                Cut::Entries(entries, length) => return Ok(Seen::Entries(entries, length)),
                Cut::Short(whole) if self.seen.len() == most => most = whole,
                Cut::Short(_) => return Ok(Seen::Piece),
            }
        }
    }

    fn deserted(&mut self) -> Result<Seen, Fault> {
        if self.ordered() >= Order::EndWhenDeserted {
            return Ok(Seen::End);
        }
        match self.fifo.reopen() {
            Ok(()) => Ok(Seen::Nothing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seen::End),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether nothing more is to come, or, of half a frame, the other half.
    fn is_to_end(&self, is_cut: bool) -> bool {
        let ordered = self.ordered();
        let ends = ordered == Order::Stop || (is_cut && ordered == Order::EndWhenDeserted);
        if ends {
            self.control.reach(State::Drained);
        }
        ends
    }

    /// Waits for something to look at: more in the FIFO, an order, the end of the process.
    async fn wait(&self) -> Result<(), Fault> {
        let mut order = self.control.order.subscribe();
        let mut resting = self.logs().resting.subscribe();
        let known = *order.borrow_and_update();
        // Whoever waits for an end that nobody tells of looks now and then.
        let patience = match known {
            Order::Run => Duration::from_hours(1),
            Order::EndWhenDeserted => Duration::from_secs(1),
            Order::Stop => Duration::from_millis(100),
        };
        tokio::select! {
            changed = self.fifo.changed() => changed?,
            _ = order.changed() => {}
            _ = resting.wait_for(|resting| *resting) => {}
            () = sleep(patience) => {}
        }
        Ok(())
    }

    /// Has the script take the entries, and consumes them. Says false, with the entries left where they are, when the
    /// process is to end before the script took them.
    async fn hand_over(&self, entries: &[LogEntry], bytes: &[u8]) -> Result<bool, Fault> {
        let begun = Instant::now();
        let (seq, count) = (self.seq.get(), entries.len() as u64);
        let mark = Mark {
            seq,
            count,
            length: bytes.len() as u64,
            digest: digest(bytes),
        };
        self.made_room.set(false);
        let taken = tokio::select! {
            taken = self.deliver(entries, mark) => taken,
            never = self.make_room(bytes.len(), seq + count) => match never {},
        };
        let counters = &self.logs().counters;
        match taken {
            Delivery::Taken => counters.handed_over(entries.len(), bytes.len()),
            Delivery::Failed { taken } => self.count_dropped(entries.len() - taken, bytes.len()),
            Delivery::Interrupted => return Ok(false),
        }
        if !self.made_room.get() {
            self.fifo.consume(bytes.len())?;
            self.seq.set(seq + count);
        }
        self.logs().tell_written(&self.info.container);
        self.report_dropped(false);
        if self.ordered() == Order::Run && self.fifo.waiting()? < self.settings().batch_kib << 10 {
            sleep_until(begun + PACE).await;
        }
        // A full FIFO makes one batch follow another: without this, the thread would look for other calls after dozens of them.
        yield_now().await;
        Ok(true)
    }

    /// A stream that cannot be read on is emptied for as long as it is open, so that the container is not held up.
    async fn give_up(&mut self, fault: &Fault) -> End {
        let (plugin, container) = (self.plugin.name(), &self.info.name);
        tracing::error!(
            plugin,
            container,
            "its log cannot be read on, what follows is lost: {fault}"
        );
        self.control.reach(State::Drained);
        while !*self.logs().resting.borrow() {
            let (waiting, ordered) = (self.fifo.waiting().unwrap_or(0), self.ordered());
            if waiting > 0 && self.fifo.consume(waiting).is_ok() {
                self.logs().counters.dropped(0, waiting);
            } else if ordered == Order::Stop || self.wait().await.is_err() {
                return End::Finished;
            }
            let mut probe = Vec::new();
            if matches!(self.fifo.peek(1, &mut probe), Ok(Peek::Deserted))
                && (ordered >= Order::EndWhenDeserted || self.fifo.reopen().is_err())
            {
                return End::Finished;
            }
        }
        End::Resting
    }

    pub(super) fn ordered(&self) -> Order {
        *self.control.order.borrow()
    }

    pub(super) fn settings(&self) -> LogSettings {
        self.plugin.log_settings()
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.plugin.logs
    }
}

impl Drop for Stream {
    /// Also by a panic, so that the end of the process does not wait for it.
    fn drop(&mut self) {
        self.control.reach(State::Ended);
    }
}

/// Tells the script, and forgets the stream.
async fn finish(plugin: &Rc<Plugin>, info: &StreamInfo) {
    if let Some((stop, live)) = hook("stop").zip(plugin.live(Interface::Log).ok())
        && live.script.has(stop)
        && let Ok(table) = info.table(live.script.lua())
        && let Err(diagnostic) = live
            .script
            .call(stop, table, live.manifest.deadline(stop))
            .await
    {
        tracing::warn!(
            plugin = plugin.name(),
            container = info.name,
            "{diagnostic}"
        );
    }
    let (journal, id) = (plugin.logs.journal.clone(), info.id.clone());
    if let Err(error) = spawn_blocking(move || journal.remove(&id))
        .await
        .map_err(io::Error::other)
        .flatten()
    {
        tracing::warn!(plugin = plugin.name(), container = info.name, %error, "its log stays in the journal");
    }
    plugin.logs.unregister(info);
    tracing::debug!(
        plugin = plugin.name(),
        container = info.name,
        "its log has ended"
    );
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
