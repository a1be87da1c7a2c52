//! A plugin: one name, its scripts, and what they share.

use super::collector::Collector;
use super::logging::Logs;
use super::{CallError, Manifest, OpenError, Reply, Surroundings};
use crate::grants::Granted;
use crate::host::Shared;
use crate::metrics::{Meters, Verdict};
use crate::protocol::{Interface, Method, find};
use crate::script::{Diagnostic, Script, Sources};
use crate::sys::sources::read_sources;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where a plugin's parts are.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// Its name, as Docker knows it.
    pub name: String,
    /// The directory of its scripts.
    pub dir: PathBuf,
    /// The directory of its state; made by the caller.
    pub state: PathBuf,
    /// What is special about where it runs.
    pub surroundings: Surroundings,
}

/// What a managed plugin is asked at each start of the engine; the first that it has counts (protocol 2.1).
const GREETINGS: [&str; 3] = [
    "IpamDriver.GetCapabilities",
    "NetworkDriver.GetCapabilities",
    "MetricsCollector.StartMetrics",
];

impl PluginSpec {
    /// A plugin in usual surroundings.
    pub fn new(name: impl Into<String>, dir: PathBuf, state: PathBuf) -> Self {
        Self {
            name: name.into(),
            dir,
            state,
            surroundings: Surroundings::default(),
        }
    }

    /// The propagated mount of a managed plugin, which is where the states of plugins are (protocol 2.4).
    pub(super) fn propagated(&self) -> Option<&Path> {
        if self.surroundings.managed {
            self.state.parent()
        } else {
            None
        }
    }
}

/// A plugin, on its thread.
pub struct Plugin {
    pub(super) spec: PluginSpec,
    pub(super) shared: Rc<Shared>,
    pub(super) meters: Arc<Meters>,
    pub(super) collector: Collector,
    pub(super) slots: [RefCell<Slot>; Interface::ALL.len()],
    pub(super) generation: Cell<u64>,
    pub(super) activated: Cell<bool>,
    greeted: Cell<bool>,
    /// What the watcher looks at, to be renewed when directories come and go.
    pub(super) sources: RefCell<Rc<Sources>>,
    pub(super) logs: Logs,
    /// What an administrator agreed to, by starting the process or by accepting: no reload goes beyond it.
    pub(super) accepted: RefCell<Granted>,
    /// Held by whoever puts new generations in place, so that an older one never follows a newer.
    pub(super) turn: Mutex<()>,
}

/// The script of one interface.
#[derive(Clone, Default)]
pub(super) enum Slot {
    /// The plugin has none.
    #[default]
    Absent,
    /// Its first generation could not be loaded.
    Broken(Diagnostic),
    /// The generation that new calls get.
    Live(Live),
}

/// A script with the manifest that it was loaded under.
#[derive(Clone)]
pub(super) struct Live {
    pub script: Rc<Script>,
    pub manifest: Rc<Manifest>,
}

impl Plugin {
    /// Opens the plugin's state and loads its scripts. A policy that cannot be loaded denies everything.
    ///
    /// # Errors
    /// An unusable directory, and a driver that cannot be loaded.
    pub async fn open(spec: PluginSpec) -> Result<Rc<Self>, OpenError> {
        let sources = Rc::new(read(&spec).await?);
        let shared = Rc::new(open_state(&spec).await?);
        let meters = Arc::new(Meters::new(&spec.name));
        let plugin = Rc::new(Self {
            logs: Logs::new(&spec.state, meters.logs().clone()),
            spec,
            shared,
            meters,
            collector: Collector::default(),
            slots: Default::default(),
            generation: Cell::new(0),
            activated: Cell::new(false),
            greeted: Cell::new(false),
            sources: RefCell::new(sources.clone()),
            accepted: RefCell::default(),
            turn: Mutex::default(),
        });
        plugin.load_first(&sources).await?;
        Ok(plugin)
    }

    /// Its name, as Docker knows it.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What is counted of it, for any thread to read.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// The limit on the body of a request, or the refusal of an unknown one.
    ///
    /// # Errors
    /// The reply to give at once.
    pub fn body_limit(&self, path: &str) -> Result<usize, Reply> {
        match path {
            ACTIVATE => Ok(0x1_0000),
            _ => find_method(path)
                .map(|method| method.body_limit)
                .map_err(|error| Reply::from(&error)),
        }
    }

    /// The refusal of a body over the limit.
    pub fn too_large(&self, path: &str) -> Reply {
        match find_method(path) {
            Ok(method) => {
                self.meters.refusal(method, Verdict::Failed);
                Reply::from(&CallError::TooLarge {
                    method: method.wire,
                    limit: method.body_limit,
                })
            }
            Err(error) => Reply::from(&error),
        }
    }

