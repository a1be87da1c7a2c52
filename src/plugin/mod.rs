//! A plugin: what Docker sees. A call's row says how it is answered, a link leads to the thread of
//! its script, and the hook answers. Nothing here knows HTTP.

mod collector;
mod core;
mod error;
mod hook;
mod link;
mod logs;
mod manifest;
mod news;
mod open;
mod outcome;
mod policy;
mod prompt;
mod reload;
mod reply;
mod request;
mod runner;
mod settings;
mod slot;
mod status;
mod surroundings;
mod validate;
mod vitals;

pub use self::collector::MetricsSettings;
pub use self::core::{Accepted, PluginSpec, Trial};
pub use self::error::{CallError, OpenError};
pub use self::logs::{LogSettings, OnSlow, entry as log_entry};
pub use self::manifest::Manifest;
pub use self::news::{Loaded, News};
pub use self::open::{never_asked, unannounced};
pub use self::reply::{Reply, ReplyStream};
pub use self::request::{REQUEST_FIELDS, REQUEST_TYPES, RequestField, lint_policy};
pub use self::settings::{Variables, form_of, variable_of};
pub use self::status::{LogStatus, PluginStatus, ScriptStatus};
pub use self::surroundings::Surroundings;
pub use self::vitals::Vitals;
pub use crate::sys::scripts::sources::ways_to;
pub use crate::sys::scripts::watch::Watcher;

use self::core::{Core, Ended};
use self::error::PANICKED;
use self::link::Link;
use self::outcome::Outcome;
use crate::grants::Grant;
use crate::host::Shared;
use crate::metrics::{LogCounters, Meters, Verdict};
use crate::protocol::{Call, Interface, Method, methods};
use crate::script::{Diagnostic, Script, Sources};
use crate::telemetry::chain;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

/// A plugin, on the thread that accepts its connections.
pub struct Plugin {
    core: Arc<Core>,
    /// The link to the script of each interface that has one.
    links: [RefCell<Option<Rc<Link>>>; Interface::ALL.len()],
    greeted: Cell<bool>,
    /// The files as they were last read, which the watcher follows.
    sources: RefCell<Arc<Sources>>,
    /// Held while the scripts are read and passed to their threads, so that an older version never
    /// replaces a newer one.
    reading: Mutex<()>,
    /// The files that did not pass the trial of a saved version.
    refused: RefCell<Option<Sources>>,
    /// Whether a `plugin.toml` was taken over: from then on, its absence is an error.
    has_manifest: Cell<bool>,
    /// The number of reloads that have read the scripts.
    reloads: Cell<u64>,
    /// Why the plugin cannot be opened, if this stands in for it.
    stands_in_for: Option<StandIn>,
}

/// Why a plugin cannot be opened.
struct StandIn {
    reason: String,
    /// Whether the interfaces of the plugin are known.
    is_readable: bool,
}

impl Plugin {
    /// Opens the plugin's state and loads its scripts. A script that cannot be loaded answers each
    /// call with its diagnostic; a policy denies everything.
    ///
    /// Must be called within a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// An unreadable directory, an unusable state, or, if the plugin is opened strictly, a driver
    /// that cannot be loaded.
    pub async fn open(spec: PluginSpec) -> Result<Rc<Self>, OpenError> {
        let sources = Arc::new(spec.read_sources().await?);
        Self::start(Core::open(spec).await?, sources).await
    }

    /// Opens a plugin of these files on what a plugin before it shared, as a test does.
    ///
    /// # Errors
    /// A driver that cannot be loaded, if the plugin is opened strictly.
    pub async fn open_on(
        shared: Arc<Shared>,
        spec: PluginSpec,
        sources: Arc<Sources>,
    ) -> Result<Rc<Self>, OpenError> {
        Self::start(Core::new(spec, shared), sources).await
    }

    async fn start(core: Core, sources: Arc<Sources>) -> Result<Rc<Self>, OpenError> {
        let plugin = Rc::new(Self::new(core, sources.clone(), None));
        plugin.load_first(&sources).await?;
        Ok(plugin)
    }

