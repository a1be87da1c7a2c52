//! The metrics collector: `collect` gets what the engine has counted, beat by beat, from `StartMetrics` to `StopMetrics`
//! (`protocol.md` 9).

use super::answer::Outcome;
use super::core::Live;
use super::{CallError, Plugin};
use crate::host::MANIFEST;
use crate::metrics::{Sample, Samples, Tally, Verdict};
use crate::protocol::{Interface, Method, Origin, methods_of};
use crate::script::{Diagnostic, Owed};
use crate::sys::http::{Request, send_to_socket};
use mlua::{Lua, Table};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local, yield_now};
use tokio::time::{Instant, sleep_until, timeout};

/// How long the engine may take to give its numbers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest page that is read, in bytes.
const LARGEST: usize = 16 << 20;
/// How long the end waits for a `collect` that runs.
const REST: Duration = Duration::from_secs(2);
/// How many samples are made before other calls get their turn.
const PORTION: usize = 1000;
/// The bounds of `interval_s`.
const INTERVALS: std::ops::RangeInclusive<u64> = 1..=3600;

/// `[metrics]` of `plugin.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// The seconds from one `collect` to the next.
    pub interval_s: u64,
    /// Where the engine shows its numbers.
    pub socket: PathBuf,
}

/// The collector of one plugin, on its thread.
#[derive(Default)]
pub(super) struct Collector {
    running: RefCell<Option<Running>>,
    /// Told when another generation has come, which may want another interval.
    changed: Notify,
    /// Held by the `collect` that runs, so that there is never another.
    turn: Mutex<()>,
    /// The last beat found no page, which is told once.
    blind: Cell<bool>,
}

struct Running {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
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
    /// The key that is wrong, and why.
    pub(super) fn wrong(&self) -> Option<(&'static str, String)> {
        if !INTERVALS.contains(&self.interval_s) {
            let message = format!(
                "`interval_s` must be {} to {}",
                INTERVALS.start(),
                INTERVALS.end()
            );
            return Some(("interval_s", message));
        }
        let relative = !self.socket.is_absolute();
        relative.then(|| ("socket", "`socket` must be an absolute path".to_owned()))
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s)
    }
}

impl Collector {
    /// Hears that a script has a new generation.
    pub(super) fn notice(&self, interface: Interface) {
        if interface == Interface::Metrics {
            self.changed.notify_one();
        }
    }
}

impl Plugin {
    /// Answers the methods of `MetricsCollector`: between `start` and `stop`, there are beats.
    pub(super) async fn metrics_outcome(
        self: &Rc<Self>,
        method: &'static Method,
        live: &Live,
        body: &[u8],
    ) -> Outcome {
        if method.hook == "stop" {
            self.stop_collecting().await;
        }
        let outcome = if live.script.has(method) {
            self.answer(method, live, body).await
        } else {
            Outcome::without_hook(method)
        };
        if method.hook == "start" && outcome.reply.is_ok() {
            self.start_collecting();
        }
        outcome
    }

    /// Begins the beats, unless they go on already: an engine that comes back says `StartMetrics` again.
    fn start_collecting(self: &Rc<Self>) {
        let mut running = self.collector.running.borrow_mut();
        if running
            .as_ref()
            .is_some_and(|running| !running.task.is_finished())
        {
            return;
        }
        let (end, ended) = watch::channel(false);
        *running = Some(Running {
            end,
            task: spawn_local(beat(self.clone(), ended)),
        });
    }

    /// Ends the beats. One that has begun may finish, but is not waited for without an end.
    pub async fn stop_collecting(&self) {
        let running = self.collector.running.take();
        if let Some(Running { end, task }) = running {
            end.send_replace(true);
            // A task that panicked has told so.
            let _ = timeout(REST, task).await;
        }
    }

    /// One beat. Once the end is asked for, no hook is called any more.
    async fn collect(self: &Rc<Self>, end: &mut watch::Receiver<bool>) {
        let Some(method) = collect_row() else { return };
        let samples = tokio::select! {
            biased;
            _ = end.wait_for(|end| *end) => return,
            samples = self.read_page() => samples,
        };
        let Some(samples) = samples else { return };
        let _turn = self.collector.turn.lock().await;
        if *end.borrow() {
            return;
        }
        let Ok(live) = self.live(Interface::Metrics) else {
            return;
        };
        let started = Instant::now();
        let reply = match table(&live, &samples).await {
            Ok(samples) => self.call_hook(method, &live, &Owed::Nothing, samples).await,
            Err(diagnostic) => Err(CallError::Failed(diagnostic)),
        };
        self.tell_of_collect(method, reply, started.elapsed(), live.script.generation);
        self.weigh(&live.script);
        self.replace_if_worn(&live).await;
    }

    fn tell_of_collect(
        &self,
        method: &'static Method,
        reply: Result<Vec<u8>, CallError>,
        took: Duration,
        generation: u64,
    ) {
        let verdict = if reply.is_ok() {
            Verdict::Ok
        } else {
            Verdict::Failed
        };
        self.meters.call(method, verdict, took);
        let (plugin, method, ms) = (self.name(), method.wire, took.as_secs_f64() * 1e3);
        match reply {
            Ok(_) => tracing::debug!(plugin, method, outcome = "ok", ms, generation),
            Err(CallError::Failed(fault)) => {
                let fault = fault.or_in(&Interface::Metrics.file());
                tracing::warn!(plugin, method, ms, generation, "{fault}");
            }
            Err(error) => tracing::warn!(plugin, method, ms, generation, "{error}"),
        }
    }

