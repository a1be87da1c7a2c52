//! What a plugin is doing now: its threads write it, and any thread reads it, also while a script is
//! busy.

use super::status::{CallStatus, Counts, Failure, Grants, LogStatus, PluginStatus, ScriptStatus};
use crate::grants::Grant;
use crate::metrics::{Meters, Verdict};
use crate::protocol::{Interface, Method};
use crate::telemetry::timestamp;
use crate::trace::mask_text;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// What a plugin is doing now.
#[derive(Debug)]
pub struct Vitals {
    meters: Arc<Meters>,
    activation: AtomicU64,
    scripts: [Mutex<ScriptVitals>; Interface::ALL.len()],
    running: Mutex<Vec<Running>>,
    last_number: AtomicU64,
    grants: Mutex<Grants>,
    /// Why something that is on disk does not run, by file.
    problems: Mutex<BTreeMap<String, String>>,
}

/// What is known of one script besides its counters.
#[derive(Debug, Default)]
struct ScriptVitals {
    loaded: Option<SystemTime>,
    failure: Option<Failure>,
}

/// A call that a script is answering.
#[derive(Debug)]
struct Running {
    number: u64,
    method: &'static Method,
    started: Instant,
}

/// A call in flight, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    vitals: Arc<Vitals>,
    number: u64,
}

impl Vitals {
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        Self {
            meters,
            activation: AtomicU64::new(0),
            scripts: Default::default(),
            running: Mutex::default(),
            last_number: AtomicU64::new(0),
            grants: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// Returns the counters of the plugin.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Notes a call in flight.
    pub(super) fn begin(self: &Arc<Self>, method: &'static Method, started: Instant) -> InFlight {
        let number = self.last_number.fetch_add(1, Relaxed);
        held(&self.running).push(Running {
            number,
            method,
            started,
        });
        InFlight {
            vitals: self.clone(),
            number,
        }
    }

    /// Notes that a generation went live: what was wrong before is mended.
    pub(super) fn note_live(&self, interface: Interface) {
        held(&self.scripts[interface as usize]).loaded = Some(SystemTime::now());
        held(&self.problems).remove(&interface.file());
    }

    /// Notes a call that failed.
    pub(super) fn note_failure(&self, method: &Method, object: String, error: String) {
        let failure = Failure {
            at: timestamp(SystemTime::now()),
            method: method.wire.to_owned(),
            object,
            error,
        };
        held(&self.scripts[method.interface as usize]).failure = Some(failure);
    }

    /// Notes why `file` does not run as it is on disk, or that it does.
    pub(super) fn note_problem(&self, file: &str, problem: Option<&str>) {
        let mut problems = held(&self.problems);
        match problem {
            Some(problem) => drop(problems.insert(file.to_owned(), problem.to_owned())),
            None => drop(problems.remove(file)),
        }
    }

    pub(super) fn note_activation(&self, activation: u64) {
        self.activation.store(activation, Relaxed);
    }

    pub(super) fn note_accepted<'a>(&self, grants: impl Iterator<Item = &'a Grant>) {
        *held(&self.grants) = Grants {
            accepted: grants.map(ToString::to_string).collect(),
            waiting: Vec::new(),
        };
    }

    pub(super) fn note_waiting(&self, grants: &[&Grant]) {
        held(&self.grants).waiting = grants.iter().map(ToString::to_string).collect();
    }

    /// Returns what the plugin is doing now.
    pub fn status(&self) -> PluginStatus {
        let logs = self.meters.logs();
        PluginStatus {
            activations: self.activation.load(Relaxed),
            connections: self.meters.connections(),
            grants: held(&self.grants).clone(),
            scripts: self.scripts().collect(),
            calls_in_flight: self.calls_in_flight(),
            log_streams: LogStatus {
                open: logs.streams.load(Relaxed),
                spilled_bytes: logs.spilled_bytes.load(Relaxed),
                dropped_entries: logs.dropped_entries.load(Relaxed),
                failed_deliveries: logs.failures.load(Relaxed),
            },
            problems: held(&self.problems).clone(),
        }
    }

    fn scripts(&self) -> impl Iterator<Item = ScriptStatus> + '_ {
        self.meters
            .scripts()
            .map(|(interface, generation, memory_bytes)| {
                let vitals = held(&self.scripts[interface as usize]);
                let count = |verdict| self.meters.count(interface, verdict);
                ScriptStatus {
                    interface: interface.name().to_owned(),
                    file: interface.file(),
                    generation,
                    loaded: vitals.loaded.map(timestamp),
                    memory_bytes,
                    calls: Counts {
                        ok: count(Verdict::Ok),
                        denied: count(Verdict::Denied),
                        failed: count(Verdict::Failed),
                    },
                    last_failure: vitals.failure.clone().map(without_secrets),
                }
            })
    }

    fn calls_in_flight(&self) -> Vec<CallStatus> {
        let running = held(&self.running);
        let mut calls: Vec<_> = running
            .iter()
            .map(|call| CallStatus {
                method: call.method.wire.to_owned(),
                ms: call.started.elapsed().as_secs_f64() * 1e3,
            })
            .collect();
        calls.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        calls
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut running = held(&self.vitals.running);
        if let Some(at) = running.iter().position(|call| call.number == self.number) {
            running.swap_remove(at);
        }
    }
}

fn without_secrets(failure: Failure) -> Failure {
    Failure {
        object: mask_text(&failure.object),
        error: mask_text(&failure.error),
        ..failure
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
