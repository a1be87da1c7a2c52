//! The life of one log stream: read from its queue, delivered to the script, consumed.

use super::control::{Control, Order, Progress};
use super::cursor::{Batch, ReadError, Seen};
use super::deliver::{Delivered, Delivery};
use super::drops::Drops;
use super::info::StreamInfo;
use super::keeper::Keeper;
use super::queue::Queue;
use super::registry::Registry;
use crate::protocol::STOP_LOG;
use crate::sys::blocking;
use crate::sys::state::journal::MarkFile;
use crate::telemetry::chain;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

/// The shortest time between two batches, so that the entries of a busy container come in larger
/// ones.
const BATCH_INTERVAL: Duration = Duration::from_millis(5);
/// How long a stopped stream waits for the engine to close the FIFO, or for the rest of a frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a stream came to an end.
#[derive(PartialEq, Eq)]
enum End {
    /// All of it was delivered.
    Finished,
    /// The process shuts down, and the next one continues.
    Interrupted,
}

/// A log stream, as a task on the thread of the log script.
pub(super) struct Stream {
    registry: Rc<Registry>,
    info: Rc<StreamInfo>,
    control: Rc<Control>,
    queue: Queue,
    delivery: Delivery,
    drops: Rc<Drops>,
    keeper: Keeper,
}

impl Stream {
    /// Creates a stream of a queue. `mark` is the file that records which batch the script has.
    pub fn new(
        registry: Rc<Registry>,
        info: StreamInfo,
        control: Rc<Control>,
        queue: Queue,
        mark: MarkFile,
    ) -> Self {
        let info = Rc::new(info);
        let drops = Rc::new(Drops::new(registry.clone(), info.clone()));
        let has_spilled = queue.has_spilled();
        Self {
            queue,
            delivery: Delivery::new(registry.clone(), info.clone(), mark),
            keeper: Keeper::new(
                registry.clone(),
                control.clone(),
                drops.clone(),
                has_spilled,
            ),
            drops,
            registry,
            info,
            control,
        }
    }

    /// Runs until the stream ends.
    pub async fn run(mut self) {
        let end = match self.pump().await {
            Ok(end) => end,
            Err(error) => self.discard_rest(&error).await,
        };
        self.control.reach(Progress::Drained);
        if end == End::Finished {
            self.drops.report_all();
            finish(&self.registry, &self.info).await;
        }
    }

    async fn pump(&mut self) -> Result<End, ReadError> {
        self.wait_for_former().await;
        // Since when a stream that is to end has waited for more.
        let mut waiting_since = None;
        while !self.registry.is_shutting_down() {
            let is_cut = match self.queue.peek(&self.registry.settings()).await? {
                Seen::Batch(batch) => {
                    waiting_since = None;
                    self.control.set_backlog(true);
                    if !self.hand_over(&batch).await? {
                        return Ok(End::Interrupted);
                    }
                    continue;
                }
                Seen::Deserted if !self.reopened()? => return Ok(End::Finished),
                Seen::Piece => true,
                Seen::Deserted | Seen::Nothing => false,
            };
            self.control.set_backlog(false);
            if self.is_to_end(is_cut) {
                let since = waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() > CLOSE_TIMEOUT {
                    return Ok(End::Finished);
                }
            }
            self.wait().await?;
        }
        Ok(End::Interrupted)
    }

    /// Waits until earlier streams of the container are delivered, unless this one is over before it
    /// has any entry.
    async fn wait_for_former(&self) {
        let former = self.registry.former(&self.control);
        let caught_up = async {
            for stream in former {
                stream.caught_up().await;
            }
        };
        let waiting = async {
            tokio::select! {
                biased;
                () = caught_up => {}
                () = self.over() => {}
                () = self.registry.shutdown() => {}
            }
        };
        self.keeper.during(&self.queue, None, waiting).await;
    }

