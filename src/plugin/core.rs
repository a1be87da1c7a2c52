//! The parts that all scripts of a plugin share, across threads.

use super::outcome::Outcome;
use super::vitals::Vitals;
use super::{CallError, OpenError, Surroundings};
use crate::grants::Granted;
use crate::host::{MANIFEST, Shared};
use crate::metrics::{Meters, Tally, Verdict};
use crate::protocol::{Interface, Method};
use crate::script::{Diagnostic, Sources};
use crate::sys::blocking;
use crate::sys::files::places::{End, Place};
use crate::sys::files::usage;
use crate::sys::scripts::sources::read_sources;
use crate::telemetry::CALLS;
use crate::trace::{Part, PassedCall};
use bytes::Bytes;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tracing::Level;

/// The space below which the state can hardly be written, in bytes: a new store takes about 2 MiB.
const LITTLE_SPACE: u64 = 8 << 20;

/// The limit on the texts about a call that are kept or shown, in bytes.
const TEXT_LIMIT: usize = 4 << 10;

/// A directory that does not exist, for a state that is never written.
const NO_STATE: &str = "/nonexistent";

/// The name, the directories and the environment of a plugin.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// The plugin's name, as Docker knows it.
    pub name: String,
    /// The directory of its scripts.
    pub dir: PathBuf,
    /// The directory of its state, which the caller creates.
    pub state: PathBuf,
    /// The environment that it runs in.
    pub surroundings: Surroundings,
    /// Whether a driver that cannot be loaded keeps the plugin from being opened.
    pub strict: bool,
    /// Whether an engine activated the plugin while it could not be opened.
    pub activated: bool,
    /// Whether the plugin ends when its directory is removed; otherwise it keeps running.
    pub leaves: bool,
    /// The grants that an administrator accepted, which outlive the opened plugin.
    pub accepted: Accepted,
    /// What a saved version has to pass before it goes live.
    pub trial: Option<Trial>,
}

/// What a saved version has to pass before it goes live: a function that blocks, and returns what is
/// wrong with these files of the plugin.
#[derive(Clone, Copy)]
pub struct Trial(pub fn(&PluginSpec, &Arc<Sources>) -> Result<(), String>);

impl Debug for Trial {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str("Trial")
    }
}

/// The grants of one plugin that an administrator accepted: by starting the process, by putting the
/// plugin's directory in place, or by a reload that accepts.
#[derive(Debug, Clone, Default)]
pub struct Accepted(Arc<Mutex<Option<Granted>>>);

impl Accepted {
    /// Returns the grants, or `None` if the plugin was never opened.
    pub(super) fn get(&self) -> Option<Granted> {
        let accepted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.clone()
    }

    /// Replaces the grants.
    pub(super) fn set(&self, granted: Granted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(granted);
    }
}

impl PluginSpec {
    /// Opens what the plugin's scripts share, without a state that can be used.
    ///
    /// # Errors
    /// None is expected: nothing is there to be read.
    pub async fn without_state(&self) -> Result<Shared, OpenError> {
        let shared = Shared::open(self.name.clone(), NO_STATE.into()).await;
        shared.map_err(|source| OpenError::State {
            dir: NO_STATE.to_owned(),
            source,
        })
    }

    /// Describes a plugin that runs as a service, and is opened only as a whole.
    pub fn new(name: impl Into<String>, dir: PathBuf, state: PathBuf) -> Self {
        Self {
            name: name.into(),
            dir,
            state,
            surroundings: Surroundings::default(),
            strict: true,
            activated: false,
            leaves: false,
            accepted: Accepted::default(),
            trial: None,
        }
    }

    /// Reads all files of the plugin.
    ///
    /// # Errors
    /// An unreadable directory.
    pub async fn read_sources(&self) -> Result<Sources, OpenError> {
        let dir = self.dir.clone();
        let read = blocking(move || read_sources(&dir)).await;
        read.map_err(|source| OpenError::Unreadable {
            dir: self.dir.display().to_string(),
            source,
        })
    }

