//! The metrics collector: passes the engine's metrics to `collect` at each interval from
//! `StartMetrics` to `StopMetrics` (protocol 9).

use super::outcome::Outcome;
use super::slot::{Live, Slot};
use super::validate::{InvalidValue, check_range};
use super::{CallError, hook};
use crate::host::MANIFEST;
use crate::metrics::{Sample, Samples, Tally};
use crate::protocol::{COLLECT, Interface, Method, SAMPLE};
use crate::script::{Diagnostic, Owed, close_message};
use crate::sys::memory::Buffer;
use crate::sys::network::http::{HttpError, Request, send_to_socket};
use crate::telemetry::chain;
use bytes::Bytes;
use mlua::{Lua, Table};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Level;

/// How long the engine may take to answer with its metrics.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page that is read, in bytes.
const PAGE_LIMIT: usize = 16 << 20;
/// How long a stop waits for a `collect` that runs.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of samples to convert before other tasks run.
const PORTION: usize = 1000;
/// The range of `interval_s`.
const INTERVAL_S: RangeInclusive<u64> = 1..=3600;

/// `[metrics]` of `plugin.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// The time between two calls of `collect`, in seconds.
    pub interval_s: u64,
    /// The socket at which the engine serves its metrics.
    pub socket: PathBuf,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            interval_s: 15,
            socket: "/run/docker/metrics.sock".into(),
        }
    }
}

impl MetricsSettings {
    /// Returns the first invalid value as an error.
    pub(super) fn validate(&self) -> Result<(), InvalidValue> {
        check_range("interval_s", self.interval_s, &INTERVAL_S)?;
        if self.socket.is_relative() {
            let message = "`socket` must be an absolute path";
            return Err(InvalidValue::new("socket", message));
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s)
    }
}

/// The collector of one plugin, on the thread of the metrics script.
pub(super) struct Collector {
    running: RefCell<Option<Running>>,
    beats: Rc<Beats>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the beats of a collector share, also with a beat that still runs after a stop.
struct Beats {
    slot: Rc<Slot>,
    /// Held while `collect` runs, so that calls do not overlap.
    turn: Mutex<()>,
    /// Whether the last beat could not read the metrics, which is reported once.
    is_blind: Cell<bool>,
}

impl Collector {
    /// Creates a collector that is not started.
    pub fn new(slot: Rc<Slot>) -> Self {
        Self {
            beats: Rc::new(Beats {
                slot,
                turn: Mutex::default(),
                is_blind: Cell::new(false),
            }),
            running: RefCell::default(),
        }
    }

    /// Answers `StartMetrics` with the hook, and starts the beats if it agreed.
    pub async fn start(&self, method: &'static Method, live: &Live, body: &[u8]) -> Outcome {
        let outcome = hook::answer(&self.beats.slot, method, live, body).await;
        if outcome.reply.is_ok() {
            self.begin();
        }
        outcome
    }

    /// Answers `StopMetrics`: stops the beats, then calls the hook.
    pub async fn stop(&self, method: &'static Method, live: &Live, body: &[u8]) -> Outcome {
        self.halt().await;
        hook::answer(&self.beats.slot, method, live, body).await
    }

    /// Starts the beats again if they ended by a panic.
    pub fn resume(&self) {
        if self.running.borrow().is_some() {
            self.begin();
        }
    }

    fn is_running(&self) -> bool {
        let running = self.running.borrow();
        running
            .as_ref()
            .is_some_and(|running| !running.task.is_finished())
    }

    /// Starts the beats, unless there are some: a restarted engine calls `StartMetrics` again.
    fn begin(&self) {
        if self.is_running() {
            return;
        }
        let (stop, stopped) = watch::channel(false);
        let task = self.beats.slot.spawn(self.beats.clone().run(stopped));
        self.running.replace(Some(Running { stop, task }));
    }

