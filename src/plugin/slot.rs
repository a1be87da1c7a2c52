//! The place of one script on its thread: the generation that new calls get, and what follows a
//! call.

use super::core::{Core, Ended};
use super::outcome::Outcome;
use super::vitals::InFlight;
use super::{CallError, Loaded, Manifest, lint_policy};
use crate::metrics::Tally;
use crate::protocol::{Interface, Method};
use crate::script::{Diagnostic, Script, Sources};
use crate::sys::memory::Held;
use bytes::Bytes;
use futures_util::FutureExt;
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinHandle, spawn_local};

/// The place of one script on its thread.
pub(super) struct Slot {
    pub core: Arc<Core>,
    pub interface: Interface,
    /// Notified when a new generation is live.
    pub changed: Notify,
    state: RefCell<State>,
    /// Why the last call of a method that is not answered after a failure got no answer.
    pub unanswered: RefCell<Option<String>>,
    /// Notified when a task panicked.
    pub panicked: Notify,
    /// Whether it was reported that the file of the live generation was deleted.
    is_deleted: Cell<bool>,
    /// Held while a generation is loaded, so that an older one never replaces a newer.
    loading: Mutex<()>,
}

/// What answers new calls.
enum State {
    /// No generation could be loaded.
    Broken(CallError),
    /// The last good generation.
    Live(Live),
}

/// The loss of a task's result: the task panicked, or the script's thread is gone.
#[derive(Debug)]
pub(super) struct Lost;

/// A call from its begin to its end.
pub(super) struct Ongoing {
    pub method: &'static Method,
    pub body: Bytes,
    pub started: Instant,
    _in_flight: InFlight,
}

/// A generation with the manifest that it was loaded under.
#[derive(Clone)]
pub(super) struct Live {
    pub script: Rc<Script>,
    pub manifest: Arc<Manifest>,
}

/// The files that a generation is loaded from.
#[derive(Clone)]
pub(super) struct Release {
    pub manifest: Arc<Manifest>,
    pub sources: Arc<Sources>,
}

impl Slot {
    /// Creates the place of a script that is yet to be loaded.
    pub fn new(core: Arc<Core>, interface: Interface) -> Self {
        let unloaded = Diagnostic::of_file(interface.file(), "the script is still being loaded");
        Self {
            core,
            interface,
            changed: Notify::new(),
            unanswered: RefCell::default(),
            panicked: Notify::new(),
            state: RefCell::new(State::Broken(CallError::Broken(unloaded))),
            is_deleted: Cell::new(false),
            loading: Mutex::default(),
        }
    }

    /// Returns the plugin's name, as Docker knows it.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// Returns the generation that new calls get.
    ///
    /// # Errors
    /// What is wrong with the script, if none could be loaded.
    pub fn live(&self) -> Result<Live, CallError> {
        match &*self.state.borrow() {
            State::Live(live) => Ok(live.clone()),
            State::Broken(error) => Err(error.clone()),
        }
    }

    /// Runs a task of the script.
    ///
    /// # Errors
    /// [`Lost`] after a panic, which is logged. The script is then restarted.
    pub async fn guard<T>(&self, task: impl Future<Output = T>) -> Result<T, Lost> {
        let done = AssertUnwindSafe(task).catch_unwind().await;
        done.map_err(|_| {
            self.panicked.notify_one();
            Lost
        })
    }

