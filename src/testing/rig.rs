//! What a case runs on: the plugin under test, and its machine.

use super::coverage::Coverage;
use super::feed::Feed;
use super::files::{create, directory, exists, link, remove_empty, write};
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
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, Notify};
use tokio::task::LocalSet;
use tokio::time::{Instant, resume, sleep};
use tracing::subscriber::DefaultGuard;

/// What a test is told of a call that Docker would make again.
pub(super) const HUNG_UP: &str = "the connection was closed without an answer";

/// What a case runs on.
pub struct Rig {
    spec: PluginSpec,
    sources: RefCell<Arc<Sources>>,
    pub shared: Arc<Shared>,
    process: RefCell<Option<Rc<Process>>>,
    /// Held while the plugin is started, so that of two calls at once only one starts it.
    starting: Mutex<()>,
    /// The engine's ends of log streams, by the path of their FIFO.
    pub feeds: RefCell<BTreeMap<PathBuf, Rc<Feed>>>,
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

/// The plugin under test while it runs. Its tasks end with it.
struct Process {
    plugin: Rc<Plugin>,
    tasks: LocalSet,
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
        let shared = Shared::open(plugin.name.clone(), state.clone()).await?;
        let (log, guard) = keep();
        Ok(Rc::new_cyclic(|rig| {
            let stage = Stage::new(root.clone(), MachineOf(rig.clone()));
            let mut spec = plugin.clone();
            spec.surroundings.stage = Some(stage.clone());
            spec.state = state;
            Self {
                spec,
                sources: RefCell::new(sources),
                shared: Arc::new(shared.on(stage)),
                process: RefCell::default(),
                starting: Mutex::default(),
                feeds: RefCell::default(),
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
    async fn process(&self) -> Result<Rc<Process>, String> {
        let _turn = self.starting.lock().await;
        if let Some(process) = &*self.process.borrow() {
            return Ok(process.clone());
        }
        let sources = self.sources.borrow().clone();
        let spec = PluginSpec {
            accepted: Accepted::default(),
            ..self.spec.clone()
        };
        let tasks = LocalSet::new();
        let opening = Plugin::open_on(self.shared.clone(), spec, sources);
        let opened = tasks.run_until(opening).await;
        let plugin = opened.map_err(|error| chain(&error))?;
        tasks.run_until(plugin.resume_logs()).await;
        let process = Rc::new(Process { plugin, tasks });
        self.process.replace(Some(process.clone()));
        Ok(process)
    }

    /// Runs what needs the plugin, to its end or until the plugin is killed.
    ///
    /// # Errors
    /// Why there is no result.
    pub async fn with_plugin<T>(
        &self,
        work: impl AsyncFnOnce(&Plugin) -> Result<T, String>,
    ) -> Result<T, String> {
        let working = async {
            let process = self.process().await?;
            process.tasks.run_until(work(&process.plugin)).await
        };
        let result = tokio::select! {
            biased;
            () = self.died.notified() => Err(KILLED.to_owned()),
            result = working => result,
        };
        if self.dead.get() {
            return Err(KILLED.to_owned());
        }
        result
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

    /// Returns where to find a path of the machine.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Stops the plugin at once, as a kill does.
    pub fn stop(&self) {
        if let Some(process) = self.process.take() {
            let called = self.called.borrow();
            let mut coverage = self.coverage.borrow_mut();
            coverage.add(&process.plugin, |method| called.contains(method.wire));
        }
        self.died.notify_waiters();
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
        let process = self.process.borrow().clone();
        match process {
            Some(process) => process.tasks.run_until(sleep(time)).await,
            None => sleep(time).await,
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
        write(&self.room_for(path)?, text)
    }

    /// Makes a symbolic link of the machine, with the directories that lead to it.
    ///
    /// # Errors
    /// A link that cannot be made.
    pub fn make_link(&self, path: &Path, target: &Path) -> std::io::Result<()> {
        link(&self.room_for(path)?, target)
    }

    /// Makes the directories that lead to a new file of the machine. Returns where to make it.
    ///
    /// # Errors
    /// A path outside of the machine, and a directory that cannot be made.
    pub fn room_for(&self, path: &Path) -> std::io::Result<PathBuf> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if climbs || !path.is_absolute() {
            let message = format!("`{}` is not an absolute path without `..`", path.display());
            return Err(std::io::Error::other(message));
        }
        let place = self.path(path);
        create(place.parent().unwrap_or(&place))?;
        // A granted path was made as a directory; it is removed only if it is empty.
        let _ = remove_empty(&place);
        Ok(place)
    }

    /// Calls a method. Returns the status and the body, or why there is none.
    pub async fn exchange(&self, name: &str, body: String) -> Result<(u16, Vec<u8>), String> {
        let read = async |reply| match reply {
            Reply::Answer { status, body } => Ok((status, body)),
            Reply::HangUp => Err(HUNG_UP.to_owned()),
            Reply::Stream(_) => {
                Err("a stream is read by the function that `test.container_log` returns".to_owned())
            }
        };
        let shown = |(status, reply): &(u16, Vec<u8>)| match status {
            200 => String::from_utf8_lossy(reply).into_owned(),
            status => format!("{status} {}", message_of(reply)),
        };
        self.call(name, body, read, shown).await
    }

    /// Calls a method, and adds it to the calls that are shown with a failure. `read` takes what is
    /// needed of the reply, and `shown` describes it.
    pub async fn call<T>(
        &self,
        name: &str,
        body: String,
        read: impl AsyncFnOnce(Reply) -> Result<T, String>,
        shown: impl FnOnce(&T) -> String,
    ) -> Result<T, String> {
        let call = Call::of(name).or_else(|| find_hook(name)).ok_or_else(|| {
            format!("Docker has no method `{name}`: write one such as `VolumeDriver.Create`")
        })?;
        self.called.borrow_mut().insert(call.wire());
        let body = fitted(call, body);
        let request = body.clone();
        let calling =
            self.with_plugin(async |plugin| read(plugin.call(call, request.into()).await).await);
        let result = calling.await;
        let outcome = result.as_ref().map_or_else(String::clone, shown);
        let line = format!("{name} {body} -> {outcome}");
        self.calls.borrow_mut().push(line);
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
pub(super) fn message_of(reply: &[u8]) -> String {
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