    /// Stops the beats. One that has begun may finish, within [`STOP_TIMEOUT`].
    pub async fn halt(&self) {
        let running = self.running.take();
        if let Some(Running { stop, task }) = running {
            stop.send_replace(true);
            // A panic has been logged.
            let _ = timeout(STOP_TIMEOUT, task).await;
        }
    }
}

impl Beats {
    /// Collects at once, and then at each interval, until stopped.
    async fn run(self: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut last = Instant::now();
        loop {
            self.collect(&mut stopped).await;
            if let Some((beats, latest)) = passed(last, self.interval(), Instant::now()) {
                self.slot.core.meters.add_all(Tally::Skipped, beats);
                let plugin = self.slot.name();
                tracing::debug!(
                    plugin,
                    beats,
                    "beats skipped: collect took longer than its interval"
                );
                last = latest;
            }
            match self.next(last, &mut stopped).await {
                Some(due) => last = due,
                None => return,
            }
        }
    }

    /// Waits for the beat after `last`, under the interval of whichever generation is live. Returns
    /// when it was due, or `None` once stopped.
    async fn next(
        &self,
        mut last: Instant,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Instant> {
        loop {
            let due = last + self.interval();
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return None,
                () = self.slot.changed.notified() => {
                    // A shorter interval makes no beats that have passed.
                    let earliest = Instant::now().checked_sub(self.interval());
                    last = last.max(earliest.unwrap_or(last));
                }
                () = sleep_until(due) => return Some(due),
            }
        }
    }

    /// Runs one beat. After a stop, it does not call the hook.
    async fn collect(&self, stopped: &mut watch::Receiver<bool>) {
        let samples = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            samples = self.read_page() => samples,
        };
        let Some(samples) = samples else { return };
        let _turn = self.turn.lock().await;
        if *stopped.borrow() {
            return;
        }
        let Ok(live) = self.slot.live() else { return };
        let ongoing = self.slot.begin(COLLECT, Bytes::new());
        let reply = match table(&live, &samples).await {
            Ok(samples) => hook::call(&self.slot, COLLECT, &live, &Owed::Nothing, samples).await,
            Err(diagnostic) => Err(CallError::Failed(diagnostic)),
        };
        let outcome = Outcome::of(reply, String::new()).at_level_if_ok(Level::DEBUG);
        self.slot.finish(ongoing, Some(&live), &outcome).await;
    }

    /// Reads the engine's metrics. Reports the first failure, and the first success after it.
    async fn read_page(&self) -> Option<Samples> {
        let plugin = self.slot.name();
        match fetch(&self.settings().socket).await {
            Ok(page) => {
                if self.is_blind.replace(false) {
                    tracing::info!(plugin, "the engine's metrics can be read again");
                }
                let samples = spawn_blocking(move || Samples::parse(&page)).await.ok()?;
                self.warn_of_unread(&samples);
                Some(samples)
            }
            Err(error) => {
                self.slot.core.meters.add(Tally::Unread);
                if !self.is_blind.replace(true) {
                    tracing::warn!(
                        plugin,
                        "cannot read the engine's metrics: {}",
                        chain(&error)
                    );
                }
                None
            }
        }
    }

    fn interval(&self) -> Duration {
        self.settings().interval()
    }

    fn settings(&self) -> MetricsSettings {
        let live = self.slot.live();
        live.map(|live| live.manifest.metrics.clone())
            .unwrap_or_default()
    }

    fn warn_of_unread(&self, samples: &Samples) {
        if let Some(line) = samples.first_unread {
            let (plugin, count) = (self.slot.name(), samples.unread);
            tracing::warn!(
                plugin,
                line,
                "cannot parse {count} lines of the engine's metrics"
            );
        }
    }
}

/// An error of reading the engine's metrics.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("`{}` answered with status {status}", socket.display())]
    Status { socket: PathBuf, status: u16 },
    #[error("`{}` did not answer within {} s", socket.display(), FETCH_TIMEOUT.as_secs())]
    Timeout { socket: PathBuf },
}

