//! The counters of one plugin, which its thread writes and any thread reads.

use super::LogCounters;
use crate::protocol::{Interface, Method, methods_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the histogram of durations, ascending. A last bucket has no bound.
pub const BUCKETS: [Duration; 13] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_mins(1),
];

/// The counters of one plugin. Counting neither locks nor allocates.
#[derive(Debug)]
pub struct Meters {
    plugin: String,
    scripts: [ScriptMeter; Interface::ALL.len()],
    tallies: [AtomicU64; Tally::ALL.len()],
    connections: AtomicU64,
    logs: Arc<LogCounters>,
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The call was answered, possibly with "no such object".
    Ok,
    /// A policy denied the request, or Moondock did because the request is ambiguous.
    Denied,
    /// The hook failed, or the request was invalid.
    Failed,
}

/// An event of a plugin as a whole. Each variant has a row in [`super::METRICS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// A new generation of a script went live.
    TakenOver,
    /// A reload was rejected.
    Refused,
    /// A Lua state that ran out of memory was replaced.
    Restarted,
    /// An interval of a metrics collector passed while `collect` was still running.
    Skipped,
    /// The engine's metrics could not be read.
    Unread,
}

/// The counters of one script.
#[derive(Debug)]
struct ScriptMeter {
    is_there: AtomicBool,
    generation: AtomicU64,
    memory: AtomicU64,
    methods: Vec<MethodMeter>,
}

/// The counters of one method. Meters are in the order of [`methods_of`].
#[derive(Debug, Default)]
pub(super) struct MethodMeter {
    verdicts: [AtomicU64; Verdict::ALL.len()],
    classes: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl Meters {
    /// Creates counters at zero.
    pub fn new(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            scripts: Interface::ALL.map(ScriptMeter::new),
            tallies: Default::default(),
            connections: AtomicU64::new(0),
            logs: Arc::default(),
        }
    }

    /// Returns the counters of the log streams.
    pub fn logs(&self) -> &Arc<LogCounters> {
        &self.logs
    }

    /// Counts a call and its duration.
    pub fn call(&self, method: &'static Method, verdict: Verdict, took: Duration) {
        self.refusal(method, verdict);
        let Some(meter) = self.method(method) else {
            return;
        };
        let class = BUCKETS.partition_point(|bound| *bound < took);
        meter.classes[class].fetch_add(1, Relaxed);
        meter
            .nanos
            .fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts a call that was rejected before its hook ran, and has no duration.
    pub fn refusal(&self, method: &'static Method, verdict: Verdict) {
        if let Some(meter) = self.method(method) {
            meter.verdicts[verdict as usize].fetch_add(1, Relaxed);
        }
    }

    /// Counts an event of the plugin.
    pub fn add(&self, tally: Tally) {
        self.add_all(tally, 1);
    }

    /// Counts several events of the plugin.
    pub fn add_all(&self, tally: Tally, times: u64) {
        self.tallies[tally as usize].fetch_add(times, Relaxed);
    }

    /// Sets the live generation of an interface; 0 if its script cannot be loaded.
    pub fn generation(&self, interface: Interface, generation: u64) {
        let script = &self.scripts[interface as usize];
        script.generation.store(generation, Relaxed);
        script.is_there.store(true, Relaxed);
    }

    /// Whether a generation of any script is live.
    pub fn has_live(&self) -> bool {
        let mut scripts = self.scripts.iter();
        scripts.any(|script| script.generation.load(Relaxed) > 0)
    }

    /// Sets the memory of a generation in bytes, unless a newer one is live.
    pub fn memory(&self, interface: Interface, generation: u64, bytes: usize) {
        let script = &self.scripts[interface as usize];
        if script.generation.load(Relaxed) == generation {
            script.memory.store(bytes as u64, Relaxed);
        }
    }

    /// Counts a connection until the returned value is dropped.
    pub fn connected(&self) -> impl Drop + '_ {
        self.connections.fetch_add(1, Relaxed);
        Connected(&self.connections)
    }

    fn method(&self, method: &'static Method) -> Option<&MethodMeter> {
        let at = methods_of(method.interface)
            .iter()
            .position(|row| std::ptr::eq(row, method))?;
        self.scripts[method.interface as usize].methods.get(at)
    }
}

/// Access for the page.
impl Meters {
    /// Returns the plugin's name.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    pub(super) fn tally(&self, tally: Tally) -> u64 {
        self.tallies[tally as usize].load(Relaxed)
    }

    /// Returns the interfaces that have a script, with its generation and its memory.
    pub fn scripts(&self) -> impl Iterator<Item = (Interface, u64, u64)> + '_ {
        let there = Interface::ALL
            .into_iter()
            .zip(&self.scripts)
            .filter(|(_, s)| s.is_there.load(Relaxed));
        there.map(|(interface, s)| {
            (
                interface,
                s.generation.load(Relaxed),
                s.memory.load(Relaxed),
            )
        })
    }

    /// Returns the number of calls of an interface with this outcome.
    pub fn count(&self, interface: Interface, verdict: Verdict) -> u64 {
        let methods = self.scripts[interface as usize].methods.iter();
        methods.map(|method| method.count(verdict)).sum()
    }

    /// Returns the methods of the interfaces that have a script.
    pub(super) fn methods(&self) -> impl Iterator<Item = (&'static Method, &MethodMeter)> + '_ {
        let there = Interface::ALL
            .into_iter()
            .zip(&self.scripts)
            .filter(|(_, s)| s.is_there.load(Relaxed));
        there.flat_map(|(interface, script)| methods_of(interface).iter().zip(&script.methods))
    }
}

impl ScriptMeter {
    fn new(interface: Interface) -> Self {
        Self {
            is_there: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            methods: methods_of(interface)
                .iter()
                .map(|_| MethodMeter::default())
                .collect(),
        }
    }
}

impl MethodMeter {
    pub(super) fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize].load(Relaxed)
    }

    /// Returns the number of calls within each of [`BUCKETS`], and of all calls.
    pub(super) fn cumulative(&self) -> [u64; BUCKETS.len() + 1] {
        let mut sum = 0;
        self.classes.each_ref().map(|class| {
            sum += class.load(Relaxed);
            sum
        })
    }

    /// Returns the total duration of all calls.
    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }
}

impl Verdict {
    /// All variants.
    pub const ALL: [Verdict; 3] = [Verdict::Ok, Verdict::Denied, Verdict::Failed];

    /// Returns the value of the label `outcome`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Denied => "denied",
            Verdict::Failed => "failed",
        }
    }
}

impl Tally {
    /// All variants.
    pub const ALL: [Tally; 5] = [
        Tally::TakenOver,
        Tally::Refused,
        Tally::Restarted,
        Tally::Skipped,
        Tally::Unread,
    ];
}

struct Connected<'a>(&'a AtomicU64);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