    /// Spawns a task that runs beside calls, and is guarded.
    pub fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        let slot = self.clone();
        spawn_local(async move {
            // A panic has been logged.
            let _ = slot.guard(task).await;
        })
    }

    /// Loads the first generation. After a failure, each call is answered with its diagnostic.
    ///
    /// # Errors
    /// What is wrong with the script.
    pub async fn load_first(&self, release: Result<Release, Diagnostic>) -> Result<(), Diagnostic> {
        let _turn = self.loading.lock().await;
        let loaded = match release {
            Ok(release) => self.load_new(&release).await,
            Err(diagnostic) => Err(diagnostic),
        };
        match loaded {
            Ok(live) => self.go_live(live),
            Err(diagnostic) => {
                self.break_with(CallError::Broken(diagnostic.clone()));
                return Err(diagnostic);
            }
        }
        Ok(())
    }

    /// Answers each call with `error` from now on.
    pub fn break_with(&self, error: CallError) {
        self.core.meters.generation(self.interface, 0);
        self.state.replace(State::Broken(error));
        if let Loaded::Broken(problem) = self.standing() {
            let file = self.interface.file();
            self.core.vitals.note_problem(&file, Some(&problem));
        }
    }

    /// Answers each call with `diagnostic` from now on, unless a generation is live.
    pub fn explain(&self, diagnostic: Diagnostic) {
        if self.live().is_err() {
            self.break_with(CallError::Broken(diagnostic));
        }
    }

    /// Returns the present state of the script.
    pub fn standing(&self) -> Loaded {
        match &*self.state.borrow() {
            State::Live(live) => Loaded::Live(live.script.generation),
            State::Broken(CallError::Broken(diagnostic)) => Loaded::Broken(diagnostic.to_string()),
            State::Broken(error) => Loaded::Broken(error.to_string()),
        }
    }

    /// Loads a new generation and makes it live if nothing is wrong with it. With `only_changed`,
    /// does nothing if the live one was loaded from the same files.
    pub async fn take_over(&self, release: Release, only_changed: bool) -> Loaded {
        let _turn = self.loading.lock().await;
        let live = self.live().ok();
        let file = self.interface.file();
        let is_there = release.sources.has(&file);
        let is_changed = live
            .as_ref()
            .is_none_or(|live| live.script.is_changed_by(&release.sources));
        match &live {
            None if !is_there => return Loaded::Gone,
            Some(_) if !is_there => return self.keep_deleted(&file, only_changed),
            Some(live) if only_changed && !is_changed => {
                self.is_deleted.set(false);
                self.core.vitals.note_problem(&file, None);
                return Loaded::Unchanged(live.script.generation);
            }
            _ => {}
        }
        match self.load_new(&release).await {
            Ok(new) => {
                let generation = new.script.generation;
                self.go_live(new.clone());
                self.announce(&new);
                if is_changed {
                    Loaded::Live(generation)
                } else {
                    Loaded::Unchanged(generation)
                }
            }
            Err(diagnostic) if live.is_some() => self.keep(diagnostic.to_string()),
            Err(diagnostic) => {
                self.core.meters.add(Tally::Refused);
                self.core.report_broken(self.interface, &diagnostic);
                self.break_with(CallError::Broken(diagnostic.clone()));
                Loaded::Broken(diagnostic.to_string())
            }
        }
    }

    /// Keeps the generation of a deleted file, which is reported once, and at each reload.
    fn keep_deleted(&self, file: &str, only_changed: bool) -> Loaded {
        let problem = Diagnostic::of_file(file, "the file was deleted")
            .cure("put it back, or restart moondock to serve the plugin without it")
            .to_string();
        if self.is_deleted.replace(true) && only_changed {
            return Loaded::Kept(problem);
        }
        self.keep(problem)
    }

    fn keep(&self, problem: String) -> Loaded {
        self.core.report_kept(&self.interface.file(), &problem);
        Loaded::Kept(problem)
    }

    /// Begins a call with the body that the engine sent, which is empty for a call of Moondock's own.
    pub fn begin(&self, method: &'static Method, body: Bytes) -> Ongoing {
        let started = Instant::now();
        Ongoing {
            method,
            body,
            started,
            _in_flight: self.core.vitals.begin(method, started),
        }
    }

    /// Finishes a call: counts it, logs it, and settles the script's state.
    pub async fn finish(&self, call: Ongoing, live: Option<&Live>, outcome: &Outcome) {
        self.note_unanswered(call.method, outcome);
        self.core.record(&Ended {
            method: call.method,
            body: &call.body,
            outcome,
            took: call.started.elapsed(),
            generation: live.map_or(0, |live| live.script.generation),
        });
        drop(call);
        if let Some(live) = live {
            self.settle(live).await;
        }
    }

    /// Notes why a call gets no answer, for the calls by which the engine repeats it.
    fn note_unanswered(&self, method: &Method, outcome: &Outcome) {
        match &outcome.reply {
            _ if !method.hang_up_on_failure => {}
            Err(CallError::NoArguments(_)) => {}
            Err(error) if error.requires_hang_up(method) => {
                let cause = format!("`{}`: {error}", outcome.object);
                self.unanswered.replace(Some(cause));
            }
            _ => drop(self.unanswered.take()),
        }
    }

    /// Records the memory of a script's state after it ran, and replaces it if it ran out of
    /// memory.
    pub async fn settle(&self, live: &Live) {
        self.weigh(&live.script);
        self.replace_if_worn(live).await;
    }

    /// Replaces a state that ran out of memory with a new one of the same program.
    async fn replace_if_worn(&self, worn: &Live) {
        if !worn.script.is_worn() {
            return;
        }
        let _turn = self.loading.lock().await;
        let is_current = |live: Live| Rc::ptr_eq(&live.script, &worn.script);
        if !self.live().is_ok_and(is_current) {
            return;
        }
        self.renew(worn, "out of memory").await;
    }

    /// Replaces the state with a new one of the same program, after a panic in it.
    pub async fn restart(&self) {
        let _turn = self.loading.lock().await;
        if let Ok(live) = self.live() {
            self.renew(&live, "after an internal error of moondock")
                .await;
        }
    }

    async fn renew(&self, old: &Live, reason: &str) {
        match self.load(&old.release()).await {
            Ok(new) => {
                let (plugin, script) = (self.name(), self.interface.file());
                let generation = new.script.generation;
                self.core.meters.add(Tally::Restarted);
                tracing::warn!(plugin, script, generation, "script restarted, {reason}");
                self.go_live(new);
            }
            Err(diagnostic) => {
                let file = self.interface.file();
                self.core.report_kept(&file, &diagnostic.to_string());
            }
        }
    }

    /// Loads a generation of new files, and judges their text.
    async fn load_new(&self, release: &Release) -> Result<Live, Diagnostic> {
        let live = self.load(release).await?;
        for warning in lint_policy(&live.script)? {
            tracing::warn!(plugin = self.name(), "{warning}");
        }
        Ok(live)
    }

    /// Loads a generation. A policy is loaded only if all scripts could be read: what is left out
    /// may be what denies.
    async fn load(&self, release: &Release) -> Result<Live, Diagnostic> {
        let unread = release.sources.unread();
        if let (Interface::Authz, Some((file, problem))) = (self.interface, unread) {
            return Err(Diagnostic::of_file(file.display().to_string(), problem));
        }
        let script = Script::load(
            self.interface,
            self.core.next_generation(self.interface),
            release.sources.clone(),
            self.core.shared.clone(),
            Arc::new(release.manifest.settings.clone()),
            release.manifest.limits(),
        );
        Ok(Live {
            script: Rc::new(script.await?),
            manifest: release.manifest.clone(),
        })
    }

    fn go_live(&self, live: Live) {
        let script = &live.script;
        self.core
            .meters
            .generation(self.interface, script.generation);
        self.core.vitals.note_live(self.interface);
        self.weigh(script);
        self.is_deleted.set(false);
        self.state.replace(State::Live(live));
        self.changed.notify_one();
    }

    fn weigh(&self, script: &Script) {
        let bytes = script.lua().used_memory();
        self.core
            .meters
            .memory(self.interface, script.generation, bytes);
    }

    fn announce(&self, live: &Live) {
        let (plugin, script) = (self.name(), self.interface.file());
        self.core.meters.add(Tally::TakenOver);
        tracing::info!(plugin, script, generation = live.script.generation, "live");
    }
}

impl Live {
    /// Counts the body of a call against what the script's calls may hold.
    pub fn hold(&self, body: &[u8]) -> Result<Held, CallError> {
        self.script.hold(body.len()).map_err(CallError::Spent)
    }

    /// Returns the files that the generation was loaded from.
    pub fn release(&self) -> Release {
        Release {
            manifest: self.manifest.clone(),
            sources: self.script.sources().clone(),
        }
    }
}