    /// Returns the propagated mount of a managed plugin, which holds the states of plugins
    /// (protocol 2.4).
    pub(super) fn propagated(&self) -> Option<&Path> {
        if self.surroundings.managed {
            self.state.parent()
        } else {
            None
        }
    }
}

/// A call that has ended.
pub(super) struct Ended<'a> {
    pub method: &'static Method,
    /// The body of the request.
    pub body: &'a Bytes,
    pub outcome: &'a Outcome,
    pub took: Duration,
    /// The generation of the script that answered; 0 if none did.
    pub generation: u64,
}

/// The parts that all scripts of a plugin share.
pub(super) struct Core {
    pub spec: PluginSpec,
    pub shared: Arc<Shared>,
    pub meters: Arc<Meters>,
    pub vitals: Arc<Vitals>,
    /// Whether an engine has called `Plugin.Activate`.
    activated: AtomicBool,
    generations: [AtomicU64; Interface::ALL.len()],
}

impl Core {
    /// Opens the plugin's state.
    pub async fn open(spec: PluginSpec) -> Result<Self, OpenError> {
        let shared = open_state(&spec).await.map_err(|source| OpenError::State {
            dir: spec.state.display().to_string(),
            source,
        })?;
        Ok(Self::new(spec, Arc::new(shared)))
    }

    /// Creates the parts of a plugin whose state is not used.
    pub async fn without_state(spec: PluginSpec) -> Result<Self, OpenError> {
        let shared = spec.without_state().await?;
        Ok(Self::new(spec, Arc::new(shared)))
    }

    /// Creates the parts of a plugin on what its scripts share.
    pub fn new(spec: PluginSpec, shared: Arc<Shared>) -> Self {
        let meters = Arc::new(Meters::new(&spec.name));
        let vitals = Vitals::new(meters.clone());
        vitals.note_activation(shared.activation());
        Self {
            meters,
            vitals: Arc::new(vitals),
            activated: AtomicBool::new(spec.activated),
            spec,
            shared,
            generations: Default::default(),
        }
    }