    /// The interfaces that have a script, broken or not.
    pub fn interfaces(&self) -> impl Iterator<Item = Interface> + '_ {
        let present =
            |interface: &Interface| !matches!(*self.slot(*interface).borrow(), Slot::Absent);
        Interface::ALL.into_iter().filter(present)
    }

    /// Answers `Plugin.Activate`, which a daemon asks once in its life: from here on, what it knew before is stale.
    pub(super) async fn activate(&self) -> Reply {
        self.activated.set(true);
        self.logs.forsake(None);
        match self.shared.count_activation().await {
            Ok(activation) => {
                let announced = self
                    .interfaces()
                    .filter(|interface| interface.is_announced());
                let implements: Vec<_> = announced.map(Interface::implements).collect();
                self.warn_of_unannounced();
                tracing::info!(
                    plugin = self.name(),
                    ?implements,
                    activation,
                    "the daemon activates the plugin"
                );
                Reply::ok(json!({ "Implements": implements }).to_string())
            }
            Err(error) => {
                tracing::error!(plugin = self.name(), %error, "cannot record the activation");
                let diagnostic = Diagnostic::of_file("state", error.to_string());
                Reply::from(&CallError::Failed(diagnostic))
            }
        }
    }

    /// Notices an engine that has come back while a managed plugin lived on (live-restore): it asks again what it asks
    /// at its start. The first time was counted when the plugin was opened.
    pub(super) async fn notice_greeting(&self, method: &Method) {
        if self.spec.surroundings.managed && self.is_greeting(method) && self.greeted.replace(true)
        {
            match self.shared.count_activation().await {
                Ok(activation) => {
                    tracing::info!(
                        plugin = self.name(),
                        activation,
                        "the daemon has started again"
                    );
                }
                Err(error) => {
                    tracing::error!(plugin = self.name(), %error, "cannot record the activation");
                }
            }
        }
    }

    fn is_greeting(&self, method: &Method) -> bool {
        let has =
            |wire: &&str| find(wire).is_some_and(|m| self.interfaces().any(|i| i == m.interface));
        GREETINGS.contains(&method.wire) && GREETINGS.into_iter().find(has) == Some(method.wire)
    }

    fn warn_of_unannounced(&self) {
        for interface in self
            .interfaces()
            .filter(|interface| !interface.is_announced())
        {
            tracing::warn!(
                plugin = self.name(),
                "{} is not served: Docker would hang if a plugin that it finds by its socket announced that: make a managed plugin of it with `moondock bundle`",
                interface.file()
            );
        }
    }

    pub(super) fn slot(&self, interface: Interface) -> &RefCell<Slot> {
        &self.slots[interface as usize]
    }

    pub(super) fn live(&self, interface: Interface) -> Result<Live, CallError> {
        match &*self.slot(interface).borrow() {
            Slot::Live(live) => Ok(live.clone()),
            Slot::Broken(diagnostic) => Err(CallError::Broken(diagnostic.clone())),
            Slot::Absent => Err(CallError::NoScript {
                plugin: self.name().to_owned(),
                file: interface.file(),
            }),
        }
    }
}

/// The handshake's path (`protocol.md` 1.5).
pub(super) const ACTIVATE: &str = "/Plugin.Activate";

pub(super) fn find_method(path: &str) -> Result<&'static Method, CallError> {
    let wire = path.strip_prefix('/').unwrap_or(path);
    find(wire).ok_or_else(|| CallError::UnknownMethod(wire.to_owned()))
}

pub(super) async fn read(spec: &PluginSpec) -> Result<Sources, OpenError> {
    let dir = spec.dir.clone();
    let unreadable = |problem: String| OpenError::Unreadable {
        dir: spec.dir.display().to_string(),
        problem,
    };
    let reading = tokio::task::spawn_blocking(move || read_sources(&dir)).await;
    reading
        .map_err(|e| unreadable(e.to_string()))?
        .map_err(|e| unreadable(e.to_string()))
}

async fn open_state(spec: &PluginSpec) -> Result<Shared, OpenError> {
    let failed = |e: std::io::Error| OpenError::State {
        dir: spec.state.display().to_string(),
        problem: e.to_string(),
    };
    let shared = Shared::open(spec.name.clone(), spec.state.clone())
        .await
        .map_err(failed)?;
    // The engine starts a managed plugin when it starts itself, so what was known before is stale.
    if spec.surroundings.managed {
        shared.count_activation().await.map_err(failed)?;
    }
    Ok(shared)
}