    /// Waits until the stream is stopped with nothing in it.
    async fn over(&self) {
        loop {
            let (ordered, changed) = self.control.next_order();
            if ordered >= Order::Stop && self.queue.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the next writer of a deserted FIFO. Returns `false` if none will come.
    fn reopened(&mut self) -> Result<bool, ReadError> {
        if self.control.ordered() >= Order::EndWhenDeserted {
            return Ok(false);
        }
        Ok(self.queue.reopen()?)
    }

    /// Whether nothing more is expected, neither an entry nor, after a cut frame, the rest of it.
    fn is_to_end(&self, is_cut: bool) -> bool {
        let ordered = self.control.ordered();
        let ends = ordered >= Order::Stop || (is_cut && ordered == Order::EndWhenDeserted);
        if ends {
            self.control.reach(Progress::Drained);
        }
        ends
    }

    /// Waits for bytes in the FIFO, an order, or the shutdown of the process.
    async fn wait(&mut self) -> Result<(), ReadError> {
        let (ordered, changed) = self.control.next_order();
        // Nothing reports that the last writer of a stream that is to end has gone.
        let interval = match ordered {
            Order::Run => Duration::from_hours(1),
            Order::EndWhenDeserted => Duration::from_secs(1),
            Order::Stop | Order::Leave => Duration::from_millis(100),
        };
        tokio::select! {
            changed = self.queue.changed() => changed?,
            () = changed => {}
            () = self.registry.shutdown() => {}
            () = sleep(interval) => {}
        }
        Ok(())
    }

    /// Delivers the batch to the script, then removes it from the queue. Returns `false`, leaving
    /// the queue untouched, if the process shuts down first.
    async fn hand_over(&self, batch: &Batch) -> Result<bool, ReadError> {
        let begun = Instant::now();
        let (entries, bytes) = (batch.entries.len(), batch.length());
        let delivery = self.delivery.deliver(batch, &self.drops);
        match self.keeper.during(&self.queue, Some(batch), delivery).await {
            Delivered::All => self.registry.counters.handed_over(entries, bytes),
            Delivered::Some(taken) => self.drops.count(entries - taken, bytes),
            Delivered::Interrupted => return Ok(false),
        }
        self.consume(batch).await?;
        self.registry.notify_written(&self.info.container);
        self.drops.report();
        self.pace(begun).await;
        Ok(true)
    }

    async fn consume(&self, batch: &Batch) -> Result<(), ReadError> {
        let was_spilled = self.queue.has_spilled();
        self.queue.consume(batch).await?;
        if !was_spilled {
            self.keeper.taken(batch.length());
        } else if !self.queue.has_spilled() {
            self.keeper.report_end_of_spill();
        }
        Ok(())
    }

    /// Waits for a larger batch, unless one is there, and gives other tasks their turn.
    async fn pace(&self, begun: Instant) {
        let is_running = self.control.ordered() == Order::Run;
        let is_small = self.queue.waiting() < self.registry.settings().batch_kib << 10;
        if is_running && is_small && !self.queue.has_spilled() {
            sleep_until(begun + BATCH_INTERVAL).await;
        }
        // With a full FIFO nothing above waits, and dozens of batches would follow each other.
        yield_now().await;
    }

    /// Empties a corrupt stream for as long as it is open, so that the container is not blocked.
    async fn discard_rest(&mut self, error: &ReadError) -> End {
        let (plugin, container) = (self.registry.slot.name(), &self.info.name);
        tracing::error!(
            plugin,
            container,
            "log stream is corrupt, discarding the rest: {}",
            chain(error)
        );
        self.control.reach(Progress::Drained);
        while !self.registry.is_shutting_down() {
            let (discarded, ordered) = (self.queue.discard_all(), self.control.ordered());
            if discarded > 0 {
                self.registry.counters.dropped(0, discarded);
            } else if ordered >= Order::Stop || self.wait().await.is_err() {
                return End::Finished;
            }
            let is_gone = self.queue.is_deserted() && !self.reopened().unwrap_or(false);
            if is_gone {
                return End::Finished;
            }
        }
        End::Interrupted
    }
}

impl Drop for Stream {
    /// Reports the end also after a panic, so that a shutdown does not wait for it.
    fn drop(&mut self) {
        self.control.reach(Progress::Ended);
    }
}

/// Calls the script's hook `stop`, and removes the stream.
async fn finish(registry: &Registry, info: &StreamInfo) {
    let (plugin, container) = (registry.slot.name(), &info.name);
    if let Err(problem) = call_stop(registry, info).await {
        tracing::warn!(plugin, container, "{problem}");
    }
    let (journal, id) = (registry.journal.clone(), info.id.clone());
    if let Err(error) = blocking(move || journal.remove(&id)).await {
        tracing::warn!(plugin, container, %error, "cannot remove the log stream from the journal");
    }
    registry.unregister(info);
    tracing::debug!(plugin, container, "log stream ended");
}

/// Calls the hook `stop`, without counting a call: `StopLogging` was answered and counted before.
async fn call_stop(registry: &Registry, info: &StreamInfo) -> Result<(), String> {
    let Ok(live) = registry.slot.live() else {
        return Ok(());
    };
    if !live.script.has(STOP_LOG) {
        return Ok(());
    }
    let table = info.table(live.script.lua())?;
    let deadline = live.manifest.deadline(STOP_LOG);
    let result = live.script.call_for_value(STOP_LOG, table, deadline);
    let result = result.await;
    registry.slot.settle(&live).await;
    result.map(drop).map_err(|problem| problem.to_string())
}
