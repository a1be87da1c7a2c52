//! What the scripts of one plugin share, and what the host functions of one script know.

use super::frames::own_frame;
use super::line_meter::LineMeter;
use super::stage::Stage;
use super::{Budget, Exhausted, Limits};
use crate::grants::territory::{Root, Territory};
use crate::grants::{Grant, Granted, Origin};
use crate::sys::files::places::{End, Place};
use crate::sys::memory::Allowance;
use crate::sys::network::firewall::{Firewall, FirewallError, Loopback};
use crate::sys::network::http::Client;
use crate::sys::{blocking, files, locks::Locks, processes::life, state::store::Store};
use mlua::Lua;
use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

/// What all scripts of one plugin share, on whatever thread they run.
#[derive(Debug)]
pub struct Shared {
    /// The plugin's name, as Docker knows it.
    pub name: String,
    /// The plugin's directory under the state directory; created before scripts are loaded.
    pub state: PathBuf,
    /// The store of `@moondock/store`, below `state`; opened on first use.
    pub store: Store,
    /// The named locks of the plugin's calls.
    pub locks: Locks,
    /// The HTTP client, with the CAs that scripts' requests trust.
    pub http: Client,
    /// The published ports that are forwarded from `[::1]`.
    loopback: Arc<Loopback>,
    /// Where the plugin's grants come from.
    pub grants_from: Origin,
    /// When the plugin was opened.
    pub since: Instant,
    /// What takes the place of the machine in a test.
    pub stage: Option<Stage>,
    boot: OnceLock<String>,
    process: OnceLock<String>,
    activation: AtomicU64,
    reach: RwLock<Reach>,
}

/// What the scripts may touch now.
#[derive(Debug, Clone, Default)]
struct Reach {
    granted: Arc<Granted>,
    territory: Arc<Territory>,
}

/// The file that counts how often a daemon activated the plugin.
const ACTIVATION_FILE: &str = "activation";

impl Shared {
    /// Opens what the plugin `name` shares, with its store as `store.redb` in the directory `state`.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn open(name: String, state: PathBuf) -> io::Result<Self> {
        let file = state.join(ACTIVATION_FILE);
        let activation = blocking(move || read_activation(&file)).await?;
        let store = Store::new(state.join("store.redb"));
        Ok(Self {
            name,
            state,
            store,
            locks: Locks::default(),
            http: Client::default(),
            loopback: Arc::default(),
            grants_from: Origin::default(),
            since: Instant::now(),
            stage: None,
            boot: OnceLock::new(),
            process: OnceLock::new(),
            activation: AtomicU64::new(activation),
            reach: RwLock::default(),
        })
    }

    /// Puts `stage` in place of the machine.
    #[must_use]
    pub fn on(self, stage: Stage) -> Self {
        Self {
            stage: Some(stage),
            ..self
        }
    }

    /// Returns where to find a path of the machine.
    pub fn place(&self, path: &Path) -> PathBuf {
        match &self.stage {
            Some(stage) => stage.path(path),
            None => path.to_owned(),
        }
    }

    /// Returns an identifier that changes with each boot of the machine.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn boot(&self) -> io::Result<String> {
        kept(&self.boot, life::boot)
    }

    /// Returns an identifier that changes with each start of Moondock.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn process(&self) -> io::Result<String> {
        kept(&self.process, life::process)
    }

    /// Returns the plugin's firewall.
    ///
    /// # Errors
    /// A name that no table can have.
    pub fn firewall(&self) -> Result<Firewall, FirewallError> {
        Firewall::new(&self.name, &self.state, &self.loopback)
    }

    /// Returns what all generations of the plugin's scripts may touch now; nothing at first.
    pub fn granted(&self) -> Arc<Granted> {
        self.reach().granted
    }

    /// Returns the paths that the plugin's scripts may touch now.
    pub fn territory(&self) -> Arc<Territory> {
        self.reach().territory
    }

    /// Replaces what the scripts may touch with `granted`.
    pub fn grant(&self, granted: Granted) {
        let territory = Territory::new(self.roots(&granted));
        self.set_reach(granted, territory);
    }

    /// Replaces what the scripts may touch with `granted`, which `accepted` covers: no path leads
    /// further than what was accepted.
    pub fn grant_within(&self, accepted: &Granted, granted: Granted) {
        if granted == *accepted {
            return self.grant(granted);
        }
        let territory = Territory::new(self.roots(&granted)).within(self.roots(accepted));
        self.set_reach(granted, territory);
    }

    /// Notes what a saved `plugin.toml` declares and nobody has accepted, for the errors about it.
    pub fn await_acceptance(&self, declared: &Granted) {
        let Reach { granted, territory } = self.reach();
        let territory = Territory::clone(&territory).declaring(self.roots(declared));
        self.set_reach(Granted::clone(&granted).declaring(declared), territory);
    }

    fn roots(&self, granted: &Granted) -> Vec<Root> {
        let mut roots: Vec<_> = granted.iter().filter_map(root).collect();
        for root in &mut roots {
            root.path = self.place(&root.path);
        }
        roots
    }

    fn reach(&self) -> Reach {
        let reach = self.reach.read().unwrap_or_else(PoisonError::into_inner);
        reach.clone()
    }

    fn set_reach(&self, granted: Granted, territory: Territory) {
        let mut reach = self.reach.write().unwrap_or_else(PoisonError::into_inner);
        *reach = Reach {
            granted: Arc::new(granted.coming_from(self.grants_from)),
            territory: Arc::new(territory.coming_from(self.grants_from)),
        };
    }

    /// Returns how often a daemon activated the plugin: a larger number means another daemon process.
    pub fn activation(&self) -> u64 {
        self.activation.load(Relaxed)
    }

    /// Counts an activation, on disk before it returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn count_activation(&self) -> io::Result<u64> {
        let activation = self.activation() + 1;
        let file = self.state.join(ACTIVATION_FILE);
        let text = format!("{activation}\n");
        blocking(move || {
            let place = Place::find(&file, End::Itself);
            place
                .and_then(|place| files::write(&place, text.as_bytes(), None))
                .map_err(io::Error::other)
        })
        .await?;
        self.activation.store(activation, Relaxed);
        Ok(activation)
    }
}

