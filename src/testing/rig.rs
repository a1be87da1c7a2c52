//! What a case runs on: the plugin under test, and its machine.

use super::coverage::Coverage;
use super::lists::mark_lists;
use super::machine::{Machine, MachineOf};
use super::snapshots::Snapshots;
use crate::grants::Grant;
use crate::host::{MANIFEST, Shared, Stage};
use crate::plugin::{Accepted, Manifest, Plugin, PluginSpec, Reply};
use crate::protocol::{Call, methods};
use crate::script::Sources;
use crate::telemetry::{Kept, chain, keep};
use mlua::Function;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::env;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::{Instant, advance, resume, sleep};
use tracing::subscriber::DefaultGuard;

/// A memory file system, where a test's store is on no disk.
const MEMORY_FILES: &str = "/dev/shm";

/// What a case runs on.
pub struct Rig {
    spec: PluginSpec,
    sources: RefCell<Arc<Sources>>,
    pub shared: Arc<Shared>,
    plugin: RefCell<Option<Rc<Plugin>>>,
    machine: RefCell<Option<Rc<Machine>>>,
    pub cases: RefCell<Vec<(String, Function)>>,
    dead: Cell<bool>,
    died: Notify,
    since: Instant,
    paused: Cell<bool>,
    /// The calls so far, with their replies.
    pub calls: RefCell<Vec<String>>,
    called: RefCell<BTreeSet<&'static str>>,
    pub coverage: RefCell<Coverage>,
    log: Kept,
    pub snapshots: RefCell<Snapshots>,
    root: PathBuf,
    _files: TempDir,
    _log: DefaultGuard,
}

impl Rig {
    /// Makes the files, the store and the log of a case.
    ///
    /// # Errors
    /// Files that cannot be made.
    pub async fn new(
        plugin: &PluginSpec,
        sources: Arc<Sources>,
        snapshots: Snapshots,
    ) -> std::io::Result<Rc<Self>> {
        let files = directory()?;
        let (root, state) = (files.path().join("root"), files.path().join("state"));
        for directory in [&root, &state] {
            create(directory)?;
        }
        let shared = Shared::open(plugin.name.clone(), state).await?;
        let (log, guard) = keep();
        Ok(Rc::new_cyclic(|rig| {
            let stage = Stage::new(root.clone(), MachineOf(rig.clone()));
            let mut spec = plugin.clone();
            spec.surroundings.stage = Some(stage.clone());
            Self {
                spec,
                sources: RefCell::new(sources),
                shared: Arc::new(shared.on(stage)),
                plugin: RefCell::default(),
                machine: RefCell::default(),
                cases: RefCell::default(),
                dead: Cell::default(),
                died: Notify::new(),
                since: Instant::now(),
                paused: Cell::new(true),
                calls: RefCell::default(),
                called: RefCell::default(),
                coverage: RefCell::default(),
                log,
                snapshots: RefCell::new(snapshots),
                root,
                _files: files,
                _log: guard,
            }
        }))
    }

    /// Returns the machine, once the kit of tests was loaded.
    pub fn machine(&self) -> Option<Rc<Machine>> {
        self.machine.borrow().clone()
    }

    /// Returns the plugin, which is started if it does not run.
    async fn plugin(&self) -> Result<Rc<Plugin>, String> {
        if let Some(plugin) = &*self.plugin.borrow() {
            return Ok(plugin.clone());
        }
        let sources = self.sources.borrow().clone();
        let spec = PluginSpec {
            accepted: Accepted::default(),
            ..self.spec.clone()
        };
        let opened = Plugin::open_on(self.shared.clone(), spec, sources).await;
        let plugin = opened.map_err(|error| chain(&error))?;
        self.plugin.replace(Some(plugin.clone()));
        Ok(plugin)
    }

