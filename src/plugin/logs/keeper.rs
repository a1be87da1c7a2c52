//! Room in a stream's FIFO while its script is busy. Without room, the container waits, and so does
//! whoever wants to kill, remove or inspect it, because the engine writes to the FIFO until nothing is
//! left of a container's output.

use super::control::{Control, Order, Progress};
use super::cursor::{Batch, ReadError};
use super::drops::{Drops, is_due};
use super::queue::Queue;
use super::registry::Registry;
use super::settings::{LogSettings, OnSlow};
use crate::script::Diagnostic;
use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// How long a container waits for its script.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a script must take for its container to wait for longer, in bytes of frames per second.
const SCRIPT_RATE: usize = 1 << 20;
/// How fast the FIFO is emptied instead of a script, in printed bytes per second. When a container
/// is killed, the engine holds up to 1 MB of each of its outputs, which must go within two seconds.
const RELIEF_RATE: usize = 2 << 20;
/// How often the FIFO is checked, if the container may wait.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How often the FIFO is checked, if the container must not wait, or fills the FIFO again and again.
const ROOM_INTERVAL: Duration = Duration::from_millis(5);
/// How often a FIFO that the engine was told to remove is checked.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(1);
/// The bytes that are moved or dropped before other tasks get their turn.
const PORTION: usize = 128 << 10;

/// Keeps room in the FIFO of one stream.
pub(super) struct Keeper {
    registry: Rc<Registry>,
    control: Rc<Control>,
    drops: Rc<Drops>,
    /// Until when the container may wait, if the FIFO has no room.
    patience: Cell<Option<Instant>>,
    /// When the FIFO may be emptied again.
    next_relief: Cell<Option<Instant>>,
    last_report: Cell<Option<Instant>>,
    /// Whether it was reported that entries are on disk.
    is_reported: Cell<bool>,
}

/// The result of emptying the FIFO.
enum Relief {
    /// What the container had printed, in bytes, is out of the FIFO.
    Moved(usize),
    /// Nothing can be moved to disk.
    Full(Diagnostic),
}

impl Keeper {
    /// Creates the keeper of a stream.
    pub fn new(
        registry: Rc<Registry>,
        control: Rc<Control>,
        drops: Rc<Drops>,
        has_spilled: bool,
    ) -> Self {
        Self {
            registry,
            control,
            drops,
            patience: Cell::new(None),
            next_relief: Cell::new(None),
            last_report: Cell::new(None),
            is_reported: Cell::new(has_spilled),
        }
    }

    /// Keeps room while `work` goes on, such as the delivery of `batch`, which is the front of the
    /// queue.
    pub async fn during<T>(
        &self,
        queue: &Queue,
        batch: Option<&Batch>,
        work: impl Future<Output = T>,
    ) -> T {
        let done = Notify::new();
        let working = async {
            let result = work.await;
            done.notify_one();
            result
        };
        // Entries that are being moved to disk must not be left halfway.
        tokio::join!(working, self.keep(queue, batch, &done)).0
    }

    async fn keep(&self, queue: &Queue, batch: Option<&Batch>, done: &Notify) {
        let begun = Instant::now();
        let may_drop = self.registry.settings().on_slow == OnSlow::Drop;
        let mut pause = if may_drop {
            ROOM_INTERVAL
        } else {
            Duration::ZERO
        };
        loop {
            let (ordered, changed) = self.control.next_order();
            if pause.is_zero() {
                pause = self.check(queue, batch, ordered, begun).await;
            }
            tokio::select! {
                biased;
                () = done.notified() => return,
                () = changed => {}
                () = sleep(pause) => {}
            }
            pause = Duration::ZERO;
        }
    }

    /// Makes room if it is time to. Returns when to check again.
    async fn check(
        &self,
        queue: &Queue,
        batch: Option<&Batch>,
        ordered: Order,
        begun: Instant,
    ) -> Duration {
        let settings = self.registry.settings();
        self.drops.report();
        if queue.is_given_up() {
            self.registry.counters.dropped(0, queue.discard_all());
        }
        if settings.on_slow == OnSlow::Drop {
            if !has_room(queue) {
                self.drop_oldest(queue, batch).await;
            }
            return ROOM_INTERVAL;
        }
        let is_stuck = begun.elapsed() >= PATIENCE;
        if ordered == Order::Leave || (ordered == Order::Stop && is_stuck) {
            return self.leave(queue, batch, &settings, is_stuck).await;
        }
        let pause = self.time_left(queue);
        if pause.is_zero() {
            self.relieve(queue, batch, &settings).await;
        }
        pause.clamp(Duration::from_millis(1), self.interval())
    }

    fn interval(&self) -> Duration {
        let is_flooded = |next: Instant| next.elapsed() < Duration::from_secs(1);
        match self.next_relief.get() {
            Some(next) if is_flooded(next) => ROOM_INTERVAL,
            _ => CHECK_INTERVAL,
        }
    }

    /// Returns how long the container may still wait.
    fn time_left(&self, queue: &Queue) -> Duration {
        let now = Instant::now();
        if has_room(queue) {
            self.patience.set(None);
            return Duration::MAX;
        }
        // Nothing in the FIFO is taken before what is on disk.
        let patience = if queue.has_spilled() {
            Duration::ZERO
        } else {
            PATIENCE
        };
        let until = self.patience.get().unwrap_or(now + patience);
        self.patience.set(Some(until));
        let until = self.next_relief.get().map_or(until, |next| until.max(next));
        until.saturating_duration_since(now)
    }