fn kept(cell: &OnceLock<String>, read: fn() -> io::Result<String>) -> io::Result<String> {
    if let Some(kept) = cell.get() {
        return Ok(kept.clone());
    }
    let fresh = read()?;
    Ok(cell.get_or_init(|| fresh).clone())
}

fn root(grant: &Grant) -> Option<Root> {
    match grant {
        Grant::FsRead(path) => Some(Root {
            path: path.clone(),
            write: false,
        }),
        Grant::FsWrite(path) => Some(Root {
            path: path.clone(),
            write: true,
        }),
        _ => None,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the count of activations, a file of Moondock's own"
)]
fn read_activation(file: &Path) -> io::Result<u64> {
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// What the host functions of one generation of one script know, on the script's thread.
#[derive(Debug)]
pub struct Host {
    /// The plugin that the script belongs to.
    pub shared: Arc<Shared>,
    /// `[settings]` of `plugin.toml`.
    pub settings: Arc<toml::Table>,
    /// The script's file name, such as `volume.lua`.
    pub script: String,
    /// The generation, counted from 1.
    pub generation: u64,
    /// The limits of the script.
    pub limits: Limits,
    /// The meter of the script's state.
    pub budget: Budget,
    /// The memory that the script's calls hold outside of its state, at most as much as inside.
    pub allowance: Allowance,
    /// The meter of the script's lines in the log.
    pub lines: LineMeter,
    /// Where the running slice was stopped, in the author's own files.
    pub stopped_at: RefCell<Option<(String, usize)>>,
    /// False while top-level code runs, which may touch nothing outside.
    pub in_call: Cell<bool>,
}

impl Host {
    /// Creates the host of a generation that is about to be loaded.
    pub fn new(
        shared: Arc<Shared>,
        settings: Arc<toml::Table>,
        script: String,
        generation: u64,
        limits: Limits,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            settings,
            script,
            generation,
            limits,
            budget: Budget::default(),
            allowance: Allowance::of(limits.memory),
            lines: LineMeter::default(),
            stopped_at: RefCell::default(),
            in_call: Cell::new(false),
        })
    }

    /// Checks the budget by the exact clock, and notes where it was exceeded.
    ///
    /// # Errors
    /// An exceeded budget.
    pub fn check_budget(&self, lua: &Lua) -> mlua::Result<()> {
        let checked = self.budget.check_exactly();
        checked.map_err(|why| self.stopped(lua, why))
    }

    /// Notes where the running slice was stopped.
    pub fn stopped(&self, lua: &Lua, why: Exhausted) -> mlua::Error {
        let mut place = self.stopped_at.borrow_mut();
        if place.is_none() {
            *place = own_frame(lua);
        }
        mlua::Error::external(why)
    }
}