    /// Opens what stands in for a plugin that cannot be opened: it answers each call with `reason`,
    /// and denies everything.
    ///
    /// # Errors
    /// Only if the system fails.
    pub async fn stand_in(spec: PluginSpec, reason: &OpenError) -> Result<Rc<Self>, OpenError> {
        let sources = spec.read_sources().await;
        let stand_in = StandIn {
            reason: chain(reason),
            is_readable: sources.is_ok(),
        };
        let sources = Arc::new(sources.unwrap_or_else(|_| Sources {
            watch: ways_to(&spec.dir),
            ..Sources::default()
        }));
        let core = Core::without_state(spec).await?;
        let plugin = Rc::new(Self::new(core, sources, Some(stand_in)));
        plugin.break_all().await;
        Ok(plugin)
    }

    fn new(core: Core, sources: Arc<Sources>, stands_in_for: Option<StandIn>) -> Self {
        Self {
            core: Arc::new(core),
            links: Default::default(),
            greeted: Cell::new(false),
            sources: RefCell::new(sources),
            reading: Mutex::default(),
            refused: RefCell::default(),
            has_manifest: Cell::new(false),
            reloads: Cell::new(0),
            stands_in_for,
        }
    }

    /// Whether this stands in for a plugin that cannot be opened.
    pub fn is_stand_in(&self) -> bool {
        self.stands_in_for.is_some()
    }

    /// Whether an engine has called `Plugin.Activate`.
    pub fn is_activated(&self) -> bool {
        self.core.is_activated()
    }