/// Reads the engine's page of metrics.
async fn fetch(socket: &Path) -> Result<Buffer, FetchError> {
    let accept = ("accept".to_owned(), b"text/plain".to_vec());
    let request = Request {
        method: "GET".to_owned(),
        headers: vec![accept],
        max_body: PAGE_LIMIT,
        ..Request::default()
    };
    let sending = send_to_socket(socket, "/metrics", &request);
    let answer = timeout(FETCH_TIMEOUT, sending).await;
    let answer = answer.map_err(|_| FetchError::Timeout {
        socket: socket.to_owned(),
    })??;
    if answer.status != 200 {
        return Err(FetchError::Status {
            socket: socket.to_owned(),
            status: answer.status,
        });
    }
    Ok(answer.body)
}

/// Returns how many beats have passed since `last`, and when the latest of them was due; `None` if
/// no beat has passed.
fn passed(last: Instant, interval: Duration, now: Instant) -> Option<(u64, Instant)> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let interval = millis(interval).max(1);
    let beats = millis(now.saturating_duration_since(last)) / interval;
    (beats > 0).then(|| (beats, last + Duration::from_millis(beats * interval)))
}

/// Creates the argument of `collect`, a list of samples. Lets other tasks run in between.
async fn table(live: &Live, samples: &Samples) -> Result<Table, Diagnostic> {
    let (lua, limit) = (live.script.lua(), live.manifest.limits().memory);
    let list = lua
        .create_table_with_capacity(samples.samples.len(), 0)
        .map_err(failed)?;
    for portion in samples.samples.chunks(PORTION) {
        for sample in portion {
            let sample = sample_table(lua, samples, sample).map_err(failed)?;
            list.raw_push(sample).map_err(failed)?;
        }
        if exceeds(lua, limit).map_err(failed)? {
            return Err(too_many(samples.samples.len(), limit));
        }
        yield_now().await;
    }
    Ok(list)
}

fn failed(error: mlua::Error) -> Diagnostic {
    Diagnostic::of_file(Interface::Metrics.file(), error.to_string())
}

fn too_many(count: usize, limit: usize) -> Diagnostic {
    let mib = limit >> 20;
    let message = format!("the engine's {count} samples take more than {mib} MiB of memory");
    Diagnostic::of_file(Interface::Metrics.file(), message)
        .cure(format!("raise `memory_mib` in {MANIFEST}"))
}

/// Whether a state uses more than `limit` bytes, after a garbage collection if need be.
fn exceeds(lua: &Lua, limit: usize) -> mlua::Result<bool> {
    if lua.used_memory() > limit {
        lua.gc_collect()?;
    }
    Ok(lua.used_memory() > limit)
}

fn sample_table(lua: &Lua, samples: &Samples, sample: &Sample) -> mlua::Result<Table> {
    let labels = lua.create_table_with_capacity(0, sample.labels.len())?;
    for (name, value) in &sample.labels {
        labels.raw_set(name.as_str(), value.as_str())?;
    }
    let table = lua.create_table_with_capacity(0, 6)?;
    table.raw_set("name", sample.name.as_str())?;
    table.raw_set("labels", labels)?;
    table.raw_set("value", sample.value)?;
    table.raw_set("type", samples.kind(sample))?;
    table.raw_set("help", samples.help(sample))?;
    table.raw_set("timestamp", sample.timestamp.map(|ms| ms as f64))?;
    close_message(lua, SAMPLE, &table)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_intervals_are_skipped() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        assert_eq!(passed(start, second, after(0)), None);
        assert_eq!(passed(start, second, after(999)), None);
        assert_eq!(passed(start, second, after(1000)), Some((1, after(1000))));
        assert_eq!(passed(start, second, after(2500)), Some((2, after(2000))));
    }
}