    /// Extends the time for which the container may wait, because the script has taken `bytes` from
    /// the FIFO.
    pub fn taken(&self, bytes: usize) {
        if let Some(until) = self.patience.get() {
            let longest = Instant::now() + PATIENCE;
            let until = until + time_for(bytes, SCRIPT_RATE);
            self.patience.set(Some(until.min(longest)));
        }
    }

    /// Empties the FIFO: to disk, or by dropping entries if there is no space.
    async fn relieve(&self, queue: &Queue, batch: Option<&Batch>, settings: &LogSettings) {
        let printed = match self.spill(queue, settings).await {
            Relief::Moved(printed) => printed,
            Relief::Full(problem) => {
                self.drops.report_failure(&problem);
                self.drop_oldest(queue, batch).await
            }
        };
        let pace = time_for(printed, RELIEF_RATE);
        self.next_relief.set(Some(Instant::now() + pace));
    }

    /// Moves what the FIFO holds to disk, because the engine is about to remove it. Without space, the
    /// script still gets it, unless it is stuck.
    async fn leave(
        &self,
        queue: &Queue,
        batch: Option<&Batch>,
        settings: &LogSettings,
        is_stuck: bool,
    ) -> Duration {
        match self.spill(queue, settings).await {
            Relief::Full(problem) if is_stuck => {
                self.drops.report_failure(&problem);
                self.drop_down_to(0, queue, batch).await;
            }
            Relief::Full(_) => return CHECK_INTERVAL,
            Relief::Moved(_) => {}
        }
        self.control.reach(Progress::Drained);
        queue.close_deserted();
        REMOVAL_INTERVAL
    }

    /// Moves complete entries of the FIFO to disk.
    async fn spill(&self, queue: &Queue, settings: &LogSettings) -> Relief {
        // More may arrive meanwhile.
        let (mut left, mut printed) = (queue.waiting(), 0);
        while left > 0 {
            let spilled = self.registry.spilled(&self.control.container);
            let space = ((settings.spill_mib as u64) << 20).saturating_sub(spilled);
            let limit = PORTION.min(usize::try_from(space).unwrap_or(PORTION));
            if limit == 0 {
                return Relief::Full(full(settings));
            }
            match queue.spill(limit).await {
                Ok(Some(moved)) => printed += moved,
                Ok(None) => break,
                Err(ReadError::Io(error)) => return Relief::Full(in_state(error)),
                Err(error) => {
                    queue.give_up(error);
                    break;
                }
            }
            self.report_spill();
            left = left.saturating_sub(limit);
        }
        Relief::Moved(printed)
    }

    /// Drops the oldest entries until the FIFO is an eighth full. Returns how many bytes the
    /// container had printed.
    async fn drop_oldest(&self, queue: &Queue, batch: Option<&Batch>) -> usize {
        self.drop_down_to(queue.capacity() / 8, queue, batch).await
    }

    /// Drops the oldest entries until `limit` bytes are left. A container may write as fast as this
    /// drops.
    async fn drop_down_to(&self, limit: usize, queue: &Queue, batch: Option<&Batch>) -> usize {
        if let Some(batch) = batch
            && let Err(error) = queue.consume_early(batch)
        {
            queue.give_up(error.into());
        }
        let mut printed = 0;
        loop {
            let excess = queue.waiting().saturating_sub(limit);
            if excess == 0 {
                break;
            }
            match queue.drop_front(excess.min(PORTION)) {
                Ok(Some(front)) => {
                    printed += front.printed;
                    self.drops.count(front.count, front.bytes.len());
                }
                Ok(None) => break,
                Err(error) => {
                    queue.give_up(error);
                    break;
                }
            }
            yield_now().await;
        }
        self.drops.report();
        printed
    }

    /// Reports that entries are on disk, once until the script has caught up.
    fn report_spill(&self) {
        if is_due(&self.last_report) && !self.is_reported.replace(true) {
            self.last_report.set(Some(Instant::now()));
            let (plugin, container) = (self.registry.slot.name(), &self.control.name);
            tracing::warn!(
                plugin,
                container,
                "log stream is spilled to disk, because its script does not keep up"
            );
        }
    }

    /// Reports that the script has caught up, if it was reported that entries are on disk.
    pub fn report_end_of_spill(&self) {
        if self.is_reported.replace(false) {
            let (plugin, container) = (self.registry.slot.name(), &self.control.name);
            tracing::info!(
                plugin,
                container,
                "log script has caught up with what was spilled"
            );
        }
    }
}

/// Whether the engine can certainly write. Where frames do not share pages, a FIFO is full at half
/// of its capacity.
fn has_room(queue: &Queue) -> bool {
    queue.waiting() <= queue.capacity() / 8 * 3
}

fn time_for(bytes: usize, rate: usize) -> Duration {
    Duration::from_secs(1).mul_f64(bytes as f64 / rate as f64)
}

fn full(settings: &LogSettings) -> Diagnostic {
    let limit = settings.spill_mib;
    Diagnostic::of_file(
        "plugin.toml",
        format!(
            "the script does not keep up, and {limit} MiB of the log (`log.spill_mib`) are on disk"
        ),
    )
}

fn in_state(error: impl Display) -> Diagnostic {
    let message = format!("the script does not keep up, and nothing can be spilled: {error}");
    Diagnostic::of_file(super::STATE_DIR, message)
}