    /// Returns the plugin's name, as Docker knows it.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// Returns the plugin's counters.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.core.meters
    }

    /// Returns what any thread may see of the plugin.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.core.vitals
    }

    /// Returns the counters of the plugin's log streams.
    pub fn log_counters(&self) -> Arc<LogCounters> {
        self.core.meters.logs().clone()
    }

    /// Whether the plugin's scripts have stored anything, now or earlier.
    pub fn has_stored(&self) -> bool {
        self.core.shared.store.size().keys > 0
    }

    /// Returns the interfaces that have a script, broken or not.
    pub fn interfaces(&self) -> impl Iterator<Item = Interface> + '_ {
        Interface::ALL
            .into_iter()
            .filter(|interface| self.link(*interface).is_some())
    }

    /// Returns the scripts that are live, if they run on this thread, as they do in a test.
    pub fn scripts_here(&self) -> impl Iterator<Item = Rc<Script>> + '_ {
        let links = self
            .interfaces()
            .filter_map(|interface| self.link(interface));
        links.filter_map(|link| link.script_here())
    }

    /// Answers a call of the engine.
    pub async fn call(&self, call: Call, body: Bytes) -> Reply {
        match call {
            Call::Activate => self.activate().await,
            Call::Method(method) => {
                self.notice_greeting(method).await;
                self.call_method(method, body).await
            }
        }
    }

    async fn call_method(&self, method: &'static Method, body: Bytes) -> Reply {
        let Some(link) = self.link(method.interface) else {
            return self.reject(method, &body, self.no_script(method));
        };
        let sent = body.clone();
        let answer = link.run(move |runner| async move { runner.answer(method, sent).await });
        match answer.await {
            Ok(reply) => reply,
            Err(_) => self.reject(method, &body, CallError::Panicked),
        }
    }

    /// Rejects a call whose body is over the limit.
    pub fn too_large(&self, call: Call) -> Reply {
        let (method, limit) = (call.wire(), call.body_limit());
        if let Call::Method(row) = call {
            self.core.meters.refusal(row, Verdict::Failed);
        }
        Reply::from(&CallError::TooLarge { method, limit })
    }

    /// Resumes the log streams that were open when the process ended. The server calls it once.
    pub async fn resume_logs(&self) {
        if let Some(link) = self.link(Interface::Log) {
            // A panic has been logged.
            let _ = link
                .run(|runner| async move { runner.logs.resume().await })
                .await;
        }
    }

    /// Forwards the published ports that the kernel kept while the process was not running. The
    /// server calls it once.
    pub async fn resume_ports(&self) {
        let shared = &self.core.shared;
        let Ok(firewall) = shared.firewall() else {
            return; // A plugin of this name has published nothing.
        };
        if shared.granted().allows(&Grant::Net)
            && let Err(error) = firewall.resume().await
        {
            let plugin = self.name();
            tracing::warn!(plugin, %error, "published ports do not answer on [::1]");
        }
    }

    /// Stops what runs beside calls: the metrics collector, and the log streams after the batches
    /// that the script has.
    pub async fn shut_down(&self) {
        let links: Vec<_> = self.interfaces().filter_map(|i| self.link(i)).collect();
        let stopping = links
            .iter()
            .map(|link| link.run(|runner| async move { runner.shut_down().await }));
        join_all(stopping).await;
    }

    /// Returns how often an engine has activated the plugin, in this and earlier processes.
    pub fn activation(&self) -> u64 {
        self.core.shared.activation()
    }

    /// Answers `Plugin.Activate`, which a daemon calls once: everything of the daemon before it is
    /// stale.
    async fn activate(&self) -> Reply {
        match self.record_activation().await {
            Ok(activation) => {
                let announced = self
                    .interfaces()
                    .filter(|interface| interface.is_announced());
                let implements: Vec<_> = announced.map(Interface::implements).collect();
                let plugin = self.name();
                tracing::info!(
                    plugin,
                    ?implements,
                    activation,
                    "the daemon activates the plugin"
                );
                Reply::ok(json!({ "Implements": implements }).to_string())
            }
            Err(problem) => {
                tracing::error!(
                    plugin = self.name(),
                    "cannot activate the plugin: {problem}"
                );
                Reply::from(&CallError::Failed(Diagnostic::of_file("state", problem)))
            }
        }
    }

    /// Counts the activation. That of a stand-in is counted once the plugin can be opened.
    async fn record_activation(&self) -> Result<Option<u64>, String> {
        match &self.stands_in_for {
            Some(stand_in) if !stand_in.is_readable => return Err(stand_in.reason.clone()),
            _ => self.core.set_activated(),
        }
        if self.is_stand_in() {
            return Ok(None);
        }
        self.forsake_logs();
        let counted = self.core.count_activation().await;
        counted.map(Some).map_err(|error| error.to_string())
    }

    /// Ends the log streams of a previous daemon once they are empty. Does not wait for the log script,
    /// which may be busy.
    pub fn forsake_logs(&self) {
        if let Some(link) = self.link(Interface::Log) {
            spawn_local(async move {
                // A panic has been logged.
                let _ = link
                    .run(|runner| async move { runner.logs.forsake_all() })
                    .await;
            });
        }
    }

    /// Notices that the engine restarted while a managed plugin kept running (live-restore): it
    /// repeats the calls of its start. The first start was counted when the plugin was opened.
    async fn notice_greeting(&self, method: &Method) {
        let is_managed = self.core.spec.surroundings.managed;
        if !is_managed || !self.is_greeting(method) || !self.greeted.replace(true) {
            return;
        }
        let plugin = self.name();
        match self.core.count_activation().await {
            Ok(activation) => tracing::info!(plugin, activation, "the daemon has started again"),
            Err(error) => tracing::error!(plugin, %error, "cannot record the activation"),
        }
    }

    /// Whether `method` is the first that an engine calls at its start.
    fn is_greeting(&self, method: &Method) -> bool {
        let Some(rank) = method.greeting else {
            return false;
        };
        let is_asked = |row: &&Method| self.link(row.interface).is_some();
        let ranks = methods().filter(is_asked).filter_map(|row| row.greeting);
        ranks.min() == Some(rank)
    }

    fn link(&self, interface: Interface) -> Option<Rc<Link>> {
        self.links[interface as usize].borrow().clone()
    }

    fn set_link(&self, interface: Interface, link: Rc<Link>) {
        self.links[interface as usize].replace(Some(link));
    }

    fn no_script(&self, method: &Method) -> CallError {
        CallError::NoScript {
            plugin: self.name().to_owned(),
            file: method.interface.file(),
        }
    }

    /// Rejects a call that reached no script.
    fn reject(&self, method: &'static Method, body: &Bytes, error: CallError) -> Reply {
        let outcome = Outcome::failed(error, String::new());
        self.core.record(&Ended {
            method,
            body,
            outcome: &outcome,
            took: Duration::ZERO,
            generation: 0,
        });
        outcome.into_reply(method)
    }
}