    /// Gives the test what the plugin is granted, and makes the directories of it.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn prepare(&self) -> std::io::Result<()> {
        let Ok(manifest) = Manifest::read(&self.sources.borrow()) else {
            // The plugin says what is wrong with it when it is called.
            return Ok(());
        };
        self.shared.grant(manifest.grants.clone().into());
        for grant in &manifest.grants {
            if let Grant::FsRead(path) | Grant::FsWrite(path) = grant {
                let path = self.path(path);
                if !exists(&path) {
                    create(&path)?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Stops the plugin at once, as a kill does.
    pub fn stop(&self) {
        if let Some(plugin) = self.plugin.take() {
            let called = self.called.borrow();
            let mut coverage = self.coverage.borrow_mut();
            coverage.add(&plugin, |method| called.contains(method.wire));
        }
        self.dead.set(false);
    }

    /// Lets go of the plugin, and of all functions of the tests.
    pub fn end(&self) {
        self.stop();
        self.machine.take();
        self.cases.take();
    }

    /// Kills the plugin, in the middle of a call.
    pub fn die(&self) {
        self.dead.set(true);
        self.died.notify_waiters();
    }

    /// Whether the plugin was killed, and not started again.
    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// Lets time pass as on a real machine, from now on.
    pub fn follow_real_time(&self) {
        if self.paused.replace(false) {
            resume();
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        if self.paused.get() {
            advance(time).await;
        } else {
            sleep(time).await;
        }
    }

    /// Returns the seconds since the beginning.
    pub fn clock(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// Returns the lines of the log.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Adds a case. Returns whether its name is new.
    pub fn add_case(&self, name: String, function: Function) -> bool {
        let mut cases = self.cases.borrow_mut();
        let is_new = cases.iter().all(|(other, _)| *other != name);
        cases.push((name, function));
        is_new
    }

    /// Takes over the machine of the kit of tests.
    pub fn set_machine(&self, machine: Machine) {
        self.machine.replace(Some(Rc::new(machine)));
    }

    /// Makes a file of the machine, with the directories that lead to it.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn make_file(&self, path: &Path, text: &[u8]) -> std::io::Result<()> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if climbs || !path.is_absolute() {
            let message = format!("`{}` is not an absolute path without `..`", path.display());
            return Err(std::io::Error::other(message));
        }
        write(&self.path(path), text)
    }

    /// Calls a method. Returns the status and the body, or why there is none.
    pub async fn exchange(&self, name: &str, body: String) -> Result<(u16, Vec<u8>), String> {
        let call = Call::of(name).or_else(|| find_hook(name)).ok_or_else(|| {
            format!("Docker has no method `{name}`: write one such as `VolumeDriver.Create`")
        })?;
        self.called.borrow_mut().insert(call.wire());
        let body = fitted(call, body);
        let answered = async {
            let plugin = self.plugin().await?;
            Ok(plugin.call(call, body.clone().into()).await)
        };
        let reply: Result<Reply, String> = tokio::select! {
            biased;
            () = self.died.notified() => Err(KILLED.to_owned()),
            reply = answered => reply,
        };
        let result = match reply {
            _ if self.dead.get() => Err(KILLED.to_owned()),
            Ok(Reply::Answer { status, body }) => Ok((status, body)),
            Ok(Reply::HangUp) => Err("the connection was closed without an answer".to_owned()),
            Ok(Reply::Stream(_)) => Err("a stream cannot be read in a test".to_owned()),
            Err(problem) => Err(problem),
        };
        let shown = match &result {
            Ok((200, reply)) => String::from_utf8_lossy(reply).into_owned(),
            Ok((status, reply)) => format!("{status} {}", message_of(reply)),
            Err(problem) => problem.clone(),
        };
        self.calls
            .borrow_mut()
            .push(format!("{name} {body} -> {shown}"));
        result
    }

    /// Replaces settings of the manifest.
    pub fn set(&self, settings: &str) -> Result<(), String> {
        let settings: toml::Table =
            serde_json::from_str(settings).map_err(|error| error.to_string())?;
        let mut sources = Sources::clone(&self.sources.borrow());
        let text = sources
            .files
            .remove(Path::new(MANIFEST))
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut manifest: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        let own = manifest
            .entry("settings")
            .or_insert_with(|| toml::Table::new().into());
        if let Some(own) = own.as_table_mut() {
            own.extend(settings);
        }
        sources
            .files
            .insert(MANIFEST.into(), manifest.to_string().into_bytes());
        self.sources.replace(Arc::new(sources));
        self.prepare().map_err(|error| error.to_string())
    }
}

/// Returns the body of a request as Docker would send it.
fn fitted(call: Call, body: String) -> String {
    let parsed = serde_json::from_str(&body);
    let (Call::Method(method), Ok(mut request)) = (call, parsed) else {
        return body;
    };
    mark_lists(&mut request, method.request);
    request.to_string()
}

/// Returns the message of an error's reply.
fn message_of(reply: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(reply).ok();
    let message = parsed.as_ref().and_then(|reply| reply["Err"].as_str());
    message.map_or_else(
        || String::from_utf8_lossy(reply).into_owned(),
        str::to_owned,
    )
}

const KILLED: &str = "the process was killed";

fn find_hook(name: &str) -> Option<Call> {
    let method = methods().find(|method| method.key() == name);
    method.map(Call::Method)
}

/// Makes a directory for the files of a case, where writing to it costs least.
#[expect(
    clippy::disallowed_methods,
    reason = "the temporary directory of a test, whose path must have no links"
)]
fn directory() -> std::io::Result<TempDir> {
    let prefix = "moondock-test-";
    let on_disk = || TempDir::with_prefix_in(prefix, env::temp_dir().canonicalize()?);
    TempDir::with_prefix_in(prefix, MEMORY_FILES).or_else(|_| on_disk())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the temporary directory of a test"
)]
fn create(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the temporary directory of a test"
)]
fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the temporary directory of a test"
)]
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    create(path.parent().unwrap_or(path))?;
    // A granted path was made as a directory; it is removed only if it is empty.
    let _ = std::fs::remove_dir(path);
    std::fs::write(path, text)
}