    /// Returns the plugin's name, as Docker knows it.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Counts an activation, on disk before it returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn count_activation(&self) -> io::Result<u64> {
        let activation = self.shared.count_activation().await?;
        self.vitals.note_activation(activation);
        Ok(activation)
    }

    /// Reports that a reload failed, so that the previous version of `file` stays live.
    pub fn report_kept(&self, file: &str, problem: &str) {
        self.meters.add(Tally::Refused);
        self.vitals.note_problem(file, Some(problem));
        tracing::error!(
            plugin = self.name(),
            "reload failed, the previous version stays live:\n{problem}"
        );
    }

    /// Reports that nothing is taken over before new grants are accepted.
    pub fn report_waiting(&self, problem: &str) {
        self.meters.add(Tally::Refused);
        self.vitals.note_problem(MANIFEST, Some(problem));
        tracing::error!(
            plugin = self.name(),
            "new grants wait, the previous version stays live:\n{problem}"
        );
    }

    /// Reports that no script can be loaded, and none runs.
    pub fn report_unloaded(&self, problem: &str) {
        self.meters.add(Tally::Refused);
        self.vitals.note_problem(MANIFEST, Some(problem));
        tracing::error!(
            plugin = self.name(),
            "cannot be loaded, all calls fail until this is fixed:\n{problem}"
        );
    }

    /// Reports that a script cannot be loaded, and none of its versions runs.
    pub fn report_broken(&self, interface: Interface, problem: &Diagnostic) {
        let plugin = self.name();
        if interface == Interface::Authz {
            tracing::error!(
                plugin,
                "every request is denied until this is fixed:\n{problem}"
            );
        } else {
            tracing::error!(
                plugin,
                "{} cannot be loaded, its calls fail until this is fixed:\n{problem}",
                interface.file()
            );
        }
    }

    /// Whether an engine has called `Plugin.Activate`.
    pub fn is_activated(&self) -> bool {
        self.activated.load(Relaxed)
    }

    /// Records that an engine has called `Plugin.Activate`.
    pub fn set_activated(&self) {
        self.activated.store(true, Relaxed);
    }

    /// Returns the number of a script's next generation.
    pub fn next_generation(&self, interface: Interface) -> u64 {
        self.generations[interface as usize].fetch_add(1, Relaxed) + 1
    }

    /// Shows a failure to the script's author, unless Docker's user gets the same text.
    fn report(&self, method: &Method, diagnostic: &Diagnostic) {
        if !method.is_called_by_engine() || !diagnostic.is_deliberate() {
            let diagnostic = diagnostic.clone().or_in(&method.interface.file());
            tracing::warn!(plugin = self.name(), "{diagnostic}");
        }
    }

    /// Shows a call to those who watch, and in the log of `debug`.
    fn show(&self, call: &Ended) {
        let tap = &self.spec.surroundings.tap;
        let is_logged = tracing::enabled!(target: CALLS, Level::DEBUG);
        if !is_logged && !tap.is_watched() {
            return;
        }
        let Ended {
            method, outcome, ..
        } = call;
        let passed = PassedCall {
            plugin: self.name().to_owned(),
            method,
            ended: SystemTime::now(),
            took: call.took,
            generation: call.generation,
            verdict: outcome.verdict.name(),
            object: excerpt(&outcome.object),
            outcome: excerpt(&outcome.text),
            request: Part::new(call.body),
            reply: outcome.reply.as_ref().ok().map(|reply| Part::new(reply)),
        };
        if is_logged {
            let (request, reply) = (passed.request(), passed.reply());
            let (plugin, method) = (self.name(), method.wire);
            tracing::debug!(target: CALLS, plugin, method, %request, %reply, "passed");
        }
        tap.pass(passed);
    }

    /// Counts a call that has ended, shows it and logs it.
    pub fn record(&self, call: &Ended) {
        let Ended {
            method,
            outcome,
            took,
            generation,
            ..
        } = *call;
        self.meters.call(method, outcome.verdict, took);
        if outcome.verdict == Verdict::Failed {
            let (object, error) = (excerpt(&outcome.object), excerpt(&outcome.text));
            self.vitals.note_failure(method, object, error);
        }
        self.show(call);
        let Some(level) = outcome.level else { return };
        if let Err(CallError::Failed(diagnostic)) = &outcome.reply {
            self.report(method, diagnostic);
        }
        let (plugin, method, ms) = (self.name(), method.wire, took.as_secs_f64() * 1e3);
        let (object, outcome) = (outcome.object.as_str(), outcome.text.as_str());
        if level == Level::INFO {
            tracing::info!(plugin, method, object, outcome, ms, generation);
        } else {
            tracing::debug!(plugin, method, object, outcome, ms, generation);
        }
    }
}

/// Returns the beginning of a text, which may be as long as a request.
fn excerpt(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT)].to_owned()
}

/// Warns if the state can hardly be written. What cannot be found out is left to the first write.
async fn warn_of_little_space(spec: &PluginSpec) {
    let (dir, asked) = (&spec.state, spec.state.clone());
    let asking = blocking(move || {
        let space = Place::find(&asked, End::Followed).and_then(|at| usage(&at));
        space.map_err(io::Error::other)
    });
    if let Ok(space) = asking.await
        && space.free < LITTLE_SPACE
    {
        let kib = space.free >> 10;
        tracing::warn!(
            plugin = spec.name,
            "only {kib} KiB are free in `{}`: free some, or calls that store something will fail",
            dir.display()
        );
    }
}

async fn open_state(spec: &PluginSpec) -> io::Result<Shared> {
    let mut shared = Shared::open(spec.name.clone(), spec.state.clone()).await?;
    shared.grants_from = spec.surroundings.grants_from();
    warn_of_little_space(spec).await;
    // The engine starts a managed plugin when it starts itself, so everything known before is
    // stale.
    if spec.surroundings.managed || spec.activated {
        shared.count_activation().await?;
    }
    Ok(shared)
}