    /// What the engine has counted; that it cannot be had is told when it begins and when it ends.
    async fn read_page(&self) -> Option<Samples> {
        let settings = self.metrics_settings();
        match fetch(&settings.socket).await {
            Ok(page) => {
                if self.collector.blind.replace(false) {
                    tracing::info!(
                        plugin = self.name(),
                        "the engine's metrics can be read again"
                    );
                }
                let samples = spawn_blocking(move || Samples::parse(&page)).await.ok()?;
                self.warn_of_unread(&samples);
                Some(samples)
            }
            Err(error) => {
                self.meters.add(Tally::Unread);
                if !self.collector.blind.replace(true) {
                    tracing::warn!(
                        plugin = self.name(),
                        "the engine's metrics cannot be had: {error}"
                    );
                }
                None
            }
        }
    }

    fn metrics_settings(&self) -> MetricsSettings {
        self.live(Interface::Metrics)
            .map(|live| live.manifest.metrics.clone())
            .unwrap_or_default()
    }

    fn warn_of_unread(&self, samples: &Samples) {
        if let Some(line) = samples.first_unread {
            let count = samples.unread;
            tracing::warn!(
                plugin = self.name(),
                line,
                "{count} lines of the engine's metrics make no sense"
            );
        }
    }
}

/// The engine's page, if it comes whole and in time.
async fn fetch(socket: &Path) -> Result<Vec<u8>, String> {
    let accept = ("accept".to_owned(), b"text/plain".to_vec());
    let request = Request {
        method: "GET".to_owned(),
        headers: vec![accept],
        most: LARGEST,
        ..Request::default()
    };
    match timeout(PATIENCE, send_to_socket(socket, "/metrics", &request)).await {
        Ok(Ok(answer)) if answer.status == 200 => Ok(answer.body),
        Ok(Ok(answer)) => Err(format!(
            "`{}` answered with status {}",
            socket.display(),
            answer.status
        )),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "`{}` gave no whole answer in {} s",
            socket.display(),
            PATIENCE.as_secs()
        )),
    }
}

fn collect_row() -> Option<&'static Method> {
    methods_of(Interface::Metrics)
        .iter()
        .find(|method| method.origin == Origin::Host)
}

/// Collects at once, and then beat by beat, until told to end.
async fn beat(plugin: Rc<Plugin>, mut end: watch::Receiver<bool>) {
    let mut last = Instant::now();
    loop {
        plugin.collect(&mut end).await;
        let passed = passed(last, plugin.metrics_settings().interval(), Instant::now());
        if let Some((beats, slot)) = passed {
            plugin.meters.add_all(Tally::Skipped, beats);
            tracing::debug!(
                plugin = plugin.name(),
                beats,
                "skipped: collect took longer than its interval"
            );
            last = slot;
        }
        loop {
            let due = last + plugin.metrics_settings().interval();
            tokio::select! {
                biased;
                _ = end.wait_for(|end| *end) => return,
                () = plugin.collector.changed.notified() => {
                    // A shorter interval makes no beats that have passed.
                    let earliest = Instant::now().checked_sub(plugin.metrics_settings().interval());
                    last = last.max(earliest.unwrap_or(last));
                }
                () = sleep_until(due) => {
                    last = due;
                    break;
                }
            }
        }
    }
}

/// How many beats have passed since the last, and when the latest of them was; nothing when none has.
fn passed(last: Instant, interval: Duration, now: Instant) -> Option<(u64, Instant)> {
    let interval = u64::try_from(interval.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let since = u64::try_from(now.saturating_duration_since(last).as_millis()).unwrap_or(u64::MAX);
    let beats = since / interval;
    (beats > 0).then(|| (beats, last + Duration::from_millis(beats * interval)))
}

/// The list that `collect` is given.
async fn table(live: &Live, samples: &Samples) -> Result<Table, Diagnostic> {
    let (lua, most) = (live.script.lua(), live.manifest.limits().memory);
    let unmade = |problem: String| Diagnostic::of_file(Interface::Metrics.file(), problem);
    let in_lua = |error: mlua::Error| unmade(error.to_string());
    let list = lua
        .create_table_with_capacity(samples.samples.len(), 0)
        .map_err(in_lua)?;
    for portion in samples.samples.chunks(PORTION) {
        for sample in portion {
            list.raw_push(sample_table(lua, samples, sample).map_err(in_lua)?)
                .map_err(in_lua)?;
        }
        if is_over(lua, most).map_err(in_lua)? {
            let (count, mib) = (samples.samples.len(), most >> 20);
            let problem =
                format!("the engine's {count} samples take more than {mib} MiB of memory");
            return Err(unmade(problem).cure(format!("raise `memory_mib` in {MANIFEST}")));
        }
        yield_now().await;
    }
    Ok(list)
}

/// Whether a state holds more than that, garbage not counted.
fn is_over(lua: &Lua, most: usize) -> mlua::Result<bool> {
    if lua.used_memory() > most {
        lua.gc_collect()?;
    }
    Ok(lua.used_memory() > most)
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
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_that_passed_are_skipped() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        assert_eq!(passed(start, second, after(0)), None);
        assert_eq!(passed(start, second, after(999)), None);
        assert_eq!(passed(start, second, after(1000)), Some((1, after(1000))));
        assert_eq!(passed(start, second, after(2500)), Some((2, after(2000))));
    }
}
