//! What the host functions of one script know about the call and the plugin they serve.

use super::Budget;
use crate::grants::{Grant, Granted};
use crate::sys::http::Client;
use crate::sys::places::{End, Place};
use crate::sys::territory::{Root, Territory};
use crate::sys::{files, life, locks::Locks, store::Store};
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What all scripts of one plugin share, on the plugin's thread.
#[derive(Debug)]
pub struct Shared {
    /// The plugin's name, as Docker knows it.
    pub name: String,
    /// The plugin's directory under the state directory; created before scripts are loaded.
    pub state: PathBuf,
    /// What scripts keep, below `state`; opened when first used.
    pub store: Store,
    /// The named locks of the plugin's calls.
    pub locks: Locks,
    /// Whom scripts' requests trust.
    pub http: Client,
    boot: OnceCell<String>,
    process: OnceCell<String>,
    /// When the plugin was opened.
    pub since: Instant,
    activation: Cell<u64>,
    granted: RefCell<Granted>,
    territory: RefCell<Arc<Territory>>,
}

/// The file that counts how often a daemon activated the plugin.
const ACTIVATION: &str = "activation";

impl Shared {
    /// What the plugin `name` shares, with its store as `store.redb` in the directory `state`.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn open(name: String, state: PathBuf) -> io::Result<Self> {
        let file = state.join(ACTIVATION);
        let activation = on_blocking_pool(move || read_activation(&file)).await?;
        let store = Store::new(state.join("store.redb"));
        Ok(Self {
            name,
            state,
            store,
            locks: Locks::default(),
            http: Client::default(),
            boot: OnceCell::new(),
            process: OnceCell::new(),
            since: Instant::now(),
            activation: Cell::new(activation),
            granted: RefCell::default(),
            territory: RefCell::default(),
        })
    }

    /// Another one each time the machine is started.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn boot(&self) -> io::Result<String> {
        kept(&self.boot, life::boot)
    }

    /// Another one each time Moondock is started.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn process(&self) -> io::Result<String> {
        kept(&self.process, life::process)
    }

    /// What the plugin's scripts may touch now, all generations of them; at first nothing.
    pub fn granted(&self) -> Ref<'_, Granted> {
        self.granted.borrow()
    }

    /// From now on, its scripts may touch what `granted` says and nothing else.
    pub fn grant(&self, granted: Granted) {
        self.territory
            .replace(Arc::new(Territory::new(roots(&granted))));
        self.granted.replace(granted);
    }

    /// The same for what nobody was asked about, as `accepted` covers it: no path leads further than what was accepted.
    pub fn grant_within(&self, accepted: &Granted, granted: Granted) {
        if granted == *accepted {
            return self.grant(granted);
        }
        self.territory.replace(Arc::new(
            Territory::new(roots(&granted)).within(roots(accepted)),
        ));
        self.granted.replace(granted);
    }

    /// The paths that the plugin's scripts may touch now.
    pub fn territory(&self) -> Arc<Territory> {
        self.territory.borrow().clone()
    }

    /// How often a daemon activated the plugin: a larger number means another daemon process.
    pub fn activation(&self) -> u64 {
        self.activation.get()
    }

    /// Counts an activation, on disk before it is answered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn count_activation(&self) -> io::Result<u64> {
        let activation = self.activation.get() + 1;
        let file = self.state.join(ACTIVATION);
        let text = format!("{activation}\n");
        on_blocking_pool(move || {
            let place = Place::find(&file, End::Itself);
            place
                .and_then(|place| files::write(&place, text.as_bytes(), None))
                .map_err(io::Error::other)
        })
        .await?;
        self.activation.set(activation);
        Ok(activation)
    }
}

fn kept(cell: &OnceCell<String>, read: fn() -> io::Result<String>) -> io::Result<String> {
    if let Some(kept) = cell.get() {
        return Ok(kept.clone());
    }
    let fresh = read()?;
    Ok(cell.get_or_init(|| fresh).clone())
}

fn roots(granted: &Granted) -> Vec<Root> {
    granted.iter().filter_map(root).collect()
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

async fn on_blocking_pool<R: Send + 'static>(
    f: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    tokio::task::spawn_blocking(f).await?
}

/// What one generation of one script is given to reach the outside.
#[derive(Debug)]
pub struct Host {
    /// The plugin that the script belongs to.
    pub shared: Rc<Shared>,
    /// `[settings]` of `plugin.toml`.
    pub settings: Rc<toml::Table>,
    /// The script's file name, such as `volume.lua`.
    pub script: String,
    /// The generation, counted from 1.
    pub generation: u64,
    /// The meter of the script's state.
    pub budget: Budget,
    /// False while top-level code runs: then nothing outside may be touched.
    pub in_call: Cell<bool>,
}

impl Host {
    /// The host of a generation that is yet to be loaded.
    pub fn new(
        shared: Rc<Shared>,
        settings: Rc<toml::Table>,
        script: String,
        generation: u64,
    ) -> Rc<Self> {
        let budget = Budget::default();
        Rc::new(Self {
            shared,
            settings,
            script,
            generation,
            budget,
            in_call: Cell::new(false),
        })
    }
}
